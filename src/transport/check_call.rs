//! One call of `Check`, from its arrival to the end of its reply.
//!
//! There is always a decision, never a gRPC error: Envoy would not take that for a denial, and
//! `failure_mode_allow` would turn it into leave to pass, forged headers and all.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::http::HeaderMap;
use arc_swap::ArcSwap;
use bytes::Bytes;
use doorward_core::decision::Fault;
use doorward_core::request::RequestFault;
use h2::server::SendResponse;
use tokio::sync::OwnedSemaphorePermit;

use super::budget::{Account, CALL_BYTES, Held, OverBudget};
use super::call::Call;
use super::check_service::CheckService;
use super::h2_connection::Arrived;
use super::unary::{
    Arrival, IncomingMessage, MessageFault, Outgoing, Received, receive, send_reply,
};
use crate::telemetry::CutOff;

/// A check that could not be answered at once.
pub(super) struct CheckCall<'f> {
    answering: Answering<'f>,
    stage: CheckStage,
    /// Since when it is at this stage.
    since: tokio::time::Instant,
}

/// What it takes to answer a check. Of the call's head it has what is needed: how much there
/// is of the rest is the client's choice.
struct Answering<'f> {
    service: &'f ArcSwap<CheckService>,
    respond: SendResponse<Bytes>,
    patience: Option<Duration>,
}

enum CheckStage {
    Receiving(IncomingMessage),
    Deciding(Deciding),
    Sending(Outgoing),
}

/// Waits for a key, or for what is said of a token.
struct Deciding {
    reply: Pin<Box<dyn Future<Output = Bytes> + Send>>,
    message_bytes: usize,
    #[expect(dead_code, reason = "held for its Drop")]
    leave: OwnedSemaphorePermit,
}

impl<'f> CheckCall<'f> {
    /// Answers a check, or gives what is left to do for it. Nearly every one is answered at
    /// once: its message came whole, and nobody has to be asked.
    pub(super) fn begin(
        service: &'f ArcSwap<CheckService>,
        (request, respond): Arrived,
        account: &Account,
        context: &mut Context<'_>,
    ) -> Option<Self> {
        let (head, body) = request.into_parts();
        let mut answering = Answering { service, respond, patience: None };
        let stage = match receive(body, context) {
            Arrival::Gone => return None,
            Arrival::Part(incoming) => {
                answering.patience = patience(&head.headers);
                CheckStage::Receiving(incoming)
            }
            Arrival::Message(message) => {
                let answer = match answering.answer(message) {
                    CheckProgress::Waits(message) => {
                        answering.patience = patience(&head.headers);
                        // A copy: what the h2 crate hands out is part of a larger buffer.
                        CheckProgress::Waits(Bytes::copy_from_slice(&message))
                    }
                    answer @ (CheckProgress::Sent | CheckProgress::Unsent(_)) => answer,
                };
                answering.next_stage(answer, account)?
            }
        };
        Some(Self { answering, stage, since: tokio::time::Instant::now() })
    }
}

impl Call for CheckCall<'_> {
    fn poll(&mut self, context: &mut Context<'_>, held: &mut Held) -> Poll<Result<(), OverBudget>> {
        loop {
            let answer = match &mut self.stage {
                CheckStage::Receiving(incoming) => match ready!(incoming.poll(context, held))? {
                    Received::Gone => return Poll::Ready(Ok(())),
                    Received::Message(message) => self.answering.answer(message),
                },
                CheckStage::Deciding(deciding) => {
                    // Whoever resets what it sends is not to have us wait for any of it.
                    if self.answering.respond.poll_reset(context).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    let reply = ready!(deciding.reply.as_mut().poll(context));
                    self.answering.send(reply)
                }
                CheckStage::Sending(outgoing) => {
                    note_end(ready!(outgoing.poll(context)));
                    return Poll::Ready(Ok(()));
                }
            };
            let Some(stage) = self.answering.next_stage(answer, held.account()) else {
                return Poll::Ready(Ok(()));
            };
            self.stage = stage;
            self.since = tokio::time::Instant::now();
            held.set(CALL_BYTES.saturating_add(self.bytes()))?;
        }
    }

    fn bytes(&self) -> usize {
        match &self.stage {
            CheckStage::Receiving(incoming) => incoming.bytes(),
            CheckStage::Deciding(deciding) => deciding.message_bytes,
            CheckStage::Sending(outgoing) => outgoing.bytes(),
        }
    }

    fn waits_for_client_since(&self, _is_scarce: bool) -> Option<tokio::time::Instant> {
        match self.stage {
            CheckStage::Receiving(_) | CheckStage::Sending(_) => Some(self.since),
            CheckStage::Deciding(_) => None,
        }
    }

    fn cut_off(mut self: Box<Self>, why: CutOff) {
        let fault = match (&self.stage, why) {
            // There is nothing to say beyond the answer.
            (CheckStage::Sending(_), _) => return,
            (CheckStage::Receiving(incoming), CutOff::Late) if !incoming.waits_for_room() => {
                RequestFault::Unreadable.into()
            }
            (CheckStage::Receiving(_) | CheckStage::Deciding(_), _) => Fault::Overloaded,
        };
        // What the client's window has no room for is lost with the call.
        let _ = self.answering.deny(fault);
    }
}

/// What became of an answer.
enum CheckProgress {
    /// It has left, or nobody wants it any more.
    Sent,
    Unsent(Outgoing),
    /// There is none yet to this message.
    Waits(Bytes),
}

impl Answering<'_> {
    fn answer(&mut self, message: Result<Bytes, MessageFault>) -> CheckProgress {
        let reply = match message {
            Err(_) => self.service.load().deny_unread(RequestFault::Unreadable.into()),
            Ok(message) => match self.service.load().try_to_reply(&message, Instant::now()) {
                Ok(reply) => reply,
                Err(_) => return CheckProgress::Waits(message),
            },
        };
        self.send(reply)
    }

    /// What is left to do after this answer, if anything.
    fn next_stage(&mut self, answer: CheckProgress, account: &Account) -> Option<CheckStage> {
        match answer {
            CheckProgress::Sent => None,
            CheckProgress::Unsent(outgoing) => Some(CheckStage::Sending(outgoing)),
            CheckProgress::Waits(message) => match account.leave_to_wait(message.len()) {
                Ok(leave) => Some(CheckStage::Deciding(self.decide(message, leave))),
                Err(OverBudget) => self.deny(Fault::Overloaded).map(CheckStage::Sending),
            },
        }
    }

    fn decide(&self, message: Bytes, leave: OwnedSemaphorePermit) -> Deciding {
        let (service, patience, message_bytes) =
            (self.service.load_full(), self.patience, message.len());
        let reply = Box::pin(async move { service.check_message(message, patience).await });
        Deciding { reply, message_bytes, leave }
    }

    /// Denies a request that nobody looked at; what the client's window has no room for is still
    /// to be sent.
    fn deny(&mut self, fault: Fault) -> Option<Outgoing> {
        let reply = self.service.load().deny_unread(fault);
        match self.send(reply) {
            CheckProgress::Unsent(outgoing) => Some(outgoing),
            CheckProgress::Sent | CheckProgress::Waits(_) => None,
        }
    }

    fn send(&mut self, reply: Bytes) -> CheckProgress {
        match send_reply(reply, &mut self.respond) {
            Ok(Some(outgoing)) => CheckProgress::Unsent(outgoing),
            sent => {
                note_end(sent.map(drop));
                CheckProgress::Sent
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
