//! What becomes of requests, shown as they come.

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::mpsc;

use super::server::{Feed, Outcome, Shown};
use super::words;
use crate::cli::output::say;

/// A line of the access log that `envoy/envoy.yaml` sets up.
#[derive(Debug, Deserialize)]
struct AccessLine {
    method: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    details: Option<String>,
    /// Doorward's, when it was asked.
    decision: Option<String>,
    reason: Option<String>,
    principal: Option<String>,
}

/// Shows decisions for as long as there are any to come.
pub(super) async fn show(decisions: &mut mpsc::Receiver<Shown>) {
    while let Some(shown) = decisions.recv().await {
        say!("{}", words::line(&shown));
    }
    // Nobody tells of decisions any more, which is no reason to end.
    std::future::pending().await
}

/// Reads Envoy's access log and tells the feed.
pub(super) async fn follow(log: impl AsyncRead + Unpin, feed: Feed) {
    let mut lines = BufReader::new(log).lines();
    // Read to the end in any case: a full pipe would stop Envoy.
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(shown) = shown_in(&line) {
            let _ = feed.try_send(shown);
        }
    }
}

fn shown_in(line: &str) -> Option<Shown> {
    let line: AccessLine = serde_json::from_str(line).ok()?;
    let details = line.details.unwrap_or_default();
    // Envoy's own word for "ext_authz said no, or could not be asked". A 4xx of the
    // upstream is none of ours.
    let outcome = if details.starts_with("ext_authz_") {
        Outcome::Denied(line.reason.unwrap_or(details))
    } else if details == "doorward_document" {
        // What Doorward answers inside Envoy.
        Outcome::Open
    } else if details == "via_upstream" {
        line.decision.map_or(Outcome::Open, |_| Outcome::Allowed(line.principal))
    } else if line.decision.is_some() {
        Outcome::Unanswered(details)
    } else if details == "path_normalization_failed" {
        Outcome::Refused(details + "; the path is shown as Envoy normalizes it")
    } else {
        Outcome::Refused(details)
    };
    // What Envoy cannot read has neither method nor path.
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    Some(Shown {
        outcome,
        method: or_dash(line.method),
        path: or_dash(line.path),
        status: line.status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_envoy_logs() {
        let outcome = |line| shown_in(line).unwrap().outcome;
        let denied = outcome(
            r#"{"method":"GET","path":"/a","status":401,"details":"ext_authz_denied",
                "decision":"deny","reason":"missing_token","principal":null,"groups":null}"#,
        );
        assert_eq!(denied, Outcome::Denied("missing_token".into()));
        let unasked = r#"{"method":"GET","path":"/a","status":503,"details":"ext_authz_error"}"#;
        assert_eq!(outcome(unasked), Outcome::Denied("ext_authz_error".into()));
        let allowed = outcome(
            r#"{"method":"GET","path":"/a","status":404,"details":"via_upstream",
                "decision":"allow","reason":"authenticated","principal":"alice"}"#,
        );
        assert_eq!(allowed, Outcome::Allowed(Some("alice".into())), "a 404 is the upstream's");
        let down = r#"{"method":"GET","path":"/a","status":503,"decision":"allow",
            "details":"upstream_reset_before_response_started{remote_connection_failure}"}"#;
        assert!(matches!(outcome(down), Outcome::Unanswered(_)));
        let route = r#"{"method":"GET","path":"/b","status":200,"details":"via_upstream"}"#;
        assert_eq!(outcome(route), Outcome::Open);
        let inside = r#"{"method":"GET","path":"/b","status":200,"details":"doorward_document"}"#;
        assert_eq!(outcome(inside), Outcome::Open);
        assert_eq!(shown_in("[warning] something else"), None);
    }

    #[test]
    fn what_envoy_refuses_was_not_asked() {
        let refused = |line, shown: &str| {
            assert_eq!(
                anstream::adapter::strip_str(&words::line(&shown_in(line).unwrap())).to_string(),
                shown
            );
        };
        refused(
            r#"{"method":"GET","path":"/a/b","status":400,"details":"path_normalization_failed",
                "decision":null}"#,
            "  refused 400 GET /a/b  by Envoy, Doorward was not asked (path_normalization_failed; \
             the path is shown as Envoy normalizes it)",
        );
        // A backslash is a character like any other.
        refused(
            r#"{"method":"GET","path":"/..\\hello","status":404,"details":"via_upstream",
                "decision":"allow","principal":"alice"}"#,
            r"  allowed 404 GET /..\hello  alice",
        );
        refused(
            r#"{"method":null,"path":null,"status":400,"details":"http1.codec_error"}"#,
            "  refused 400 - -  by Envoy, Doorward was not asked (http1.codec_error)",
        );
    }
}
