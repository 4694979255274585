//! How a connection manager reads what is in a request line and around it.

use super::OurHeaders;
use super::names::Expression;
use super::place::Place;
use crate::doctor::report::Finding;

/// One reading of a path for routes, Doorward and the upstream.
pub(super) fn findings(manager: &Place<'_>, tables: &[Place<'_>]) -> Vec<Finding> {
    let on = |check: &'static str, so_what: &str| match manager.flag(check) {
        Some(true) => Finding::pass(check, "on"),
        Some(false) | None => {
            manager.fail(check, format!("off: {so_what}"), format!("set {check}: true"))
        }
    };
    let normalize =
        on("normalize_path", "/public/../admin is below /public/ here and /admin upstream");
    let merge = on("merge_slashes", "//admin is a different path here than upstream");
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
        _ if !tables.is_empty() && tables.iter().all(refuses_encoded_slashes) => Finding::pass(
            "escaped_slashes",
            "a route rejects them, except on the paths of earlier routes: Doorward's \
             rules.encoded_slashes decides there",
        ),
        other => manager.warn("escaped_slashes", format!("path_with_escaped_slashes_action is {}: /public/..%2Fadmin is one path here \
                 and may be a different one upstream", other.unwrap_or("not set")), "set path_with_escaped_slashes_action: REJECT_REQUEST; where the upstream needs encoded \
             slashes below one path, have routes refuse the others, as in envoy/nemo-grpc.yaml, and \
             name the path in rules.encoded_slashes"),
    };
    vec![normalize, merge, escaped]
}

/// Whether every host of a table has a route before those by prefix that refuses what makes another
/// path wherever it stands, and one that refuses all encoded slashes before any route that takes all paths.
fn refuses_encoded_slashes(table: &Place<'_>) -> bool {
    const ANYWHERE: [&str; 3] = ["/a%2Fb", "/a%2fb/c", "/a%2Fb%2fc"];
    /// Dot segments, empty segments, backslashes.
    const IN_FRONT: [&str; 7] = [
        "/a/..%2Fb",
        "/a/x%2f..%2fb",
        "/a/x%2F..",
        "/a/x%2f../b",
        "/a%2F%2fb",
        "/a/%2Fb",
        "/a/b%5Cc",
    ];
    let hosts = table.items("virtual_hosts");
    !hosts.is_empty()
        && hosts.iter().all(|host| {
            let routes = host.items("routes");
            let all = |it: &Place<'_>| it.text("match.prefix") == Some("/");
            let refuses = |it: &Place<'_>, paths: &[&str]| {
                let status = it.number("direct_response.status");
                let expression = it.at("match.safe_regex");
                let only = it.get("match").is_some_and(|it| it.children().len() == 1);
                status.is_some_and(|status| (400..500).contains(&status))
                    && only
                    && expression.is_some_and(|expression| {
                        paths
                            .iter()
                            .all(|path| Expression::read(&expression).takes(path) == Some(true))
                    })
            };
            let before = |stops: &dyn Fn(&Place<'_>) -> bool, paths: &[&str]| {
                routes.iter().take_while(|it| !stops(it)).any(|it| refuses(it, paths))
            };
            before(&|it| it.at("match.prefix").is_some(), &IN_FRONT) && before(&all, &ANYWHERE)
        })
}

/// What becomes of header names with `_`.
pub(super) fn underscores(manager: &Place<'_>, ours: &OurHeaders) -> Finding {
    let way = "common_http_protocol_options.headers_with_underscores_action";
    let found = match manager.text(way) {
        Some("DROP_HEADER") => "headers with _ are dropped".to_owned(),
        Some("REJECT_REQUEST") => "requests with _ in a header name are refused".to_owned(),
        Some(_) | None => {
            let prefix = ours.protected.prefix().replace('-', "_");
            format!("allowed; Doorward has {prefix}… removed")
        }
    };
    Finding::pass("underscores", found)
}

/// Whose addresses are believed.
pub(super) fn remote_address(manager: &Place<'_>) -> Finding {
    let detected = manager.get("original_ip_detection_extensions").is_some();
    if manager.flag("use_remote_address") == Some(true) || detected {
        Finding::pass("remote_address", "the client's address is the peer's, or a trusted proxy's")
    } else {
        manager.warn(
            "remote_address",
            "use_remote_address is off: x-forwarded-for, x-envoy-* and x-request-id from \
                 clients are trusted",
            "set use_remote_address: true at the edge (with xff_num_trusted_hops behind a load \
             balancer)",
        )
    }
}
