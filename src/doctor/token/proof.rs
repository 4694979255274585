//! Would it be believed: issuer, algorithm, signature, times, audience, client.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use doorward_core::clock::UnixTime;
use doorward_core::identity::Identity;
use doorward_core::keys::{Algorithm, KeySet};
use doorward_core::token::{
    AudienceRule, BoundTokens, CLIENT_CLAIMS, TENANT_PLACEHOLDER, TokenFault, TokenRules,
    UnsignedTokens, UnverifiedToken, VerifiedToken, numeric_date,
};
use serde_json::Value;

use super::super::report::Finding;
use super::form::shown;
use super::{KnownIssuer, Proven, Specimen};
use crate::advice::{keys as key_remedies, token as remedies};
use crate::product::Product;

/// Tokens that live longer cannot be taken back for too long.
const LONG_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Which configured issuer the token names, and what to say of that.
pub(super) fn issuer<'a>(
    claims: &Value,
    issuers: &[KnownIssuer<'a>],
) -> (Option<KnownIssuer<'a>>, Finding) {
    let Some(found) = claims.get("iss").and_then(Value::as_str) else {
        let remedy = "have the provider send iss (RFC 9068 §2.2)";
        return (None, Finding::fail("token_issuer", TokenFault::NoIssuer.to_string(), remedy));
    };
    let tenant = claims.get("tid").and_then(Value::as_str);
    let is_named = |issuer: &&KnownIssuer<'_>| {
        let name = &issuer.settings.token.issuer;
        name == found || tenant.is_some_and(|tid| name.replace(TENANT_PLACEHOLDER, tid) == found)
    };
    if let Some(issuer) = issuers.iter().find(is_named) {
        return (Some(*issuer), Finding::pass("token_issuer", format!("{found:?}, as configured")));
    }
    let names: Vec<_> = issuers.iter().map(|it| it.settings.token.issuer.as_str()).collect();
    let text = format!("{:?} is not configured ({})", shown(found), names.join(", "));
    let remedy = remedies::issuer(Product::recognise(found, None), found, &names);
    (None, Finding::fail("token_issuer", text, remedy))
}

/// The product that issued the token: its own `iss` may tell more than a custom domain.
pub(super) fn provider_of(claims: &Value, known: Product) -> Product {
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    let provider = Product::recognise(issuer, None);
    if provider == Product::Other { known } else { provider }
}

/// Every check of the token itself. `Some` when its signature is right.
pub(super) fn examine(specimen: &Specimen<'_>, findings: &mut Vec<Finding>) -> Option<Proven> {
    let rules = &specimen.issuer.settings.token;
    let algorithm = algorithm(specimen, rules);
    let is_acceptable = algorithm.is_ok();
    findings.push(algorithm.unwrap_or_else(|finding| finding));
    let mut proven = None;
    if let Some(keys) = specimen.issuer.keys.filter(|_| is_acceptable && specimen.is_from_there) {
        match signature(specimen, rules, keys) {
            Ok((token, finding)) => {
                findings.push(finding);
                proven = Some(token);
            }
            Err(finding) => findings.push(finding),
        }
    }
    findings.extend(binding(specimen.claims(), rules));
    findings.push(lifetime(specimen.claims(), rules, specimen.now));
    findings.push(audience(specimen, rules));
    findings.extend(client(specimen, rules));
    if proven.is_some() {
        findings.extend(what_else(specimen, rules, findings));
    }
    let token = proven?;
    let settings = specimen.issuer.settings;
    let identity = Identity::from_token(&token, &settings.identity, specimen.headers);
    Some(identity)
}

fn parse<'a>(specimen: &Specimen<'a>) -> Result<UnverifiedToken<'a>, TokenFault> {
    UnverifiedToken::parse(specimen.parts.jws, UnsignedTokens::Refused)
}

fn algorithm(specimen: &Specimen<'_>, rules: &TokenRules) -> Result<Finding, Finding> {
    let provider = specimen.issuer.provider;
    let name = specimen.parts.header.get("alg").and_then(Value::as_str).unwrap_or("missing");
    let fail = |found: String, remedy: String| Err(Finding::fail("algorithm", found, remedy));
    let Ok(algorithm) = name.parse::<Algorithm>() else {
        let why = if name.starts_with("HS") {
            "signed with a secret that the client shares, which proves nothing"
        } else {
            "not an asymmetric signature"
        };
        let remedy = key_remedies::client_algorithm(provider, specimen.client());
        return fail(format!("{}: {why}", shown(name)), remedy);
    };
    match parse(specimen) {
        Err(TokenFault::WrongType) => {
            let typ = specimen.parts.header.get("typ").and_then(Value::as_str).unwrap_or_default();
            let found = format!("its typ is {:?}, neither JWT nor at+jwt", shown(typ));
            fail(found, "send an access token: this one is made for something else".to_owned())
        }
        Err(fault) => fail(
            fault.to_string(),
            "have the provider issue plain JWTs (RFC 9068): this header asks for more".to_owned(),
        ),
        Ok(_) if !rules.algorithms.contains(algorithm) => fail(
            format!("{name} is not among this issuer's algorithms"),
            format!("add {name} to algorithms, or have the provider sign with one that is there"),
        ),
        Ok(_) => Ok(Finding::pass("algorithm", name)),
    }
}

