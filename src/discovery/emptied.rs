//! An issuer that publishes a key set without usable keys: does it mean it?

use std::time::{Duration, Instant};

/// What becomes of the last good keys when the issuer publishes a well-formed key set
/// without any usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptySet {
    /// They serve on, until they are too old.
    Keep,
    /// They are withdrawn, once the issuer has said so for long enough.
    Withdraw {
        /// In so many scheduled reads, with nothing good in between.
        reads: u32,
        /// The last of them so long after the first, or longer.
        over: Duration,
    },
}

impl EmptySet {
    /// Three reads over at least a minute. Reads that requests ask for do not count, so that
    /// no client can bring it about; and one broken node among several would have to answer
    /// every read of that minute.
    pub const WITHDRAW: Self = Self::Withdraw { reads: 3, over: Duration::from_secs(60) };
}

/// The scheduled reads that found no usable key, since one last found some.
#[derive(Debug, Default)]
pub(super) struct EmptyReads {
    reads: u32,
    first: Option<Instant>,
}

impl EmptyReads {
    /// Another one, at `now`. Whether the issuer is to be believed.
    pub(super) fn another(&mut self, policy: EmptySet, now: Instant) -> bool {
        self.reads = self.reads.saturating_add(1);
        let first = *self.first.get_or_insert(now);
        match policy {
            EmptySet::Keep => false,
            EmptySet::Withdraw { reads, over } => {
                self.reads >= reads && now.saturating_duration_since(first) >= over
            }
        }
    }

    /// How long it is until the issuer may be believed; `None` when that is not a question of
    /// time.
    pub(super) fn rest(&self, policy: EmptySet, now: Instant) -> Option<Duration> {
        let EmptySet::Withdraw { over, .. } = policy else { return None };
        let rest = over.checked_sub(now.saturating_duration_since(self.first?))?;
        (!rest.is_zero()).then_some(rest)
    }

    /// The issuer published usable keys.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_three_reads_and_a_minute() {
        let start = Instant::now();
        let verdicts = |policy, moments: &[u64]| -> Vec<bool> {
            let mut empty = EmptyReads::default();
            let at = |seconds| start + Duration::from_secs(seconds);
            moments.iter().map(|seconds| empty.another(policy, at(*seconds))).collect()
        };
        let withdraw = EmptySet::WITHDRAW;
        assert_eq!(
            verdicts(withdraw, &[0, 1, 3, 7, 59, 60]),
            [false, false, false, false, false, true]
        );
        assert_eq!(verdicts(withdraw, &[0, 3600, 3601]), [false, false, true]);
        assert_eq!(verdicts(EmptySet::Keep, &[0, 3600, 7200]), [false; 3]);
        let mut empty = EmptyReads::default();
        let rest = |empty: &EmptyReads, seconds| {
            empty.rest(withdraw, start + Duration::from_secs(seconds)).map(|rest| rest.as_secs())
        };
        assert_eq!(rest(&empty, 0), None);
        empty.another(withdraw, start);
        empty.another(withdraw, start);
        assert_eq!([0, 59, 60, 61].map(|at| rest(&empty, at)), [Some(60), Some(1), None, None]);
        empty.forget();
        assert!(!empty.another(withdraw, start + Duration::from_secs(60)));
    }
}
