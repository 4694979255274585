//! A person's login, as every grant hands it on, and the secrets that stand for it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_core::clock::UnixTime;

use super::DevIssuerError;
use super::directory::DevUser;
use super::fault::OAuthFault;

/// Longest `scope` accepted, in bytes: it is kept, and it ends up in every token.
const MAX_SCOPE_BYTES: usize = 1024;

/// Who logged in, through which client, for what.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) user: Arc<DevUser>,
    pub(super) client_id: String,
    pub(super) scope: Scope,
    /// OpenID Connect Core §3.1.2.1: goes into the ID token.
    pub(super) nonce: Option<String>,
    pub(super) authenticated_at: UnixTime,
    /// The same for all tokens that descend from one login: they are revoked together.
    pub(super) family: String,
}

/// A well-formed scope (RFC 6749 §3.3). This issuer grants whatever is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope(String);

impl Scope {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, OAuthFault> {
        let text = text.unwrap_or_default();
        let well_formed = |byte: u8| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.len() > MAX_SCOPE_BYTES || !text.bytes().all(well_formed) {
            return Err(OAuthFault::InvalidScope);
        }
        let names: Vec<_> = text.split(' ').filter(|name| !name.is_empty()).collect();
        Ok(Self(names.join(" ")))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.split(' ').any(|have| have == name)
    }

    /// A part of this scope, as a refresh may ask for (RFC 6749 §6); without a wish, all.
    pub(super) fn narrowed(&self, wish: Option<&str>) -> Result<Self, OAuthFault> {
        let Some(wish) = wish else { return Ok(self.clone()) };
        let wish = Self::parse(Some(wish))?;
        let within = wish.0.split(' ').all(|name| name.is_empty() || self.contains(name));
        if within { Ok(wish) } else { Err(OAuthFault::InvalidScope) }
    }
}

/// 256 random bits, in base64url.
pub(super) fn secret() -> Result<String, DevIssuerError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], DevIssuerError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| DevIssuerError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_never_widens_the_scope() {
        let scope = Scope::parse(Some("openid  email")).unwrap();
        assert_eq!(scope.as_str(), "openid email");
        assert_eq!(scope.narrowed(Some("email")).unwrap().as_str(), "email");
        assert!(scope.narrowed(Some("email admin")).is_err());
        assert!(Scope::parse(Some("a\"b")).is_err());
    }
}
