//! One call of `Check`, from its arrival to the end of its reply.
//!
//! There is always a decision, never a gRPC error: Envoy would not take that for a denial, and
//! `failure_mode_allow` would turn it into an open door, forged headers and all.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::http::HeaderMap;
use arc_swap::ArcSwap;
use bytes::Bytes;
use h2::server::SendResponse;

use super::budget::{CALL_BYTES, Held, OverBudget};
use super::call::Call;
use super::door::Door;
use super::h2_connection::Arrived;
use super::unary::{
    Arrival, IncomingMessage, MessageFault, Outgoing, Received, receive, send_reply,
};
use crate::decision::Fault;
use crate::request::RequestFault;
use crate::telemetry::CutOff;

/// A check that could not be answered at once.
pub(super) struct CheckCall<'f> {
    answering: Answering<'f>,
    stage: Stage,
}

/// What it takes to answer a check. Of the call's head it has what is needed: how much there
/// is of the rest is the client's choice.
struct Answering<'f> {
    door: &'f ArcSwap<Door>,
    respond: SendResponse<Bytes>,
    patience: Option<Duration>,
}

enum Stage {
    Receiving(IncomingMessage),
    Deciding(Deciding),
    Sending(Outgoing),
}

/// Waits for a key.
struct Deciding {
    reply: Pin<Box<dyn Future<Output = Bytes> + Send>>,
    message_bytes: usize,
}

impl<'f> CheckCall<'f> {
    /// Answers a check, or gives what is left to do for it. Nearly every one is answered at
    /// once: its message came whole and no key is missing.
    pub(super) fn begin(
        door: &'f ArcSwap<Door>,
        (request, respond): Arrived,
        context: &mut Context<'_>,
    ) -> Option<Self> {
        let (head, body) = request.into_parts();
        let mut answering = Answering { door, respond, patience: None };
        let stage = match receive(body, context) {
            Arrival::Gone => return None,
            Arrival::Part(incoming) => {
                answering.patience = patience(&head.headers);
                Stage::Receiving(incoming)
            }
            Arrival::Message(message) => match answering.answer(message) {
                Answer::Sent => return None,
                Answer::Unsent(outgoing) => Stage::Sending(outgoing),
                Answer::NeedsKey(message) => {
                    answering.patience = patience(&head.headers);
                    // A copy: what the h2 crate hands out is part of a larger buffer.
                    Stage::Deciding(answering.decide(Bytes::copy_from_slice(&message)))
                }
            },
        };
        Some(Self { answering, stage })
    }
}

impl Call for CheckCall<'_> {
    fn poll(&mut self, context: &mut Context<'_>, held: &mut Held) -> Poll<Result<(), OverBudget>> {
        loop {
            let answer = match &mut self.stage {
                Stage::Receiving(incoming) => match ready!(incoming.poll(context, held))? {
                    Received::Gone => return Poll::Ready(Ok(())),
                    Received::Message(message) => self.answering.answer(message),
                },
                Stage::Deciding(deciding) => {
                    // Whoever resets what it sends is not to have us wait for any of it.
                    if self.answering.respond.poll_reset(context).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    let reply = ready!(deciding.reply.as_mut().poll(context));
                    self.answering.send(reply)
                }
                Stage::Sending(outgoing) => {
                    note_end(ready!(outgoing.poll(context)));
                    return Poll::Ready(Ok(()));
                }
            };
            self.stage = match answer {
                Answer::Sent => return Poll::Ready(Ok(())),
                Answer::Unsent(outgoing) => Stage::Sending(outgoing),
                Answer::NeedsKey(message) => Stage::Deciding(self.answering.decide(message)),
            };
            held.set(CALL_BYTES.saturating_add(self.bytes()))?;
        }
    }

    fn bytes(&self) -> usize {
        match &self.stage {
            Stage::Receiving(incoming) => incoming.bytes(),
            Stage::Deciding(deciding) => deciding.message_bytes,
            Stage::Sending(outgoing) => outgoing.bytes(),
        }
    }

    fn waits_for_client(&self) -> bool {
        match self.stage {
            Stage::Receiving(_) | Stage::Sending(_) => true,
            Stage::Deciding(_) => false,
        }
    }

    fn cut_off(mut self: Box<Self>, why: CutOff) {
        let fault = match why {
            CutOff::Late => RequestFault::Unreadable.into(),
            CutOff::OverBudget => Fault::Overloaded,
        };
        match self.stage {
            // What the client's window has no room for is lost with the call.
            Stage::Receiving(_) | Stage::Deciding(_) => self.answering.deny(fault),
            Stage::Sending(_) => {}
        }
    }
}

/// What became of an answer.
enum Answer {
    /// It has left, or nobody wants it any more.
    Sent,
    Unsent(Outgoing),
    /// There is none yet to this message.
    NeedsKey(Bytes),
}

impl Answering<'_> {
    fn answer(&mut self, message: Result<Bytes, MessageFault>) -> Answer {
        let reply = match message {
            Err(_) => self.door.load().deny_unread(RequestFault::Unreadable.into()),
            Ok(message) => match self.door.load().try_to_reply(&message, Instant::now()) {
                Ok(reply) => reply,
                Err(_) => return Answer::NeedsKey(message),
            },
        };
        self.send(reply)
    }

    fn decide(&self, message: Bytes) -> Deciding {
        let (door, patience, message_bytes) = (self.door.load_full(), self.patience, message.len());
        let reply = Box::pin(async move { door.check_message(message, patience).await });
        Deciding { reply, message_bytes }
    }

    fn deny(&mut self, fault: Fault) {
        let reply = self.door.load().deny_unread(fault);
        let _ = self.send(reply);
    }

    fn send(&mut self, reply: Bytes) -> Answer {
        match send_reply(reply, &mut self.respond) {
            Ok(Some(outgoing)) => Answer::Unsent(outgoing),
            sent => {
                note_end(sent.map(drop));
                Answer::Sent
            }
        }
    }
}

fn note_end(sent: Result<(), h2::Error>) {
    if let Err(error) = sent {
        tracing::debug!(%error, "a call ended before its answer was sent");
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
