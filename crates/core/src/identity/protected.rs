//! The header names that are ours alone: the security boundary towards the upstream.
//!
//! One function says what a front must strip ([`ProtectedHeaders::forged`] besides
//! [`ProtectedHeaders::always`]); every front uses it, on every allowed request.

use super::headers::IdentityHeaders;
use super::rules::HeaderRules;

/// Names that NeMo's services believe besides those that Doorward sets by default, without the
/// trusted prefix. They are removed even when Envoy hides client headers from us. Aliases count for
/// roles, as identities do.
const NEMO_BELIEVES: [&str; 19] = [
    "principal-on-behalf-of",
    "principal-on-behalf-of-email",
    "principal-on-behalf-of-groups",
    "on-behalf-of",
    "on-behalf-of-email",
    "on-behalf-of-groups",
    "internal",
    "origin-workspace",
    "actor-id",
    "actor-email",
    "actor-groups",
    "actor-account-id",
    "actor-aliases",
    "subject-id",
    "subject-email",
    "subject-groups",
    "subject-account-id",
    "subject-aliases",
    "principal-type",
];

/// Which header names a client must not decide.
#[derive(Clone, Debug)]
pub struct ProtectedHeaders {
    /// `x-nmp-`, [`folded`].
    prefix: String,
    /// Names outside the prefix, [`folded`].
    elsewhere: Vec<String>,
    /// Names that we set where the identity has something to say, and remove where not.
    ours: Vec<String>,
    /// Names that are removed from every request and that we never set.
    never_ours: Vec<String>,
    /// By the first byte of a header's name: whether it may be a protected one.
    initials: [bool; 256],
}

impl ProtectedHeaders {
    /// The protected names under these rules.
    #[must_use]
    pub fn new(rules: &HeaderRules) -> Self {
        let names = rules.names.all().into_iter().chain(rules.claims.keys());
        let mut ours: Vec<String> = names.map(|name| name.to_ascii_lowercase()).collect();
        let prefix = folded(&rules.trusted_prefix);
        ours.sort_unstable();
        ours.dedup();
        let elsewhere: Vec<String> = ours
            .iter()
            .map(|name| folded(name))
            .filter(|name| !name.starts_with(&prefix))
            .collect();
        let believed = NEMO_BELIEVES.iter().map(|name| format!("{prefix}{name}"));
        let known: Vec<String> = ours.iter().cloned().chain(believed).collect();
        let underscored = known.iter().map(|name| name.replace('-', "_"));
        let mut never_ours: Vec<String> = known.iter().cloned().chain(underscored).collect();
        never_ours.sort_unstable();
        never_ours.dedup();
        never_ours.retain(|name| ours.binary_search(name).is_err());
        let initials = std::array::from_fn(|byte| {
            let byte = [u8::try_from(byte).unwrap_or_default()];
            elsewhere
                .iter()
                .chain([&prefix])
                .any(|name| name.get(..1).is_none_or(|first| behind(&byte, first).is_some()))
        });
        Self { prefix, elsewhere, ours, never_ours, initials }
    }

    /// Whether a client must not decide the header `name`: [`folded`], it has the trusted
    /// prefix or is one of our names. Many servers cannot tell `x_nmp_principal_id` from the
    /// real one, some not `x.nmp.principal.id` or `x--nmp--principal--id`.
    ///
    /// Asked of every header of every request: most names differ in the first byte.
    #[must_use]
    #[inline]
    pub fn covers(&self, name: &[u8]) -> bool {
        let may_begin = |first: &u8| self.initials.get(usize::from(*first)) == Some(&true);
        name.first().is_some_and(may_begin) && self.covers_spelled(name)
    }

    /// [`covers`](Self::covers) without the short cut, out of line to keep callers small.
    #[inline(never)]
    fn covers_spelled(&self, name: &[u8]) -> bool {
        behind(name, &self.prefix).is_some()
            || self.elsewhere.iter().any(|ours| behind(name, ours).is_some_and(<[u8]>::is_empty))
    }

    /// What protected names begin with, [`folded`]: `x-nmp-`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The names outside of the prefix that are protected, [`folded`].
    #[must_use]
    pub fn elsewhere(&self) -> &[String] {
        &self.elsewhere
    }

    /// What a gateway has to show us, since only what is seen can be removed in every spelling:
    /// regular expressions of RE2 that together take every name that is protected.
    #[must_use]
    pub fn to_see(&self) -> Vec<String> {
        let any_sign = |name: &str| format!("(?i){}", name.replace('-', "[^a-z0-9]+"));
        let of_prefix = format!("{}.*", any_sign(self.prefix.trim_end_matches('-')));
        [of_prefix].into_iter().chain(self.elsewhere.iter().map(|name| any_sign(name))).collect()
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

/// A header name in lower case, with each run of characters that are neither letters nor digits
/// as one `-`: names that fold alike may be one name to an upstream.
#[must_use]
pub fn folded(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for char in name.chars() {
        if char.is_ascii_alphanumeric() {
            folded.push(char.to_ascii_lowercase());
        } else if !folded.ends_with('-') {
            folded.push('-');
        }
    }
    folded
}

/// What is behind `front` in a name that, [`folded`], begins with it.
fn behind<'n>(name: &'n [u8], front: &str) -> Option<&'n [u8]> {
    let mut rest = name;
    for expected in front.bytes() {
        let (first, others) = rest.split_first()?;
        rest = match expected {
            b'-' if first.is_ascii_alphanumeric() => return None,
            b'-' => {
                let run = others.iter().take_while(|byte| !byte.is_ascii_alphanumeric()).count();
                others.get(run..)?
            }
            letter if first.to_ascii_lowercase() == letter => others,
            _ => return None,
        };
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> HeaderRules {
        HeaderRules {
            profile: super::super::Profile::Nemo,
            trusted_prefix: "x-nmp-".into(),
            names: super::super::HeaderNames::default(),
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
            "x.nmp.principal.id",
            "x~nmp~principal~id",
            "x--nmp--principal--id",
            "x-.nmp_-principal-id",
            "X!nmp|a",
            "x'nmp`",
            "x-tenant",
            "X_Tenant",
            "x.tenant",
            "x~~tenant",
        ] {
            assert!(protected.covers(name.as_bytes()), "{name}");
        }
        for name in [
            "x-nmp",
            "x-nmpx",
            "authorization",
            "x-tenant-id",
            "x-tenant-",
            "x-tenan",
            "xnmp-a",
            "-x-nmp-a",
            "x-n-mp-a",
            ":path",
            "x-",
            "x",
            "",
        ] {
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

    proptest! {
        /// The check without a copy says what folding says.
        #[test]
        fn covered_is_what_folds_alike(name in "[xX]?[-_.~x]{0,3}[nmpNMP]{0,4}[-_.~]{0,2}[a-z]{0,2}") {
            let protected = ProtectedHeaders::new(&rules());
            let folds = folded(&name);
            let expected = folds.starts_with("x-nmp-") || folds == "x-tenant";
            prop_assert_eq!(protected.covers(name.as_bytes()), expected, "{}", name);
        }
    }
}
