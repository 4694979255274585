//! The gRPC front: `envoy.service.auth.v3.Authorization/Check`, health and reflection.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, Request, Response};
use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use tonic::service::Routes;
use tower::{Service, ServiceExt as _};

use super::door::Door;
use super::parts::Parts;
use super::server::{Front, Protocols};
use super::unary::{Reply, read_message, reply};
use crate::request::RequestView;

/// Where Envoy calls.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Larger messages are denied: Envoy's limit for headers is far below.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Envoy's own definition, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.service.auth.v3.bin"));

/// Answers gRPC calls.
#[derive(Clone)]
pub struct GrpcFront {
    door: Arc<ArcSwap<Door>>,
    others: Arc<Routes>,
}

impl GrpcFront {
    /// A front that decides with whatever `door` holds at the time, and reports `health`.
    ///
    /// # Errors
    /// The descriptors that were compiled in cannot be read: a broken build.
    pub fn new(
        door: Arc<ArcSwap<Door>>,
        health: impl Service<
            Request<tonic::body::Body>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + tonic::server::NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let others = Routes::new(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .prepare();
        Ok(Self { door, others: Arc::new(others) })
    }
}

impl Front for GrpcFront {
    type Body = GrpcBody;
    const PROTOCOLS: Protocols = Protocols::Http2;

    async fn answer(self, request: Request<Incoming>) -> Response<GrpcBody> {
        if request.uri().path() == CHECK {
            let door = self.door.load_full();
            reply(check(&door, request).await).map(GrpcBody::Check)
        } else {
            let others = Routes::clone(&self.others);
            let answer = others.oneshot(request.map(tonic::body::Body::new)).await;
            answer.unwrap_or_else(|never| match never {}).map(GrpcBody::Other)
        }
    }
}

/// Answers one call. There is always a decision, never a gRPC error: Envoy would not take
/// that for a denial, and `failure_mode_allow` would turn it into an open door, forged
/// headers and all.
async fn check(door: &Door, request: Request<Incoming>) -> Bytes {
    let (head, body) = request.into_parts();
    let message = read_message(body, MAX_MESSAGE_BYTES).await.unwrap_or_default();
    door.check_message(message, patience(&head.headers)).await
}

impl Door {
    /// The reply to one `CheckRequest`: a `CheckResponse`, the five bytes that gRPC puts
    /// in front of a message included. A message that cannot be read is an empty one, and
    /// so denied as a malformed request. Waits for keys no longer than `patience`, the
    /// time that the caller has.
    pub async fn check_message(&self, message: Bytes, patience: Option<Duration>) -> Bytes {
        let parts = Parts::read(&message).unwrap_or_default();
        let view = RequestView {
            method: parts.method,
            path: parts.path,
            headers: &parts.headers,
            route: parts.route,
        };
        let decision = self.decide(&view, patience).await;
        self.encoder().encode(&decision, &parts.headers)
    }
}

/// Three quarters of the caller's own deadline (`grpc-timeout`): an answer that comes
/// too late is an error to Envoy.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let timeout = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "n" => Duration::from_nanos(amount),
        "u" => Duration::from_micros(amount),
        "m" => Duration::from_millis(amount),
        "S" => Duration::from_secs(amount),
        "M" => Duration::from_secs(amount.saturating_mul(60)),
        "H" => Duration::from_secs(amount.saturating_mul(3600)),
        _ => return None,
    };
    Some(timeout.saturating_mul(3) / 4)
}

/// The body of an answer: our own for `Check`, tonic's for all other calls.
#[derive(Debug)]
pub enum GrpcBody {
    /// To a check.
    Check(Reply),
    /// To anything else.
    Other(tonic::body::Body),
}

impl Body for GrpcBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Check(reply) => {
                Pin::new(reply).poll_frame(context).map_err(|never| match never {})
            }
            Self::Other(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Check(reply) => reply.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }
}
