//! What a token endpoint gives out.

use std::time::Duration;

use doorward_core::clock::UnixTime;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::token_parts::TokenParts;

/// The part of a login that must not be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// What requests carry.
    pub access_token: Secret,
    /// What obtains the next access token, when the provider gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// Who logged in, when `openid` was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<Secret>,
    /// The secret of the client that logged in, where it has one that is in no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
}

/// An answer of the token endpoint (RFC 6749 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// What must not be shown: the access token and the refresh token.
    pub secrets: Secrets,
    /// The scopes granted; `None`: those asked for.
    pub granted: Option<Vec<String>>,
    /// When the answer came.
    pub obtained_at: UnixTime,
    /// When the access token ends; `None` when nobody says.
    pub expires_at: Option<UnixTime>,
}

impl Tokens {
    /// `expires_in` is optional; a JWT says itself when it ends.
    pub(super) fn new(
        secrets: Secrets,
        granted: Option<Vec<String>>,
        expires_in: Option<Duration>,
        now: UnixTime,
    ) -> Self {
        let said = || TokenParts::of(secrets.access_token.expose().as_bytes()).date("exp");
        let expires_at = expires_in.map(|span| now.plus(span)).or_else(said);
        Self { secrets, granted, obtained_at: now, expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let secrets = Secrets {
            access_token: Secret::new("hunter2"),
            refresh_token: Some(Secret::new("hunter3")),
            id_token: None,
            client_secret: Some(Secret::new("hunter4")),
        };
        let shown = format!("{secrets:?}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
