//! The issuers: primary, its other names, and the further ones.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doorward_core::keys::{Algorithm, AlgorithmSet};
use doorward_core::token::{
    AudienceRule, BoundTokens, TENANT_PLACEHOLDER, TenantRule, TokenRules, TokenUse, is_guid,
};

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::super::settings::IssuerSettings;
use super::super::warning::Warning;
use super::{Checker, access, identity, introspection, key_location, overlap, platform, values};
use crate::discovery::KeyLocation;
use crate::product::Product;
use crate::redact::Shown;

/// Every issuer, primary first.
pub(super) fn check_all(
    c: &mut Checker,
    config: &raw::Config,
    leeway: Duration,
) -> Option<Vec<IssuerSettings>> {
    let profile = config.headers.profile;
    let mut all = Issuers { leeway, profile, seen: BTreeMap::new(), opaque: None };
    let mut issuers = Vec::new();
    let oidc = &config.auth.oidc;
    if oidc.enabled && oidc.common.issuer.is_some() {
        let section = KeyPath::dotted("auth.oidc");
        let raw = &oidc.common;
        let primary = all.check(c, &section, raw, true);
        let key = section.join("additional_issuers");
        for (index, name) in oidc.additional_issuers.iter().enumerate() {
            issuers.push(all.additional(c, &key.join(index), name, raw, primary.as_ref()));
        }
        issuers.insert(0, primary);
    } else if oidc.enabled && !oidc.additional_issuers.is_empty() {
        let key = KeyPath::dotted("auth.oidc.additional_issuers");
        c.bad(&key, BadValue::NoPrimaryIssuer);
    }
    for (index, raw) in config.auth.issuers.iter().enumerate() {
        let section = KeyPath::dotted("auth.issuers").join(index);
        issuers.push(all.check(c, &section, raw, false));
    }
    let any = !issuers.is_empty()
        || platform::is_an_issuer(&config.auth)
        || config.auth.allow_unsigned_jwt;
    if !any && config.auth.enabled {
        c.bad(&KeyPath::dotted("auth.oidc.issuer"), BadValue::NoIssuer);
    }
    let issuers: Vec<_> = issuers.into_iter().collect::<Option<_>>()?;
    overlap::warn(c, &issuers);
    Some(issuers)
}

struct Issuers {
    leeway: Duration,
    profile: raw::Profile,
    /// The names so far, and the keys that gave them.
    seen: BTreeMap<String, KeyPath>,
    /// The key that says whose tokens may be opaque.
    opaque: Option<KeyPath>,
}

impl Issuers {
    fn check(
        &mut self,
        c: &mut Checker,
        section: &KeyPath,
        raw: &raw::Issuer,
        primary: bool,
    ) -> Option<IssuerSettings> {
        let Some(name) = &raw.issuer else {
            c.missing(&section.join("issuer"), section, BadValue::IssuerUnnamed);
            return None;
        };
        let issuer = self.name(c, &section.join("issuer"), name);
        let keys = key_location::check(c, section, raw, primary);
        if primary
            && !matches!(keys, Some(KeyLocation::Discovery(_)))
            && let Some(url) = &raw.discovery_url
        {
            c.keep(&section.join("discovery_url"), values::issuer_url(url, raw.allow_http));
        }
        let algorithms = algorithms(c, &section.join("algorithms"), raw.algorithms.as_deref());
        let audience = audience(c, section, raw, name);
        let tenants = tenants(c, section, &raw.allowed_tenants, name);
        let key = section.join("allowed_clients");
        let clients = c.each(&key, &raw.allowed_clients, |client| values::word(client));
        let several_tenants = tenants.as_ref().is_some_and(TenantRule::is_several);
        let identity = identity::check(c, section, raw, self.profile, several_tenants);
        let key = section.join("max_lifetime");
        let (min, max) = values::LIFETIME;
        let max_lifetime = raw.max_lifetime.as_ref();
        let max_lifetime =
            c.keep_given(&key, max_lifetime.map(|span| values::span_within(span, min, max)));
        let document = Some(raw).filter(|_| primary).and_then(key_location::document);
        let access = access::check(c, section, raw, keys.as_ref(), document.as_ref());
        let introspection = introspection::check(c, section, raw, access.as_ref());
        let opaque_prefix = self.opaque(c, section, raw);
        Some(IssuerSettings {
            token: TokenRules {
                issuer: issuer?,
                algorithms: algorithms?,
                audience: audience?,
                tenants: tenants?,
                allowed_clients: clients?.into_iter().collect(),
                bound_tokens: match raw.bound_tokens {
                    raw::BoundTokens::Deny => BoundTokens::Refused,
                    raw::BoundTokens::Ignore => BoundTokens::Ignored,
                },
                require_access_token: raw.require_access_token,
                max_lifetime: max_lifetime?,
                leeway: self.leeway,
                token_use: TokenUse::OidcAccessToken,
                asked_about: raw.introspection.as_ref().is_some_and(|asks| asks.jwts),
            },
            identity: identity?,
            keys: keys?,
            access: access?,
            borrows_from_primary: false,
            access_keys: None,
            introspection: introspection?,
            opaque_prefix: opaque_prefix?,
        })
    }

