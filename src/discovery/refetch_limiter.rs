//! Who may make an issuer be asked, and when: one fetch at a time however many want one,
//! on demand no more than each cause allows, and so many who wait.
//!
//! Pure bookkeeping: no HTTP, and time is handed in. The lock is held for a few
//! instructions and never across an await; waiting is done on runtime-agnostic
//! primitives, since those who wait live on other runtimes than the one that fetches.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorward_core::keys::RefetchCause;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};

use super::cool_down::CoolDown;

/// How many requests wait for one issuer at most: a quarter of the calls that one connection
/// of Envoy's can have under way, so that made-up kids leave room for everybody else.
pub(super) const MAX_WAITING: usize = 256;

/// Anybody can write a bad signature, and an IdP is hardly ever set up anew: asked because of
/// one at most once in a minute, and while nothing changes ever more rarely.
const BAD_SIGNATURES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(960));

/// Between those who want an issuer to be asked and the one task that asks.
#[derive(Debug)]
pub(super) struct RefetchLimiter {
    state: Mutex<State>,
    asked: Notify,
    done: watch::Sender<Done>,
    places: Semaphore,
}

#[derive(Debug)]
struct State {
    /// The latest round, under way or over. Rounds count from 1.
    round: u64,
    under_way: bool,
    /// Why the round under way was asked for; `None`: it was due.
    cause: Option<RefetchCause>,
    unknown_keys: CoolDown,
    bad_signatures: CoolDown,
    closed: bool,
}

/// The latest round that is over.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    round: u64,
    answered: bool,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// What the issuer publishes is other than before.
    New,
    /// It is what was there.
    Unchanged,
    /// It has no usable key any more, and that is believed.
    Withdrawn,
    /// It has no usable key, and that is not believed (yet).
    Empty,
    /// The issuer did not answer, or not with anything to believe.
    Failed,
}

impl RefetchLimiter {
    /// One where an unknown key may cause one fetch a `cool_down`.
    pub(super) fn new(cool_down: Duration) -> Self {
        let (shortest, longest) = BAD_SIGNATURES;
        Self {
            state: Mutex::new(State {
                round: 0,
                under_way: false,
                cause: None,
                unknown_keys: CoolDown::steady(cool_down),
                bad_signatures: CoolDown::backing_off(shortest, longest),
                closed: false,
            }),
            asked: Notify::new(),
            done: watch::Sender::default(),
            places: Semaphore::new(MAX_WAITING),
        }
    }

    /// Asks for a fetch: joins the one under way, else starts one if the last that was
    /// asked for because of this cause is long enough ago. The round that will answer is
    /// returned; `None`: the issuer was asked too short a time ago. Background fetches do not count:
    /// keys that rotate right after one would cost everybody with a new token a cool-down,
    /// and the issuer is asked no more than once a cool-down all the same.
    pub(super) fn ask(&self, cause: RefetchCause, now: Instant) -> Option<u64> {
        let mut state = self.state();
        if !state.open(cause, now) {
            return None;
        }
        if state.under_way {
            return Some(state.round);
        }
        state.limiter(cause).take(now);
        let round = state.start(Some(cause));
        drop(state);
        self.asked.notify_one();
        Some(round)
    }

    /// Whether to [`ask`](Self::ask) would come to a round, begun or joined.
    pub(super) fn open(&self, cause: RefetchCause, now: Instant) -> bool {
        self.state().open(cause, now)
    }

