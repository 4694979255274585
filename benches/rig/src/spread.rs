//! Latencies, and how they spread.

use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub struct Spread {
    micros: Vec<u32>,
    pub allowed: usize,
    pub denied: usize,
    pub failed: usize,
}

impl Spread {
    pub fn add(&mut self, span: Duration, outcome: Outcome) {
        match outcome {
            Outcome::Allowed => self.allowed += 1,
            Outcome::Denied => self.denied += 1,
            Outcome::Failed => self.failed += 1,
        }
        self.micros.push(u32::try_from(span.as_micros()).unwrap_or(u32::MAX));
    }

    /// JSON, as `scripts/bench` reads it.
    pub fn report(mut self, elapsed: Duration) -> String {
        self.micros.sort_unstable();
        let at = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss
            )]
            let index = (self.micros.len() as f64 * share) as usize;
            self.micros.get(index.min(self.micros.len().saturating_sub(1))).copied().unwrap_or(0)
        };
        let Self { allowed, denied, failed, .. } = self;
        serde_json::json!({
            "count": self.micros.len(), "seconds": elapsed.as_secs_f64(),
            "allowed": allowed, "denied": denied, "failed": failed,
            "p50": at(0.5), "p99": at(0.99), "p999": at(0.999),
        })
        .to_string()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Allowed,
    Denied,
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