    /// What opaque tokens of this issuer begin with, if it has such tokens.
    fn opaque(
        &mut self,
        c: &mut Checker,
        section: &KeyPath,
        raw: &raw::Issuer,
    ) -> Option<Option<String>> {
        let key = section.join("opaque_prefix");
        if !raw.opaque {
            if !raw.opaque_prefix.is_empty() {
                c.bad(&key, BadValue::PrefixWithoutOpaque);
            }
            return Some(None);
        }
        let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
        if !raw.opaque_prefix.as_bytes().iter().all(of_token) {
            c.bad(&key, BadValue::NotOfTokens(raw.opaque_prefix.as_str().into()));
            return None;
        }
        let key = section.join("opaque");
        if !raw.allowed_tenants.is_empty() {
            c.bad(&key, BadValue::OpaqueOfTenants);
            return None;
        }
        if let Some(other) = self.opaque.replace(key.clone()) {
            c.bad(&key, BadValue::TwoOpaque { other: other.to_string() });
            return None;
        }
        Some(Some(raw.opaque_prefix.clone()))
    }

    /// Another name of the primary issuer: its rules, but a discovery document of its own
    /// when the name is a URL. Elsewhere these are no more than names, so what one looks like
    /// is no reason to refuse it.
    fn additional(
        &mut self,
        c: &mut Checker,
        key: &KeyPath,
        name: &str,
        raw: &raw::Issuer,
        primary: Option<&IssuerSettings>,
    ) -> Option<IssuerSettings> {
        let issuer = self.name(c, key, name);
        let keys = match key_location::derived_discovery(name, raw.allow_http) {
            Ok(url) => {
                access::warn_of_plain_http(c, &KeyPath::dotted("auth.oidc"), &url);
                Some(KeyLocation::Discovery(url))
            }
            Err(template @ BadValue::NoDiscoveryForTemplate) => c.keep(key, Err(template)),
            Err(_) => {
                if name.contains("://") {
                    let (key, issuer) = (key.to_string(), name.into());
                    c.warnings.push(Warning::NotDiscovered { key, issuer });
                }
                Some(KeyLocation::Borrowed)
            }
        };
        if name.contains(TENANT_PLACEHOLDER) && raw.allowed_tenants.is_empty() {
            c.bad(key, BadValue::NoTenants);
        }
        let mut settings = primary?.clone();
        settings.token.issuer = issuer?;
        settings.keys = keys?;
        settings.borrows_from_primary = true;
        settings.opaque_prefix = None;
        if let Some(introspection) = &mut settings.introspection {
            introspection.issuer.clone_from(&settings.token.issuer);
        }
        Some(settings)
    }

    fn name(&mut self, c: &mut Checker, key: &KeyPath, name: &str) -> Option<String> {
        let name = values::word(name).and_then(not_its_description).and_then(placeholder_in_place);
        let name = c.keep(key, name)?;
        if let Some(elsewhere) = self.seen.get(&name) {
            let elsewhere = elsewhere.to_string();
            c.bad(key, BadValue::DuplicateIssuer { issuer: name.into(), elsewhere });
            return None;
        }
        self.seen.insert(name.clone(), key.clone());
        Some(name)
    }
}

/// Tokens name their issuer, not the document that describes it.
fn not_its_description(issuer: String) -> Result<String, BadValue> {
    const DOCUMENTS: [&str; 2] =
        ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
    let bare = issuer.trim_end_matches('/');
    match DOCUMENTS.iter().find_map(|document| bare.strip_suffix(document)) {
        Some(without) => {
            let without = without.into();
            Err(BadValue::DiscoveryAsIssuer { found: issuer.into(), without })
        }
        None => Ok(issuer),
    }
}

/// `{tenantid}` is filled with a GUID that must stand between two slashes; anything else
/// in braces is a typo that no token would ever match.
fn placeholder_in_place(issuer: String) -> Result<String, BadValue> {
    let placeholders =
        issuer.split('/').skip(3).filter(|segment| *segment == TENANT_PLACEHOLDER).count();
    let rest = issuer.replacen(TENANT_PLACEHOLDER, "", placeholders);
    if placeholders > 1 || rest.contains(['{', '}']) {
        return Err(BadValue::BadPlaceholder);
    }
    Ok(issuer)
}

