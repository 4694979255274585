//! An identity provider on a free port that answers as it is told, faults included.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use super::KeyLocation;

/// How a path is answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// 200 with this body.
    Document(String),
    /// 200 with this body and header.
    With(&'static str, &'static str, String),
    /// This status and this header.
    Status(u16, &'static str, String),
    /// Never.
    Hang,
    /// After so long.
    Late(Duration, String),
    /// A chunked body that does not end.
    Endless,
}

pub(super) struct FakeIdp {
    pub(super) issuer: String,
    state: Arc<Faults>,
    server: JoinSet<()>,
}

struct Faults {
    keys: Mutex<Answer>,
    metadata: Mutex<Answer>,
    key_requests: AtomicUsize,
    metadata_requests: AtomicUsize,
    credentials: Mutex<Vec<Option<String>>>,
}

impl FakeIdp {
    /// Publishes fresh keys of these names.
    pub(super) async fn start(kids: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
            "token_endpoint": format!("{issuer}/token"),
        });
        let state = Arc::new(Faults {
            keys: Mutex::new(Answer::Document(jwks(kids))),
            metadata: Mutex::new(Answer::Document(metadata.to_string())),
            key_requests: AtomicUsize::new(0),
            metadata_requests: AtomicUsize::new(0),
            credentials: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer, state, server }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.issuer)).unwrap()
    }

    pub(super) fn discovery(&self) -> KeyLocation {
        KeyLocation::Discovery(super::super::well_known_url(&self.issuer).unwrap())
    }

    pub(super) fn jwks_uri(&self) -> KeyLocation {
        KeyLocation::JwksUri(self.url("/keys"))
    }

    pub(super) fn keys(&self, answer: Answer) {
        *self.state.keys.lock().unwrap() = answer;
    }

    pub(super) fn metadata(&self, answer: Answer) {
        *self.state.metadata.lock().unwrap() = answer;
    }

    pub(super) fn key_requests(&self) -> usize {
        self.state.key_requests.load(Ordering::SeqCst)
    }

    pub(super) fn metadata_requests(&self) -> usize {
        self.state.metadata_requests.load(Ordering::SeqCst)
    }

    /// The header `Authorization` of each request since this was last asked.
    pub(super) fn credentials(&self) -> Vec<Option<String>> {
        std::mem::take(&mut *self.state.credentials.lock().unwrap())
    }

    /// No longer there: connections are refused.
    pub(super) async fn stop(&mut self) {
        self.server.shutdown().await;
    }
}

async fn answer(State(state): State<Arc<Faults>>, uri: Uri, header: HeaderMap) -> Response<Body> {
    let credentials = header.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    state.credentials.lock().unwrap().push(credentials);
    let answer = match uri.path() {
        "/keys" => {
            state.key_requests.fetch_add(1, Ordering::SeqCst);
            state.keys.lock().unwrap().clone()
        }
        "/.well-known/openid-configuration" => {
            state.metadata_requests.fetch_add(1, Ordering::SeqCst);
            state.metadata.lock().unwrap().clone()
        }
        "/loop" => Answer::Status(302, "location", "/loop".into()),
        "/moved" => Answer::Status(307, "location", "keys".into()),
        _ => Answer::Status(404, "x-no", "no".into()),
    };
    let response = Response::builder();
    match answer {
        Answer::Document(body) => response.body(Body::from(body)),
        Answer::With(name, value, body) => response.header(name, value).body(Body::from(body)),
        Answer::Status(status, name, value) => {
            response.status(status).header(name, value).body(Body::empty())
        }
        Answer::Hang => std::future::pending().await,
        Answer::Late(delay, body) => {
            tokio::time::sleep(delay).await;
            response.body(Body::from(body))
        }
        Answer::Endless => response.body(Body::new(Endless)),
    }
    .unwrap()
}

struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let chunk = Bytes::from_static(&[b' '; 4096]);
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(chunk))))
    }
}

/// A key set of fresh Ed25519 keys.
pub(super) fn jwks(kids: &[&str]) -> String {
    jwks_of(kids.iter().map(|kid| jwk(kid)).collect())
}

pub(super) fn jwks_of(keys: Vec<Value>) -> String {
    json!({ "keys": keys }).to_string()
}

pub(super) fn jwk(kid: &str) -> Value {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
}
