//! Who may make an issuer be asked, and when: one fetch at a time however many want one,
//! and no more than one a cool-down on demand.
//!
//! Pure bookkeeping: no HTTP, and time is handed in. The lock is held for a few
//! instructions and never across an await; waiting is done on runtime-agnostic
//! primitives, since those who wait live on other runtimes than the one that fetches.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

/// Between those who want an issuer to be asked and the one task that asks.
#[derive(Debug)]
pub(super) struct Gate {
    cool_down: Duration,
    state: Mutex<State>,
    asked: Notify,
    done: watch::Sender<Done>,
}

#[derive(Debug, Default)]
struct State {
    /// The latest round, under way or over. Rounds count from 1.
    round: u64,
    under_way: bool,
    /// When the last round that somebody asked for began.
    asked_at: Option<Instant>,
    closed: bool,
}

/// The latest round that is over.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    round: u64,
    answered: bool,
}

/// What somebody who wants a fetch is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// This round will answer it; wait for its end.
    Round(u64),
    /// The issuer was asked too short a time ago.
    NotDue,
}

impl Gate {
    pub(super) fn new(cool_down: Duration) -> Self {
        Self {
            cool_down,
            state: Mutex::default(),
            asked: Notify::new(),
            done: watch::Sender::default(),
        }
    }

    /// Asks for a fetch: joins the one under way, else starts one if the last that was
    /// asked for started a cool-down ago. Background fetches do not count: keys that
    /// rotate right after one would cost everybody with a new token a cool-down, and the
    /// issuer is asked no more than once a cool-down all the same.
    pub(super) fn ask(&self, now: Instant) -> Admission {
        let mut state = self.state();
        if !state.open(now, self.cool_down) {
            return Admission::NotDue;
        }
        if state.under_way {
            return Admission::Round(state.round);
        }
        state.asked_at = Some(now);
        let round = state.start();
        drop(state);
        self.asked.notify_one();
        Admission::Round(round)
    }

    /// Whether to [`ask`](Self::ask) would come to a round, begun or joined.
    pub(super) fn open(&self, now: Instant) -> bool {
        self.state().open(now, self.cool_down)
    }

    /// Waits until `round` is over; whether the issuer answered in it, or in a later one.
    pub(super) async fn over(&self, round: u64) -> bool {
        let mut done = self.done.subscribe();
        // The sender lives in `self`, so waiting cannot fail while we borrow it.
        done.wait_for(|done| done.round >= round).await.is_ok_and(|done| done.answered)
    }

    /// For the fetching task: resolves when somebody asked.
    pub(super) async fn asked(&self) {
        loop {
            self.asked.notified().await;
            // A permit may be left from a round that has been served meanwhile.
            if self.state().under_way {
                return;
            }
        }
    }

    /// For the fetching task: a round begins now, asked for or due.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        if !state.under_way {
            state.start();
        }
    }

    /// For the fetching task: the round is over.
    pub(super) fn finish(&self, answered: bool) {
        let mut state = self.state();
        state.under_way = false;
        let round = state.round;
        drop(state);
        self.done.send_replace(Done { round, answered });
    }

    /// Nothing will be fetched any more: whoever waits or will ask is told so at once.
    /// The fetching task must not end without it.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.done.send_replace(Done { round: u64::MAX, answered: false });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under the lock can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&self, now: Instant, cool_down: Duration) -> bool {
        let cool = |at| now.saturating_duration_since(at) >= cool_down;
        !self.closed && (self.under_way || self.asked_at.is_none_or(cool))
    }

    fn start(&mut self) -> u64 {
        self.round += 1;
        self.under_way = true;
        self.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL_DOWN: Duration = Duration::from_secs(10);

    #[test]
    fn all_who_ask_join_one_round_and_the_next_waits_for_the_cool_down() {
        let (gate, start) = (Gate::new(COOL_DOWN), Instant::now());
        for _ in 0..100 {
            assert_eq!(gate.ask(start), Admission::Round(1));
        }
        gate.begin();
        gate.finish(true);
        let too_soon = start + COOL_DOWN - Duration::from_millis(1);
        assert!(!gate.open(too_soon) && gate.open(start + COOL_DOWN));
        assert_eq!(gate.ask(too_soon), Admission::NotDue);
        assert_eq!(gate.ask(start + COOL_DOWN), Admission::Round(2));
        assert!(gate.open(start + COOL_DOWN), "that one can be joined");
    }

    #[test]
    fn a_background_round_is_joined_and_starts_no_cool_down() {
        let (gate, start) = (Gate::new(COOL_DOWN), Instant::now());
        gate.begin();
        assert_eq!(gate.ask(start), Admission::Round(1));
        // Even one that has hung for longer than the cool-down.
        assert_eq!(gate.ask(start + 2 * COOL_DOWN), Admission::Round(1));
        gate.finish(false);
        assert_eq!(gate.ask(start + 2 * COOL_DOWN), Admission::Round(2));
        gate.begin();
        gate.finish(true);
        // Another one in between leaves the cool-down as it is.
        gate.begin();
        gate.finish(true);
        assert_eq!(gate.ask(start + 2 * COOL_DOWN), Admission::NotDue);
        assert_eq!(gate.ask(start + 3 * COOL_DOWN), Admission::Round(4));
    }

    #[tokio::test]
    async fn those_who_wait_learn_the_outcome_even_when_late() {
        let (gate, start) = (Gate::new(COOL_DOWN), Instant::now());
        assert_eq!(gate.ask(start), Admission::Round(1));
        gate.asked().await;
        gate.begin();
        gate.finish(true);
        assert!(gate.over(1).await);
        assert!(gate.over(1).await);
    }

    #[tokio::test]
    async fn when_the_task_is_gone_nobody_waits() {
        let (gate, start) = (Gate::new(COOL_DOWN), Instant::now());
        assert_eq!(gate.ask(start), Admission::Round(1));
        gate.close();
        assert!(!gate.over(1).await && !gate.open(start + COOL_DOWN));
        assert_eq!(gate.ask(start + COOL_DOWN), Admission::NotDue);
    }

    #[tokio::test]
    async fn a_round_served_before_its_wake_up_is_not_served_twice() {
        let (gate, start) = (Gate::new(COOL_DOWN), Instant::now());
        assert_eq!(gate.ask(start), Admission::Round(1));
        gate.begin();
        gate.finish(true);
        tokio::select! {
            biased;
            () = gate.asked() => panic!("nobody asked for a second round"),
            () = tokio::task::yield_now() => {}
        }
    }
}
