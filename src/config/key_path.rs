//! The way to a key of the configuration.

use std::fmt;

/// The way to a key: `auth.oidc.issuer`, `auth.issuers.0.issuer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The key that `dotted` names. Names that hold a dot themselves are reached with
    /// [`join`](Self::join).
    #[must_use]
    pub fn dotted(dotted: &str) -> Self {
        Self(dotted.split('.').map(str::to_owned).collect())
    }

    /// The key `name` (or the item of that number) below this one.
    #[must_use]
    pub fn join(&self, name: impl fmt::Display) -> Self {
        let mut steps = self.0.clone();
        steps.push(name.to_string());
        Self(steps)
    }

    /// The key that this one stands in; of the root, itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0.split_last().map(|(_, above)| above.to_vec()).unwrap_or_default())
    }

    /// The names on the way, outermost first.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// Whether this is the whole configuration.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
