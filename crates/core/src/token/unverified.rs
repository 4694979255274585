//! A token whose form is right; nothing in it is believed yet.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::{Claims, Text, check_depth};
use super::fault::TokenFault;
use super::jws::CompactJws;
use super::kind::{TokenKind, media_type};
use crate::json_object::Object;
use crate::keys::Algorithm;

/// What becomes of tokens with `alg: none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsignedTokens {
    /// They are refused.
    Refused,
    /// They are believed: local development only (`auth.allow_unsigned_jwt`).
    Accepted,
}

/// How a token says it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// With this algorithm.
    With(Algorithm),
    /// Not at all, and that is accepted here.
    Unsigned,
}

/// A well-formed JWT. Of its claims only `iss` and `tid` may be looked at before it is
/// verified, to find out who is to verify it.
pub struct UnverifiedToken<'j> {
    jws: &'j CompactJws<'j>,
    signing: Signing,
    kid: Option<Cow<'j, str>>,
    typ: Option<Cow<'j, str>>,
    claims: Claims<'j>,
}

impl<'j> UnverifiedToken<'j> {
    /// Reads header and claims.
    ///
    /// # Errors
    /// They are not JSON objects of the right form; or the header asks for something
    /// that is not supported: `alg`, `crit` (RFC 7515 §4.1.11), `typ` (RFC 8725 §3.11).
    pub fn parse(jws: &'j CompactJws<'j>, unsigned: UnsignedTokens) -> Result<Self, TokenFault> {
        check_depth(jws.header())?;
        let Object(header): Object<Header<'j>> =
            serde_json::from_slice(jws.header()).map_err(|_| TokenFault::HeaderNotAnObject)?;
        let claims = Claims::parse(jws.claims())?;
        let signing = match (header.alg.as_ref(), unsigned) {
            ("none", UnsignedTokens::Accepted) if jws.signature().is_empty() => Signing::Unsigned,
            ("none", _) => return Err(TokenFault::Unsigned),
            (name, _) => Signing::With(name.parse().map_err(|_| TokenFault::UnknownAlgorithm)?),
        };
        if header.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        let [kid, typ] = [header.kid, header.typ].map(|text| text.map(|Text(text)| text));
        if !typ.as_deref().is_none_or(is_accepted_type) {
            return Err(TokenFault::WrongType);
        }
        // An empty name names nothing.
        let kid = kid.filter(|kid| !kid.is_empty());
        Ok(Self { jws, signing, kid, typ, claims })
    }

    /// How the token says it is signed.
    #[must_use]
    pub fn signing(&self) -> Signing {
        self.signing
    }

    /// The key it names.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What kind of token it says it is, or looks like; not yet believed.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.claims.kind(self.typ.as_deref())
    }

    /// `iss`, not yet believed.
    ///
    /// # Errors
    /// It is missing or not a string.
    pub fn issuer(&self) -> Result<Cow<'j, str>, TokenFault> {
        self.claims.string("iss").ok().flatten().ok_or(TokenFault::NoIssuer)
    }

    /// `tid`, not yet believed; `None` too when it is not a string.
    #[must_use]
    pub fn tenant(&self) -> Option<Cow<'j, str>> {
        self.claims.string("tid").ok().flatten()
    }

    /// The claims, not yet believed: for those who verify, and for `explain`.
    #[must_use]
    pub fn claims(&self) -> &Claims<'j> {
        &self.claims
    }

    pub(super) fn into_claims(self) -> Claims<'j> {
        self.claims
    }

    pub(super) fn jws(&self) -> &'j CompactJws<'j> {
        self.jws
    }
}

/// The members of a JOSE header that matter. `jwk`, `jku`, `x5u` and `x5c` are not among
/// them: a token never chooses the key it is checked with.
#[derive(Deserialize)]
struct Header<'j> {
    #[serde(borrow)]
    alg: Cow<'j, str>,
    // As `Text`: serde copies a `Cow` that is not the field itself.
    #[serde(borrow, default)]
    kid: Option<Text<'j>>,
    #[serde(borrow, default)]
    typ: Option<Text<'j>>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

/// `Some` for any value, `null` too: a `crit` that says nothing is invalid as well.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(value).map(Some)
}

/// RFC 7519 §5.1 and RFC 9068 §2.1.
fn is_accepted_type(typ: &str) -> bool {
    ["JWT", "at+jwt"].iter().any(|accepted| media_type(typ).eq_ignore_ascii_case(accepted))
}
