//! The task behind [`IssuerKeys`]: the only one that asks its issuer, one attempt at a
//! time, and the only one that writes its keys.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::cache_file::CacheFile;
use super::http::shown;
use super::issuer_keys::{Change, IssuerKeys};
use super::location::KeyLocation;
use super::origin::{self, ObtainError, Obtained, Origin};
use super::schedule::{Bounds, Schedule};
use crate::clock::{Clock, UnixTime};
use crate::keys::{KeySet, Snapshot};

/// How often a key file is read. Reading a few kilobytes is cheaper than being sure that
/// nothing changed: times of files are coarse, and a mounted ConfigMap changes by a link.
const FILE_POLL: Duration = Duration::from_secs(5);

/// Keeps the keys of one issuer fresh.
pub(super) struct Refresher {
    keys: Arc<IssuerKeys>,
    clock: Arc<dyn Clock>,
    origin: Origin,
    schedule: Schedule,
    cache: Option<CacheFile>,
    warned: Warned,
    /// What the last attempt failed with, to say it once.
    failing_with: Option<String>,
}

impl Refresher {
    pub(super) fn new(keys: Arc<IssuerKeys>, clock: Arc<dyn Clock>) -> Self {
        let spec = keys.spec();
        let policy = &spec.policy;
        let pause = FILE_POLL.min(policy.refresh_min);
        let (bounds, location) = match &spec.location {
            KeyLocation::File(_) | KeyLocation::Inline(_) | KeyLocation::Borrowed => {
                (Bounds { min: pause, max: pause, default: pause }, None)
            }
            KeyLocation::Discovery(url) => (published(policy), Some(("discovery", url))),
            KeyLocation::JwksUri(url) => (published(policy), Some(("jwks_uri", url))),
        };
        let cache = policy.cache_dir.as_deref().zip(location).map(|(directory, (how, url))| {
            CacheFile::new(directory, "keys", &spec.issuer, &format!("{how} {}", shown(url)))
        });
        Self {
            origin: Origin::new(spec.clone()),
            schedule: Schedule::new(bounds),
            cache,
            warned: Warned::default(),
            failing_with: None,
            clock,
            keys,
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        if matches!(self.keys.spec().location, KeyLocation::Inline(_) | KeyLocation::Borrowed) {
            self.say_inline();
            self.keys.gate().close();
            return std::future::pending().await;
        }
        self.recall().await;
        loop {
            self.keys.gate().begin();
            let pause = self.attempt().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.keys.gate().asked() => {}
            }
        }
    }

    async fn attempt(&mut self) -> Duration {
        match self.origin.obtain().await {
            Ok(obtained) => self.succeed(obtained).await,
            Err(error) => self.fail(error),
        }
    }

    async fn succeed(&mut self, obtained: Obtained) -> Duration {
        let now = self.clock.now();
        let pause = self.schedule.after_success(obtained.freshness);
        self.warn_of_left_out(&obtained.set);
        let before = self.keys.own();
        let after = self.keys.accept(obtained.set, now);
        let change = match &before {
            Some(before) if before.id() == after.id() => Change::Unchanged,
            Some(_) | None => Change::New,
        };
        self.keys.note(Ok(change));
        self.keys.plan(now.plus(pause));
        self.say_obtained(before.as_deref(), &after, change, pause);
        // Requests wait for this; the disk can take its time.
        self.keys.gate().finish(true);
        if let Some(cache) = &self.cache
            && let Err(error) = cache.store(&obtained.document, now).await
        {
            warn!(issuer = self.issuer(), %error, "the key set was not kept on disk");
        }
        pause
    }

    fn fail(&mut self, error: ObtainError) -> Duration {
        let pause = self.schedule.after_failure(error.retry_after());
        self.keys.plan(self.clock.now().plus(pause));
        self.say_failed(&error, pause);
        self.keys.note(Err(Arc::new(error)));
        self.keys.gate().finish(false);
        pause
    }

