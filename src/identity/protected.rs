//! The header names that are ours alone: the security boundary towards the upstream.
//!
//! One function says what a front must strip ([`ProtectedHeaders::forged`] besides
//! [`ProtectedHeaders::always`]); every front uses it, on every allowed request.

use std::collections::HashSet;

use super::headers::IdentityHeaders;
use super::rules::{HeaderNames, HeaderRules};

/// Names that NeMo's services believe besides the five that Doorward sets, without the
/// trusted prefix. They are removed even when Envoy hides client headers from us.
const NEMO_BELIEVES: [&str; 10] = [
    "principal-on-behalf-of",
    "principal-on-behalf-of-email",
    "principal-on-behalf-of-groups",
    "on-behalf-of",
    "on-behalf-of-email",
    "on-behalf-of-groups",
    "internal",
    "actor-id",
    "subject-id",
    "principal-type",
];

/// Which header names a client must not decide.
#[derive(Clone, Debug)]
pub struct ProtectedHeaders {
    /// `x-nmp-`: lower case, with `-`.
    prefix: String,
    /// Names outside the prefix, lower case, with `-`.
    elsewhere: HashSet<String>,
    /// Names that we set where the identity has something to say, and remove where not.
    ours: Vec<String>,
    /// Names that are removed from every request and that we never set.
    never_ours: Vec<String>,
}

impl ProtectedHeaders {
    /// The protected names under these rules.
    #[must_use]
    pub fn new(rules: &HeaderRules) -> Self {
        let HeaderNames { principal_id, principal_email, principal_groups, scopes, authorized } =
            &rules.names;
        let mut ours: Vec<String> =
            [principal_id, principal_email, principal_groups, scopes, authorized]
                .into_iter()
                .chain(rules.claims.keys())
                .map(|name| name.to_ascii_lowercase())
                .collect();
        let prefix = dashed(rules.trusted_prefix.as_bytes());
        ours.sort_unstable();
        ours.dedup();
        let elsewhere = ours
            .iter()
            .map(|name| dashed(name.as_bytes()))
            .filter(|name| !name.starts_with(&prefix))
            .collect();
        let believed = NEMO_BELIEVES.iter().map(|name| format!("{prefix}{name}"));
        let known: Vec<String> = ours.iter().cloned().chain(believed).collect();
        let underscored = known.iter().map(|name| name.replace('-', "_"));
        let mut never_ours: Vec<String> = known.iter().cloned().chain(underscored).collect();
        never_ours.sort_unstable();
        never_ours.dedup();
        never_ours.retain(|name| ours.binary_search(name).is_err());
        Self { prefix, elsewhere, ours, never_ours }
    }

    /// Whether a client must not decide the header `name`: it has the trusted prefix or
    /// is one of our names, in any case and with `_` for `-` (many servers cannot tell
    /// `x_nmp_principal_id` from the real one).
    #[must_use]
    #[inline]
    pub fn covers(&self, name: &[u8]) -> bool {
        starts_with_dashed(name, self.prefix.as_bytes())
            || (!self.elsewhere.is_empty() && self.elsewhere.contains(&dashed(name)))
    }

    /// The names to remove whether or not they were seen, given those in `set`: lower
    /// case, and never one of those.
    pub fn always<'p>(&'p self, set: IdentityHeaders<'p>) -> impl Iterator<Item = &'p str> {
        self.unset(set).chain(self.never_ours())
    }

    /// The part of [`always`](Self::always) that depends on what is set: names that we
    /// might have set.
    pub fn unset<'p>(&'p self, set: IdentityHeaders<'p>) -> impl Iterator<Item = &'p str> {
        self.ours.iter().map(String::as_str).filter(move |name| !set.set(name.as_bytes()))
    }

    /// The part of [`always`](Self::always) that is the same for every request.
    pub fn never_ours(&self) -> impl Iterator<Item = &str> {
        self.never_ours.iter().map(String::as_str)
    }

    /// Whether a header that the client did send has to be removed by its own name,
    /// given those in `set` and those removed [always](Self::always). A name is never
    /// both set and removed, because Envoy removes last.
    #[must_use]
    #[inline]
    pub fn forged(&self, name: &[u8], set: IdentityHeaders<'_>) -> bool {
        self.covers(name)
            && !set.set(name)
            && !self
                .ours
                .iter()
                .chain(&self.never_ours)
                .any(|always| name.eq_ignore_ascii_case(always.as_bytes()))
    }
}

fn dashed(name: &[u8]) -> String {
    name.iter().map(|byte| char::from(fold(*byte))).collect()
}

/// Compares from the back: many names begin with `x-`, and few have the other dash there.
#[inline]
fn starts_with_dashed(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| {
        start.iter().zip(prefix).rev().all(|(byte, expected)| fold(*byte) == *expected)
    })
}

#[inline]
fn fold(byte: u8) -> u8 {
    match byte {
        b'_' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> HeaderRules {
        HeaderRules {
            profile: super::super::Profile::Nemo,
            trusted_prefix: "x-nmp-".into(),
            names: HeaderNames::default(),
            claims: [("x-tenant".to_owned(), "tid".parse().unwrap())].into(),
            groups_only: Vec::new(),
        }
    }

    #[test]
    fn every_spelling_is_covered_and_nothing_else() {
        let protected = ProtectedHeaders::new(&rules());
        for name in [
            "x-nmp-principal-id",
            "X-NMP-Principal-Id",
            "x_nmp_principal_id",
            "X-nmp_anything",
            "x_NMP-",
            "x-tenant",
            "X_Tenant",
        ] {
            assert!(protected.covers(name.as_bytes()), "{name}");
        }
        for name in ["x-nmp", "x-nmpx", "authorization", "x-tenant-id", "xnmp-a", ":path", ""] {
            assert!(!protected.covers(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_name_is_never_both_set_and_removed() {
        let rules = rules();
        let protected = ProtectedHeaders::new(&rules);
        let alice = crate::identity::Identity::named("alice");
        let set = IdentityHeaders::new(Some(&alice), &rules);
        assert!(!protected.forged(b"X-NMP-Principal-Id", set));
        assert!(protected.forged(b"x-nmp_principal-id", set));
        assert!(!protected.forged(b"x_nmp_principal_id", set), "removed always");
        assert!(protected.forged(b"x-nmp-anything", IdentityHeaders::new(None, &rules)));
        assert!(protected.always(set).all(|name| !set.set(name.as_bytes())));
        assert!(protected.always(set).any(|name| name == "x-nmp-principal-email"));
    }
}
