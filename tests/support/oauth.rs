//! An OAuth provider that answers as it is told, one answer after the other, and keeps
//! what it was asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One answer.
#[derive(Clone, Debug)]
pub enum Say {
    /// A status and a document.
    Json(u16, Value),
    /// A status, a header and a body.
    Raw(u16, (&'static str, String), String),
    /// A body without end.
    Endless,
    /// Nothing, ever.
    Hang,
}

/// A request it got.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub form: HashMap<String, String>,
    pub at: Instant,
}

pub struct OAuth {
    url: String,
    state: Arc<Script>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Script {
    answers: Mutex<HashMap<String, Vec<Say>>>,
    asked: Mutex<Vec<Asked>>,
}

impl OAuth {
    /// Publishes `/token`, `/device_authorization` and `/revoke`, as an issuer and as a
    /// platform; the device endpoint gives out codes that are good for ten minutes.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Script>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let fake = Self { url, state, _server: server };
        fake.publish(json!({}));
        fake.platform(json!({}));
        fake.device(json!({}));
        fake
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it says to requests for `path`; the last answer again and again.
    pub fn say(&self, path: &str, answers: impl IntoIterator<Item = Say>) {
        let answers = answers.into_iter().collect();
        self.state.answers.lock().unwrap().insert(path.to_owned(), answers);
    }

    /// The issuer's document with these members changed.
    pub fn publish(&self, changes: Value) {
        let at = |path: &str| format!("{}{path}", self.url);
        let document = json!({
            "issuer": self.url, "jwks_uri": at("/keys"), "token_endpoint": at("/token"),
            "device_authorization_endpoint": at("/device_authorization"),
            "revocation_endpoint": at("/revoke"),
        });
        let document = Say::Json(200, changed(document, changes));
        self.say("/.well-known/openid-configuration", [document]);
    }

    /// The platform's `oidc` with these members changed.
    pub fn platform(&self, changes: Value) {
        let oidc = json!({
            "issuer": self.url, "client_id": "nmp", "default_scopes": "openid",
            "token_endpoint": null, "device_authorization_endpoint": null, "scope_prefix": null,
        });
        let document = json!({"auth_enabled": true, "oidc": changed(oidc, changes)});
        self.say("/apis/auth/discovery", [Say::Json(200, document)]);
    }

    /// The answer to a request for a code, with these members changed.
    pub fn device(&self, changes: Value) {
        let answer = json!({
            "device_code": "d", "user_code": "ABCD-EFGH", "expires_in": 600, "interval": 1,
            "verification_uri": format!("{}/device", self.url),
        });
        self.say("/device_authorization", [Say::Json(200, changed(answer, changes))]);
    }

    /// The requests for this path.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.state.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }
}

/// An answer of the token endpoint that is as it should be, with these members changed.
pub fn tokens(changes: Value) -> Say {
    let answer = json!({"access_token": "opaque-token", "token_type": "Bearer", "expires_in": 600});
    Say::Json(200, changed(answer, changes))
}

/// An error (RFC 6749 §5.2).
pub fn refusal(error: &str, description: &str) -> Say {
    Say::Json(400, json!({"error": error, "error_description": description}))
}

fn changed(mut document: Value, changes: Value) -> Value {
    let members = document.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    document
}

async fn answer(State(state): State<Arc<Script>>, uri: Uri, body: Bytes) -> Response<Body> {
    let path = uri.path().to_owned();
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    state.asked.lock().unwrap().push(Asked { path: path.clone(), form, at: Instant::now() });
    let say = state
        .answers
        .lock()
        .unwrap()
        .get_mut(&path)
        .map(|answers| if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() });
    let response = Response::builder();
    match say {
        Some(Say::Json(status, document)) => response
            .status(status)
            .header("content-type", "application/json")
            .body(Body::from(document.to_string())),
        Some(Say::Raw(status, (name, value), body)) => {
            response.status(status).header(name, value).body(Body::from(body))
        }
        Some(Say::Endless) => {
            let piece = || Some((Ok::<_, Infallible>(Bytes::from_static(&[b' '; 16384])), ()));
            let pieces = tokio_stream::iter(std::iter::from_fn(move || piece().map(|(p, ())| p)));
            response.header("content-type", "application/json").body(Body::from_stream(pieces))
        }
        Some(Say::Hang) => std::future::pending().await,
        None => response.status(404).body(Body::empty()),
    }
    .unwrap()
}
