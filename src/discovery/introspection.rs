//! One question about a token: by RFC 7662, or as NeMo Platform is asked about its own.

use std::sync::{Arc, Mutex, PoisonError};

use doorward_core::json_object::Object;
use doorward_core::status::QUESTION_PARAMETER;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use oauth2::basic::BasicClient;
use oauth2::{
    AccessToken, AuthType, ClientId, HttpRequest, HttpResponse, IntrospectionUrl,
    TokenIntrospectionResponse as _,
};
use reqwest::StatusCode;
use serde::Deserialize;
use url::Url;

use super::fetch_error::FetchError;
use super::http::{HttpFetcher, shown};
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

/// Why nothing was said of a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum QuestionError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{url}: it answered with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url}: its answer makes no sense: {why}")]
    Answer { url: String, why: String },
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

/// RFC 7662 §2. The `oauth2` crate writes the question and reads the answer; what else is in it,
/// the rules of the issuer look at.
async fn introspect(
    http: &Arc<HttpFetcher>,
    endpoint: &Url,
    credentials: &ClientCredentials,
    token: &str,
) -> Result<Said, QuestionError> {
    let answer = |why: String| QuestionError::Answer { url: shown(endpoint), why };
    let auth = if credentials.in_form { AuthType::RequestBody } else { AuthType::BasicAuth };
    let mut client = BasicClient::new(ClientId::new(credentials.id.clone()))
        .set_auth_type(auth)
        .set_introspection_url(IntrospectionUrl::from_url(endpoint.clone()));
    if let Some(secret) = &credentials.secret {
        let secret = secret.clone();
        // A dead mount must not hold up the runtime's thread.
        let read = tokio::task::spawn_blocking(move || secret.read()).await;
        let secret = read.map_err(|_| answer("the runtime is stopping".to_owned()))??;
        client = client.set_client_secret(oauth2::ClientSecret::new(secret.expose().to_owned()));
    }
    let body = Arc::new(Mutex::new(None));
    let send = |request: HttpRequest| {
        let (head, form) = request.into_parts();
        let (http, url, body) = (Arc::clone(http), endpoint.clone(), Arc::clone(&body));
        Box::pin(async move {
            let reply = http.post(&url, head.headers, form).await?;
            let mut response = HttpResponse::new(reply.body.to_vec());
            *response.status_mut() = reply.status;
            *response.headers_mut() = reply.header;
            *body.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply.body);
            Ok::<_, FetchError>(response)
        })
    };
    let token = AccessToken::new(token.to_owned());
    let asked = client.introspect(&token).set_token_type_hint("access_token").request_async(&send);
    let said = asked.await.map_err(|error| match error {
        oauth2::RequestTokenError::Request(error) => error.into(),
        oauth2::RequestTokenError::ServerResponse(refusal) => answer(refusal.to_string()),
        oauth2::RequestTokenError::Parse(error, _) => answer(error.to_string()),
        oauth2::RequestTokenError::Other(why) => answer(why),
    })?;
    let body = body.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(match body {
        Some(body) if said.active() => Said::Active(body.as_ref().into()),
        Some(_) | None => Said::Inactive,
    })
}

/// 200 with whom the token is of, or 401. The question carries a mark in its query: should this
/// endpoint be behind a gateway that asks us, we know the question when it comes back.
async fn authenticate(
    http: &HttpFetcher,
    endpoint: &Url,
    token: &str,
) -> Result<Said, QuestionError> {
    let answer = |why: String| QuestionError::Answer { url: shown(endpoint), why };
    let mut url = endpoint.clone();
    url.query_pairs_mut().append_pair(QUESTION_PARAMETER, "status");
    let mut header = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|error| answer(error.to_string()))?;
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
            read.map_err(|error| answer(error.to_string()))?;
            Ok(Said::Active(reply.body.as_ref().into()))
        }
        StatusCode::UNAUTHORIZED => Ok(Said::Inactive),
        other => Err(QuestionError::Status { url: shown(endpoint), status: other.as_u16() }),
    }
}
