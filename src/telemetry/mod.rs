//! What operators see: metrics, decision lines, log set-up. Never a token; label values
//! come from configuration alone.

mod config;
mod connections;
mod decisions;
mod denials;
mod history;
mod logging;
mod metrics;
mod policy;
mod register;
mod tally;

pub use self::config::{ConfigMetrics, Reload};
pub use self::connections::{Closed, ConnectionMetrics, CutOff, LISTENERS, TlsFailure};
pub use self::decisions::DecisionLines;
pub use self::denials::{RecentDenial, RecentDenials};
pub use self::history::{History, LOOK_EVERY, Totals, Windows};
pub use self::logging::{LoggingError, install};
pub use self::metrics::{KeySetFacts, Metrics, Recorder};
pub use self::policy::{PolicyFacts, PolicyMetrics};
pub use self::tally::{Change, STATISTICS, Statistic, Step, Tally};
