//! What is kept: logins by name, one of them the current one.

use std::collections::BTreeMap;
use std::fmt;

use doorward_core::clock::UnixTime;
use serde::{Deserialize, Serialize};

use crate::login::error::LoginError;
use crate::login::provider::Provider;
use crate::login::tokens::{Secrets, Tokens};
use crate::login::who::Who;
use crate::loopback::with_scheme;

/// All logins of one person, by name, and which of them is meant where none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contexts {
    /// The one that is meant when none is named: the last one logged in to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Name (the platform's base URL or the issuer, unless chosen) → login.
    #[serde(default)]
    pub logins: BTreeMap<String, Login>,
}

/// One login, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The issuer, and the client that logged in.
    pub provider: Provider,
    /// Whom the tokens speak of, where they say so.
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
    /// Set when the provider took the refresh token for void: nothing but a new login helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// Where its tokens are.
    pub kept: Kept,
}

/// A login that its provider has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// When that came out, in seconds since 1970.
    pub at: u64,
    /// What the provider said.
    pub said: String,
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
    /// The login of that name, the only one at that platform or issuer, or the current one.
    /// Without a current one none is meant, though there may be a single one: it may be
    /// somebody else's.
    ///
    /// # Errors
    /// There is none, or several are at that platform or issuer.
    pub fn find(&self, name: Option<&str>) -> Result<(&str, &Login), LoginError> {
        let missing = || LoginError::NotLoggedIn {
            context: name.map(str::to_owned),
            known: self.logins.keys().cloned().collect(),
        };
        let found = match name {
            Some(name) => match self.named(name).as_slice() {
                [] => None,
                [one] => Some(*one),
                several => {
                    return Err(LoginError::Several {
                        name: name.to_owned(),
                        known: several.iter().map(|(name, _)| (*name).clone()).collect(),
                    });
                }
            },
            None => self.current.as_deref().and_then(|name| self.logins.get_key_value(name)),
        };
        found.map(|(name, login)| (name.as_str(), login)).ok_or_else(missing)
    }

    /// The login of that name, else those at that platform or issuer.
    fn named(&self, name: &str) -> Vec<(&String, &Login)> {
        if let Some(exact) = self.logins.get_key_value(name) {
            return vec![exact];
        }
        let bare = |text: &str| with_scheme(text).trim_end_matches('/').to_owned();
        let wanted = bare(name);
        let is_there = |(known, login): &(&String, &Login)| {
            let provider = &login.provider;
            let names = [Some(*known), provider.base_url.as_ref(), Some(&provider.issuer)];
            names.into_iter().flatten().any(|known| bare(known) == wanted)
        };
        self.logins.iter().filter(is_there).collect()
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
            over: None,
            kept,
        }
    }

    /// Whether the access token still holds at `now`. One that does not say is taken to.
    #[must_use]
    pub fn holds(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|end| now.0 < end)
    }

    /// Whether a new access token can be had without a new login, for all that is known.
    #[must_use]
    pub fn can_be_refreshed(&self) -> bool {
        self.refreshable && self.over.is_none()
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
