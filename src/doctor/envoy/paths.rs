//! How a connection manager reads what is in a request line and around it.

use super::judge::at;
use super::place::Place;
use crate::doctor::report::Finding;

/// One reading of a path for routes, Doorward and the upstream.
pub(super) fn findings(manager: &Place<'_>) -> Vec<Finding> {
    let on = |check: &'static str, so_what: &str| match manager.flag(check) {
        Some(true) => Finding::pass(check, format!("on{}", at(manager))),
        Some(false) | None => Finding::fail(
            check,
            format!("off{}: {so_what}", at(manager)),
            format!("set {check}: true"),
        ),
    };
    let normalize =
        on("normalize_path", "/public/../admin is below /public/ here and /admin behind");
    let merge = on("merge_slashes", "//admin is another path here than behind");
    let action = manager.choice(
        "path_with_escaped_slashes_action",
        &[
            "IMPLEMENTATION_SPECIFIC_DEFAULT",
            "KEEP_UNCHANGED",
            "REJECT_REQUEST",
            "UNESCAPE_AND_REDIRECT",
            "UNESCAPE_AND_FORWARD",
        ],
    );
    let escaped = match action {
        Some(done @ ("REJECT_REQUEST" | "UNESCAPE_AND_REDIRECT" | "UNESCAPE_AND_FORWARD")) => {
            Finding::pass("escaped_slashes", done.to_owned())
        }
        other => Finding::warn(
            "escaped_slashes",
            format!(
                "path_with_escaped_slashes_action is {}{}: /public/..%2Fadmin is one path here \
                 and may be another behind",
                other.unwrap_or("not set"),
                at(manager)
            ),
            "set path_with_escaped_slashes_action: REJECT_REQUEST, unless the upstream needs \
             encoded slashes",
        ),
    };
    vec![normalize, merge, escaped]
}

/// What becomes of header names with `_`.
pub(super) fn underscores(manager: &Place<'_>) -> Finding {
    let way = "common_http_protocol_options.headers_with_underscores_action";
    let found = match manager.text(way) {
        Some("DROP_HEADER") => "headers with _ are dropped",
        Some("REJECT_REQUEST") => "requests with _ in a header name are refused",
        Some(_) | None => "allowed; Doorward has x_nmp_… removed",
    };
    Finding::pass("underscores", found)
}

/// Whose addresses are believed.
pub(super) fn remote_address(manager: &Place<'_>) -> Finding {
    let detected = manager.get("original_ip_detection_extensions").is_some();
    if manager.flag("use_remote_address") == Some(true) || detected {
        Finding::pass("remote_address", "the client's address is the peer's, or a trusted proxy's")
    } else {
        Finding::warn(
            "remote_address",
            format!(
                "use_remote_address is off{}: x-forwarded-for, x-envoy-* and x-request-id from \
                 clients are believed",
                at(manager)
            ),
            "set use_remote_address: true at the edge (with xff_num_trusted_hops behind a load \
             balancer)",
        )
    }
}
