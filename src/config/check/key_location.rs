//! Where an issuer's keys are: a URL, a file, inline, or its discovery document.

use std::path::Path;

use doorward_core::keys::KeySet;
use doorward_core::token::TENANT_PLACEHOLDER;
use serde_json::Value;
use url::Url;

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::super::warning::Warning;
use super::{Checker, values};
use crate::discovery::KeyLocation;

/// Where `issuer`'s keys are. With `discovery_goes_along` a `discovery_url` may stand
/// beside a key set: the primary issuer's endpoints are looked up in it all the same.
pub(super) fn check(
    c: &mut Checker,
    section: &KeyPath,
    issuer: &raw::Issuer,
    discovery_goes_along: bool,
) -> Option<KeyLocation> {
    let given = [
        ("jwks_uri", issuer.jwks_uri.is_some()),
        ("jwks_file", issuer.jwks_file.is_some()),
        ("jwks", issuer.jwks.is_some()),
        ("discovery_url", issuer.discovery_url.is_some() && !discovery_goes_along),
    ];
    let mut named = given.iter().filter(|(_, given)| *given).map(|(name, _)| *name);
    let first = named.next();
    if let (Some(first), Some(second)) = (first, named.next()) {
        let other = section.join(first).to_string();
        c.bad(&section.join(second), BadValue::TwoKeyLocations { other });
        return None;
    }
    if let Some(text) = &issuer.jwks_uri {
        let url = values::issuer_url(text, issuer.allow_http);
        return c.keep(&section.join("jwks_uri"), url).map(KeyLocation::JwksUri);
    }
    if let Some(path) = &issuer.jwks_file {
        return file(c, &section.join("jwks_file"), path);
    }
    if let Some(document) = &issuer.jwks {
        return inline(c, &section.join("jwks"), document);
    }
    discovery(c, section, issuer).map(KeyLocation::Discovery)
}

/// The discovery document: the one named, else the one that OpenID Connect Discovery §4
/// derives from the issuer.
pub(super) fn discovery(c: &mut Checker, section: &KeyPath, issuer: &raw::Issuer) -> Option<Url> {
    if let Some(text) = &issuer.discovery_url {
        let url = values::issuer_url(text, issuer.allow_http);
        return c.keep(&section.join("discovery_url"), url);
    }
    let derived = derived_discovery(issuer.issuer.as_deref()?, issuer.allow_http);
    c.keep(&section.join("issuer"), derived)
}

/// The document in which the primary issuer's endpoints are looked up, wherever its keys
/// come from. A name that is no URL has none, and what is wrong with another is said above.
pub(super) fn document(issuer: &raw::Issuer) -> Option<Url> {
    match &issuer.discovery_url {
        Some(url) => values::issuer_url(url, issuer.allow_http).ok(),
        None => derived_discovery(issuer.issuer.as_deref()?, issuer.allow_http).ok(),
    }
}

/// The discovery document at its place below `issuer`.
pub(super) fn derived_discovery(issuer: &str, allow_http: bool) -> Result<Url, BadValue> {
    let host = values::issuer_url(issuer, allow_http)?;
    if host.query().is_some() {
        return Err(BadValue::QueryOrFragment(issuer.into()));
    }
    let issuer = if issuer.contains(TENANT_PLACEHOLDER) {
        for_all_tenants(issuer, host.host_str().unwrap_or_default())?
    } else {
        issuer.to_owned()
    };
    let base = issuer.strip_suffix('/').unwrap_or(&issuer);
    values::issuer_url(&format!("{base}/.well-known/openid-configuration"), allow_http)
}

/// A template has no address; Microsoft publishes the document of all work accounts
/// under `organizations`, and its `issuer` is the very template.
fn for_all_tenants(template: &str, host: &str) -> Result<String, BadValue> {
    let filled = template.replace(TENANT_PLACEHOLDER, "organizations");
    if host == "sts.windows.net" {
        return Ok(filled.replacen("sts.windows.net", "login.microsoftonline.com", 1));
    }
    if host.starts_with("login.") && host.contains("microsoftonline") {
        return Ok(filled);
    }
    Err(BadValue::NoDiscoveryForTemplate)
}

fn file(c: &mut Checker, key: &KeyPath, path: &Path) -> Option<KeyLocation> {
    let document = c.keep(key, values::read(path))?;
    key_set(c, key, &document)?;
    Some(KeyLocation::File(path.to_owned()))
}

fn inline(c: &mut Checker, key: &KeyPath, document: &Value) -> Option<KeyLocation> {
    // The document itself, or its text.
    let text = document.as_str().map_or_else(|| document.to_string(), str::to_owned);
    key_set(c, key, text.as_bytes())?;
    Some(KeyLocation::Inline(text))
}

/// Keys that were written down are there to be looked at now: better here than at the
/// first token.
fn key_set(c: &mut Checker, key: &KeyPath, document: &[u8]) -> Option<()> {
    let set = c.keep(key, KeySet::parse(document).map_err(BadValue::NotAKeySet))?;
    if set.keys().is_empty() {
        let first_reason = set.left_out().first().map(|left_out| left_out.reason.to_string());
        c.bad(key, BadValue::NoUsableKey { first_reason });
        return None;
    }
    for left_out in set.left_out() {
        c.warnings.push(Warning::KeyLeftOut {
            key: key.to_string(),
            position: left_out.position,
            reason: left_out.reason.to_string(),
        });
    }
    if set.holds_private_keys() {
        c.warnings.push(Warning::PrivateKeys { key: key.to_string() });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_is_below_the_issuer() {
        for (issuer, expected) in [
            ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
            (
                "https://sts.windows.net/7/",
                "https://sts.windows.net/7/.well-known/openid-configuration",
            ),
            (
                "https://login.microsoftonline.com/{tenantid}/v2.0",
                "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration",
            ),
            (
                "https://sts.windows.net/{tenantid}/",
                "https://login.microsoftonline.com/organizations/.well-known/openid-configuration",
            ),
            (
                "https://login.microsoftonline.us/{tenantid}/v2.0",
                "https://login.microsoftonline.us/organizations/v2.0/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(derived_discovery(issuer, false).unwrap().as_str(), expected);
        }
        assert!(derived_discovery("https://idp.example/{tenantid}", false).is_err());
        assert!(derived_discovery("https://idp.example/?a=b", false).is_err());
        assert!(derived_discovery("an-issuer", true).is_err());
        assert!(derived_discovery("http://idp.example", false).is_err());
        assert!(derived_discovery("http://idp.example", true).is_ok());
    }
}
