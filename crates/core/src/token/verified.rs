//! A token that has passed every check of its own: holding one is the proof.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use smallvec::{SmallVec, smallvec};

use super::claims::{Claims, Text};
use super::fault::TokenFault;
use super::rules::{
    AudienceRule, BoundTokens, CLIENT_CLAIMS, TENANT_PLACEHOLDER, TenantRule, TokenRules, TokenUse,
    is_guid,
};
use super::unverified::{Signing, UnverifiedToken};
use crate::clock::UnixTime;
use crate::keys::{Algorithm, KeySet, MAX_TRIED_KEYS, VerificationKey};

/// A token signed by its issuer, current, and made for us.
pub struct VerifiedToken<'j> {
    claims: Claims<'j>,
    tenant: Option<Cow<'j, str>>,
    audiences: Audiences<'j>,
    expires_at: UnixTime,
    token_use: TokenUse,
}

impl<'j> VerifiedToken<'j> {
    /// Checks `token` against the rules and keys of the issuer it names. The caller has
    /// found that issuer by [`UnverifiedToken::issuer`]; with tenants, it is confirmed
    /// here.
    ///
    /// # Errors
    /// The first check that fails, in the order of the reason codes.
    pub fn verify(
        token: UnverifiedToken<'j>,
        rules: &TokenRules,
        keys: &KeySet,
        now: UnixTime,
    ) -> Result<Self, TokenFault> {
        let tenant = check_tenant(&token, rules)?;
        check_kind(&token, rules)?;
        check_signature(&token, tenant.as_deref(), rules, keys)?;
        let claims = token.into_claims();
        check_use(&claims, rules)?;
        let expiry = match rules.token_use.required_claims().contains(&"exp") {
            true => Expiry::Required,
            false => Expiry::Optional,
        };
        Self::checked(claims, tenant, rules, expiry, now)
    }

    pub(super) fn checked(
        claims: Claims<'j>,
        tenant: Option<Cow<'j, str>>,
        rules: &TokenRules,
        expiry: Expiry,
        now: UnixTime,
    ) -> Result<Self, TokenFault> {
        let expires_at = check_times(&claims, rules, expiry, now)?;
        let audiences = check_audience(&claims, rules)?;
        check_client(&claims, rules)?;
        Ok(Self { claims, tenant, audiences, expires_at, token_use: rules.token_use })
    }

    /// The claims, believed.
    #[must_use]
    pub fn claims(&self) -> &Claims<'j> {
        &self.claims
    }

    /// The tenant (`tid`), when the token names one.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// `iss`, where the issuer of these rules stands for one issuer a tenant.
    #[must_use]
    pub fn tenant_issuer(&self, rules: &TokenRules) -> Option<Cow<'j, str>> {
        if rules.is_per_tenant() { self.claims.string("iss").ok().flatten() } else { None }
    }

    /// The values of `aud`.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.audiences.0.iter().map(Cow::as_ref)
    }

    /// `exp`, without leeway; [`UnixTime::NEVER`] for one that does not end by itself.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// What the token is for.
    #[must_use]
    pub fn token_use(&self) -> TokenUse {
        self.token_use
    }
}

/// Whether a token must say when it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    Required,
    Optional,
}

/// Confirms that the token's tenant may come and that `iss` is that tenant's issuer.
fn check_tenant<'j>(
    token: &UnverifiedToken<'j>,
    rules: &TokenRules,
) -> Result<Option<Cow<'j, str>>, TokenFault> {
    let tenant = token.tenant();
    let allowed = match (&rules.tenants, tenant.as_deref()) {
        (TenantRule::NotChecked, _) => true,
        (TenantRule::Any, Some(tenant)) => is_guid(tenant),
        (TenantRule::OneOf(allowed), Some(tenant)) => {
            allowed.contains(&tenant.to_ascii_lowercase())
        }
        (TenantRule::Any | TenantRule::OneOf(_), None) => false,
    };
    if !allowed {
        return Err(TokenFault::UnknownTenant);
    }
    if rules.is_per_tenant() {
        let tenant = tenant.as_deref().filter(|tenant| is_guid(tenant));
        let issuer = token.issuer()?;
        let expected = tenant.map(|tenant| rules.issuer.replace(TENANT_PLACEHOLDER, tenant));
        if expected.as_deref() != Some(issuer.as_ref()) {
            return Err(TokenFault::UnknownTenant);
        }
    }
    Ok(tenant)
}

