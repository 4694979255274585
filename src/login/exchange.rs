//! Asking the token endpoint (RFC 6749, RFC 7009): forms out, lenient answers in, over the
//! HTTP client of `discovery`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::clock::Clock;
use doorward_core::json_object::Object;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use serde::de::DeserializeOwned;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::error::{Grant, LoginError};
use super::lenient::{Refusal, TokenAnswer};
use super::provider::Provider;
use super::tokens::{Secrets, Tokens};
use crate::discovery::{FetchError, FetchErrorKind, HttpFetcher, Reply};
use crate::secret::Secret;

/// A conversation with one provider.
pub struct Exchange<'p> {
    pub(super) provider: &'p Provider,
    pub(super) http: &'p HttpFetcher,
    pub(super) clock: &'p dyn Clock,
    secret: Option<Secret>,
}

/// How giving back a token came out.
#[derive(Debug)]
pub enum Revocation {
    /// It is worth nothing any more.
    Revoked,
    /// The provider offers no revocation.
    NotOffered,
    /// It did not work.
    Failed(LoginError),
}

impl<'p> Exchange<'p> {
    /// A conversation with `provider`.
    #[must_use]
    pub fn new(provider: &'p Provider, http: &'p HttpFetcher, clock: &'p dyn Clock) -> Self {
        Self { provider, http, clock, secret: None }
    }

    /// The same for a client that has a secret (RFC 6749 §2.3.1).
    #[must_use]
    pub fn with_secret(self, secret: Option<Secret>) -> Self {
        Self { secret, ..self }
    }

    /// Logs in with a password (RFC 6749 §4.3).
    ///
    /// # Errors
    /// It was refused, or there was no usable answer.
    pub async fn by_password(
        &self,
        username: &str,
        password: &Secret,
        scopes: &[String],
    ) -> Result<Tokens, LoginError> {
        let scopes = scopes.join(" ");
        let mut form = vec![
            ("grant_type", "password"),
            ("username", username),
            ("password", password.expose()),
        ];
        form.extend((!scopes.is_empty()).then_some(("scope", &*scopes)));
        self.tokens(Grant::Password, &form).await
    }

