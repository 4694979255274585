//! What time it is: the only caller of `SystemTime::now`.
//!
//! Time is handed to every check as data ([`UnixTime`]), so that a decision can be
//! replayed for any moment (`explain --at`) and tests never sleep.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z, leap seconds ignored: the unit of a
/// `NumericDate` (RFC 7519 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The last second that RFC 3339 can write. No date of a token lies beyond it, but those that
    /// were written in milliseconds do.
    pub const END_OF_YEAR_9999: Self = Self(253_402_300_799);

    /// Later than every moment that comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// What was meant where a date makes no sense as seconds and does as milliseconds.
    #[must_use]
    pub fn meant_as_milliseconds(self) -> Option<Self> {
        let meant = Self(self.0 / 1000);
        (self > Self::END_OF_YEAR_9999 && meant <= Self::END_OF_YEAR_9999).then_some(meant)
    }

    /// This moment and `span` more; saturates instead of wrapping.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// Where the time of a decision comes from.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> UnixTime;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> UnixTime {
        // A clock before 1970 reads as 1970: every token is then not yet valid,
        // which denies and is plain to see.
        UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs()))
    }
}
