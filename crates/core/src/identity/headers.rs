//! An identity as header names and values.

use super::identity::Identity;
use super::rules::HeaderRules;
use super::value::MAX_LIST_BYTES;

/// The headers that carry an identity, or none where nobody is known.
#[derive(Clone, Copy, Debug)]
pub struct IdentityHeaders<'a> {
    of: Option<&'a Identity>,
    rules: &'a HeaderRules,
    authorized: bool,
}

impl<'a> IdentityHeaders<'a> {
    /// The headers of `identity`, named by the rules that it was made by.
    #[must_use]
    pub fn new(of: Option<&'a Identity>, rules: &'a HeaderRules) -> Self {
        Self { of, rules, authorized: false }
    }

    /// The same, with the word that a policy let the request pass, or without it.
    #[must_use]
    pub fn authorized(self, authorized: bool) -> Self {
        Self { authorized, ..self }
    }

    /// Names, in lower case, and values. One with nothing to say is left out, and so
    /// removed.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = &self.rules.names;
        let authorized = self.authorized.then_some((names.authorized.as_str(), "true"));
        let identity = self.of.into_iter().flat_map(move |identity| {
            let behalf = identity.on_behalf_of();
            let standard = [
                (&names.principal_id, identity.principal()),
                (&names.principal_email, identity.email().unwrap_or_default()),
                (&names.principal_groups, within_limit(identity.joined_groups(), ',')),
                (&names.principal_on_behalf_of, behalf.map_or("", |of| of.subject)),
                (
                    &names.principal_on_behalf_of_email,
                    behalf.and_then(|of| of.email).unwrap_or_default(),
                ),
                (
                    &names.principal_on_behalf_of_groups,
                    within_limit(behalf.map_or("", |of| of.joined_groups), ','),
                ),
                (&names.scopes, within_limit(identity.joined_scopes(), ' ')),
            ];
            let further = identity.further().map(Option::unwrap_or_default);
            standard
                .into_iter()
                .chain(self.rules.claims.keys().zip(further))
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.as_str(), value))
        });
        identity.chain(authorized)
    }

    /// Whether `name`, in any case, is one of them.
    #[must_use]
    pub fn set(self, name: &[u8]) -> bool {
        self.iter().any(|(ours, _)| name.eq_ignore_ascii_case(ours.as_bytes()))
    }
}

/// The items that fit. Beyond the limit Envoy would refuse the whole answer; to lack a
/// group or scope only takes rights away.
fn within_limit(list: &str, separator: char) -> &str {
    match list.get(..=MAX_LIST_BYTES) {
        None => list,
        Some(start) => start.rfind(separator).and_then(|end| list.get(..end)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_ends_between_items() {
        let item = "x".repeat(99);
        let list = |items| vec![item.as_str(); items].join(",");
        assert_eq!(within_limit(&list(3), ','), list(3));
        let cut = within_limit(&list(500), ',').len();
        assert!((MAX_LIST_BYTES - 100..=MAX_LIST_BYTES).contains(&cut), "{cut}");
        assert!(within_limit(&list(500), ',').ends_with('x'));
        assert_eq!(within_limit(&"y".repeat(MAX_LIST_BYTES), ',').len(), MAX_LIST_BYTES);
        assert_eq!(within_limit(&"y".repeat(MAX_LIST_BYTES + 1), ','), "");
    }
}