    /// Obtains the next access token (RFC 6749 §6). The answer has the old refresh and ID
    /// tokens where the provider gave no new ones.
    ///
    /// # Errors
    /// It was refused, or there was no usable answer.
    pub async fn refresh(
        &self,
        refresh_token: &Secret,
        id_token: Option<&Secret>,
    ) -> Result<Tokens, LoginError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let mut tokens = self.tokens(Grant::Refresh, &form).await?;
        tokens.secrets.refresh_token.get_or_insert_with(|| refresh_token.clone());
        if tokens.secrets.id_token.is_none() {
            tokens.secrets.id_token = id_token.cloned();
        }
        Ok(tokens)
    }

    /// Gives a token back (RFC 7009); `hint` is `refresh_token` or `access_token`.
    pub async fn revoke(&self, token: &Secret, hint: &str) -> Revocation {
        let Some(url) = &self.provider.revocation_endpoint else { return Revocation::NotOffered };
        let form = [("token", token.expose()), ("token_type_hint", hint)];
        let reply = match self.post(url, &form).await {
            Ok(reply) => reply,
            Err(error) => return Revocation::Failed(LoginError::Unreachable(error)),
        };
        if reply.status.is_success() {
            return Revocation::Revoked;
        }
        Revocation::Failed(match refusal(&reply) {
            Some(said) => self.refused(Grant::Revocation, said),
            None => bad_answer(url, format!("status {}", reply.status.as_u16())),
        })
    }

    /// Asks for tokens, with the parameters of every request added.
    async fn tokens(&self, grant: Grant, form: &[(&str, &str)]) -> Result<Tokens, LoginError> {
        let endpoint = &self.provider.token_endpoint;
        let reply = self.ask(endpoint, form).await.map_err(LoginError::Unreachable)?;
        self.tokens_of(self.read(grant, endpoint, &reply)?)
    }

    /// One request of a grant: the form, and what the person or the platform adds to each.
    pub(super) async fn ask(
        &self,
        endpoint: &Url,
        form: &[(&str, &str)],
    ) -> Result<Reply, FetchError> {
        let added = self.provider.parameters.iter().map(|(name, value)| (&**name, &**value));
        self.post(endpoint, &form.iter().copied().chain(added).collect::<Vec<_>>()).await
    }

    async fn post(&self, endpoint: &Url, form: &[(&str, &str)]) -> Result<Reply, FetchError> {
        let in_form = self.secret.as_ref().filter(|_| self.provider.secret_in_form);
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &self.provider.client_id)
            .extend_pairs(in_form.map(|secret| ("client_secret", secret.expose())))
            .extend_pairs(form)
            .finish();
        let in_header = self.secret.as_ref().filter(|_| !self.provider.secret_in_form);
        let credentials = in_header.and_then(|secret| basic(&self.provider.client_id, secret));
        let credentials = credentials.map(|value| (AUTHORIZATION, value));
        let headers = HEADER.into_iter().chain(credentials).collect();
        self.http.post(endpoint, headers, form.into_bytes()).await
    }

    /// Takes an answer for what it is. An error is one with whatever status it comes: some
    /// answer "pending" with 200.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        grant: Grant,
        endpoint: &Url,
        reply: &Reply,
    ) -> Result<T, LoginError> {
        if let Some(said) = refusal(reply) {
            return Err(self.refused(grant, said));
        }
        let status = reply.status.as_u16();
        if reply.status.is_success() {
            let document = serde_json::from_slice::<Object<T>>(&reply.body);
            return document.map(|Object(answer)| answer).map_err(|cause| {
                let why = page(reply).map_or_else(|| cause.to_string(), str::to_owned);
                bad_answer(endpoint, why)
            });
        }
        Err(match page(reply) {
            Some(why) if reply.status.is_client_error() => {
                bad_answer(endpoint, format!("{why}, with status {status}"))
            }
            // A redirect, "too many requests" or a failing server is no answer.
            Some(_) | None => {
                let kind = FetchErrorKind::Status { status, retry_after: reply.retry_after() };
                LoginError::Unreachable(FetchError { url: endpoint.to_string(), kind })
            }
        })
    }

    pub(super) fn tokens_of(&self, answer: TokenAnswer) -> Result<Tokens, LoginError> {
        let endpoint = &self.provider.token_endpoint;
        // Left out, it can only be what we asked for.
        let kind = answer.token_type.as_deref().unwrap_or("Bearer");
        if !kind.eq_ignore_ascii_case("Bearer") {
            return Err(bad_answer(endpoint, "the token is not a bearer token".into()));
        }
        let access_token = answer.access_token;
        // It will stand in a header (RFC 6750 §2.1) and on a terminal.
        if access_token.is_empty() || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad_answer(endpoint, "the access token is malformed".into()));
        }
        let secrets = Secrets {
            access_token: Secret::new(access_token),
            refresh_token: answer.refresh_token.map(Secret::new),
            id_token: answer.id_token.map(Secret::new),
            // What is in a file stays there.
            client_secret: self
                .secret
                .clone()
                .filter(|_| self.provider.client_secret_file.is_none()),
        };
        Ok(Tokens::new(secrets, answer.scope, answer.expires_in, self.clock.now()))
    }

    fn refused(&self, grant: Grant, said: Refusal) -> LoginError {
        LoginError::Refused {
            grant,
            code: said.error,
            description: said.error_description,
            product: self.provider.product(),
            client: self.provider.client_id.clone(),
        }
    }
}

/// RFC 6749 §2.3.1: each half is form-encoded, and both are joined by `:`.
fn basic(id: &str, secret: &Secret) -> Option<HeaderValue> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = format!("{}:{}", encoded(id), encoded(secret.expose()));
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

const HEADER: [(HeaderName, HeaderValue); 1] =
    [(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];

/// An error in OAuth's own words; one in an array is none.
fn refusal(reply: &Reply) -> Option<Refusal> {
    serde_json::from_slice::<Object<Refusal>>(&reply.body).ok().map(|Object(said)| said)
}

/// What came for people and not for programs.
fn page(reply: &Reply) -> Option<&'static str> {
    reply.body.trim_ascii_start().starts_with(b"<").then_some("it is a page of HTML")
}

pub(super) fn bad_answer(endpoint: &Url, why: String) -> LoginError {
    LoginError::BadAnswer { endpoint: endpoint.clone(), why }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("provider", self.provider).finish_non_exhaustive()
    }
}
