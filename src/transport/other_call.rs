//! A call that is not `Check`: health and reflection, which tonic answers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::Response;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http_body::{Body, Frame};
use tokio::time::Instant;
use tonic::service::Routes;
use tower::ServiceExt as _;

use super::budget::{CALL_BYTES, Held, OverBudget};
use super::call::{Call, head_bytes};
use super::h2_connection::Arrived;
use super::unary::send_what_fits;
use crate::telemetry::CutOff;

/// The longest message to health and reflection, in bytes: names of services and files.
pub const MAX_OTHER_MESSAGE_BYTES: usize = 16 * 1024;
/// What a call of health takes besides its head, in bytes: tonic keeps a message until it is
/// whole, and what it takes to answer it.
const HEALTH_BYTES: usize = 2 * MAX_OTHER_MESSAGE_BYTES;
/// The same of reflection, which need not read to the end what its client sends: a stream's window
/// of frames with one byte each, which cost the h2 crate some 256 each, or a whole list of trailers.
const REFLECTION_BYTES: usize = 4 * 1024 * 1024;

/// A call that tonic answers.
pub(super) struct OtherCall {
    /// What it takes, but for what is still to be sent.
    bytes: usize,
    stage: OtherStage,
    kind: OtherKind,
    /// When it last got on.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OtherKind {
    /// Asks and watches.
    Health,
    /// A conversation: the client may go on asking.
    Reflection,
}

enum OtherStage {
    Answering(
        Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>,
        SendResponse<Bytes>,
    ),
    Sending {
        body: tonic::body::Body,
        sent: SendStream<Bytes>,
        /// Of `body`, and not yet in `sent`.
        rest: Bytes,
    },
}

impl OtherCall {
    pub(super) fn new(routes: Routes, (request, respond): Arrived) -> Self {
        let (kind, own) = if request.uri().path().starts_with("/grpc.reflection.") {
            (OtherKind::Reflection, REFLECTION_BYTES)
        } else {
            (OtherKind::Health, HEALTH_BYTES)
        };
        let bytes = head_bytes(request.headers()).saturating_add(own);
        let request = request.map(|body| tonic::body::Body::new(Incoming(body)));
        let answer = Box::pin(routes.oneshot(request));
        Self { bytes, stage: OtherStage::Answering(answer, respond), kind, since: Instant::now() }
    }

    fn poll_to_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match &mut self.stage {
                OtherStage::Answering(answer, respond) => {
                    if respond.poll_reset(context).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    let Ok(answer) = ready!(answer.as_mut().poll(context));
                    let (head, body) = answer.into_parts();
                    let head = Response::from_parts(head, ());
                    let sent = respond.send_response(head, body.is_end_stream())?;
                    self.stage = OtherStage::Sending { body, sent, rest: Bytes::new() };
                    if self.kind == OtherKind::Health {
                        // What was asked has been read.
                        self.bytes = 0;
                    }
                }
                OtherStage::Sending { body, sent, rest } => {
                    if !ready!(send_what_fits(sent, rest, false, context))? {
                        return Poll::Ready(Ok(()));
                    }
                    // Watching health goes on until the client wants no more of it.
                    if sent.poll_reset(context).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    match ready!(Pin::new(body).poll_frame(context)) {
                        None => return Poll::Ready(Ok(())),
                        Some(Err(_)) => {
                            sent.send_reset(h2::Reason::INTERNAL_ERROR);
                            return Poll::Ready(Ok(()));
                        }
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => {
                                *rest = data;
                                self.since = Instant::now();
                            }
                            Err(frame) => {
                                let trailers = frame.into_trailers().unwrap_or_default();
                                return Poll::Ready(sent.send_trailers(trailers));
                            }
                        },
                    }
                }
            }
        }
    }
}

impl Call for OtherCall {
    fn poll(&mut self, context: &mut Context<'_>, held: &mut Held) -> Poll<Result<(), OverBudget>> {
        let end = self.poll_to_end(context);
        held.set(CALL_BYTES.saturating_add(self.bytes()))?;
        if let Err(error) = ready!(end) {
            tracing::debug!(%error, "a call ended before its answer was sent");
        }
        Poll::Ready(Ok(()))
    }

    fn bytes(&self) -> usize {
        let rest = match &self.stage {
            OtherStage::Answering(..) => 0,
            OtherStage::Sending { rest, .. } => rest.len(),
        };
        self.bytes.saturating_add(rest)
    }

    fn waits_for_client_since(&self, is_scarce: bool) -> Option<Instant> {
        let waits_for_client = match (&self.stage, self.kind) {
            (OtherStage::Answering(..), _) | (_, OtherKind::Reflection) => true,
            // Whoever watches health can begin again.
            (OtherStage::Sending { rest, .. }, OtherKind::Health) => is_scarce || !rest.is_empty(),
        };
        waits_for_client.then_some(self.since)
    }

    /// Ends its stream: a task of tonic's may hold what comes in of it. No decision hangs on it.
    fn cut_off(mut self: Box<Self>, _why: CutOff) {
        match &mut self.stage {
            OtherStage::Answering(_, respond) => respond.send_reset(h2::Reason::CANCEL),
            OtherStage::Sending { sent, .. } => sent.send_reset(h2::Reason::CANCEL),
        }
    }
}

/// The body of a call, for tonic.
struct Incoming(RecvStream);

impl Body for Incoming {
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
