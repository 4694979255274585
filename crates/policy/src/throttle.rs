//! Warnings of the same kind, one now and then.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long there is no further warning.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets a warning through, and then none for a while.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    /// Warns, unless that was done a moment ago.
    pub(crate) fn warn(&self, text: impl FnOnce() -> String) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() > PAUSE) {
            *last = Some(Instant::now());
            drop(last);
            tracing::warn!("{}", text());
        }
    }
}
