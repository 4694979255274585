//! Asking the token endpoint: OAuth as the `oauth2` crate speaks it, over the HTTP client
//! of `discovery`.

use std::fmt;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, ClientId, DeviceAuthorizationUrl, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    ErrorResponse, ErrorResponseType, ExtraTokenFields, HttpRequest, HttpResponse, RefreshToken,
    RequestTokenError, ResourceOwnerPassword, ResourceOwnerUsername, Scope, StandardErrorResponse,
    StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::error::{Grant, LoginError};
use super::provider::Provider;
use super::tokens::{Secret, Secrets, Tokens};
use crate::clock::Clock;
use crate::discovery::{FetchError, FetchErrorKind, HttpFetcher};
use crate::json_object::Object;

/// A conversation with one provider.
pub struct Exchange<'p> {
    pub(super) provider: &'p Provider,
    pub(super) http: &'p HttpFetcher,
    pub(super) clock: &'p dyn Clock,
}

/// What the crate is told of an answer beyond RFC 6749.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdToken {
    #[serde(default)]
    id_token: Option<String>,
}

impl ExtraTokenFields for IdToken {}

pub(super) type Answer = StandardTokenResponse<IdToken, BasicTokenType>;
pub(super) type Client = oauth2::Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

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
        Self { provider, http, clock }
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
        let client = self.client();
        let username = ResourceOwnerUsername::new(username.to_owned());
        let password = ResourceOwnerPassword::new(password.expose().to_owned());
        let mut request = client
            .exchange_password(&username, &password)
            .add_scopes(scopes.iter().cloned().map(Scope::new));
        for (name, value) in &self.provider.parameters {
            request = request.add_extra_param(name, value);
        }
        let answer = request.request_async(&|request| self.send(request)).await;
        self.tokens(
            answer.map_err(|error| {
                self.fault(Grant::Password, &self.provider.token_endpoint, error)
            })?,
        )
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
        let client = self.client();
        let token = RefreshToken::new(refresh_token.expose().to_owned());
        let mut request = client.exchange_refresh_token(&token);
        for (name, value) in &self.provider.parameters {
            request = request.add_extra_param(name, value);
        }
        let answer = request.request_async(&|request| self.send(request)).await;
        let answer = answer
            .map_err(|error| self.fault(Grant::Refresh, &self.provider.token_endpoint, error))?;
        let mut tokens = self.tokens(answer)?;
        tokens.secrets.refresh_token.get_or_insert_with(|| refresh_token.clone());
        if tokens.secrets.id_token.is_none() {
            tokens.secrets.id_token = id_token.cloned();
        }
        Ok(tokens)
    }

    /// Gives a token back (RFC 7009); `hint` is `refresh_token` or `access_token`.
    ///
    /// By hand: the crate takes no plain-http endpoint, not even of this machine.
    pub async fn revoke(&self, token: &Secret, hint: &str) -> Revocation {
        let Some(url) = &self.provider.revocation_endpoint else { return Revocation::NotOffered };
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token.expose())
            .append_pair("token_type_hint", hint)
            .append_pair("client_id", &self.provider.client_id)
            .finish();
        let mut header = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        header.insert(CONTENT_TYPE, form_type);
        let reply = match self.http.post(url, header, form.into_bytes()).await {
            Ok(reply) => reply,
            Err(error) => return Revocation::Failed(LoginError::Unreachable(error)),
        };
        if reply.status.is_success() {
            return Revocation::Revoked;
        }
        let grant = Grant::Revocation;
        Revocation::Failed(
            match serde_json::from_slice::<Object<BasicErrorResponse>>(&reply.body) {
                Ok(Object(said)) => self.refused(grant, &said),
                Err(_) => bad_answer(url, format!("status {}", reply.status.as_u16())),
            },
        )
    }

    pub(super) fn client(&self) -> Client {
        let device = self.provider.device_authorization_endpoint.clone();
        oauth2::Client::new(ClientId::new(self.provider.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::from_url(self.provider.token_endpoint.clone()))
            .set_device_authorization_url_option(device.map(DeviceAuthorizationUrl::from_url))
    }

    /// One request of the crate's. What is no answer of an OAuth endpoint at all, a
    /// redirect, "too many requests" or a failing server, is an error of the exchange: the
    /// device flow then tries again, more slowly.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let (parts, body) = request.into_parts();
        // It was made from one of the provider's URLs, so it is one.
        let url = Url::parse(&parts.uri.to_string());
        let url = url.unwrap_or_else(|_| self.provider.token_endpoint.clone());
        let reply = self.http.post(&url, parts.headers, body).await?;
        let body = reply.body.trim_ascii_start();
        // The crate reads an error from an array, too, item by item.
        let is_no_answer = reply.status.is_redirection()
            || (reply.status.is_server_error() && !body.starts_with(b"{"))
            || (reply.status.is_client_error() && body.starts_with(b"["));
        if is_no_answer {
            let status = reply.status.as_u16();
            let kind = FetchErrorKind::Status { status, retry_after: None };
            return Err(FetchError { url: url.into(), kind });
        }
        let mut response = HttpResponse::new(reply.body.to_vec());
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.header;
        Ok(response)
    }

    pub(super) fn tokens(&self, answer: Answer) -> Result<Tokens, LoginError> {
        let endpoint = &self.provider.token_endpoint;
        if *answer.token_type() != BasicTokenType::Bearer {
            return Err(bad_answer(endpoint, "the token is no bearer token".into()));
        }
        let access_token = answer.access_token().secret();
        // It will stand in a header (RFC 6750 §2.1) and on a terminal.
        if access_token.is_empty() || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad_answer(endpoint, "the access token cannot be one".into()));
        }
        let granted = answer.scopes().map(|scopes| scopes.iter().map(|s| s.to_string()).collect());
        let secrets = Secrets {
            access_token: Secret::new(access_token.as_str()),
            refresh_token: answer.refresh_token().map(|token| Secret::new(token.secret().as_str())),
            id_token: answer.extra_fields().id_token.as_deref().map(Secret::new),
        };
        Ok(Tokens::new(secrets, granted, answer.expires_in(), self.clock.now()))
    }

    /// An error of the crate's as one of ours.
    pub(super) fn fault<T>(
        &self,
        grant: Grant,
        endpoint: &Url,
        error: RequestTokenError<FetchError, StandardErrorResponse<T>>,
    ) -> LoginError
    where
        T: ErrorResponseType + fmt::Display + 'static,
        StandardErrorResponse<T>: ErrorResponse,
    {
        match error {
            RequestTokenError::ServerResponse(said) => self.refused(grant, &said),
            RequestTokenError::Request(error) => LoginError::Unreachable(error),
            RequestTokenError::Parse(cause, body) => {
                let why = if body.trim_ascii_start().starts_with(b"<") {
                    "it is a page of HTML".to_owned()
                } else {
                    cause.to_string()
                };
                bad_answer(endpoint, why)
            }
            RequestTokenError::Other(why) => bad_answer(endpoint, why),
        }
    }

    fn refused<T: ErrorResponseType + fmt::Display>(
        &self,
        grant: Grant,
        said: &StandardErrorResponse<T>,
    ) -> LoginError {
        LoginError::Refused {
            grant,
            code: said.error().to_string(),
            description: said.error_description().cloned(),
            product: self.provider.product(),
        }
    }
}

fn bad_answer(endpoint: &Url, why: String) -> LoginError {
    LoginError::BadAnswer { endpoint: endpoint.clone(), why }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("provider", self.provider).finish_non_exhaustive()
    }
}
