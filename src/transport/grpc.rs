//! The gRPC front: `envoy.service.auth.v3.Authorization/Check`, health and reflection.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Request, Response};
use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::service::Routes;
use tower::{Service, ServiceExt as _};

use super::codec::LeanCodec;
use super::door::Door;
use super::envoy::Parts;
use super::lean;
use super::server::{Front, Protocols};
use crate::request::RequestView;

/// Where Envoy calls.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Larger messages are refused: Envoy's headers are at most a fraction of this.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Envoy's own definition, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.service.auth.v3.bin"));

/// Answers gRPC calls.
#[derive(Clone)]
pub struct GrpcFront {
    door: Arc<ArcSwap<Door>>,
    others: Routes,
}

impl GrpcFront {
    /// A front that decides with whatever `door` holds at the time, and reports `health`.
    ///
    /// # Errors
    /// The descriptors that were compiled in cannot be read: a broken build.
    pub fn new(
        door: Arc<ArcSwap<Door>>,
        health: impl Service<
            Request<Body>,
            Response = Response<Body>,
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
        Ok(Self { door, others })
    }
}

impl Front for GrpcFront {
    type Body = Body;
    const PROTOCOLS: Protocols = Protocols::Http2;

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let request = request.map(Body::new);
        if request.uri().path() == CHECK {
            let patience = patience(request.headers());
            let check = Check { door: self.door.load_full(), patience };
            let mut grpc = Grpc::new(LeanCodec).max_decoding_message_size(MAX_MESSAGE_BYTES);
            grpc.unary(check, request).await
        } else {
            self.others.oneshot(request).await.unwrap_or_else(|never| match never {})
        }
    }
}

/// One `Check` call.
struct Check {
    door: Arc<Door>,
    patience: Option<Duration>,
}

impl UnaryService<lean::CheckRequest> for Check {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    /// Never an `Err`: a gRPC error is no decision, and `failure_mode_allow` would turn
    /// it into an open door, forged headers and all.
    fn call(&mut self, request: tonic::Request<lean::CheckRequest>) -> Self::Future {
        let (door, patience) = (Arc::clone(&self.door), self.patience);
        Box::pin(async move {
            let message = request.into_inner();
            let parts = Parts::of(&message);
            let view = RequestView {
                method: parts.method,
                path: parts.path,
                headers: &parts.headers,
                route: parts.route,
            };
            let decision = door.decide(&view, patience).await;
            Ok(tonic::Response::new(door.encoder().encode(&decision, &parts.headers)))
        })
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
