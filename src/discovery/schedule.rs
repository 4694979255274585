//! When to ask an issuer next: jittered, within bounds, backing off while it fails.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::freshness::Freshness;

/// Pause after a first failure; doubles up to [`LAST_BACK_OFF`], with jitter.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
/// Longest pause between failures: an issuer that is back is noticed within a minute or
/// two, and one that is down is asked no more often than a fresh one.
const LAST_BACK_OFF: Duration = Duration::from_secs(60);

/// Whatever is configured, the loop pauses.
const NEVER_LESS: Duration = Duration::from_millis(10);

/// The times between two attempts, all in one place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The shortest time between two attempts.
    pub(crate) min: Duration,
    /// The longest time between two attempts.
    pub(crate) max: Duration,
    /// When the answer says nothing.
    pub(crate) default: Duration,
}

/// Says how long to pause after each attempt.
#[derive(Debug)]
pub(crate) struct Schedule {
    bounds: Bounds,
    back_off: ExponentialBackoff,
}

impl Schedule {
    pub(crate) fn new(mut bounds: Bounds) -> Self {
        bounds.min = bounds.min.max(NEVER_LESS);
        bounds.max = bounds.max.max(bounds.min);
        Self { back_off: back_off(bounds), bounds }
    }

    /// The pause after a success.
    pub(crate) fn after_success(&mut self, freshness: Freshness) -> Duration {
        self.back_off = back_off(self.bounds);
        let pause = match freshness {
            Freshness::Unstated => self.bounds.default,
            Freshness::For(span) => span,
            Freshness::NotAtAll => self.bounds.min,
        };
        jittered(pause.min(self.bounds.max).max(self.bounds.min))
    }

    /// The pause after a failure; at least what the issuer asked for (`Retry-After`),
    /// but an issuer cannot send us away for longer than the longest refresh.
    pub(crate) fn after_failure(&mut self, retry_after: Option<Duration>) -> Duration {
        let pause = self.back_off.next().unwrap_or(LAST_BACK_OFF);
        pause.max(retry_after.unwrap_or_default().min(self.bounds.max))
    }
}

/// Failures are never answered more slowly than success would be.
fn back_off(bounds: Bounds) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_BACK_OFF.min(bounds.min))
        .with_max_delay(LAST_BACK_OFF.min(bounds.max))
        .with_jitter()
        // Left to itself, the crate without `std` draws the same jitter in every process.
        .with_jitter_seed(fastrand::u64(..))
        .without_max_times()
        .build()
}

/// Give or take a tenth, so that a fleet started together does not ask together.
pub(crate) fn jittered(span: Duration) -> Duration {
    span.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_fails_together_does_not_ask_together() {
        let minute = Duration::from_secs(60);
        let bounds = Bounds { min: minute, max: minute, default: minute };
        let pauses: std::collections::BTreeSet<_> =
            (0..20).map(|_| Schedule::new(bounds).after_failure(None)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn schedule() -> Schedule {
        Schedule::new(Bounds { min: seconds(60), max: seconds(3600), default: seconds(300) })
    }

    #[test]
    fn a_success_is_believed_within_bounds_give_or_take_a_tenth() {
        for (freshness, expected) in [
            (Freshness::Unstated, 300),
            (Freshness::NotAtAll, 60),
            (Freshness::For(seconds(0)), 60),
            (Freshness::For(seconds(1000)), 1000),
            (Freshness::For(seconds(u64::MAX)), 3600),
        ] {
            let expected = seconds(expected);
            let pause = schedule().after_success(freshness);
            assert!(pause >= expected.mul_f64(0.9) && pause <= expected.mul_f64(1.1), "{pause:?}");
        }
    }

    #[test]
    fn failures_back_off_to_a_ceiling_and_a_success_starts_over() {
        let mut schedule = schedule();
        let pauses: Vec<_> = (0..12).map(|_| schedule.after_failure(None)).collect();
        assert!(pauses[0] >= seconds(1) && pauses[0] <= seconds(2), "{pauses:?}");
        assert!(pauses[11] >= seconds(60) && pauses[11] <= seconds(120), "{pauses:?}");
        schedule.after_success(Freshness::Unstated);
        assert!(schedule.after_failure(None) <= seconds(2));
    }

    #[test]
    fn a_busy_issuer_is_left_alone_for_as_long_as_it_asks_within_bounds() {
        assert_eq!(schedule().after_failure(Some(seconds(90))), seconds(90));
        assert_eq!(schedule().after_failure(Some(seconds(1 << 40))), seconds(3600));
    }
}
