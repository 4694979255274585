//! Which email addresses are believed. An address names a person to whoever reads it, be it sent as
//! email or as principal: roles are given to both.

use super::claim_value::ClaimValue;
use super::rules::{EmailDomains, IdentityRules};
use super::value;
use crate::token::Claims;

/// Why an email address is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Several addresses, a display name, none at all, or no text.
    #[error("is not one plain address")]
    Malformed,
    /// `email_verified` is there and does not say yes.
    #[error("is not verified according to the token (`email_verified`)")]
    Unverified,
    /// The domain is not listed.
    #[error("is not in the issuer's `email_domains`")]
    OutsideDomains,
    /// Any tenant could have written it.
    #[error(
        "comes from an issuer of several tenants, without `xms_edov`, and `email_domains` lists no \
         domains"
    )]
    AnyTenants,
}

/// Whether an address may be sent as email.
pub(super) fn check_email(
    address: &str,
    claims: &Claims<'_>,
    rules: &IdentityRules,
) -> Result<(), AddressFault> {
    check_verified(claims)?;
    if !value::is_email(address) {
        return Err(AddressFault::Malformed);
    }
    check_domain(address, claims, &rules.email_domains)
}

/// Whether a subject may be one: what has no `@` is no address. A prefix of the tenant's own keeps
/// its names from being anybody else's.
pub(super) fn check_subject(
    subject: &str,
    claims: &Claims<'_>,
    rules: &IdentityRules,
) -> Result<(), AddressFault> {
    if !subject.contains('@') {
        return Ok(());
    }
    check_verified(claims)?;
    if rules.email_domains == EmailDomains::OwnedByTenant && rules.subjects_are_the_tenants() {
        return Ok(());
    }
    check_domain(subject, claims, &rules.email_domains)
}

/// OpenID Connect Core §5.1. A token without the claim calls nothing unverified.
fn check_verified(claims: &Claims<'_>) -> Result<(), AddressFault> {
    match claims.json("email_verified") {
        Some(said) if !says_yes(said) => Err(AddressFault::Unverified),
        Some(_) | None => Ok(()),
    }
}

fn check_domain(
    address: &str,
    claims: &Claims<'_>,
    domains: &EmailDomains,
) -> Result<(), AddressFault> {
    match domains {
        EmailDomains::Any => Ok(()),
        EmailDomains::OneOf(domains) => {
            let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
            let listed = domains.iter().any(|listed| listed.eq_ignore_ascii_case(domain));
            let fits = listed && value::is_email(address);
            if fits { Ok(()) } else { Err(AddressFault::OutsideDomains) }
        }
        EmailDomains::OwnedByTenant => {
            // The claim speaks of `email` and of no other.
            let email = claims.string("email").ok().flatten();
            let vouched = email.is_some_and(|email| email.eq_ignore_ascii_case(address))
                && claims.json("xms_edov").is_some_and(says_yes);
            if vouched { Ok(()) } else { Err(AddressFault::AnyTenants) }
        }
    }
}

/// Whether a claim, by its JSON text, says yes: some IdPs write booleans as texts or numbers.
/// Whatever cannot be understood does not.
#[must_use]
pub fn says_yes(json: &str) -> bool {
    match ClaimValue::parse(json) {
        ClaimValue::Text(text) => {
            ["true", "1", "yes"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
        }
        ClaimValue::List { .. } | ClaimValue::Names(_) => false,
        ClaimValue::Other => matches!(json, "true" | "1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["true", "1", "\"true\"", "\"True\"", "\"1\"", "\"yes\"", "\"\\u0031\""] {
            assert!(says_yes(yes), "{yes}");
        }
        for no in [
            "false",
            "0",
            "2",
            "-1",
            "\"false\"",
            "\"False\"",
            "\"0\"",
            "\"no\"",
            "\"\"",
            "\"maybe\"",
            "null",
            "{}",
            "[true]",
            "{\"true\":true}",
            "1e400",
            "\"\\ud800\"",
        ] {
            assert!(!says_yes(no), "{no}");
        }
    }
}
