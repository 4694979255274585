//! One HTTP/2 connection, on the h2 crate itself.
//!
//! An HTTP server in between would start a task for each call and wake the connection for
//! each reply. Here a connection and its calls are one task: it takes in a turn's worth of what
//! has arrived, answers all it can, and then what the answers come to leaves together
//! (`docs/decisions/0005-server.md`). It is also where a client is kept from hurting others
//! (`docs/decisions/0014-hostile-clients.md`).

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::Request;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::budget::{Account, Held, OverBudget};
use super::call::{Call, Waiting};
use super::connection_slots::ConnectionSlot;
use super::frames::CALLS_A_TURN;
use super::intake::{Intake, Valve};
use super::session::{ConnectionError, Lasting, Limits, Session, Why};
use crate::telemetry::{Closed, ConnectionMetrics, CutOff};

/// HTTP/2, as TLS names it.
pub(super) const PROTOCOLS: &[&[u8]] = &[b"h2"];

/// How many calls may be under way on one connection; Envoy opens another one beyond.
const MAX_STREAMS: u32 = 1024;
/// What a client may send ahead on one stream, in bytes. A check is some 3 KB, so hardly any
/// waits for a window; and a thousand longer ones at once, as Envoy sends them, a piece of each
/// in turn, are held up where they are instead of piling up here.
pub(super) const STREAM_WINDOW_BYTES: u32 = 16 * 1024;
/// The same on one connection, where it holds nobody up: what is read is read in turns, is
/// taken out of the h2 crate before more is read, and is counted (`budget.rs`). A window that
/// unfinished messages could use up would be used up for all who share the connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;
/// The longest list of headers, as RFC 9113 §6.5.2 counts it. A call of Envoy's has some 300
/// bytes of them; with OpenTelemetry it copies `tracestate` from its client, as long as that
/// may be. Four times as much ends the connection (the h2 crate).
const MAX_HEADER_LIST_BYTES: u32 = 128 * 1024;

/// When unfinished calls use up what there is, they have this part of the time.
const PATIENCE_WHEN_SCARCE: u32 = 10;

/// A call that has arrived.
pub(super) type Arrived = (Request<RecvStream>, SendResponse<Bytes>);

/// Serves a connection, as [`Front::serve`] has it. `begin` answers a call, or says what is
/// left to do for it.
///
/// [`Front::serve`]: super::server::Front::serve
pub(super) async fn serve<'f, T: AsyncRead + AsyncWrite + Unpin>(
    io: Intake<T>,
    mut session: Session,
    begin: impl Fn(Arrived, &Account, &mut Context<'_>) -> Option<Box<dyn Call + 'f>>,
) -> Result<(), ConnectionError> {
    let valve = io.valve();
    let connection = session.first_words(builder().handshake(io)).await?;
    let Session { slot, account, metrics, limits, mut summons } = session;
    let (block, now) = (account.hold(), Instant::now());
    let mut calls = Calls {
        connection,
        valve,
        arrived: Vec::new(),
        waiting: FuturesUnordered::new(),
        begin,
        slot,
        account,
        metrics,
        limits,
        block,
        stalls: Stalls::default(),
        called: now,
        was_called: false,
        leaving: None,
    };
    let mut summons = pin!(summons.heard());
    let mut is_summoned = false;
    let mut clock = Session::clock();
    poll_fn(|context| {
        if !is_summoned && let Poll::Ready(why) = summons.as_mut().poll(context) {
            is_summoned = true;
            calls.leave(why)?;
        }
        while clock.poll_tick(context).is_ready() {
            calls.look_at_clock(Instant::now())?;
        }
        calls.poll(context)
    })
    .await
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        // Calls that were reset before they were taken in. All of a turn are taken in before
        // the next one begins: there are never more than a turn has, and one that began at the
        // end of the turn before.
        .max_pending_accept_reset_streams(2 * CALLS_A_TURN)
        // Streams that the h2 crate had to reset, over a connection's life. What it is to guard
        // against, resets that pile up because nobody takes them, cannot be: while the client
        // takes nothing, nothing is read from it.
        .max_local_error_reset_streams(None);
    builder
}

struct Calls<'f, T, B> {
    connection: Connection<Intake<T>, Bytes>,
    /// Steers what `connection` reads and writes.
    valve: Valve,
    /// Taken in and not looked at.
    arrived: Vec<Arrived>,
    waiting: FuturesUnordered<Waiting<'f>>,
    begin: B,
    slot: ConnectionSlot,
    account: Arc<Account>,
    metrics: ConnectionMetrics,
    limits: Limits,
    /// A header block whose end has not come.
    block: Held,
    stalls: Stalls,
    /// When there was a call, by the clock's last tick.
    called: Instant,
    was_called: bool,
    /// Since when, and why, it only ends what is under way.
    leaving: Option<(Instant, Closed)>,
}

