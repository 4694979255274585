//! The admin listener: health and metrics. Not for clients.

use std::sync::Arc;

use ::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::http_connection;
use super::responder::{Answer, Responder};
use super::server::Front;
use super::session::{ConnectionError, Session};

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
    const PROTOCOLS: &'static [&'static [u8]] = http_connection::PROTOCOLS;

    async fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        session: Session,
    ) -> Result<(), ConnectionError> {
        http_connection::serve(io, session, self).await
    }
}

impl Responder for AdminFront {
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Answer> + Send + use<> {
        std::future::ready(self.page(&request.map(drop)))
    }

    fn overloaded(&self) -> Answer {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        answer
    }
}

impl AdminFront {
    fn page(&self, request: &Request<()>) -> Answer {
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
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = status;
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, text);
        answer
    }
}
