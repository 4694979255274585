//! The admin listener: health and metrics. Not for clients.

use std::sync::Arc;

use ::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;

use super::server::{Front, Protocols};

/// Answers operators' probes.
#[derive(Clone)]
pub struct AdminFront {
    view: Arc<dyn AdminView>,
}

/// What the admin listener tells.
pub trait AdminView: Send + Sync + 'static {
    /// Whether to send requests here, and a line for people on each issuer.
    fn readiness(&self) -> Readiness;

    /// All metrics in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// Whether Doorward can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// Why, for people.
    pub lines: Vec<String>,
}

impl AdminFront {
    /// A front that tells what `view` sees.
    #[must_use]
    pub fn new(view: Arc<dyn AdminView>) -> Self {
        Self { view }
    }
}

impl Front for AdminFront {
    type Body = Full<Bytes>;
    const PROTOCOLS: Protocols = Protocols::Both;

    async fn answer(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, body) = match request.uri().path() {
            "/health/live" => (StatusCode::OK, "live\n".to_owned()),
            "/health/ready" => {
                let Readiness { ready, lines } = self.view.readiness();
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, format!("{}\n", lines.join("\n")))
            }
            "/metrics" => (StatusCode::OK, self.view.metrics()),
            _ => (StatusCode::NOT_FOUND, "try /health/live, /health/ready, /metrics\n".to_owned()),
        };
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = status;
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, text);
        answer
    }
}
