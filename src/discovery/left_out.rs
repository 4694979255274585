//! Keys that are published and not used: said once, and not at each refresh.

use std::collections::BTreeSet;

use doorward_core::keys::KeySet;
use tracing::warn;

/// What was said about keys left out, to say it once and not at each refresh.
#[derive(Debug, Default)]
pub(super) struct LeftOutKeys(BTreeSet<String>);

impl LeftOutKeys {
    /// Warns of those that were not left out of the last key set.
    pub(super) fn warn(&mut self, issuer: &str, set: &KeySet) {
        for news in self.news(set) {
            warn!(issuer, "{news}");
        }
    }

    fn news(&mut self, set: &KeySet) -> Vec<String> {
        let mut now = BTreeSet::new();
        for key in set.left_out() {
            let name = match &key.kid {
                Some(kid) => format!("{kid:?}"),
                None => format!("number {}", key.position + 1),
            };
            now.insert(format!("key {name} is left out: {}", key.reason));
        }
        let news = now.difference(&self.0).cloned().collect();
        // Only what is there now is remembered, so that this cannot grow.
        self.0 = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_left_out_is_told_once() {
        let set = |kids: &[&str]| {
            let keys: Vec<_> = kids
                .iter()
                .map(|kid| serde_json::json!({"kty": "oct", "kid": kid, "k": "AA"}))
                .collect();
            KeySet::parse(serde_json::json!({ "keys": keys }).to_string().as_bytes()).unwrap()
        };
        let mut warned = LeftOutKeys::default();
        assert_eq!(
            warned.news(&set(&["a"])),
            ["key \"a\" is left out: it is symmetric (`kty: oct`)"]
        );
        assert!(warned.news(&set(&["a"])).is_empty());
        assert_eq!(warned.news(&set(&["b", "a"])).len(), 1);
        assert!(warned.news(&set(&["a"])).is_empty());
    }
}