    /// Takes the keys kept on disk until the issuer answers.
    async fn recall(&mut self) {
        let (Some(cache), None) = (&self.cache, self.keys.own()) else {
            return;
        };
        let kept = match cache.load().await {
            Ok(Some(kept)) => kept,
            Ok(None) => return,
            Err(error) => {
                warn!(issuer = self.issuer(), %error, "the key set kept on disk is ignored");
                return;
            }
        };
        let now = self.clock.now();
        if !believable(kept.obtained_at, now, self.keys.spec().policy.max_stale) {
            info!(issuer = self.issuer(), "the key set kept on disk is too old");
            return;
        }
        match origin::key_set(kept.document.as_bytes()) {
            Ok(set) => {
                self.warn_of_left_out(&set);
                let snapshot = self.keys.accept(set, kept.obtained_at);
                let age = now.since(kept.obtained_at);
                info!(
                    issuer = self.issuer(),
                    keys = snapshot.set().keys().len(),
                    ?age,
                    "keys recalled from disk"
                );
            }
            Err(error) => {
                warn!(issuer = self.issuer(), %error, "the key set kept on disk is ignored");
            }
        }
    }

    fn say_obtained(
        &mut self,
        before: Option<&Snapshot>,
        after: &Snapshot,
        change: Change,
        pause: Duration,
    ) {
        let (issuer, keys) = (self.issuer(), after.set().keys().len());
        match (before, change) {
            (None, _) => info!(issuer, keys, next = ?pause, "keys obtained"),
            (Some(before), Change::New) => {
                let added = kids_only_in(after.set(), before.set());
                let removed = kids_only_in(before.set(), after.set());
                info!(issuer, keys, ?added, ?removed, next = ?pause, "keys changed");
            }
            (Some(_), Change::Unchanged) => {
                debug!(issuer, keys, next = ?pause, "keys confirmed");
            }
        }
        if self.failing_with.take().is_some() && before.is_some() {
            info!(issuer = self.issuer(), "the issuer answers again");
        }
    }

    /// A failure is said aloud when it is new; the same again, every few seconds or
    /// minutes for as long as an outage lasts, is for `debug` and the metrics.
    fn say_failed(&mut self, error: &ObtainError, pause: Duration) {
        let text = error.to_string();
        let issuer = self.issuer();
        let serving = self.keys.own().map_or(0, |snapshot| snapshot.set().keys().len());
        if self.failing_with.as_deref() == Some(text.as_str()) {
            debug!(issuer, error = text, serving, next = ?pause, "keys still not obtained");
        } else {
            warn!(issuer, error = text, serving, next = ?pause, "keys not obtained");
            self.failing_with = Some(text);
        }
    }

    fn say_inline(&mut self) {
        match self.keys.own() {
            Some(snapshot) => self.warn_of_left_out(snapshot.set()),
            None => {
                if let Some(error) = self.keys.status().last_error {
                    warn!(issuer = self.issuer(), %error, "the configured key set is no good");
                }
            }
        }
    }

    fn warn_of_left_out(&mut self, set: &KeySet) {
        for news in self.warned.news(set) {
            warn!(issuer = self.issuer(), "{news}");
        }
    }

    fn issuer(&self) -> &str {
        &self.keys.spec().issuer
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.keys.gate().close();
    }
}

fn published(policy: &super::FetchPolicy) -> Bounds {
    Bounds { min: policy.refresh_min, max: policy.refresh_max, default: policy.refresh_default }
}

/// Young enough, and not from the future, where a wrong clock would have it believed for
/// longer than `max_stale`.
fn believable(obtained_at: UnixTime, now: UnixTime, max_stale: Duration) -> bool {
    obtained_at <= now && now < obtained_at.plus(max_stale)
}

fn kids_only_in<'s>(set: &'s KeySet, other: &KeySet) -> Vec<&'s str> {
    let others: BTreeSet<_> = other.keys().iter().filter_map(|key| key.kid()).collect();
    set.keys().iter().filter_map(|key| key.kid()).filter(|kid| !others.contains(kid)).collect()
}

/// What was said about keys left out, to say it once and not at each refresh.
#[derive(Debug, Default)]
struct Warned(BTreeSet<String>);

impl Warned {
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
        let mut warned = Warned::default();
        assert_eq!(
            warned.news(&set(&["a"])),
            ["key \"a\" is left out: it is symmetric (`kty: oct`)"]
        );
        assert!(warned.news(&set(&["a"])).is_empty());
        assert_eq!(warned.news(&set(&["b", "a"])).len(), 1);
        assert!(warned.news(&set(&["a"])).is_empty());
    }

    #[test]
    fn only_a_past_that_is_not_too_long_ago_is_believed() {
        let max_stale = Duration::from_secs(100);
        let verdict =
            |obtained_at, now| believable(UnixTime(obtained_at), UnixTime(now), max_stale);
        assert!(verdict(1000, 1000) && verdict(1000, 1099));
        assert!(!verdict(1000, 1100) && !verdict(1000, 999));
    }
}
