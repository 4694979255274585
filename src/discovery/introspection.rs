//! One question about a token: by RFC 7662, or as NeMo Platform is asked about its own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorward_core::json_object::Object;
use doorward_core::status::QUESTION_PARAMETER;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use oauth2::basic::BasicClient;
use oauth2::{AccessToken, AuthType, ClientId, HttpRequest, HttpResponse, IntrospectionUrl};
use reqwest::StatusCode;
use serde::Deserialize;
use url::Url;

use super::fetch_error::FetchError;
use super::http::{HttpFetcher, shown};
use super::post::Reply;
use super::trust::SetupError;
use crate::secret::{ClientSecret, SecretError};

/// How somebody is asked about tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 7662, as this client.
    Introspection(ClientCredentials),
    /// NeMo Platform's `/apis/auth/authenticate`, which is shown the token as a request would.
    Authenticate,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The client id.
    pub id: String,
    /// Its secret.
    pub secret: Option<ClientSecret>,
    /// Whether both are in the form, and not in the `Authorization` header (RFC 6749 §2.3.1).
    pub in_form: bool,
}

/// What was said of a token.
pub(super) enum Said {
    /// It is active; with what else the answer says, a JSON object.
    Active(Arc<[u8]>),
    /// It is not.
    Inactive,
}

/// Why nothing was said of a token. What an answer holds is not in the text: it may be the token, or
/// the secret that was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum QuestionError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{url}: it answered with status {status}{code}")]
    Status { url: String, status: u16, code: ErrorCode, retry_after: Option<Duration> },
    #[error("{url}: its answer is not a JSON object with {wanted}")]
    Answer { url: String, wanted: &'static str },
    #[error("the runtime is stopping")]
    Stopping,
}

/// The error code of an answer (RFC 6749 §5.2), if it is one of those that are known.
#[derive(Debug)]
pub(super) struct ErrorCode(Option<&'static str>);

impl ErrorCode {
    fn of(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        const KNOWN: [&str; 7] = [
            "invalid_client",
            "invalid_request",
            "invalid_token",
            "unauthorized_client",
            "unsupported_token_type",
            "access_denied",
            "temporarily_unavailable",
        ];
        let said = serde_json::from_slice::<Object<Refusal>>(body).ok();
        Self(said.and_then(|Object(said)| KNOWN.into_iter().find(|known| *known == said.error)))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

impl QuestionError {
    /// How long the other side asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }

    /// Whether another client may fare better: the files that it reads may be others by now.
    pub(super) fn is_of_client(&self) -> bool {
        matches!(self, Self::Setup(_) | Self::Fetch(_))
    }

    fn status(url: &Url, reply: &Reply) -> Self {
        Self::Status {
            url: shown(url),
            status: reply.status.as_u16(),
            code: ErrorCode::of(&reply.body),
            retry_after: reply.retry_after(),
        }
    }
}

impl Protocol {
    /// Asks `endpoint` about a token.
    pub(super) async fn ask(
        &self,
        http: &Arc<HttpFetcher>,
        endpoint: &Url,
        token: &str,
    ) -> Result<Said, QuestionError> {
        match self {
            Self::Introspection(client) => introspect(http, endpoint, client, token).await,
            Self::Authenticate => authenticate(http, endpoint, token).await,
        }
    }
}

/// RFC 7662 §2. The `oauth2` crate writes the question. Of the answer `active` alone is needed here;
/// the rest is for the rules of the issuer.
async fn introspect(
    http: &Arc<HttpFetcher>,
    endpoint: &Url,
    credentials: &ClientCredentials,
    token: &str,
) -> Result<Said, QuestionError> {
    let auth = if credentials.in_form { AuthType::RequestBody } else { AuthType::BasicAuth };
    let mut client = BasicClient::new(ClientId::new(credentials.id.clone()))
        .set_auth_type(auth)
        .set_introspection_url(IntrospectionUrl::from_url(endpoint.clone()));
    if let Some(secret) = &credentials.secret {
        let secret = secret.clone();
        // A dead mount must not hold up the runtime's thread.
        let read = tokio::task::spawn_blocking(move || secret.read()).await;
        let secret = read.map_err(|_| QuestionError::Stopping)??;
        client = client.set_client_secret(oauth2::ClientSecret::new(secret.expose().to_owned()));
    }
    let received = Arc::new(Mutex::new(None));
    let send = |request: HttpRequest| {
        let (head, form) = request.into_parts();
        let (http, url, received) = (Arc::clone(http), endpoint.clone(), Arc::clone(&received));
        Box::pin(async move {
            let reply = http.post(&url, head.headers, form).await?;
            *received.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
            // What it says is read below: the crate wants more of it than RFC 7662 does.
            Ok::<_, FetchError>(HttpResponse::new(b"{\"active\":false}".to_vec()))
        })
    };
    let token = AccessToken::new(token.to_owned());
    let asked = client.introspect(&token).set_token_type_hint("access_token").request_async(&send);
    if let Err(oauth2::RequestTokenError::Request(error)) = asked.await {
        return Err(error.into());
    }
    let reply = received.lock().unwrap_or_else(PoisonError::into_inner).take();
    let reply = reply.ok_or(QuestionError::Stopping)?;
    if reply.status != StatusCode::OK {
        return Err(QuestionError::status(endpoint, &reply));
    }
    #[derive(Deserialize)]
    struct Answer {
        active: bool,
    }
    match serde_json::from_slice::<Object<Answer>>(&reply.body) {
        Ok(Object(Answer { active: true })) => Ok(Said::Active(reply.body.as_ref().into())),
        Ok(Object(Answer { active: false })) => Ok(Said::Inactive),
        Err(_) => {
            let wanted = "`active`, which is true or false";
            Err(QuestionError::Answer { url: shown(endpoint), wanted })
        }
    }
}

/// 200 with whom the token is of, or 401. The question carries a mark in its query: should this
/// endpoint be behind a gateway that asks us, we know the question when it comes back.
async fn authenticate(
    http: &HttpFetcher,
    endpoint: &Url,
    token: &str,
) -> Result<Said, QuestionError> {
    let no_answer = |wanted| QuestionError::Answer { url: shown(endpoint), wanted };
    let mut url = endpoint.clone();
    url.query_pairs_mut().append_pair(QUESTION_PARAMETER, "status");
    let mut header = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| no_answer("a token that can be asked about"))?;
    value.set_sensitive(true);
    header.insert(AUTHORIZATION, value);
    let reply = http.post(&url, header, Vec::new()).await?;
    match reply.status {
        StatusCode::OK => {
            /// A principal is what makes an answer one.
            #[derive(Deserialize)]
            struct Principal {
                #[serde(rename = "principal")]
                _id: String,
            }
            let read = serde_json::from_slice::<Object<Principal>>(&reply.body);
            read.map_err(|_| no_answer("`principal`, a string"))?;
            Ok(Said::Active(reply.body.as_ref().into()))
        }
        StatusCode::UNAUTHORIZED => Ok(Said::Inactive),
        _ => Err(QuestionError::status(endpoint, &reply)),
    }
}