/// Verifies by the engine, at a moment when the token was good and whoever it is for:
/// times and audience have lines of their own.
fn signature<'a>(
    specimen: &Specimen<'a>,
    rules: &TokenRules,
    keys: &KeySet,
) -> Result<(VerifiedToken<'a>, Finding), Finding> {
    let mut lenient = rules.clone();
    lenient.audience = AudienceRule::NotChecked;
    lenient.allowed_clients = BTreeSet::new();
    lenient.bound_tokens = BoundTokens::Ignored;
    lenient.max_lifetime = None;
    let exp = date(specimen.claims(), "exp");
    let good_at = exp.map_or(specimen.now, |exp| UnixTime(exp.0.saturating_sub(1)));
    let kid = specimen.parts.header.get("kid").and_then(Value::as_str);
    let named = kid.map_or("no kid".to_owned(), |kid| format!("key {:?}", shown(kid)));
    let verified =
        parse(specimen).and_then(|token| VerifiedToken::verify(token, &lenient, keys, good_at));
    let fail = |check, found: String, remedy: &str| Err(Finding::fail(check, found, remedy));
    match verified {
        Ok(token) => Ok((token, Finding::pass("signature", format!("verified with {named}")))),
        Err(TokenFault::NoSuchKey) => fail(
            "signature",
            format!("the issuer publishes no usable key for it ({named})"),
            "the key was rotated, or belongs to another realm: get a new token from this issuer; \
             with Entra's custom signing keys set discovery_url with ?appid=<client-id>",
        ),
        Err(TokenFault::BadSignature) => fail(
            "signature",
            format!("it does not match {named}"),
            "the token was changed in transit, or only partly copied: get a new one",
        ),
        Err(TokenFault::UnknownTenant) => fail(
            "tenant",
            TokenFault::UnknownTenant.to_string(),
            "add the token's tid to allowed_tenants, if that tenant should be allowed",
        ),
        // Times are said below.
        Err(TokenFault::NoExpiry | TokenFault::ExpiryBeyondReason) => {
            fail("signature", "not checked: the token has no valid exp".to_owned(), "see lifetime")
        }
        Err(fault) => fail("signature", fault.to_string(), "get a fresh token"),
    }
}

/// Only of a token that is bound to a key.
fn binding(claims: &Value, rules: &TokenRules) -> Option<Finding> {
    let bound = claims.get("cnf").filter(|bound| !bound.is_null())?;
    let bound = format!("bound to a key (cnf {})", shown(&bound.to_string()));
    Some(match rules.bound_tokens {
        BoundTokens::Refused => Finding::fail(
            "binding",
            format!("{bound}, which a plain bearer does not prove"),
            "have the provider issue this client plain bearer tokens (no DPoP, no certificate), or \
             set bound_tokens: ignore where something in front checks the binding",
        ),
        BoundTokens::Ignored => Finding::warn(
            "binding",
            format!("{bound}, which is not checked (bound_tokens: ignore)"),
            "make sure that something in front of Doorward checks the binding",
        ),
    })
}

fn lifetime(claims: &Value, rules: &TokenRules, now: UnixTime) -> Finding {
    let fail = |found: String, remedy: &str| Finding::fail("lifetime", found, remedy);
    let Some(expires) = date(claims, "exp") else {
        return fail(
            TokenFault::NoExpiry.to_string(),
            "have the provider send exp: a token that never expires cannot be revoked",
        );
    };
    if let Some(finding) = in_milliseconds(claims) {
        return finding;
    }
    if expires > UnixTime::END_OF_YEAR_9999 {
        return fail(
            TokenFault::ExpiryBeyondReason.to_string(),
            "have the provider send a realistic exp, in seconds since 1970",
        );
    }
    if expires.plus(rules.leeway) <= now {
        let ago = span(now.since(expires));
        return fail(
            format!("expired {ago} ago ({})", moment(expires)),
            "get a new one (doorward auth refresh)",
        );
    }
    for name in ["nbf", "iat"] {
        let Some(at) = date(claims, name).filter(|at| *at > now.plus(rules.leeway)) else {
            continue;
        };
        return fail(
            format!(
                "{name} is {} in the future ({}): a clock is wrong",
                span(at.since(now)),
                moment(at)
            ),
            "correct the provider's or this machine's clock (timedatectl, chronyc tracking)",
        );
    }
    let left = span(expires.since(now));
    let life = date(claims, "iat").map(|iat| expires.since(iat));
    if let Some(max) = rules.max_lifetime
        && life.unwrap_or(expires.since(now).saturating_sub(rules.leeway)) > max
    {
        let life = span(life.unwrap_or(expires.since(now)));
        return fail(
            format!("it lives {life}, more than max_lifetime ({})", span(max)),
            "shorten the life of access tokens at the provider, or raise max_lifetime",
        );
    }
    if let Some(life) = life.filter(|life| *life > LONG_LIFE) {
        return Finding::warn(
            "lifetime",
            format!("it lives {}: {left} to go", span(life)),
            "shorten the life of access tokens at the provider (an hour is usual): until it \
             expires, it cannot be revoked",
        );
    }
    let of = life.map(|life| format!(" of {}", span(life))).unwrap_or_default();
    Finding::pass("lifetime", format!("{left}{of} to go"))
}

