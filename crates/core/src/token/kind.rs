//! What kind of token it is, as far as it tells: only access tokens are keys to an API.
//!
//! The one place that knows it: verification, `explain` and `doctor` ask here.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// What ties an ID token to a login (OpenID Connect Core §2, §3.1.3.6, §3.3.2.11; FAPI 1.0).
const OF_ID_TOKENS: [&str; 4] = ["at_hash", "c_hash", "s_hash", "nonce"];

/// What a token says that it is, or looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// It says that it is for access: Keycloak's claim `typ`, the header `typ` of RFC 9068 §2.1,
    /// Cognito's `token_use`.
    Access,
    /// It says, by Keycloak's claim `typ` or by its `events`, that it is for something else.
    Other(OtherKind),
    /// It does not say so, but has this claim, as ID tokens have.
    LikeId(&'static str),
    /// It does not say, and access tokens look like it.
    Unsaid,
}

/// What a token may be instead, by Keycloak's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    /// An ID token (OpenID Connect Core §2).
    Id,
    /// A refresh token.
    Refresh,
    /// A refresh token that outlives the session.
    Offline,
    /// A logout token (OpenID Connect Back-Channel Logout §2.4).
    Logout,
    /// A security event token (RFC 8417 §2.2), as logout tokens are: its `events` is an object.
    Event,
    /// Something that nobody here knows, by `token_use` or `token_type` of an answer about it.
    Unnamed,
}

/// One claim, as far as it tells the kind of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign<'t> {
    /// The member is a string.
    Text(Cow<'t, str>),
    /// The member is an object, whose members do not matter.
    Object,
    /// Any other value but `null`, which counts as no claim.
    Value,
}

impl<'t> Sign<'t> {
    /// The sign that a claim with this value is; `None` for `null`.
    #[must_use]
    pub fn of(value: &'t Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::String(text) => Some(Self::Text(Cow::Borrowed(text))),
            Value::Object(_) => Some(Self::Object),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => Some(Self::Value),
        }
    }
}

impl TokenKind {
    /// Tells by the header's `typ` and by the claims, looked up by name.
    pub fn of<'t>(typ: Option<&str>, claim: impl Fn(&str) -> Option<Sign<'t>>) -> Self {
        let text = |name: &str| match claim(name) {
            Some(Sign::Text(text)) => Some(text),
            Some(Sign::Object | Sign::Value) | None => None,
        };
        let said = text("typ").unwrap_or_default();
        if let Some(other) = OtherKind::named(said.trim()) {
            return Self::Other(other);
        }
        let says_access = ["Bearer", "DPoP"].iter().any(|name| said.eq_ignore_ascii_case(name));
        if says_access || typ.is_some_and(|typ| media_type(typ).eq_ignore_ascii_case("at+jwt")) {
            return Self::Access;
        }
        match text("token_use").as_deref() {
            Some("access") => return Self::Access,
            Some("id") => return Self::LikeId("token_use"),
            Some(_) | None => {}
        }
        if claim("events") == Some(Sign::Object) {
            return Self::Other(OtherKind::Event);
        }
        let sign = OF_ID_TOKENS.into_iter().find(|name| claim(name).is_some());
        sign.map_or(Self::Unsaid, Self::LikeId)
    }
}

impl OtherKind {
    fn named(typ: &str) -> Option<Self> {
        let kinds = [
            ("ID", Self::Id),
            ("Serialized-ID", Self::Id),
            ("Refresh", Self::Refresh),
            ("Offline", Self::Offline),
            ("Logout", Self::Logout),
        ];
        kinds.into_iter().find(|(name, _)| typ.eq_ignore_ascii_case(name)).map(|(_, kind)| kind)
    }
}

impl fmt::Display for OtherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "an ID token",
            Self::Refresh => "a refresh token",
            Self::Offline => "an offline token",
            Self::Logout => "a logout token",
            Self::Event => "a security event token",
            Self::Unnamed => "a token of another kind",
        })
    }
}

/// A header `typ` without `application/`, which it may leave out (RFC 7515 §4.1.9). Media types
/// are case-insensitive.
pub(super) fn media_type(typ: &str) -> &str {
    const APPLICATION: &str = "application/";
    match typ.split_at_checked(APPLICATION.len()) {
        Some((front, name)) if front.eq_ignore_ascii_case(APPLICATION) => name,
        Some(_) | None => typ,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(typ: &str, claims: &Value) -> TokenKind {
        TokenKind::of(Some(typ), |name| Sign::of(claims.get(name)?))
    }

    #[test]
    fn what_a_token_says_goes_before_what_it_looks_like() {
        use TokenKind as K;
        for (typ, claims, expected) in [
            ("JWT", json!({"typ": "Bearer", "nonce": "n"}), K::Access),
            ("JWT", json!({"typ": "DPoP"}), K::Access),
            ("at+jwt", json!({"nonce": "n"}), K::Access),
            ("Application/AT+JWT", json!({"at_hash": "h"}), K::Access),
            ("JWT", json!({"token_use": "access", "nonce": "n"}), K::Access),
            ("JWT", json!({"typ": "ID"}), K::Other(OtherKind::Id)),
            ("JWT", json!({"typ": "id"}), K::Other(OtherKind::Id)),
            ("JWT", json!({"typ": " Serialized-ID"}), K::Other(OtherKind::Id)),
            ("at+jwt", json!({"typ": "ID"}), K::Other(OtherKind::Id)),
            ("JWT", json!({"typ": "Refresh"}), K::Other(OtherKind::Refresh)),
            ("JWT", json!({"typ": "Offline"}), K::Other(OtherKind::Offline)),
            ("JWT", json!({"typ": "Logout"}), K::Other(OtherKind::Logout)),
            ("JWT", json!({"events": {"http://e/logout": {}}}), K::Other(OtherKind::Event)),
            ("JWT", json!({"events": {}, "nonce": "n"}), K::Other(OtherKind::Event)),
            ("JWT", json!({"events": ["build"]}), K::Unsaid),
            ("JWT", json!({"events": null, "nonce": null}), K::Unsaid),
            ("JWT", json!({"token_use": "id"}), K::LikeId("token_use")),
            ("JWT", json!({"nonce": "n"}), K::LikeId("nonce")),
            ("JWT", json!({"typ": "custom", "c_hash": "h"}), K::LikeId("c_hash")),
            ("JWT", json!({"typ": ["ID"], "at_hash": "h"}), K::LikeId("at_hash")),
            ("JWT", json!({"typ": "custom"}), K::Unsaid),
            ("JWT", json!({}), K::Unsaid),
        ] {
            assert_eq!(kind(typ, &claims), expected, "{typ} {claims}");
        }
    }
}
