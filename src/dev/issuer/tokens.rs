//! What the issuer's tokens say.

use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};

use super::directory::DevUser;
use super::session::{Scope, Session, secret};
use super::{DevIssuerError, Issuer};

/// RFC 9068 §2.1: tells an access token from an ID token, whatever else they share.
const ACCESS_TOKEN: &str = "at+jwt";
const ID_TOKEN: &str = "JWT";

impl Issuer {
    /// An access token for a person.
    pub(super) fn access_token(
        &self,
        user: &DevUser,
        client_id: &str,
        scope: &Scope,
    ) -> Result<String, DevIssuerError> {
        self.keys.sign(ACCESS_TOKEN, &self.access_claims(Some(user), &user.name, client_id, scope)?)
    }

    /// An access token for a client on its own behalf.
    pub(super) fn client_token(
        &self,
        client_id: &str,
        scope: &Scope,
    ) -> Result<String, DevIssuerError> {
        self.keys.sign(ACCESS_TOKEN, &self.access_claims(None, client_id, client_id, scope)?)
    }

    /// An access token with claims of the caller's choice over the usual ones.
    pub(super) fn minted_token(&self, name: &str, extra: Value) -> Result<String, DevIssuerError> {
        let Value::Object(extra) = extra else { return Err(DevIssuerError::ClaimsNotAnObject) };
        let user = self.user(name);
        let client = self.options.client_id();
        let scope = Scope::default();
        let mut claims = self.access_claims(user.as_deref(), name, client, &scope)?;
        for (claim, value) in extra {
            if value.is_null() {
                claims.remove(&claim);
            } else {
                claims.insert(claim, value);
            }
        }
        self.keys.sign(ACCESS_TOKEN, &claims)
    }

    /// OpenID Connect Core §2.
    pub(super) fn id_token(&self, session: &Session) -> Result<String, DevIssuerError> {
        let now = self.clock.now();
        let mut claims = Map::new();
        claims.insert("iss".into(), json!(self.url));
        claims.insert("sub".into(), json!(session.user.name));
        claims.insert("aud".into(), json!(session.client_id));
        claims.insert("exp".into(), json!(now.plus(self.options.access_token_lifetime).0));
        claims.insert("iat".into(), json!(now.0));
        claims.insert("auth_time".into(), json!(session.authenticated_at.0));
        if let Some(nonce) = &session.nonce {
            claims.insert("nonce".into(), json!(nonce));
        }
        claims.extend(profile(&session.user));
        self.keys.sign(ID_TOKEN, &claims)
    }

    /// The claims of an access token of this issuer that is in force.
    pub(super) fn verified_claims(&self, token: &str) -> Option<Map<String, Value>> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let published = self.keys.published();
        let jwk = published.find(&header.kid?)?;
        // What the key is made of decides; the library refuses an `alg` of another family.
        let mut validation = Validation::new(header.alg);
        // The library takes the time from the system; ours is a parameter.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let claims =
            jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).ok()?.claims;
        let in_force = claims.get("exp").and_then(Value::as_u64)? > self.clock.now().0;
        let revoked =
            claims.get("jti").and_then(Value::as_str).is_some_and(|jti| self.is_revoked(jti));
        (in_force && !revoked).then_some(claims)
    }

    fn access_claims(
        &self,
        user: Option<&DevUser>,
        subject: &str,
        client_id: &str,
        scope: &Scope,
    ) -> Result<Map<String, Value>, DevIssuerError> {
        let now = self.clock.now();
        let mut claims = Map::new();
        claims.insert("iss".into(), json!(self.url));
        claims.insert("sub".into(), json!(subject));
        claims.insert("aud".into(), json!(self.options.audience));
        claims.insert("exp".into(), json!(now.plus(self.options.access_token_lifetime).0));
        claims.insert("iat".into(), json!(now.0));
        claims.insert("jti".into(), json!(secret()?));
        claims.insert("azp".into(), json!(client_id));
        claims.insert("client_id".into(), json!(client_id));
        claims.insert("scope".into(), json!(scope.as_str()));
        if let Some(user) = user {
            claims.extend(profile(user));
        }
        Ok(claims)
    }
}

/// What tokens and userinfo say about a person.
pub(super) fn profile(user: &DevUser) -> impl Iterator<Item = (String, Value)> {
    [
        ("email", json!(user.email)),
        ("email_verified", json!(user.email_verified)),
        ("groups", json!(user.groups)),
        ("preferred_username", json!(user.name)),
    ]
    .into_iter()
    .map(|(claim, value)| (claim.to_owned(), value))
}
