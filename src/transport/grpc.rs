//! The gRPC front: `envoy.service.auth.v3.Authorization/Check`, health and reflection.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, Request, Response};
use arc_swap::ArcSwap;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tonic::service::Routes;
use tower::{Service, ServiceExt as _};

use super::door::Door;
use super::grpc_connection::{self, Call};
use super::parts::Parts;
use super::server::{ConnectionError, Front};
use super::unary::{IncomingMessage, send_reply};
use crate::authorizer::{MissingKey, Verdict};
use crate::decision::{Decision, Denial, Fault};

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
    const PROTOCOLS: &'static [&'static [u8]] = grpc_connection::PROTOCOLS;

    async fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        stop: watch::Receiver<bool>,
    ) -> Result<(), ConnectionError> {
        grpc_connection::serve(io, stop, |request, respond, context| {
            self.begin(request, respond, context)
        })
        .await
    }
}

impl GrpcFront {
    /// Answers a call, or says what is left to do for it. Nearly every check is answered at
    /// once: its message came whole and no key is missing.
    fn begin(
        &self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        context: &mut Context<'_>,
    ) -> Option<Call<'_>> {
        if request.uri().path() != CHECK {
            let routes = Routes::clone(&self.others);
            return Some(Box::pin(async { note_end(pass_on(routes, request, respond).await) }));
        }
        let (head, body) = request.into_parts();
        let mut incoming = IncomingMessage::new(body, MAX_MESSAGE_BYTES);
        let Poll::Ready(message) = incoming.poll(context) else {
            return Some(Box::pin(async move {
                let message = poll_fn(|context| incoming.poll(context)).await;
                self.check(message.unwrap_or_default(), &head.headers, respond).await;
            }));
        };
        let message = message.unwrap_or_default();
        let reply = self.door.load().try_to_reply(&message, Instant::now()).ok();
        let Some(reply) = reply else {
            return Some(Box::pin(async move {
                self.check(message, &head.headers, respond).await;
            }));
        };
        note_end(send_reply(reply, respond));
        None
    }

    /// Answers one check. There is always a decision, never a gRPC error: Envoy would not
    /// take that for a denial, and `failure_mode_allow` would turn it into an open door,
    /// forged headers and all.
    async fn check(&self, message: Bytes, headers: &HeaderMap, respond: SendResponse<Bytes>) {
        let door = self.door.load_full();
        let reply = door.check_message(message, patience(headers)).await;
        note_end(send_reply(reply, respond));
    }
}

fn note_end(sent: Result<(), h2::Error>) {
    if let Err(error) = sent {
        tracing::debug!(%error, "a call ended before its answer was sent");
    }
}

impl Door {
    /// The reply to one `CheckRequest`: a `CheckResponse`, the five bytes that gRPC puts
    /// in front of a message included. A message that cannot be read is an empty one, and
    /// so denied as a malformed request. `patience` is the time that the caller has: keys are
    /// waited for no longer than three quarters of it.
    pub async fn check_message(&self, message: Bytes, patience: Option<Duration>) -> Bytes {
        let started = Instant::now();
        match self.try_to_reply(&message, started) {
            Ok(reply) => reply,
            Err(missing) => self.reply_later(&message, missing, started, patience).await,
        }
    }

    /// The reply, if the keys at hand are enough for it. No future holds the parts of the
    /// request: they are larger than all else that a check needs.
    fn try_to_reply(&self, message: &[u8], started: Instant) -> Result<Bytes, MissingKey<'_>> {
        let mut parts = Parts::default();
        let _ = parts.read(message);
        match self.authorizer().decide(&parts.view(), self.now()) {
            Verdict::Decided(decision) => Ok(self.reply(&parts, &decision, started)),
            Verdict::NeedsKey(missing) => Err(missing),
        }
    }

    async fn reply_later(
        &self,
        message: &[u8],
        missing: MissingKey<'_>,
        started: Instant,
        patience: Option<Duration>,
    ) -> Bytes {
        let wait = self.wait(patience);
        let obtained = Box::pin(missing.obtain(wait)).await;
        let mut parts = Parts::default();
        let _ = parts.read(message);
        let decision = match obtained {
            Ok(()) => self.authorizer().decide(&parts.view(), self.now()).or_deny(),
            Err(denial) => Decision::Deny(denial),
        };
        self.reply(&parts, &decision, started)
    }

    /// Takes note of a decision and encodes it. Should that panic, this call is denied and
    /// the others on its connection, which is one task with them, do not notice.
    fn reply(&self, parts: &Parts<'_>, decision: &Decision, started: Instant) -> Bytes {
        let reply = catch_unwind(AssertUnwindSafe(|| {
            self.take_note(&parts.view(), decision, started);
            self.encode(decision, &parts.headers)
        }));
        let internal_error = || Decision::Deny(Denial::from(Fault::Internal));
        reply.unwrap_or_else(|_| self.encode(&internal_error(), &[]))
    }
}

/// Answers a call that is not `Check`, as tonic does.
async fn pass_on(
    routes: Routes,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let request = request.map(|body| tonic::body::Body::new(Received(body)));
    let answer = routes.oneshot(request).await.unwrap_or_else(|never| match never {});
    let (head, mut body) = answer.into_parts();
    let mut sent = respond.send_response(Response::from_parts(head, ()), body.is_end_stream())?;
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            // Watching health goes on until the client wants no more of it.
            reason = poll_fn(|context| sent.poll_reset(context)) => {
                return reason.map(drop);
            }
        };
        match frame {
            None => return Ok(()),
            Some(Err(_)) => {
                sent.send_reset(h2::Reason::INTERNAL_ERROR);
                return Ok(());
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => sent.send_data(data, false)?,
                Err(frame) => {
                    return sent.send_trailers(frame.into_trailers().unwrap_or_default());
                }
            },
        }
    }
}

/// The body of a call, for tonic.
struct Received(RecvStream);

impl Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Self(body) = self.get_mut();
        if let Some(data) = ready!(body.poll_data(context)) {
            return Poll::Ready(Some(data.and_then(|data| {
                body.flow_control().release_capacity(data.len())?;
                Ok(Frame::data(data))
            })));
        }
        let trailers = ready!(body.poll_trailers(context));
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

/// The time that the caller has (`grpc-timeout`).
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let timeout = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "n" => Duration::from_nanos(amount),
        "u" => Duration::from_micros(amount),
        "m" => Duration::from_millis(amount),
        "S" => Duration::from_secs(amount),
        "M" => Duration::from_secs(amount.saturating_mul(60)),
        "H" => Duration::from_secs(amount.saturating_mul(3600)),
        _ => return None,
    })
}
