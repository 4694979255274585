//! What happens to connections again and again is logged now and then.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

/// A line in the log now and then, however often something happens.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    told: Option<Instant>,
    untold: u64,
}

impl LogLimit {
    /// If it is time for a line, how many were left out since the last one.
    pub(super) fn take_turn(&mut self) -> Option<u64> {
        /// Between two lines.
        const PAUSE: Duration = Duration::from_secs(10);
        if self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            self.untold += 1;
            return None;
        }
        self.told = Some(Instant::now());
        Some(mem::take(&mut self.untold))
    }
}
