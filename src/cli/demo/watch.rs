//! Decisions, shown as they are made.

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::mpsc;

use super::door::{Feed, Shown};
use super::words;

/// A line of the access log that `envoy/envoy.yaml` sets up.
#[derive(Debug, Deserialize)]
struct AccessLine {
    method: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    details: Option<String>,
    reason: Option<String>,
    principal: Option<String>,
}

/// Shows decisions for as long as there are any to come.
pub(super) async fn show(decisions: &mut mpsc::Receiver<Shown>) {
    while let Some(decision) = decisions.recv().await {
        words::decision(&decision);
    }
    // Nobody tells of decisions any more, which is no reason to end.
    std::future::pending().await
}

/// Reads Envoy's access log and tells the feed.
pub(super) async fn follow(log: impl AsyncRead + Unpin, feed: Feed) {
    let mut lines = BufReader::new(log).lines();
    // Read to the end in any case: a full pipe would stop Envoy.
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(decision) = decision_in(&line) {
            let _ = feed.try_send(decision);
        }
    }
}

fn decision_in(line: &str) -> Option<Shown> {
    let line: AccessLine = serde_json::from_str(line).ok()?;
    // Envoy's own word for "ext_authz said no, or could not be asked". A 4xx of the
    // upstream is none of ours.
    let refused = line.details.as_deref().is_some_and(|details| details.starts_with("ext_authz_"));
    Some(Shown {
        allowed: !refused,
        method: line.method?,
        path: line.path?,
        status: line.status,
        reason: if refused { line.reason.or(line.details) } else { None },
        principal: line.principal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_envoy_logs() {
        let denied = decision_in(
            r#"{"method":"GET","path":"/a","status":401,"details":"ext_authz_denied",
                "reason":"missing_token","principal":null,"groups":null}"#,
        );
        let denied = denied.unwrap();
        assert!(!denied.allowed);
        assert_eq!(denied.reason.as_deref(), Some("missing_token"));

        let unasked = r#"{"method":"GET","path":"/a","status":503,"details":"ext_authz_error"}"#;
        let unasked = decision_in(unasked).unwrap();
        assert!(!unasked.allowed);
        assert_eq!(unasked.reason.as_deref(), Some("ext_authz_error"));

        let allowed = decision_in(
            r#"{"method":"GET","path":"/a","status":404,"details":"via_upstream",
                "decision":"allow","reason":"authenticated","principal":"alice"}"#,
        );
        let allowed = allowed.unwrap();
        assert!(allowed.allowed, "the upstream's 404 is the upstream's");
        assert_eq!(allowed.principal.as_deref(), Some("alice"));

        assert_eq!(decision_in("[warning] something else"), None);
    }
}
