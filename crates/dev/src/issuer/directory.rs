//! Who can log in, and through which client.

use std::sync::Arc;

use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Issuer;

/// A person who can log in: the name is the `sub` of the tokens. The pages ask for no password.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) password: &'static str,
    email: &'static str,
    email_verified: bool,
    groups: &'static [&'static str],
}

/// A program that can ask for tokens. With a secret, it has to prove itself and may use the
/// client-credentials grant.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: &'static str,
    pub(super) secret: Option<&'static str>,
}

/// One with a verified address and two groups, one with an unverified one.
pub(super) static USERS: [User; 2] = [
    User {
        name: "alice",
        password: "wonderland",
        email: "alice@example.com",
        email_verified: true,
        groups: &["research", "team-b"],
    },
    User {
        name: "bob",
        password: "builder",
        email: "bob@example.com",
        email_verified: false,
        groups: &["operations"],
    },
];

/// The one that people log in with, and one for programs.
pub(super) static CLIENTS: [Client; 2] =
    [Client { id: "doorward", secret: None }, Client { id: "robot", secret: Some("robot-secret") }];

pub(super) fn user(name: &str) -> Option<&'static User> {
    USERS.iter().find(|user| user.name == name)
}

/// What tokens and userinfo say about a person.
pub(super) fn profile(user: &User) -> [(String, Value); 4] {
    [
        ("email".into(), json!(user.email)),
        ("email_verified".into(), json!(user.email_verified)),
        ("groups".into(), json!(user.groups)),
        ("preferred_username".into(), json!(user.name)),
    ]
}

/// Why the issuer says no: the `error` of RFC 6749 §5.2, RFC 8628 §3.5 or RFC 6750 §3.1, and its
/// `error_description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OAuthFault(pub(super) &'static str, pub(super) &'static str);

impl IntoResponse for OAuthFault {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.0, "error_description": self.1 }));
        let challenge = match self.0 {
            "invalid_client" => "Basic realm=\"doorward\"",
            "invalid_token" => "Bearer error=\"invalid_token\"",
            _ => {
                return (StatusCode::BAD_REQUEST, [(CACHE_CONTROL, "no-store")], body)
                    .into_response();
            }
        };
        let header = [(CACHE_CONTROL, "no-store"), (WWW_AUTHENTICATE, challenge)];
        (StatusCode::UNAUTHORIZED, header, body).into_response()
    }
}

/// The parameters of the endpoints that clients post to. One that is repeated is refused while
/// they are read (RFC 6749 §3.2).
#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    client_id: Option<String>,
    client_secret: Option<String>,
    pub(super) grant_type: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) code: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) code_verifier: Option<String>,
    pub(super) code_challenge: Option<String>,
    pub(super) code_challenge_method: Option<String>,
    pub(super) device_code: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
}

/// What a client posted, and which it is.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) client: &'static Client,
    pub(super) form: Parameters,
}

impl FromRequest<Arc<Issuer>> for Posted {
    type Rejection = OAuthFault;

    async fn from_request(request: Request, issuer: &Arc<Issuer>) -> Result<Self, OAuthFault> {
        let header = request.headers().get(AUTHORIZATION);
        let header = header.map(|value| value.to_str().unwrap_or_default().to_owned());
        let Form(form) = Form::<Parameters>::from_request(request, issuer).await.map_err(|_| {
            OAuthFault("invalid_request", "the body is not a form, or has a parameter twice")
        })?;
        let client = authenticate(header.as_deref(), &form)?;
        Ok(Self { client, form })
    }
}

/// Who asks: HTTP Basic or form fields (RFC 6749 §2.3.1).
fn authenticate(header: Option<&str>, form: &Parameters) -> Result<&'static Client, OAuthFault> {
    let fault = |why| OAuthFault("invalid_client", why);
    let (id, secret) = match header {
        Some(header) => {
            let (id, secret) =
                basic(header).ok_or(fault("the Authorization header is not HTTP Basic"))?;
            (id, Some(secret))
        }
        None => {
            let id = form.client_id.clone().ok_or(fault("client_id is missing"))?;
            (id, form.client_secret.clone())
        }
    };
    let client = CLIENTS.iter().find(|client| client.id == id).ok_or(fault("no such client"))?;
    match client.secret {
        Some(wanted) if secret.as_deref() != Some(wanted) => Err(fault("wrong client secret")),
        Some(_) | None => Ok(client),
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, value) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    // RFC 6749 §2.3.1: both halves are form-encoded before Basic joins them. A lone name parses
    // as that name with an empty value; `=` and `&` arrive encoded.
    let decoded = |text: &str| {
        let mut pairs = url::form_urlencoded::parse(text.as_bytes());
        pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default()
    };
    Some((decoded(id), decoded(secret)))
}