impl<'f, T, B> Calls<'f, T, B>
where
    T: AsyncRead + AsyncWrite + Unpin,
    B: Fn(Arrived, &Account, &mut Context<'_>) -> Option<Box<dyn Call + 'f>>,
{
    /// Ready when the connection has ended.
    ///
    /// Each time that it is pending somebody wakes it: the socket, when all that it had was read or
    /// it takes no more of what is written; this very function, when a turn is over and more is
    /// there; a call that waits, the clock, a summons. Writing is held only within one call of this,
    /// which writes before it returns. And no call is taken in twice: what h2 has handed out is
    /// gone from it, and is answered or waits before it is asked again.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        // What h2 has to write of itself waits for the answers to what came with it: clients
        // in Go send a ping along with nearly every batch of calls.
        self.valve.hold(true);
        self.valve.next_turn();
        let ended = self.take_in(context);
        self.valve.hold(false);
        if ended.is_ready() {
            return ended;
        }
        loop {
            self.answer(context);
            let is_more = self.valve.left_something_behind();
            if !is_more {
                self.valve.next_turn();
            }
            // Writes what was answered, and may find that more has arrived.
            if let Poll::Ready(end) = self.take_in(context) {
                return Poll::Ready(end);
            }
            if self.valve.is_blocked() {
                return Poll::Pending;
            }
            if is_more {
                // The other connections of this thread first.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.arrived.is_empty() && !self.valve.left_something_behind() {
                return Poll::Pending;
            }
        }
    }

    /// Takes in the calls that have arrived, and writes. Ready when the connection has ended.
    fn take_in(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while let Poll::Ready(accepted) = self.connection.poll_accept(context) {
            match accepted {
                Some(accepted) => self.arrived.push(accepted?),
                None => return Poll::Ready(Ok(())),
            }
        }
        let (unfinished, _) = self.valve.open_block();
        match self.block.set(unfinished).or_else(|OverBudget| self.make_room_for_block(unfinished))
        {
            Ok(()) => Poll::Pending,
            Err(OverBudget) => Poll::Ready(Err(self.close(Closed::OverBudget))),
        }
    }

    /// Cuts off calls that wait, those that hold most first, until a header block of so many bytes
    /// has room: the connection cannot go on without it, and belongs to all who share it.
    fn make_room_for_block(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let mut calls: Vec<_> = mem::take(&mut self.waiting).into_iter().collect();
        calls.sort_unstable_by_key(Waiting::bytes);
        let mut made = Err(OverBudget);
        while made.is_err()
            && let Some(largest) = calls.pop()
        {
            self.metrics.cut_off(CutOff::OverBudget);
            largest.cut_off(CutOff::OverBudget);
            made = self.block.set(bytes);
        }
        self.waiting.extend(calls);
        made
    }

    /// Answers what can be answered.
    fn answer(&mut self, context: &mut Context<'_>) {
        self.was_called |= !self.arrived.is_empty();
        let mut has_answered = false;
        for arrived in self.arrived.drain(..) {
            match (self.begin)(arrived, &self.account, context) {
                None => has_answered = true,
                Some(call) => match Waiting::new(call, self.account.hold()) {
                    Ok(call) => self.waiting.push(call),
                    Err(call) => {
                        self.metrics.cut_off(CutOff::OverBudget);
                        call.cut_off(CutOff::OverBudget);
                    }
                },
            }
        }
        while let Poll::Ready(Some(cut_off)) = self.waiting.poll_next_unpin(context) {
            match cut_off {
                None => has_answered = true,
                Some(why) => self.metrics.cut_off(why),
            }
        }
        if has_answered {
            self.slot.answered();
        }
    }

    fn leave(&mut self, why: Why) -> Result<(), ConnectionError> {
        if why == Why::PlaceNeeded {
            let error = self.close(Closed::MadeRoom);
            if !self.slot.was_ever_answered() && self.waiting.is_empty() {
                return Err(error);
            }
            self.leaving = Some((Instant::now(), Closed::MadeRoom));
        }
        // No new calls: GOAWAY, and once the client has seen it another one with the number of
        // the last call that counts (RFC 9113 §6.8), so that none is lost on its way. The
        // connection ends when those under way are answered.
        self.connection.graceful_shutdown();
        Ok(())
    }

    fn look_at_clock(&mut self, now: Instant) -> Result<(), ConnectionError> {
        let Limits { mut patience, idle } = self.limits;
        if self.stalls.longest(&self.valve, now) >= patience {
            return Err(self.close(Closed::Stalled));
        }
        if mem::take(&mut self.was_called) || !self.waiting.is_empty() {
            self.called = now;
        }
        if self.leaving.is_none() && now.duration_since(self.called) >= idle {
            self.leaving = Some((now, Closed::Idle));
            self.metrics.closed(Closed::Idle);
            self.connection.graceful_shutdown();
        }
        if let Some((since, why)) = self.leaving
            && now.duration_since(since) >= patience
        {
            return Err(why.into());
        }
        let is_scarce = self.account.budget().is_scarce();
        if is_scarce {
            patience /= PATIENCE_WHEN_SCARCE;
        }
        self.cut_off_overdue(|call| call.is_overdue(now, patience, is_scarce));
        Ok(())
    }

    fn cut_off_overdue(&mut self, is_overdue: impl Fn(&Waiting<'f>) -> bool) {
        if !self.waiting.iter().any(&is_overdue) {
            return;
        }
        for call in mem::take(&mut self.waiting) {
            if is_overdue(&call) {
                self.metrics.cut_off(CutOff::Late);
                call.cut_off(CutOff::Late);
            } else {
                self.waiting.push(call);
            }
        }
    }

    fn close(&self, reason: Closed) -> ConnectionError {
        self.metrics.closed(reason);
        reason.into()
    }
}

/// What of a connection makes no headway, by the clock's ticks.
#[derive(Default)]
struct Stalls {
    writing: Lasting,
    block: Lasting,
    /// Which header block that is.
    number: u32,
}

impl Stalls {
    /// How long something has made none.
    fn longest(&mut self, valve: &Valve, now: Instant) -> Duration {
        let (unfinished, number) = valve.open_block();
        if mem::replace(&mut self.number, number) != number {
            self.block = Lasting::default();
        }
        let block = self.block.note(unfinished > 0, now);
        block.max(self.writing.note(valve.is_stuck(), now))
    }
}

#[cfg(test)]
mod tests;