fn in_milliseconds(claims: &Value) -> Option<Finding> {
    ["exp", "nbf", "iat"].into_iter().find_map(|name| {
        let meant = date(claims, name)?.meant_as_milliseconds()?;
        let found = format!("{name} looks like milliseconds: they would be {}", moment(meant));
        let remedy = "have the provider write dates in seconds since 1970 (RFC 7519 §2)";
        Some(Finding::fail("lifetime", found, remedy))
    })
}

fn audience(specimen: &Specimen<'_>, rules: &TokenRules) -> Finding {
    let found = match specimen.claims().get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    let shown_found = match found.as_slice() {
        [] => "no aud".to_owned(),
        found => format!("aud {}", shown(&found.join(", "))),
    };
    match &rules.audience {
        AudienceRule::NotChecked => {
            Finding::pass("audience", format!("{shown_found}; not checked, as configured"))
        }
        AudienceRule::AnyOf(ours) if found.iter().any(|audience| ours.contains(*audience)) => {
            Finding::pass("audience", shown_found)
        }
        AudienceRule::AnyOf(ours) => {
            let expected = ours.iter().map(String::as_str).collect::<Vec<_>>().join(" or ");
            let first = ours.first().map_or("", String::as_str);
            Finding::fail(
                "audience",
                format!("{shown_found}, expected {expected}"),
                remedies::audience(specimen.issuer.provider, specimen.client(), first),
            )
        }
    }
}

fn client(specimen: &Specimen<'_>, rules: &TokenRules) -> Option<Finding> {
    if rules.allowed_clients.is_empty() {
        let is_open = specimen.issuer.provider == Product::Google;
        return is_open.then(|| {
            Finding::warn(
                "client",
                "any: Google signs tokens for any audience for anyone with a service account",
                "set allowed_clients to the OAuth clients, and the unique ids of the service \
                 accounts, that are allowed (azp)",
            )
        });
    }
    let text = |name| specimen.claims().get(name).and_then(Value::as_str);
    let client = CLIENT_CLAIMS.into_iter().find_map(text);
    Some(match client {
        Some(client) if rules.allowed_clients.contains(client) => Finding::pass("client", client),
        Some(_) | None => {
            let allowed: Vec<_> = rules.allowed_clients.iter().map(String::as_str).collect();
            let found = match client {
                Some(client) => shown(client),
                None => format!("none of {}", CLIENT_CLAIMS.join(", ")),
            };
            let found = format!("{found}, allowed are {}", allowed.join(", "));
            Finding::fail("client", found, remedies::CLIENT)
        }
    })
}

/// The engine has the last word: what it refuses and nothing above has named.
fn what_else(specimen: &Specimen<'_>, rules: &TokenRules, findings: &[Finding]) -> Option<Finding> {
    use super::super::report::Outcome;
    if findings.iter().any(|finding| finding.outcome == Outcome::Fail) {
        return None;
    }
    let keys = specimen.issuer.keys?;
    let fault = parse(specimen)
        .and_then(|token| VerifiedToken::verify(token, rules, keys, specimen.now))
        .err()?;
    Some(Finding::fail("verification", fault.to_string(), "ask `doorward explain` step by step"))
}

/// The date in a claim.
fn date(claims: &Value, name: &str) -> Option<UnixTime> {
    numeric_date(&claims.get(name)?.to_string()).ok()
}

fn span(span: Duration) -> String {
    // Days and hours do: nobody needs the seconds of a week.
    let seconds = span.as_secs();
    let coarse = match seconds {
        0..3600 => seconds,
        3600..86_400 => seconds - seconds % 60,
        _ => seconds - seconds % 3600,
    };
    humantime::format_duration(Duration::from_secs(coarse)).to_string()
}

fn moment(time: UnixTime) -> String {
    if time > UnixTime::END_OF_YEAR_9999 {
        return format!("{} s", time.0);
    }
    humantime::format_rfc3339(UNIX_EPOCH + Duration::from_secs(time.0)).to_string()
}
