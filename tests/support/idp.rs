//! An identity provider that answers as it is told, faults included, and counts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Response, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::signer::{Signer, jwks};

/// How a document is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200 with this document.
    Document(Value),
    /// 200 with these bytes.
    Text(String),
    /// This status and no body.
    Status(u16),
    /// After so long, 200 with this document.
    Late(Duration, Value),
    /// Never.
    Hang,
}

const METADATA: &str = "/.well-known/openid-configuration";

pub struct Idp {
    address: SocketAddr,
    state: Arc<Faults>,
    server: JoinSet<()>,
}

struct Faults {
    documents: Mutex<Vec<(String, Answer)>>,
    key_requests: AtomicUsize,
}

impl Idp {
    /// Publishes the keys of these signers.
    pub async fn start<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Self {
        let mut idp = Self::down(signers).await;
        idp.up().await;
        idp
    }

    /// The same, but connections are refused until [`up`](Self::up).
    pub async fn down<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let state =
            Arc::new(Faults { documents: Mutex::default(), key_requests: AtomicUsize::new(0) });
        let idp = Self { address, state, server: JoinSet::new() };
        idp.answer(METADATA, Answer::Document(idp.metadata()));
        idp.publish(signers);
        idp
    }

    /// The discovery document.
    pub fn metadata(&self) -> Value {
        let issuer = self.issuer();
        json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "device_authorization_endpoint": format!("{issuer}/device"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
        })
    }

    /// Takes so long to answer from now on, and publishes these keys.
    pub fn slow<'s>(&self, delay: Duration, signers: impl IntoIterator<Item = &'s Signer>) {
        self.answer(METADATA, Answer::Late(delay, self.metadata()));
        self.answer_keys(Answer::Late(delay, jwks(signers)));
    }

    pub async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&self.state));
        self.server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    }

    /// Connections are refused from now on, and those that are open end.
    pub async fn stop(&mut self) {
        self.server.shutdown().await;
    }

    pub fn issuer(&self) -> String {
        self.url("")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Publishes these keys and no others from now on.
    pub fn publish<'s>(&self, signers: impl IntoIterator<Item = &'s Signer>) {
        self.answer_keys(Answer::Document(jwks(signers)));
    }

    pub fn answer_keys(&self, answer: Answer) {
        self.answer("/keys", answer);
    }

    /// Answers this path like this from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        let mut documents = self.state.documents.lock().unwrap();
        documents.retain(|(have, _)| have != path);
        documents.push((path.to_owned(), answer));
    }

    /// How often keys were asked for.
    pub fn key_requests(&self) -> usize {
        self.state.key_requests.load(Ordering::SeqCst)
    }
}

async fn answer(State(state): State<Arc<Faults>>, method: Method, uri: Uri) -> Response<Body> {
    let path = uri.path();
    if path.contains("/keys") {
        state.key_requests.fetch_add(1, Ordering::SeqCst);
    }
    let known = state.documents.lock().unwrap().iter().find(|(have, _)| have == path).cloned();
    let answer = match known {
        Some((_, answer)) if method == Method::GET => answer,
        _ => Answer::Status(404),
    };
    let response = Response::builder();
    match answer {
        Answer::Document(document) => response.body(Body::from(document.to_string())),
        Answer::Text(text) => response.body(Body::from(text)),
        Answer::Status(status) => response.status(status).body(Body::empty()),
        Answer::Late(delay, document) => {
            tokio::time::sleep(delay).await;
            response.body(Body::from(document.to_string()))
        }
        Answer::Hang => std::future::pending().await,
    }
    .unwrap()
}
