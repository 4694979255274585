//! Who logged in, as their token says.

use serde::{Deserialize, Serialize};

use super::tokens::Secrets;
use crate::printable::printable;
use crate::secret::Secret;
use crate::token_parts::TokenParts;

/// Who logged in: for people to read, nothing is decided by it.
///
/// Read from the ID token or else the access token without verifying it: both came
/// straight from the token endpoint over TLS (OpenID Connect Core §3.1.3.7, clause 6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// `sub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `preferred_username`, `upn` or `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Who {
    pub(super) fn of(secrets: &Secrets) -> Self {
        let parts = |token: &Secret| TokenParts::of(token.expose().as_bytes());
        let id_token = secrets.id_token.as_ref().map(parts).filter(|it| it.claims.is_some());
        let said = id_token.unwrap_or_else(|| parts(&secrets.access_token));
        let text = |name: &str| said.text(name).map(str::to_owned);
        Self {
            subject: text("sub"),
            email: text("email"),
            name: text("preferred_username").or_else(|| text("upn")).or_else(|| text("name")),
        }
    }

    /// In words, safe for a terminal: `alice (alice@example.com)`, or the address or
    /// subject alone.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.name, &self.email, &self.subject) {
            (Some(name), Some(email), _) if name != email => {
                format!("{} ({})", printable(name), printable(email))
            }
            // A subject is often a number that tells people nothing.
            (Some(best), _, _) | (None, Some(best), _) | (None, None, Some(best)) => {
                printable(best)
            }
            (None, None, None) => "an unknown user (the token is opaque)".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::Value;

    use super::*;

    fn jwt(claims: &Value) -> Secret {
        Secret::new(format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims.to_string())))
    }

    #[test]
    fn the_id_token_names_the_person_before_the_access_token_does() {
        let access_token = jwt(&serde_json::json!({"sub": "machine"}));
        let person = serde_json::json!({"sub": "1", "name": "Alice\u{1b}[0m", "email": "a@b"});
        let mut secrets =
            Secrets { access_token, refresh_token: None, id_token: None, client_secret: None };
        assert_eq!(Who::of(&secrets).words(), "machine");
        secrets.id_token = Some(jwt(&person));
        assert_eq!(Who::of(&secrets).words(), "Alice\\u{1b}[0m (a@b)");
        let opaque = Secrets { access_token: Secret::new("x.y"), ..secrets.clone() };
        let opaque = Secrets { id_token: None, ..opaque };
        assert!(Who::of(&opaque).words().contains("opaque"));
    }
}