fn audience(
    c: &mut Checker,
    section: &KeyPath,
    raw: &raw::Issuer,
    issuer: &str,
) -> Option<AudienceRule> {
    let key = section.join("audience");
    let audiences = match (&raw.audience, &raw.client_id) {
        (Some(many), _) if many.is_empty() => {
            c.bad(&key, BadValue::EmptyList);
            None
        }
        (Some(many), _) => {
            c.each(&key, many, |one| values::word(one)).map(|many| many.into_iter().collect())
        }
        (None, Some(client)) => c
            .keep(&section.join("client_id"), values::word(client))
            .map(|client| BTreeSet::from([client])),
        (None, None) if raw.verify_audience => {
            c.missing(&key, &section.join("issuer"), BadValue::NoAudience);
            None
        }
        (None, None) => Some(BTreeSet::new()),
    };
    if raw.verify_audience {
        if let Some(audiences) = &audiences {
            warn_of_entra(c, &key, issuer, audiences, raw.client_id.as_deref());
        }
        return audiences.map(AudienceRule::AnyOf);
    }
    // Cognito's access tokens have no `aud`: who asked for them is all there is to go by.
    let clients = !raw.allowed_clients.is_empty();
    if !clients || Product::recognise(issuer, None) != Product::Cognito {
        c.warnings.push(Warning::AudienceNotVerified {
            key: section.join("verify_audience").to_string(),
            issuer: issuer.into(),
            clients,
        });
    }
    audiences.map(|_| AudienceRule::NotChecked)
}

/// Entra's v2 tokens carry the application's id alone, a GUID; `api://` is what its v1 tokens
/// carry, and what NeMo's page for Azure names.
fn warn_of_entra(
    c: &mut Checker,
    key: &KeyPath,
    issuer: &str,
    audiences: &BTreeSet<String>,
    client_id: Option<&str>,
) {
    let is_v2 = issuer.trim_end_matches('/').ends_with("/v2.0")
        && Product::recognise(issuer, None) == Product::EntraId;
    let of_v1 = |audience: &String| audience.starts_with("api://");
    if !is_v2 || audiences.is_empty() || !audiences.iter().all(of_v1) {
        return;
    }
    let ids = audiences.iter().filter_map(|audience| audience.strip_prefix("api://"));
    let id = ids.chain(client_id).find(|id| is_guid(id)).map(Shown::new);
    c.warnings.push(Warning::AudienceOfV1 { key: key.to_string(), issuer: issuer.into(), id });
}

fn tenants(
    c: &mut Checker,
    section: &KeyPath,
    allowed: &[String],
    issuer: &str,
) -> Option<TenantRule> {
    let key = section.join("allowed_tenants");
    let templated = issuer.contains(TENANT_PLACEHOLDER);
    if allowed.is_empty() {
        if templated {
            c.missing(&key, &section.join("issuer"), BadValue::NoTenants);
            return None;
        }
        return Some(TenantRule::NotChecked);
    }
    if allowed.iter().any(|tenant| tenant == "*") {
        if allowed.len() > 1 {
            c.bad(&key, BadValue::TenantsAndAll);
            return None;
        }
        return Some(TenantRule::Any);
    }
    let tenants = c.each(&key, allowed, |tenant| {
        if is_guid(tenant) {
            Ok(tenant.to_ascii_lowercase())
        } else {
            Err(BadValue::NotATenant(tenant.into()))
        }
    });
    tenants.map(|tenants| TenantRule::OneOf(tenants.into_iter().collect()))
}

fn algorithms(c: &mut Checker, key: &KeyPath, names: Option<&[String]>) -> Option<AlgorithmSet> {
    let Some(names) = names else { return Some(AlgorithmSet::ALL) };
    if names.is_empty() {
        c.bad(key, BadValue::EmptyList);
        return None;
    }
    let parsed = c.each(key, names, |name| algorithm(name))?;
    Some(parsed.into_iter().collect())
}

fn algorithm(name: &str) -> Result<Algorithm, BadValue> {
    name.parse().map_err(|_| {
        let upper = name.to_ascii_uppercase();
        if upper.starts_with("HS") {
            BadValue::SymmetricAlgorithm(name.into())
        } else if upper == "NONE" {
            BadValue::NoneAlgorithm
        } else {
            let known = Algorithm::ALL.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
            BadValue::UnknownAlgorithm { found: name.into(), known }
        }
    })
}
