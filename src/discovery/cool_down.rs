//! How long a cause must wait until it may have an issuer asked again.

use std::time::{Duration, Instant};

/// At most one fetch in a span of time, which may grow while fetches bring nothing new.
#[derive(Debug)]
pub(super) struct CoolDown {
    shortest: Duration,
    longest: Duration,
    pause: Duration,
    last: Option<Instant>,
}

impl CoolDown {
    /// One fetch a `pause`.
    pub(super) fn steady(pause: Duration) -> Self {
        Self::backing_off(pause, pause)
    }

    /// One fetch in `shortest`, in twice that after one that brought nothing new, and so on
    /// up to `longest`.
    pub(super) fn backing_off(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, pause: shortest, last: None }
    }

    /// Whether a fetch may be made at `now`.
    pub(super) fn open(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.pause)
    }

    /// A fetch is made.
    pub(super) fn take(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// That fetch brought nothing new.
    pub(super) fn in_vain(&mut self) {
        self.pause = self.pause.saturating_mul(2).min(self.longest);
    }

    /// The keys have changed, whoever asked for them.
    pub(super) fn news(&mut self) {
        self.pause = self.shortest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_in_vain_come_ever_more_rarely_until_there_is_news() {
        let minute = Duration::from_secs(60);
        let mut limiter = CoolDown::backing_off(minute, 4 * minute);
        let mut now = Instant::now();
        assert!(limiter.open(now));
        for minutes in [2, 4, 4] {
            limiter.take(now);
            limiter.in_vain();
            assert!(!limiter.open(now + minutes * minute - Duration::from_millis(1)));
            now += minutes * minute;
            assert!(limiter.open(now), "{minutes}");
        }
        limiter.take(now);
        limiter.news();
        assert!(!limiter.open(now + minute / 2) && limiter.open(now + minute));
    }
}
