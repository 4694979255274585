//! The upstream: answers with what it was sent, and remembers every request. Asked to go on
//! in cleartext HTTP/2, it goes on, in HTTP/1: what matters is that nobody looks any more.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::raw::Reply;

/// A request as it arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Echoed {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// In lower case, repeats kept.
    pub headers: Vec<(String, String)>,
}

pub struct Echo {
    address: SocketAddr,
    seen: Seen,
    _server: JoinSet<()>,
}

type Seen = Arc<Mutex<Vec<Echoed>>>;

impl Echo {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let router = Router::new().fallback(echo).with_state(Arc::clone(&seen));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, _server: server }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What arrived since this was asked last.
    pub fn take(&self) -> Vec<Echoed> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Echoed {
    /// What the upstream saw of the request that got this answer.
    pub fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{reply:?}");
        serde_json::from_value(reply.json()).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
    }

    /// Every header that could be taken for one of ours, in whatever spelling; sorted.
    pub fn trusted(&self) -> Vec<(&str, &str)> {
        let mut trusted: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| name.replace('_', "-").to_ascii_lowercase().starts_with("x-nmp"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        trusted.sort_unstable();
        trusted
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

async fn echo(State(seen): State<Seen>, mut request: Request) -> Response {
    if request.headers().get(UPGRADE).is_some_and(|protocol| protocol == "h2c") {
        serve_upgraded(seen, &mut request);
        let switch = [(UPGRADE, "h2c"), (CONNECTION, "Upgrade")];
        return (StatusCode::SWITCHING_PROTOCOLS, switch).into_response();
    }
    let headers = request.headers().iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let echoed = Echoed {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: headers.collect(),
    };
    seen.lock().unwrap().push(echoed.clone());
    Json(echoed).into_response()
}

/// Not part of [`echo`], whose type would hold itself.
fn serve_upgraded(seen: Seen, request: &mut Request) {
    let upgraded = hyper::upgrade::on(request);
    let service = TowerToHyperService::new(Router::new().fallback(echo).with_state(seen));
    tokio::spawn(async move {
        let stream = upgraded.await.unwrap();
        // The client may leave at any time.
        let _ = http1::Builder::new().serve_connection(stream, service).await;
    });
}
