//! One request over HTTP/2, from its arrival to the end of its answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::{HeaderValue, Method, Request, Response, header};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use tokio::time::Instant;

use super::budget::{CALL_BYTES, Held, OverBudget};
use super::call::{Call, head_bytes};
use super::h2_connection::Arrived;
use super::responder::{Answer, Responder};
use super::unary::Outgoing;
use crate::telemetry::CutOff;

/// A request that is answered.
pub(super) struct RequestCall<'f, R> {
    responder: &'f R,
    respond: SendResponse<Bytes>,
    /// Nobody looks at it, but what of it is not taken is kept.
    body: RecvStream,
    head_bytes: usize,
    /// Whose answers have no body.
    is_head: bool,
    stage: RequestStage,
}

enum RequestStage {
    Answering(Pin<Box<dyn Future<Output = Answer> + Send>>),
    /// The answer goes out since this moment.
    Sending(Outgoing, Instant),
}

impl<'f, R: Responder> RequestCall<'f, R> {
    pub(super) fn new(responder: &'f R, (request, respond): Arrived) -> Self {
        let head_bytes = head_bytes(request.headers());
        let is_head = request.method() == Method::HEAD;
        let (head, body) = request.into_parts();
        let answer = Box::pin(responder.answer(Request::from_parts(head, Bytes::new())));
        Self {
            responder,
            respond,
            body,
            head_bytes,
            is_head,
            stage: RequestStage::Answering(answer),
        }
    }

    /// Sends an answer; what the client's window has no room for is still to be sent.
    fn send(&mut self, answer: Answer) -> Result<Option<Outgoing>, h2::Error> {
        let (head, body) = answer.into_parts();
        let mut head = Response::from_parts(head, ());
        head.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let is_all = self.is_head || body.is_empty();
        let stream = self.respond.send_response(head, is_all)?;
        if is_all { Ok(None) } else { Outgoing::new(stream, body).send() }
    }
}

impl<R: Responder> Call for RequestCall<'_, R> {
    fn poll(&mut self, context: &mut Context<'_>, held: &mut Held) -> Poll<Result<(), OverBudget>> {
        while let Poll::Ready(Some(Ok(_))) = self.body.poll_data(context) {}
        let _ = self.body.poll_trailers(context);
        if let RequestStage::Answering(answer) = &mut self.stage {
            if self.respond.poll_reset(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let answer = ready!(answer.as_mut().poll(context));
            match self.send(answer) {
                Ok(Some(outgoing)) => self.stage = RequestStage::Sending(outgoing, Instant::now()),
                _ => return Poll::Ready(Ok(())),
            }
            held.set(CALL_BYTES.saturating_add(self.bytes()))?;
        }
        if let RequestStage::Sending(outgoing, _) = &mut self.stage {
            // An error means that nobody wants it any more.
            let _ = ready!(outgoing.poll(context));
        }
        Poll::Ready(Ok(()))
    }

    fn bytes(&self) -> usize {
        match &self.stage {
            RequestStage::Answering(_) => self.head_bytes,
            RequestStage::Sending(outgoing, _) => outgoing.bytes(),
        }
    }

    fn waits_for_client_since(&self, _is_scarce: bool) -> Option<Instant> {
        match self.stage {
            RequestStage::Answering(_) => None,
            RequestStage::Sending(_, since) => Some(since),
        }
    }

    fn cut_off(mut self: Box<Self>, _why: CutOff) {
        if matches!(self.stage, RequestStage::Answering(_)) {
            let answer = self.responder.overloaded();
            // What the client's window has no room for is lost with the call.
            let _ = self.send(answer);
        }
    }
}
