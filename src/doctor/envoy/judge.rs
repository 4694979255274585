//! Findings that are the same whoever configures Envoy.

use std::time::Duration;

use super::place::Place;
use crate::doctor::report::Finding;

/// A check takes far less; what takes longer is the fetch of a new key.
const SHORTEST: Duration = Duration::from_millis(500);
/// Longer than this, a Doorward that hangs holds up every request.
const LONGEST: Duration = Duration::from_secs(5);

/// Where something stands, at the end of a sentence.
pub(super) fn at(place: &Place<'_>) -> String {
    if place.path.is_empty() { String::new() } else { format!(" (at {})", place.path) }
}

/// What happens when Doorward cannot be asked.
pub(super) fn failure_mode(place: &Place<'_>, field: &str) -> Finding {
    let open = place.flag(field) == Some(true);
    let place = place.at(field).unwrap_or_else(|| place.clone());
    let name = field.rsplit('.').next().unwrap_or(field);
    if open {
        Finding::fail(
            "failure_mode",
            format!(
                "{name} is true{}: when Doorward is unreachable, requests pass with whatever \
                 identity headers the client made up",
                at(&place)
            ),
            format!("set {name}: false"),
        )
    } else {
        Finding::pass(
            "failure_mode",
            format!("fails closed when Doorward is unreachable{}", at(&place)),
        )
    }
}

/// How long a check may take. `unset` is what holds when nothing is said.
pub(super) fn timeout(place: &Place<'_>, field: &str, unset: Duration) -> Finding {
    let said = place.span(field);
    let span = said.unwrap_or(unset);
    let written = humantime::format_duration(span);
    let place = place.at(field).unwrap_or_else(|| place.clone());
    let is = match said {
        Some(_) => format!("{written}{}", at(&place)),
        None => format!("not set{}: {written} then", at(&place)),
    };
    if span.is_zero() {
        let found = format!("{is}: no limit; if Doorward hangs, every request hangs");
        Finding::warn("timeout", found, format!("set {field}: 1s"))
    } else if span < SHORTEST {
        let found = format!(
            "{is}; the first token signed with a new key waits for a fetch from the issuer, which \
             takes longer"
        );
        Finding::warn("timeout", found, format!("set {field}: 1s"))
    } else if span > LONGEST {
        let found = format!("{is}; if Doorward hangs, every request waits that long");
        Finding::warn("timeout", found, format!("set {field}: 1s"))
    } else {
        Finding::pass("timeout", is)
    }
}

/// What a client gets when Doorward cannot be asked.
pub(super) fn status_on_error(place: &Place<'_>, status: Option<&str>, remedy: &str) -> Finding {
    match status {
        Some("503" | "ServiceUnavailable") => Finding::pass(
            "status_on_error",
            format!("503 when Doorward is unreachable{}", at(place)),
        ),
        other => Finding::warn(
            "status_on_error",
            format!(
                "{} when Doorward is unreachable{}: \"we could not tell\" looks like \"you may \
                 not\"",
                other.unwrap_or("not set: 403"),
                at(place)
            ),
            remedy,
        ),
    }
}

/// Whether the route is chosen again after the decision.
pub(super) fn clear_route_cache(place: &Place<'_>, field: &str) -> Finding {
    if place.flag(field) == Some(true) {
        Finding::warn(
            "route_cache",
            format!(
                "{field} is true{}: another route may be used with this one's decision",
                at(place)
            ),
            format!("set {field}: false, unless routes depend on headers that Doorward sets"),
        )
    } else {
        Finding::pass("route_cache", "the route stays the one that was checked")
    }
}

/// Whether bodies are buffered and sent along.
pub(super) fn body(place: &Place<'_>, field: &str) -> Finding {
    match place.get(field) {
        Some(body) => Finding::warn(
            "body",
            format!(
                "request bodies are buffered and sent to Doorward{}: slow, and it never reads them",
                at(&body)
            ),
            format!("remove {field}"),
        ),
        None => Finding::pass("body", "request bodies stay with Envoy"),
    }
}
