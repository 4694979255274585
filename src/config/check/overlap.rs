//! Warnings about issuers that could speak of each other's people.

use std::collections::BTreeMap;

use doorward_core::identity::EmailDomains;
use doorward_core::token::TenantRule;

use super::super::settings::IssuerSettings;
use super::super::warning::Warning;
use super::Checker;
use crate::redact::Shown;

/// Claims that a tenant's administrator, or the person, writes freely.
const MUTABLE: [&str; 5] = ["email", "name", "preferred_username", "unique_name", "upn"];

/// What stands for the domains of an issuer that may give any address; no domain is empty.
const EVERY_DOMAIN: &str = "";

/// Warns of issuers that share a name space of principals or groups.
pub(super) fn warn(c: &mut Checker, issuers: &[IssuerSettings]) {
    for issuers in sharing(issuers, |issuer| issuer.identity.subject_prefix.as_deref()) {
        c.warnings.push(Warning::SubjectsOverlap { issuers });
    }
    for issuers in sharing(issuers, |issuer| issuer.identity.groups_prefix.as_deref()) {
        c.warnings.push(Warning::GroupsOverlap { issuers });
    }
    warn_of_addresses(c, issuers);
    for issuer in issuers {
        let several = issuer.token.tenants.is_several();
        let claim = issuer.identity.subject.to_string();
        let prefix = issuer.identity.subject_prefix.as_deref().unwrap_or_default();
        if several && MUTABLE.contains(&claim.as_str()) && !prefix.contains("{tid}") {
            let issuer = issuer.token.issuer.as_str().into();
            c.warnings.push(Warning::MutableSubject { issuer, claim: claim.into() });
        }
    }
}

/// Warns of issuers that may give each other's email addresses, and of tenants that may.
fn warn_of_addresses(c: &mut Checker, issuers: &[IssuerSettings]) {
    let mut by_domain: BTreeMap<&str, Vec<&IssuerSettings>> = BTreeMap::new();
    for issuer in issuers.iter().filter(|issuer| !issuer.borrows_from_primary) {
        match &issuer.identity.email_domains {
            EmailDomains::Any => by_domain.entry(EVERY_DOMAIN).or_default().push(issuer),
            EmailDomains::OneOf(domains) => {
                for domain in domains {
                    by_domain.entry(domain).or_default().push(issuer);
                }
                if issuer.token.tenants == TenantRule::Any {
                    let issuer = issuer.token.issuer.as_str().into();
                    c.warnings.push(Warning::AddressesOfAnyTenant { issuer });
                }
            }
            EmailDomains::OwnedByTenant => {}
        }
    }
    for (domain, issuers) in by_domain {
        let [_, _, ..] = issuers.as_slice() else { continue };
        let issuers =
            issuers.into_iter().map(|issuer| issuer.token.issuer.as_str().into()).collect();
        let domain = Some(domain).filter(|domain| *domain != EVERY_DOMAIN).map(str::to_owned);
        c.warnings.push(Warning::EmailsOverlap { issuers, domain });
    }
}

/// The issuers that have the same prefix, where those are more than one. Other names of
/// the primary issuer are the same people.
fn sharing(
    issuers: &[IssuerSettings],
    prefix: impl Fn(&IssuerSettings) -> Option<&str>,
) -> Vec<Vec<Shown>> {
    let mut by_prefix: BTreeMap<&str, Vec<Shown>> = BTreeMap::new();
    for issuer in issuers.iter().filter(|issuer| !issuer.borrows_from_primary) {
        let prefix = prefix(issuer).unwrap_or_default();
        by_prefix.entry(prefix).or_default().push(issuer.token.issuer.as_str().into());
    }
    by_prefix.into_values().filter(|issuers| issuers.len() > 1).collect()
}