/// Whether the token is for access at all, and for whoever bears it (RFC 7800 §3.1). What it says
/// against itself counts before its signature is looked at.
fn check_kind(token: &UnverifiedToken<'_>, rules: &TokenRules) -> Result<(), TokenFault> {
    rules.check_kind(token.kind())?;
    check_bound(token.claims(), rules)
}

pub(super) fn check_bound(claims: &Claims<'_>, rules: &TokenRules) -> Result<(), TokenFault> {
    match rules.bound_tokens {
        BoundTokens::Refused if claims.json("cnf").is_some() => Err(TokenFault::BoundToKey),
        BoundTokens::Refused | BoundTokens::Ignored => Ok(()),
    }
}

/// Whether the token has what those for its use must have. Only the platform's own tell by
/// [`ACCESS_KEY`] what they are; elsewhere it is a claim like others.
fn check_use(claims: &Claims<'_>, rules: &TokenRules) -> Result<(), TokenFault> {
    let is_access_key = claims.is_access_key();
    match rules.token_use {
        TokenUse::OidcAccessToken | TokenUse::WorkloadSubjectToken => return Ok(()),
        TokenUse::AccessKey if !is_access_key => return Err(TokenFault::WrongUse),
        TokenUse::WorkloadAccessToken if is_access_key => return Err(TokenFault::WrongUse),
        TokenUse::AccessKey | TokenUse::WorkloadAccessToken => {}
    }
    // `exp` is looked at with the other times.
    let mut required = rules.token_use.required_claims().iter().filter(|name| **name != "exp");
    if let Some(missing) = required.find(|name| claims.json(name).is_none()) {
        return Err(TokenFault::ClaimMissing(missing));
    }
    let is_key_id = |id: &str| {
        let digits = id.strip_prefix("ak_").filter(|digits| digits.len() == 32);
        let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        digits.is_some_and(|digits| digits.bytes().all(is_hex))
    };
    let id = claims.string("jti").ok().flatten();
    if is_access_key && !id.as_deref().is_some_and(is_key_id) {
        return Err(TokenFault::NotAKeyId);
    }
    Ok(())
}

fn check_signature(
    token: &UnverifiedToken<'_>,
    tenant: Option<&str>,
    rules: &TokenRules,
    keys: &KeySet,
) -> Result<(), TokenFault> {
    let algorithm = match token.signing() {
        Signing::With(algorithm) if rules.algorithms.contains(algorithm) => algorithm,
        Signing::With(_) => return Err(TokenFault::AlgorithmNotAllowed),
        Signing::Unsigned => return Ok(()),
    };
    let issuer = token.issuer()?;
    let mut candidates = keys
        .candidates(token.kid(), algorithm)
        .filter(|key| may_sign_for(key, &issuer, tenant))
        .take(MAX_TRIED_KEYS)
        .peekable();
    if candidates.peek().is_none() {
        return Err(TokenFault::NoSuchKey);
    }
    if candidates.any(|key| signed_by(key, algorithm, token)) {
        return Ok(());
    }
    // Keys without a name were tried for one that no key has: that key may still come.
    match token.kid() {
        Some(kid) if !keys.knows(kid) => Err(TokenFault::NoSuchKey),
        Some(_) | None => Err(TokenFault::BadSignature),
    }
}

fn signed_by(key: &VerificationKey, algorithm: Algorithm, token: &UnverifiedToken<'_>) -> bool {
    key.verifies(algorithm, token.jws().signing_input(), token.jws().signature())
}

/// A key of Azure's that names its issuer signs for no other, or one tenant's custom key
/// could sign for every tenant.
fn may_sign_for(key: &VerificationKey, issuer: &str, tenant: Option<&str>) -> bool {
    match (key.issuer(), tenant) {
        (None, _) => true,
        (Some(own), Some(tenant)) => own.replace(TENANT_PLACEHOLDER, tenant) == issuer,
        (Some(own), None) => own == issuer,
    }
}

