//! The upstream: answers with what it was sent, and remembers every request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
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
            .filter(|(name, _)| doorward_core::identity::folded(name).starts_with("x-nmp"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        trusted.sort_unstable();
        trusted
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

async fn echo(State(seen): State<Seen>, request: Request) -> Json<Echoed> {
    let headers = request.headers().iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let echoed = Echoed {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: headers.collect(),
    };
    seen.lock().unwrap().push(echoed.clone());
    Json(echoed)
}
