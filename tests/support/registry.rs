//! Those who are asked about tokens: an introspection endpoint (RFC 7662), NeMo Platform as far as
//! others ask it, its key set and `/apis/auth/authenticate`, and what looks like an OPA.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::signer::RSA;

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Questioned {
    pub token: String,
    /// `Authorization`, or the whole form.
    pub shown: String,
    /// Path and query.
    pub target: String,
}

pub struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    known: Mutex<HashMap<String, Value>>,
    answer: Mutex<Behaviour>,
    questions: Mutex<Vec<Questioned>>,
}

/// What comes of a question.
#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    /// The truth.
    #[default]
    Answers,
    /// The truth, after a while.
    After(Duration),
    /// This status and text.
    Says(u16, &'static str),
}

impl Registry {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let router = Router::new()
            .route("/introspect", post(introspect))
            .route("/apis/auth/authenticate", get(authenticate).post(authenticate))
            .route("/apis/auth/jwks", get(|| async { json!({"keys": [RSA.jwk()]}).to_string() }))
            .route("/v1/data/{*path}", post(decide))
            .with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, _server: server }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The token is active, and this is what there is to say of it.
    pub fn issue(&self, token: &str, about: Value) {
        self.shared.known.lock().unwrap().insert(token.to_owned(), about);
    }

    pub fn revoke(&self, token: &str) {
        self.shared.known.lock().unwrap().remove(token).expect("it was issued");
    }

    pub fn will(&self, answer: Behaviour) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// What was asked since this was called last.
    pub fn questions(&self) -> Vec<Questioned> {
        std::mem::take(&mut self.shared.questions.lock().unwrap())
    }
}

impl Shared {
    async fn asked(&self, question: Questioned) -> Result<Option<Value>, Response> {
        let known = self.known.lock().unwrap().get(&question.token).cloned();
        self.questions.lock().unwrap().push(question);
        let answer = self.answer.lock().unwrap().clone();
        match answer {
            Behaviour::Answers => Ok(known),
            Behaviour::After(time) => {
                tokio::time::sleep(time).await;
                Ok(known)
            }
            Behaviour::Says(status, text) => {
                Err((StatusCode::from_u16(status).unwrap(), text).into_response())
            }
        }
    }
}

async fn introspect(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let fields: HashMap<String, String> = url::form_urlencoded::parse(&form).into_owned().collect();
    let authorization =
        headers.get(header::AUTHORIZATION).map(|it| it.to_str().unwrap().to_owned());
    let question = Questioned {
        token: fields.get("token").cloned().unwrap_or_default(),
        shown: authorization.unwrap_or_else(|| String::from_utf8(form.to_vec()).unwrap()),
        target: "/introspect".to_owned(),
    };
    match shared.asked(question).await {
        Ok(Some(mut about)) => {
            about["active"] = json!(true);
            axum::Json(about).into_response()
        }
        Ok(None) => axum::Json(json!({"active": false})).into_response(),
        Err(answer) => answer,
    }
}

async fn decide(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let target = request.uri().path_and_query().unwrap().to_string();
    let question = Questioned { token: String::new(), shown: String::new(), target };
    match shared.asked(question).await {
        Ok(_) => axum::Json(json!({"result": true})).into_response(),
        Err(answer) => answer,
    }
}

async fn authenticate(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.map_or("", |value| value.to_str().unwrap()).to_owned();
    let token = shown.strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let target = request.uri().path_and_query().unwrap().to_string();
    match shared.asked(Questioned { token, shown, target }).await {
        Ok(Some(about)) => axum::Json(about).into_response(),
        Ok(None) => {
            let detail = json!({"detail": "Invalid bearer token"});
            (StatusCode::UNAUTHORIZED, axum::Json(detail)).into_response()
        }
        Err(answer) => answer,
    }
}
