//! The name of a claim, or the way to one inside a claim.

use std::fmt;
use std::str::FromStr;

use crate::token::Claims;

/// A top-level claim (`email`), or a JSON pointer (RFC 6901) when it starts with `/`
/// (`/realm_access/roles`). A claim whose own name starts with `/` or holds one, like a
/// URL, is written as a pointer with `~1` for `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimPath {
    written: String,
    /// The first step, unescaped: the member of the claims object.
    claim: String,
    /// The rest as a JSON pointer into that member; empty: the member itself.
    rest: String,
}

impl ClaimPath {
    /// A top-level claim by its name.
    #[must_use]
    pub fn claim_named(name: &str) -> Self {
        Self { written: name.to_owned(), claim: name.to_owned(), rest: String::new() }
    }

    /// The top-level claim the path begins in.
    #[must_use]
    pub fn claim(&self) -> &str {
        &self.claim
    }

    /// The JSON text that it leads to; `None` when that is absent or `null`.
    pub(super) fn find<'j>(&self, claims: &Claims<'j>) -> Option<&'j str> {
        claims.json_at(&self.claim, &self.rest)
    }

    /// The JSON pointer from there on; empty when the claim itself is meant.
    #[must_use]
    pub fn rest(&self) -> &str {
        &self.rest
    }
}

impl FromStr for ClaimPath {
    type Err = ClaimPathError;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let Some(pointer) = written.strip_prefix('/') else {
            return if written.is_empty() {
                Err(ClaimPathError::Empty)
            } else {
                Ok(Self::claim_named(written))
            };
        };
        let (claim, rest) = match pointer.find('/') {
            Some(slash) => pointer.split_at(slash),
            None => (pointer, ""),
        };
        if claim.is_empty() {
            return Err(ClaimPathError::Empty);
        }
        // RFC 6901 §4: ~1 first, then ~0, so that ~01 becomes ~1.
        let claim = claim.replace("~1", "/").replace("~0", "~");
        Ok(Self { written: written.to_owned(), claim, rest: rest.to_owned() })
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Why a text names no claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    /// Nothing, or `/`.
    #[error("a claim needs a name: `email`, or a JSON pointer like `/realm_access/roles`")]
    Empty,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_itself_and_a_pointer_has_a_rest() {
        let parsed = |text: &str| {
            let path: ClaimPath = text.parse().unwrap();
            (path.claim().to_owned(), path.rest().to_owned())
        };
        assert_eq!(parsed("email"), ("email".into(), String::new()));
        assert_eq!(parsed("cognito:groups"), ("cognito:groups".into(), String::new()));
        assert_eq!(parsed("/realm_access/roles"), ("realm_access".into(), "/roles".into()));
        assert_eq!(parsed("/https:~1~1x.example~1groups").0, "https://x.example/groups");
        assert_eq!(parsed("/a~01/b"), ("a~1".into(), "/b".into()));
        assert!("".parse::<ClaimPath>().is_err());
        assert!("/".parse::<ClaimPath>().is_err());
    }
}
