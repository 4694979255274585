//! So many in a second and no more, without a lock: what clients bring about must not fill disks
//! or take the time of others.

use std::sync::atomic::{AtomicU64, Ordering};

use doorward_core::clock::UnixTime;

/// So many turns a second.
#[derive(Debug)]
pub struct Turns {
    per_second: u64,
    /// The second in the upper 40 bits, the turns taken in it in the lower 24: one atomic.
    window: AtomicU64,
}

const COUNT_BITS: u32 = 24;

impl Turns {
    /// `per_second` turns in every second, fewer than sixteen million.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self { per_second: u64::from(per_second), window: AtomicU64::new(0) }
    }

    /// Gives a turn of this second back, if it is still this second.
    pub fn give_back(&self, now: UnixTime) {
        let _ = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
            let count = window & ((1 << COUNT_BITS) - 1);
            (window >> COUNT_BITS == now.0 && count > 0).then(|| window - 1)
        });
    }

    /// Whether this second still has a turn, which is then taken.
    #[must_use]
    pub fn take(&self, now: UnixTime) -> bool {
        let first = (now.0 << COUNT_BITS) | 1;
        let turn = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
            let count = window & ((1 << COUNT_BITS) - 1);
            match (window >> COUNT_BITS == now.0, count < self.per_second) {
                (true, true) => Some(window + 1),
                (true, false) => None,
                (false, _) => (self.per_second > 0).then_some(first),
            }
        });
        turn.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_turns_and_the_next_as_many_again() {
        let turns = Turns::new(3);
        let taken = |second| (0..10).filter(|_| turns.take(UnixTime(second))).count();
        assert_eq!((taken(1_700_000_000), taken(1_700_000_001)), (3, 3));
        assert!(!Turns::new(0).take(UnixTime(1)));
        turns.give_back(UnixTime(1_700_000_001));
        assert_eq!(taken(1_700_000_001), 1);
        turns.give_back(UnixTime(1_700_000_000));
        assert_eq!(taken(1_700_000_001), 0, "another second's");
    }
}
