//! One log line a decision, when asked for, and never more than a few a second: whoever
//! sends forged tokens must not fill our disks.

use std::sync::atomic::{AtomicU64, Ordering};

use doorward_core::clock::UnixTime;
use doorward_core::decision::Decision;
use doorward_core::request::RequestView;

use crate::config::DecisionLog;

/// The most that is shown of anything a client sent, in bytes.
const MAX_SHOWN_BYTES: usize = 256;

/// Writes decision lines.
#[derive(Debug)]
pub struct DecisionLines {
    which: DecisionLog,
    per_second: u64,
    /// The second in the upper 40 bits, the lines in it in the lower 24: one atomic, so
    /// that no lock is taken.
    window: AtomicU64,
    left_out: AtomicU64,
}

const COUNT_BITS: u32 = 24;

impl DecisionLines {
    /// Writes lines for `which` decisions, at most `per_second`.
    #[must_use]
    pub fn new(which: DecisionLog, per_second: u32) -> Self {
        Self {
            which,
            per_second: u64::from(per_second),
            window: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Whether such a decision gets a line, as far as there is room for it.
    #[must_use]
    pub fn want(&self, decision: &Decision) -> bool {
        match (self.which, decision) {
            (DecisionLog::Off, _) | (DecisionLog::Denials, Decision::Allow(_)) => false,
            (DecisionLog::Denials, Decision::Deny(_)) | (DecisionLog::All, _) => true,
        }
    }

    /// Writes a line for a decision that is to get one, if there is room for it.
    pub fn write(
        &self,
        decision: &Decision,
        issuer: &str,
        request: &RequestView<'_>,
        now: UnixTime,
    ) {
        if !self.take_turn(now) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        let issuer = Some(issuer).filter(|issuer| !issuer.is_empty());
        let method = shown(request.method);
        let path = shown(request.path_without_query());
        let request_id = request.header_values("x-request-id").next().map(shown);
        match decision {
            Decision::Allow(approval) => {
                let principal = approval.identity().map(|verified| verified.identity().subject());
                tracing::info!(
                    target: "doorward::decision",
                    decision = "allow", reason = approval.code(), issuer, principal,
                    method, path, request_id, left_out,
                );
            }
            Decision::Deny(denial) => {
                tracing::info!(
                    target: "doorward::decision",
                    decision = "deny", reason = denial.reason().code(), issuer,
                    fault = %denial.fault, method, path, request_id, left_out,
                );
            }
        }
    }

    /// Whether one more line fits into this second.
    fn take_turn(&self, now: UnixTime) -> bool {
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

/// What a client sent, fit for a log line: one line, whatever it holds.
fn shown(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MAX_SHOWN_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_turns_and_the_next_as_many_again() {
        let lines = DecisionLines::new(DecisionLog::All, 3);
        let turns = |second| (0..10).filter(|_| lines.take_turn(UnixTime(second))).count();
        assert_eq!((turns(1_700_000_000), turns(1_700_000_001)), (3, 3));
        assert!(!DecisionLines::new(DecisionLog::All, 0).take_turn(UnixTime(1)));
    }
}
