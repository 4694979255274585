//! The header names that are ours alone: the security boundary towards the upstream.
//!
//! One function says what a front must strip ([`ProtectedHeaders::forged`] besides
//! [`ProtectedHeaders::always`]); every front uses it, on every allowed request.

use std::collections::HashSet;

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
    /// Removed from every request, whether or not we saw them.
    always: Vec<String>,
}

impl ProtectedHeaders {
    /// The protected names under these rules.
    #[must_use]
    pub fn new(rules: &HeaderRules) -> Self {
        let HeaderNames { principal_id, principal_email, principal_groups, scopes, authorized } =
            &rules.names;
        let mut known: Vec<String> =
            [principal_id, principal_email, principal_groups, scopes, authorized]
                .into_iter()
                .chain(rules.claims.keys())
                .map(|name| name.to_ascii_lowercase())
                .collect();
        let prefix = dashed(rules.trusted_prefix.as_bytes());
        let elsewhere = known
            .iter()
            .map(|name| dashed(name.as_bytes()))
            .filter(|name| !name.starts_with(&prefix))
            .collect();
        known.extend(NEMO_BELIEVES.iter().map(|name| format!("{prefix}{name}")));
        let underscored: Vec<String> = known.iter().map(|name| name.replace('-', "_")).collect();
        let mut always = known;
        always.extend(underscored);
        let mut seen = HashSet::new();
        always.retain(|name| seen.insert(name.clone()));
        Self { prefix, elsewhere, always }
    }

    /// Whether a client must not decide the header `name`: it has the trusted prefix or
    /// is one of our names, in any case and with `_` for `-` (many servers cannot tell
    /// `x_nmp_principal_id` from the real one).
    #[must_use]
    pub fn covers(&self, name: &[u8]) -> bool {
        starts_with_dashed(name, self.prefix.as_bytes())
            || (!self.elsewhere.is_empty() && self.elsewhere.contains(&dashed(name)))
    }

    /// The names to remove whether or not they were seen, in lower case.
    #[must_use]
    pub fn always(&self) -> &[String] {
        &self.always
    }

    /// Whether a header that the client did send has to be removed by its own name,
    /// given those in `set` and those removed [always](Self::always). A name is never
    /// both set and removed, because Envoy removes last.
    #[must_use]
    pub fn forged(&self, name: &[u8], set: &[(String, String)]) -> bool {
        self.covers(name)
            && !set.iter().any(|(ours, _)| name.eq_ignore_ascii_case(ours.as_bytes()))
            && !self.always.iter().any(|always| name.eq_ignore_ascii_case(always.as_bytes()))
    }
}

fn dashed(name: &[u8]) -> String {
    name.iter().map(|byte| char::from(fold(*byte))).collect()
}

fn starts_with_dashed(name: &[u8], prefix: &[u8]) -> bool {
    name.len() >= prefix.len()
        && name.iter().zip(prefix).all(|(byte, expected)| fold(*byte) == *expected)
}

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
        let protected = ProtectedHeaders::new(&rules());
        let set = [("x-nmp-principal-id".to_owned(), "alice".to_owned())];
        assert!(!protected.forged(b"X-NMP-Principal-Id", &set));
        assert!(protected.forged(b"x-nmp_principal-id", &set));
        assert!(!protected.forged(b"x_nmp_principal_id", &set), "removed always");
        assert!(protected.forged(b"x-nmp-anything", &[]));
    }
}