/// RFC 7519 §4.1.4 to §4.1.6. `exp` is required, but where somebody is asked about each token: one
/// that never ends could not be taken back.
pub(super) fn check_times(
    claims: &Claims<'_>,
    rules: &TokenRules,
    expiry: Expiry,
    now: UnixTime,
) -> Result<UnixTime, TokenFault> {
    // What is answered of a token may have `null` for what is not known.
    let absent = |name: &str| expiry == Expiry::Optional && claims.json(name).is_none();
    let expires_at = match claims.numeric_date("exp") {
        _ if absent("exp") => UnixTime::NEVER,
        Ok(Some(beyond)) if beyond > UnixTime::END_OF_YEAR_9999 => {
            return Err(TokenFault::ExpiryBeyondReason);
        }
        Ok(Some(expires_at)) => expires_at,
        Ok(None) | Err(_) => return Err(TokenFault::NoExpiry),
    };
    if expires_at.plus(rules.leeway) <= now {
        return Err(TokenFault::Expired);
    }
    let date = |name| match claims.numeric_date(name) {
        _ if absent(name) => Ok(None),
        date => date.map_err(|_| TokenFault::BadTime),
    };
    let is_ahead = |moment| moment > now.plus(rules.leeway);
    if date("nbf")?.is_some_and(is_ahead) {
        return Err(TokenFault::NotYetValid);
    }
    let issued_at = date("iat")?;
    if issued_at.is_some_and(is_ahead) {
        return Err(TokenFault::IssuedInFuture);
    }
    // Without `iat`, the issuer's clock is held against ours.
    let lives_longer = |max: Duration| match issued_at {
        Some(issued_at) => expires_at.since(issued_at) > max,
        None => expires_at.since(now) > max.saturating_add(rules.leeway),
    };
    if rules.max_lifetime.is_some_and(lives_longer) {
        return Err(TokenFault::LivesTooLong);
    }
    Ok(expires_at)
}

/// The values of `aud` (RFC 7519 §4.1.3): one string or an array of strings.
#[derive(Default)]
pub(super) struct Audiences<'j>(SmallVec<[Cow<'j, str>; 2]>);

impl<'de> Deserialize<'de> for Audiences<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Audiences<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E>(self, one: &'de str) -> Result<Self::Value, E> {
                Ok(Audiences(smallvec![Cow::Borrowed(one)]))
            }

            fn visit_str<E>(self, one: &str) -> Result<Self::Value, E> {
                Ok(Audiences(smallvec![Cow::Owned(one.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut audiences = SmallVec::new();
                while let Some(Text(one)) = items.next_element()? {
                    audiences.push(one);
                }
                Ok(Audiences(audiences))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

pub(super) fn check_audience<'j>(
    claims: &Claims<'j>,
    rules: &TokenRules,
) -> Result<Audiences<'j>, TokenFault> {
    let audiences = match claims.json("aud") {
        Some(json) => serde_json::from_str(json).map_err(|_| TokenFault::WrongAudience)?,
        None => Audiences::default(),
    };
    match &rules.audience {
        AudienceRule::AnyOf(ours) if !audiences.0.iter().any(|one| ours.contains(one.as_ref())) => {
            Err(TokenFault::WrongAudience)
        }
        AudienceRule::AnyOf(_) | AudienceRule::NotChecked => Ok(audiences),
    }
}

pub(super) fn check_client(claims: &Claims<'_>, rules: &TokenRules) -> Result<(), TokenFault> {
    if rules.allowed_clients.is_empty() {
        return Ok(());
    }
    let client = CLIENT_CLAIMS
        .into_iter()
        .find_map(|name| claims.string(name).transpose())
        .and_then(Result::ok);
    match client {
        Some(client) if rules.allowed_clients.contains(client.as_ref()) => Ok(()),
        Some(_) | None => Err(TokenFault::WrongClient),
    }
}
