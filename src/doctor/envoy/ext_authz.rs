//! The filter itself: whom it asks, how long, with which headers.

use std::time::Duration;

use super::OurHeaders;
use super::filters::Filter;
use super::judge::{at, body, clear_route_cache, failure_mode, status_on_error, timeout};
use super::names::{List, Taken};
use super::place::Place;
use super::routes::Way;
use super::{enabled, mutation_rules};
use crate::doctor::report::Finding;

/// Envoy's, for either service.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(200);
/// Where Doorward's HTTP front decides.
const PATH_PREFIX: &str = "/apis/auth/ext-authz";

/// Findings about the filter's configuration, behind these filters and on these ways.
pub(super) fn findings(
    filter: &Place<'_>,
    front: &[Filter<'_>],
    ways: &[Way<'_>],
    roots: &[Place<'_>],
    ours: &OurHeaders,
) -> Vec<Finding> {
    let mut findings = vec![failure_mode(filter, "failure_mode_allow")];
    findings.extend(enabled::findings(filter, front, ways, roots));
    let status = filter.at("status_on_error.code");
    let status = status.map(|code| code.value.to_string().trim_matches('"').to_owned());
    let timeout_at = if filter.get("http_service").is_some() {
        "http_service.server_uri.timeout"
    } else {
        "grpc_service.timeout"
    };
    findings.extend([
        timeout(filter, timeout_at, DEFAULT_TIMEOUT),
        status_on_error(
            filter,
            status.as_deref(),
            "set status_on_error: {code: ServiceUnavailable}",
        ),
        allowed_headers(filter, ours),
    ]);
    findings.extend(filter.get("http_service").map(|service| http_headers(&service, ours)));
    findings.push(mutations(filter));
    findings.extend(mutation_rules::finding(filter, ours));
    findings.extend(metadata(filter));
    findings.push(route_cache(filter, ways));
    findings.push(body(filter, "with_request_body"));
    findings
}

/// Where routes depend on what Doorward answers, one may be entered with another's decision.
fn route_cache(filter: &Place<'_>, ways: &[Way<'_>]) -> Finding {
    let again = filter.get("clear_route_cache");
    let again = again.filter(|_| filter.flag("clear_route_cache") == Some(true));
    match (again, ways.iter().find(|way| way.depends())) {
        (Some(again), Some(way)) => Finding::fail(
            "route_cache",
            format!(
                "the route is selected again after the decision{}, and may then be {}: what that \
                 route requires is never checked",
                at(&again),
                way.route.path
            ),
            "remove clear_route_cache: true",
        ),
        (Some(_), None) | (None, _) => clear_route_cache(filter, "clear_route_cache"),
    }
}

fn metadata(filter: &Place<'_>) -> Option<Finding> {
    let dropped = filter.flag("enable_dynamic_metadata_ingestion") == Some(false);
    dropped.then(|| {
        Finding::warn(
            "metadata",
            format!(
                "the identity is not stored as dynamic metadata{}: access logs and RBAC do not \
                 see it",
                at(filter)
            ),
            "remove enable_dynamic_metadata_ingestion: false",
        )
    })
}

/// Whether Doorward sees what it has to see.
fn allowed_headers(filter: &Place<'_>, ours: &OurHeaders) -> Finding {
    let list = filter
        .get("allowed_headers")
        .or_else(|| filter.at("http_service.authorization_request.allowed_headers"));
    let authorization = "authorization".to_owned();
    if let Some(hidden) = filter.get("disallowed_headers") {
        let matchers = List::read(&hidden);
        let like: Vec<_> = matchers.texts().flat_map(|text| ours.like(text)).collect();
        let mut names = ours.to_see.iter().chain(&like).chain([&authorization]);
        if let Some(lost) = names.find(|name| matchers.taken(name) != Taken::No) {
            return Finding::fail(
                "allowed_headers",
                format!("disallowed_headers hides {lost} from Doorward{}", at(&hidden)),
                "remove it from disallowed_headers",
            );
        }
    }
    let Some(list) = list else {
        // Over HTTP the service sees Host, Method, Path, Content-Length and Authorization.
        return if filter.get("http_service").is_some() {
            not_seen(filter, ours.to_see.first().map_or("", String::as_str), "not set", ours)
        } else {
            Finding::pass("allowed_headers", "Doorward sees every header")
        };
    };
    let matchers = List::read(&list);
    // Envoy adds Authorization by itself when it asks over HTTP.
    let asked = filter.get("http_service").is_none().then_some(&authorization);
    if let Some(lost) = matchers.first(Taken::No, asked) {
        return Finding::fail(
            "allowed_headers",
            format!(
                "{lost} is not in the list{}: every request arrives without a token",
                at(&list)
            ),
            "add {exact: authorization}",
        );
    }
    if let Some(lost) = matchers.first(Taken::No, &ours.to_see) {
        return not_seen(&list, lost, "incomplete", ours);
    }
    let of_preflights = ours.of_preflights.iter().find(|name| matchers.taken(name) == Taken::No);
    if let Some(name) = of_preflights {
        return Finding::fail(
            "allowed_headers",
            format!(
                "{name} is not in the list{}: Doorward cannot recognize CORS preflights without \
                 it, and rules.cors_preflight: allow lets none pass",
                at(&list)
            ),
            "add {exact: origin} and {exact: access-control-request-method}",
        );
    }
    if matchers.first(Taken::Unknown, asked.into_iter().chain(&ours.to_see)).is_some() {
        return Finding::warn(
            "allowed_headers",
            format!("a matcher that cannot be read decides what Doorward sees{}", at(&list)),
            ours.remedy(),
        );
    }
    Finding::pass("allowed_headers", format!("the token and every trusted name{}", at(&list)))
}

fn not_seen(place: &Place<'_>, name: &str, how: &str, ours: &OurHeaders) -> Finding {
    Finding::fail(
        "allowed_headers",
        format!(
            "{how}{}: Doorward never sees {name}, so it cannot have it removed, and many \
             upstreams read it as the real one",
            at(place)
        ),
        ours.remedy(),
    )
}

/// Whether the identity arrives: over HTTP, Envoy forwards only what is listed.
pub(super) fn http_headers(service: &Place<'_>, ours: &OurHeaders) -> Finding {
    if let Some(fixed) = service.get("path_override") {
        return Finding::fail(
            "http_headers",
            format!("Doorward is asked about the same path for every request{}", at(&fixed)),
            format!("remove path_override, and set path_prefix: {PATH_PREFIX}"),
        );
    }
    let prefix = service.text("path_prefix").unwrap_or_default();
    if prefix != PATH_PREFIX {
        return Finding::fail(
            "http_headers",
            format!(
                "path_prefix is \"{prefix}\"{}: Doorward decides under {PATH_PREFIX}",
                at(service)
            ),
            format!("set path_prefix: {PATH_PREFIX}"),
        );
    }
    let remedy = || format!("set it to {{patterns: {}}}", ours.upstream_matchers());
    let Some(list) = service.at("authorization_response.allowed_upstream_headers") else {
        return Finding::fail(
            "http_headers",
            format!(
                "authorization_response.allowed_upstream_headers is not set{}: no identity reaches the upstream",
                at(service)
            ),
            remedy(),
        );
    };
    let matchers = List::read(&list);
    if let Some(lost) = matchers.first(Taken::No, &ours.set) {
        return Finding::fail(
            "http_headers",
            format!(
                "{lost} is not in allowed_upstream_headers{}: the upstream gets the client's value",
                at(&list)
            ),
            remedy(),
        );
    }
    let appended = service.at("authorization_response.allowed_upstream_headers_to_append");
    let appended = appended.and_then(|list| {
        let matchers = List::read(&list);
        let name = ours.set.iter().find(|name| matchers.taken(name) != Taken::No)?;
        Some(Finding::fail(
            "http_headers",
            format!("{name} is appended{}: the client's value comes before Doorward's", at(&list)),
            "remove allowed_upstream_headers_to_append",
        ))
    });
    if let Some(finding) = appended {
        return finding;
    }
    if let Some(name) = matchers.first(Taken::Unknown, &ours.set) {
        return Finding::warn(
            "http_headers",
            format!("a matcher that cannot be read decides about {name}{}", at(&list)),
            remedy(),
        );
    }
    // Envoy adds WWW-Authenticate to allowed_client_headers by itself.
    Finding::pass("http_headers", format!("identity headers reach the upstream{}", at(&list)))
}

fn mutations(filter: &Place<'_>) -> Finding {
    if filter.flag("validate_mutations") == Some(true) {
        Finding::pass("mutations", "a malformed response ends the request")
    } else {
        Finding::warn(
            "mutations",
            format!("not set{}: the valid part of a malformed response is used", at(filter)),
            "set validate_mutations: true",
        )
    }
}
