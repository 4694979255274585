//! An HTTP connection manager: how it reads paths, which filters it has and in what order.

use super::clusters;
use super::ext_authz;
use super::judge::at;
use super::place::Place;
use super::routes;
use super::{OurHeaders, judge};
use crate::doctor::report::{Finding, Section};

const MANAGER: &str = ".http_connection_manager.v3.HttpConnectionManager";
const EXT_AUTHZ: &str = ".ext_authz.v3.ExtAuthz";

/// One section a connection manager, and one for each filter outside of any.
pub(super) fn sections(roots: &[Place<'_>], ours: &OurHeaders) -> Vec<Section> {
    let is_manager = |place: &Place<'_>| place.is_a(MANAGER) && place.get("http_filters").is_some();
    let wanted = |place: &Place<'_>| is_manager(place) || place.is_a(EXT_AUTHZ);
    let found = roots.iter().flat_map(|root| root.find(&wanted));
    found
        .map(|place| {
            if is_manager(&place) {
                Section {
                    title: format!("door {}", named(&place)),
                    findings: manager(&place, roots, ours),
                }
            } else {
                Section {
                    title: format!("ext_authz filter at {}", place.path),
                    findings: ext_authz::findings(&place, ours),
                }
            }
        })
        .collect()
}

/// The configuration of ext_authz in a filter, which may be wrapped.
fn asks<'v>(filter: &Place<'v>) -> Option<Place<'v>> {
    filter.find(&|place| place.is_a(EXT_AUTHZ)).into_iter().next()
}

fn named(manager: &Place<'_>) -> String {
    match manager.text("stat_prefix") {
        Some(name) => format!("\"{name}\" at {}", manager.path),
        None => format!("at {}", manager.path),
    }
}

fn manager(manager: &Place<'_>, roots: &[Place<'_>], ours: &OurHeaders) -> Vec<Finding> {
    let filters = manager.items("http_filters");
    let asking =
        filters.iter().enumerate().find_map(|(index, filter)| Some((index, filter, asks(filter)?)));
    let mut findings = Vec::new();
    match &asking {
        None => findings.push(Finding::fail(
            "ext_authz",
            format!("no filter asks Doorward{}: every request passes as it came", at(manager)),
            "add envoy.filters.http.ext_authz in front of the router, as in envoy/envoy.yaml",
        )),
        Some((_, filter, _)) if filter.flag("disabled") == Some(true) => {
            findings.push(Finding::fail(
                "ext_authz",
                format!(
                    "the filter is disabled{}: only routes that turn it on are guarded",
                    at(filter)
                ),
                "remove disabled: true",
            ));
        }
        Some((_, filter, _)) => {
            findings.push(Finding::pass("ext_authz", format!("Doorward is asked{}", at(filter))))
        }
    }
    findings.extend(paths(manager));
    if let Some((index, filter, config)) = asking {
        findings.extend(ext_authz::findings(&config, ours));
        findings.push(order(&filters, index));
        let name = filter.text("name").unwrap_or("envoy.filters.http.ext_authz");
        findings.extend(routes::findings(manager, roots, name));
        findings.extend(clusters::findings(&config, roots));
    }
    findings.push(underscores(manager));
    findings.push(remote_address(manager));
    findings
}

/// One reading of a path for routes, Doorward and the upstream.
fn paths(manager: &Place<'_>) -> Vec<Finding> {
    let on = |check: &'static str, so_what: &str| match manager.flag(check) {
        Some(true) => Finding::pass(check, format!("on{}", judge::at(manager))),
        Some(false) | None => Finding::fail(
            check,
            format!("off{}: {so_what}", judge::at(manager)),
            format!("set {check}: true"),
        ),
    };
    let normalize =
        on("normalize_path", "/public/../admin is below /public/ here and /admin behind");
    let merge = on("merge_slashes", "//admin is another path here than behind");
    let action = manager.text("path_with_escaped_slashes_action");
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

/// Filters that act on headers by rules of their own.
const MEDDLERS: [&str; 8] = [
    "lua",
    "ext_proc",
    "wasm",
    "golang",
    "header_mutation",
    "dynamic_modules",
    "jwt_authn",
    "oauth2",
];

fn order(filters: &[Place<'_>], index: usize) -> Finding {
    let kind = |filter: &Place<'_>| {
        let typed = filter.text("typed_config.@type").unwrap_or_default();
        format!("{} {typed}", filter.text("name").unwrap_or_default()).to_ascii_lowercase()
    };
    let place =
        |filter: &Place<'_>| format!("{}{}", filter.text("name").unwrap_or("a filter"), at(filter));
    let (before, after) = filters.split_at_checked(index).unwrap_or((filters, &[]));
    let after = after.get(1..).unwrap_or_default();
    if let Some(router) = before.iter().find(|filter| kind(filter).contains("router")) {
        return Finding::fail(
            "filter_order",
            format!("{} comes before ext_authz, which is then never reached", place(router)),
            "put ext_authz before the router",
        );
    }
    let believes = |filter: &&Place<'_>| {
        filter.mentions("x-nmp-") || filter.mentions("envoy.filters.http.ext_authz")
    };
    if let Some(early) = before.iter().find(believes) {
        return Finding::fail(
            "filter_order",
            format!(
                "{} looks at the identity before Doorward has replaced what the client sent",
                place(early)
            ),
            "put ext_authz before it",
        );
    }
    let meddles = |filter: &&Place<'_>| MEDDLERS.iter().any(|name| kind(filter).contains(name));
    match after.iter().find(meddles) {
        Some(late) => Finding::warn(
            "filter_order",
            format!("{} comes after ext_authz and may change identity headers", place(late)),
            "make sure that it does not, or put it before ext_authz",
        ),
        None => Finding::pass("filter_order", "ext_authz, then nothing that changes the identity"),
    }
}

fn underscores(manager: &Place<'_>) -> Finding {
    let way = "common_http_protocol_options.headers_with_underscores_action";
    let found = match manager.text(way) {
        Some("DROP_HEADER") => "headers with _ are dropped",
        Some("REJECT_REQUEST") => "requests with _ in a header name are refused",
        Some(_) | None => "allowed; Doorward has x_nmp_… removed",
    };
    Finding::pass("underscores", found)
}

fn remote_address(manager: &Place<'_>) -> Finding {
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
