//! What the claims of an issuer's tokens mean.

use std::collections::BTreeSet;

use doorward_core::identity::{Delegation, EmailDomains, IdentityRules};

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::{Checker, values};

pub(super) fn check(
    c: &mut Checker,
    section: &KeyPath,
    raw: &raw::Issuer,
    profile: raw::Profile,
    several_tenants: bool,
) -> Option<IdentityRules> {
    let mut claim = |name: &str, text: &str| values::claim(c, &section.join(name), text);
    let subject = claim("subject_claim", &raw.subject_claim);
    let email = claim("email_claim", &raw.email_claim);
    let groups = claim("groups_claim", &raw.groups_claim);
    let roles = match &raw.roles_claim {
        Some(roles) => claim("roles_claim", roles).map(Some),
        None => Some(None),
    };
    let scope_prefix = raw.scope_prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let scope_prefix = c.keep_given(&section.join("scope_prefix"), scope_prefix.map(values::word));
    let mut prefix = |name: &str, text: &Option<String>| {
        let text = text.as_deref().filter(|prefix| !prefix.is_empty());
        let checked = text.map(|text| identity_prefix(text, profile));
        c.keep_given(&section.join(name), checked)
    };
    let subject_prefix = prefix("subject_prefix", &raw.subject_prefix);
    let groups_prefix = prefix("groups_prefix", &raw.groups_prefix);
    let domains = c.each(&section.join("email_domains"), &raw.email_domains, |domain| {
        values::email_domain(domain)
    });
    Some(IdentityRules {
        subject: subject?,
        email: email?,
        email_domains: email_domains(domains?.into_iter().collect(), several_tenants),
        groups: groups?,
        roles: roles?,
        scope_prefix: scope_prefix?,
        subject_prefix: subject_prefix?,
        groups_prefix: groups_prefix?,
        delegation: match raw.delegation {
            raw::Delegation::Ignore => Delegation::Ignored,
            raw::Delegation::Nemo => Delegation::Nemo,
        },
    })
}

fn email_domains(listed: BTreeSet<String>, several_tenants: bool) -> EmailDomains {
    if !listed.is_empty() {
        EmailDomains::OneOf(listed)
    } else if several_tenants {
        EmailDomains::OwnedByTenant
    } else {
        EmailDomains::Any
    }
}

/// What is put in front of principals and groups must pass where they pass.
fn identity_prefix(text: &str, profile: raw::Profile) -> Result<String, BadValue> {
    let fixed = text.replace("{tid}", "");
    if fixed.contains(['{', '}']) {
        return Err(BadValue::BadPrefixPlaceholder);
    }
    let reserved = text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("service:"));
    if reserved {
        return Err(BadValue::ReservedPrefix(text.into()));
    }
    let allowed = fixed.bytes().all(|byte| match profile {
        raw::Profile::Nemo => byte.is_ascii_alphanumeric() || b"@._-:+/".contains(&byte),
        raw::Profile::Plain => byte.is_ascii_graphic(),
    });
    // Groups are joined by commas: one inside a prefix would make two of each.
    if allowed && !fixed.contains(',') {
        return Ok(text.to_owned());
    }
    Err(BadValue::PrefixOutsideProfile(text.into()))
}
