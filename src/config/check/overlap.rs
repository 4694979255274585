//! Warnings about issuers that could speak of each other's people.

use std::collections::BTreeMap;

use super::super::settings::IssuerSettings;
use super::super::warning::Warning;
use super::Checker;
use crate::token::TenantRule;

/// Claims that a tenant's administrator, or the person, writes freely.
const MUTABLE: [&str; 5] = ["email", "name", "preferred_username", "unique_name", "upn"];

/// Warns of issuers that share a name space of principals or groups.
pub(super) fn warn(c: &mut Checker, issuers: &[IssuerSettings]) {
    for issuers in sharing(issuers, |issuer| issuer.identity.subject_prefix.as_deref()) {
        c.warnings.push(Warning::SubjectsOverlap { issuers });
    }
    for issuers in sharing(issuers, |issuer| issuer.identity.groups_prefix.as_deref()) {
        c.warnings.push(Warning::GroupsOverlap { issuers });
    }
    for issuer in issuers {
        let several = match &issuer.token.tenants {
            TenantRule::Any => true,
            TenantRule::OneOf(tenants) => tenants.len() > 1,
            TenantRule::NotChecked => false,
        };
        let claim = issuer.identity.subject.to_string();
        let prefix = issuer.identity.subject_prefix.as_deref().unwrap_or_default();
        if several && MUTABLE.contains(&claim.as_str()) && !prefix.contains("{tid}") {
            let issuer = issuer.token.issuer.clone();
            c.warnings.push(Warning::MutableSubject { issuer, claim });
        }
    }
}

/// The issuers that have the same prefix, where those are more than one. Other names of
/// the primary issuer are the same people.
fn sharing(
    issuers: &[IssuerSettings],
    prefix: impl Fn(&IssuerSettings) -> Option<&str>,
) -> Vec<Vec<String>> {
    let mut by_prefix: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for issuer in issuers.iter().filter(|issuer| !issuer.borrows_from_primary) {
        let prefix = prefix(issuer).unwrap_or_default();
        by_prefix.entry(prefix).or_default().push(issuer.token.issuer.clone());
    }
    by_prefix.into_values().filter(|issuers| issuers.len() > 1).collect()
}
