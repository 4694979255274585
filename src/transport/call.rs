//! A call that could not be answered at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::HeaderMap;
use tokio::time::Instant;

use super::budget::{CALL_BYTES, Held, OverBudget};
use crate::telemetry::CutOff;

/// What is left to do for a call.
pub(super) trait Call: Send {
    /// Goes on with it; ready when nothing is left to do, or no more can be done for want of
    /// room. What it holds grows in `held`.
    fn poll(&mut self, context: &mut Context<'_>, held: &mut Held) -> Poll<Result<(), OverBudget>>;

    /// What it holds already, in bytes.
    fn bytes(&self) -> usize;

    /// Since when it has waited for the client, who might make it wait for ever; `None` when it
    /// waits for somebody else. `is_scarce`: there is hardly room left, and what is of least use
    /// had better end.
    fn waits_for_client_since(&self, is_scarce: bool) -> Option<Instant>;

    /// Ends it, with the answer that there is for such an end.
    fn cut_off(self: Box<Self>, why: CutOff);
}

/// What the head of a request takes while it is kept, in bytes.
pub(super) fn head_bytes(headers: &HeaderMap) -> usize {
    /// A name, a value and their place in the map.
    const FIELD_BYTES: usize = 160;
    headers.iter().map(|(name, value)| FIELD_BYTES + name.as_str().len() + value.len()).sum()
}

/// A call that waits, and what it holds. Yields why it was cut off, if it was.
pub(super) struct Waiting<'f> {
    call: Option<Box<dyn Call + 'f>>,
    held: Held,
}

impl<'f> Waiting<'f> {
    /// Takes a call in.
    ///
    /// # Errors
    /// There is no room for what it holds: the call, to be cut off.
    pub(super) fn new(
        call: Box<dyn Call + 'f>,
        mut held: Held,
    ) -> Result<Self, Box<dyn Call + 'f>> {
        match held.set(CALL_BYTES.saturating_add(call.bytes())) {
            Ok(()) => Ok(Self { call: Some(call), held }),
            Err(OverBudget) => Err(call),
        }
    }

    /// Whether the client has made it wait for longer than `patience`.
    pub(super) fn is_overdue(&self, now: Instant, patience: Duration, is_scarce: bool) -> bool {
        let since = self.call.as_ref().and_then(|call| call.waits_for_client_since(is_scarce));
        since.is_some_and(|since| now.duration_since(since) >= patience)
    }

    /// What it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.held.bytes()
    }

    /// Ends the call, and counts why.
    pub(super) fn cut_off(self, why: CutOff) {
        if let Some(call) = self.call {
            call.cut_off(why);
        }
    }
}

impl Future for Waiting<'_> {
    type Output = Option<CutOff>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<CutOff>> {
        let Self { call: slot, held, .. } = self.get_mut();
        let Some(call) = slot else { return Poll::Ready(None) };
        let end = ready!(call.poll(context, held));
        let call = slot.take();
        match end {
            Ok(()) => Poll::Ready(None),
            Err(OverBudget) => {
                if let Some(call) = call {
                    call.cut_off(CutOff::OverBudget);
                }
                Poll::Ready(Some(CutOff::OverBudget))
            }
        }
    }
}
