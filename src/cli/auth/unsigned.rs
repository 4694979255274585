//! `doorward auth login --unsigned-token`: a token that nobody has signed, for a platform on this
//! machine that takes such tokens (`auth.allow_unsigned_jwt`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use doorward_core::clock::{Clock as _, SystemClock};
use serde_json::json;
use url::Url;

use super::{Failure, words};
use crate::login::{LoginError, Provider, Secrets, Tokens};
use crate::loopback::{is_loopback, with_scheme};
use crate::secret::Secret;

#[derive(Debug, Args)]
#[command(next_help_heading = "For development")]
pub(super) struct UnsignedArgs {
    /// Log in with a token that nobody has signed; servers accept it on loopback only, where
    /// `auth.allow_unsigned_jwt` is set
    #[arg(long, requires = "email", conflicts_with_all = ["issuer", "username"])]
    unsigned_token: bool,
    /// With --unsigned-token: who to be
    #[arg(long, value_name = "ADDRESS", requires = "unsigned_token")]
    email: Option<String>,
    /// With --unsigned-token: a group to be in; repeatable
    #[arg(long = "group", value_name = "GROUP", requires = "unsigned_token")]
    groups: Vec<String>,
    /// With --unsigned-token: how long it is valid, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, requires = "unsigned_token")]
    expires_in: u64,
}

impl UnsignedArgs {
    /// Who somebody says to be, if that is how to log in.
    pub(super) fn tokens(&self) -> Option<Tokens> {
        let email = self.email.as_ref().filter(|_| self.unsigned_token)?;
        let now = SystemClock.now();
        let expires_at = now.plus(Duration::from_secs(self.expires_in));
        // What NeMo's own command line writes.
        let claims = json!({
            "sub": email, "email": email, "groups": self.groups, "iat": now.0, "exp": expires_at.0,
        });
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let token = format!("{}.{}.", part(json!({"alg": "none", "typ": "JWT"})), part(claims));
        let access_token = Secret::new(token);
        let secrets =
            Secrets { access_token, refresh_token: None, id_token: None, client_secret: None };
        Some(Tokens { secrets, granted: None, obtained_at: now, expires_at: Some(expires_at) })
    }
}

/// The platform as the one to log in with: nothing of it is ever asked.
pub(super) fn provider(base_url: &str) -> Result<Provider, Failure> {
    let base_url = with_scheme(base_url.trim_end_matches('/')).into_owned();
    let not_a_url = |cause| LoginError::NotAUrl { text: base_url.clone(), cause };
    let url = Url::parse(&base_url).map_err(not_a_url)?;
    if !is_loopback(&url) {
        words::warn("no server that others can reach accepts a token that nobody has signed");
    }
    let token_endpoint = url.join("/apis/auth/token").map_err(not_a_url)?;
    Ok(Provider {
        issuer: base_url.clone(),
        base_url: Some(base_url),
        client_id: "unsigned".to_owned(),
        token_endpoint,
        device_authorization_endpoint: None,
        revocation_endpoint: None,
        pkce: false,
        default_scopes: String::new(),
        scope_prefix: None,
        parameters: Vec::new(),
        ca_file: None,
        client_secret_file: None,
        secret_in_form: false,
    })
}