    /// A place to wait at, free again when it is dropped; `None` when all are taken.
    pub(super) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
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
            state.start(None);
        }
    }

    /// For the fetching task: the round is over.
    pub(super) fn finish(&self, end: RoundEnd) {
        let mut state = self.state();
        state.under_way = false;
        match (end, state.cause.take()) {
            (RoundEnd::New | RoundEnd::Withdrawn, _) => state.bad_signatures.news(),
            (_, Some(RefetchCause::BadSignature)) => state.bad_signatures.in_vain(),
            (RoundEnd::Unchanged | RoundEnd::Empty | RoundEnd::Failed, _) => {}
        }
        let round = state.round;
        drop(state);
        self.done.send_replace(Done {
            round,
            answered: !matches!(end, RoundEnd::Empty | RoundEnd::Failed),
        });
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
    fn open(&mut self, cause: RefetchCause, now: Instant) -> bool {
        !self.closed && (self.under_way || self.limiter(cause).open(now))
    }

    fn limiter(&mut self, cause: RefetchCause) -> &mut CoolDown {
        match cause {
            RefetchCause::UnknownKey => &mut self.unknown_keys,
            RefetchCause::BadSignature => &mut self.bad_signatures,
        }
    }

    fn start(&mut self, cause: Option<RefetchCause>) -> u64 {
        self.round += 1;
        self.under_way = true;
        self.cause = cause;
        self.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RefetchCause::{BadSignature, UnknownKey};

    const COOL_DOWN: Duration = Duration::from_secs(10);

    #[test]
    fn all_who_ask_join_one_round_and_the_next_waits_for_the_cool_down() {
        let (limiter, start) = (RefetchLimiter::new(COOL_DOWN), Instant::now());
        for _ in 0..100 {
            assert_eq!(limiter.ask(UnknownKey, start), Some(1));
        }
        limiter.begin();
        limiter.finish(RoundEnd::Unchanged);
        let too_soon = start + COOL_DOWN - Duration::from_millis(1);
        assert!(!limiter.open(UnknownKey, too_soon) && limiter.open(UnknownKey, start + COOL_DOWN));
        assert_eq!(limiter.ask(UnknownKey, too_soon), None);
        assert_eq!(limiter.ask(UnknownKey, start + COOL_DOWN), Some(2));
        assert!(limiter.open(UnknownKey, start + COOL_DOWN), "that one can be joined");
    }

    #[test]
    fn a_background_round_is_joined_and_starts_no_cool_down() {
        let (limiter, start) = (RefetchLimiter::new(COOL_DOWN), Instant::now());
        limiter.begin();
        assert_eq!(limiter.ask(UnknownKey, start), Some(1));
        // Even one that has hung for longer than the cool-down.
        assert_eq!(limiter.ask(UnknownKey, start + 2 * COOL_DOWN), Some(1));
        limiter.finish(RoundEnd::Failed);
        assert_eq!(limiter.ask(UnknownKey, start + 2 * COOL_DOWN), Some(2));
        limiter.begin();
        limiter.finish(RoundEnd::Unchanged);
        // Another one in between leaves the cool-down as it is.
        limiter.begin();
        limiter.finish(RoundEnd::Unchanged);
        assert_eq!(limiter.ask(UnknownKey, start + 2 * COOL_DOWN), None);
        assert_eq!(limiter.ask(UnknownKey, start + 3 * COOL_DOWN), Some(4));
    }

    #[tokio::test]
    async fn those_who_wait_learn_the_outcome_even_when_late() {
        let (limiter, start) = (RefetchLimiter::new(COOL_DOWN), Instant::now());
        assert_eq!(limiter.ask(UnknownKey, start), Some(1));
        limiter.asked().await;
        limiter.begin();
        limiter.finish(RoundEnd::Unchanged);
        assert!(limiter.over(1).await);
        assert!(limiter.over(1).await);
    }

    #[tokio::test]
    async fn when_the_task_is_gone_nobody_waits() {
        let (limiter, start) = (RefetchLimiter::new(COOL_DOWN), Instant::now());
        assert_eq!(limiter.ask(UnknownKey, start), Some(1));
        limiter.close();
        assert!(!limiter.over(1).await && !limiter.open(UnknownKey, start + COOL_DOWN));
        assert_eq!(limiter.ask(UnknownKey, start + COOL_DOWN), None);
    }

    #[tokio::test]
    async fn a_round_served_before_its_wake_up_is_not_served_twice() {
        let (limiter, start) = (RefetchLimiter::new(COOL_DOWN), Instant::now());
        assert_eq!(limiter.ask(UnknownKey, start), Some(1));
        limiter.begin();
        limiter.finish(RoundEnd::Unchanged);
        tokio::select! {
            biased;
            () = limiter.asked() => panic!("nobody asked for a second round"),
            () = tokio::task::yield_now() => {}
        }
    }

    #[test]
    fn bad_signatures_and_unknown_keys_do_not_use_up_each_others_fetches() {
        let (limiter, mut now) = (RefetchLimiter::new(COOL_DOWN), Instant::now());
        let minute = Duration::from_secs(60);
        let mut round = 0;
        let mut fetch = |cause, now, end| {
            round += 1;
            assert_eq!(limiter.ask(cause, now), Some(round));
            limiter.begin();
            limiter.finish(end);
        };
        fetch(BadSignature, now, RoundEnd::Unchanged);
        fetch(UnknownKey, now, RoundEnd::Unchanged);
        // In vain: the next one because of a bad signature is two minutes off, and four then.
        for minutes in [2, 4] {
            for tenth in 0..minutes * 6 {
                let now = now + tenth * COOL_DOWN;
                assert_eq!(limiter.ask(BadSignature, now), None);
                assert!(tenth == 0 || limiter.open(UnknownKey, now), "{tenth}");
            }
            now += minutes * minute;
            fetch(BadSignature, now, RoundEnd::Failed);
            fetch(UnknownKey, now, RoundEnd::Unchanged);
        }
        // Whoever finds that the keys have changed, it starts anew.
        fetch(UnknownKey, now + minute, RoundEnd::New);
        fetch(BadSignature, now + minute, RoundEnd::New);
        assert!(!limiter.open(BadSignature, now + minute + minute / 2));
        assert!(limiter.open(BadSignature, now + 2 * minute));
    }

    #[test]
    fn so_many_may_wait_and_one_who_leaves_makes_room() {
        let limiter = RefetchLimiter::new(COOL_DOWN);
        let mut places: Vec<_> = std::iter::from_fn(|| limiter.place()).collect();
        assert_eq!(places.len(), MAX_WAITING);
        places.pop();
        assert!(limiter.place().is_some());
    }
}
