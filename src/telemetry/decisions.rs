//! One log line a decision, when asked for, and never more than a few a second: whoever
//! sends forged tokens must not fill our disks.

use std::sync::atomic::{AtomicU64, Ordering};

use doorward_core::clock::UnixTime;
use doorward_core::decision::Decision;
use doorward_core::request::RequestView;

use crate::config::DecisionLog;
use crate::turns::Turns;

/// The most that is shown of anything a client sent, in bytes.
const MAX_SHOWN_BYTES: usize = 256;

/// Writes decision lines.
#[derive(Debug)]
pub struct DecisionLines {
    which: DecisionLog,
    turns: Turns,
    left_out: AtomicU64,
}

impl DecisionLines {
    /// Writes lines for `which` decisions, at most `per_second`.
    #[must_use]
    pub fn new(which: DecisionLog, per_second: u32) -> Self {
        Self { which, turns: Turns::new(per_second), left_out: AtomicU64::new(0) }
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
        if !self.turns.take(now) {
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
                let principal = approval.identity().map(|verified| verified.identity().principal());
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
}

/// What a client sent, fit for a log line: one line, whatever it holds.
pub(super) fn shown(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MAX_SHOWN_BYTES).unwrap_or(bytes);
    let mut shown = String::from_utf8_lossy(bytes).escape_debug().to_string();
    shown.truncate(shown.floor_char_boundary(MAX_SHOWN_BYTES));
    shown
}
