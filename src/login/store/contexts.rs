//! What is kept: logins by name, one of them the current one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::login::error::LoginError;
use crate::login::provider::Provider;
use crate::login::tokens::{Secrets, Tokens};
use crate::login::who::Who;

/// All logins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contexts {
    /// The one that is meant when none is named: the last one logged in to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Name (the platform's base URL or the issuer, unless chosen) → login.
    #[serde(default)]
    pub logins: BTreeMap<String, Login>,
}

/// One login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// With whom.
    pub provider: Provider,
    /// Who.
    #[serde(default)]
    pub who: Who,
    /// The scopes asked for.
    #[serde(default)]
    pub requested: Vec<String>,
    /// The scopes granted; `None`: all of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Vec<String>>,
    /// When the access token was obtained, in seconds since 1970.
    pub obtained_at: u64,
    /// When it ends; `None` when nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Whether there is a refresh token.
    #[serde(default)]
    pub refreshable: bool,
    /// Where its tokens are.
    pub kept: Kept,
}

/// Where the tokens of a login are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// In the key ring, under this name.
    KeyRing(String),
    /// In the file itself.
    File(Secrets),
}

/// Where, without what.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyRing(_) => "KeyRing(…)",
            Self::File(_) => "File(…)",
        })
    }
}

impl Contexts {
    /// The login of that name, the one at that platform or issuer, or the current one.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: Option<&str>) -> Result<(&str, &Login), LoginError> {
        let found = match name {
            Some(name) => self.named(name),
            None => self.current.as_deref().and_then(|name| self.logins.get_key_value(name)),
        };
        // Without a current one, the only one is meant.
        let only = || match name {
            None if self.logins.len() == 1 => self.logins.first_key_value(),
            None | Some(_) => None,
        };
        let found = found.or_else(only);
        found.map(|(name, login)| (name.as_str(), login)).ok_or_else(|| LoginError::NotLoggedIn {
            context: name.map(str::to_owned),
            known: self.logins.keys().cloned().collect(),
        })
    }

    fn named(&self, name: &str) -> Option<(&String, &Login)> {
        let bare = |text: &str| text.trim_end_matches('/').to_owned();
        self.logins.get_key_value(name).or_else(|| {
            self.logins.iter().find(|(known, login)| {
                let provider = &login.provider;
                let names = [Some(*known), provider.base_url.as_ref(), Some(&provider.issuer)];
                names.into_iter().flatten().any(|known| bare(known) == bare(name))
            })
        })
    }
}

impl Login {
    /// A login just made or refreshed.
    pub(crate) fn new(
        provider: Provider,
        requested: Vec<String>,
        tokens: &Tokens,
        kept: Kept,
    ) -> Self {
        Self {
            provider,
            who: Who::of(&tokens.secrets),
            requested,
            granted: tokens.granted.clone(),
            obtained_at: tokens.obtained_at.0,
            expires_at: tokens.expires_at.map(|at| at.0),
            refreshable: tokens.secrets.refresh_token.is_some(),
            kept,
        }
    }

    /// Whether the access token still holds at `now`. One that does not say is taken to.
    #[must_use]
    pub fn holds(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|end| now.0 < end)
    }

    /// Whether it is time to refresh: less than five minutes left, or less than half of
    /// its life for a token that lives under ten. Without the latter, a token of five
    /// minutes, Keycloak's default, would be refreshed at every use.
    #[must_use]
    pub fn is_near_its_end(&self, now: UnixTime) -> bool {
        const MARGIN_SECONDS: u64 = 300;
        let Some(end) = self.expires_at else { return false };
        let margin = MARGIN_SECONDS.min(end.saturating_sub(self.obtained_at) / 2);
        now.0.saturating_add(margin) >= end
    }

    /// The scopes in force: those granted, else those asked for.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        self.granted.as_deref().unwrap_or(&self.requested)
    }
}
