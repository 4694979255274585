//! The filter itself: whom it asks, how long, with which headers.

use std::time::Duration;

use super::OurHeaders;
use super::asking::{Fields, PATH_PREFIX};
use super::enabled;
use super::filters::Filter;
use super::names::{Expression, List};
use super::place::Place;
use super::routes::Way;
use crate::doctor::report::Finding;

/// How the filter is written that asks over gRPC.
const GRPC: Fields = Fields {
    failure_mode: "failure_mode_allow",
    timeout: "grpc_service.timeout",
    unset: Duration::from_millis(200),
    status: "status_on_error.code",
    unavailable: "status_on_error: {code: ServiceUnavailable}",
    route_cache: "clear_route_cache",
    body: "with_request_body",
    path: "path_prefix",
    kept: "allowed_upstream_headers",
};
/// And over HTTP.
const HTTP: Fields = Fields { timeout: "http_service.server_uri.timeout", ..GRPC };

/// Findings about the filter's configuration, behind these filters and on these ways.
pub(super) fn findings(
    filter: &Place<'_>,
    front: &[&Filter<'_>],
    ways: &[Way<'_>],
    roots: &[Place<'_>],
    ours: &OurHeaders,
) -> Vec<Finding> {
    let over_http = filter.get("http_service");
    let fields = if over_http.is_some() { &HTTP } else { &GRPC };
    let depends = ways.iter().find(|way| way.depends()).map(|way| way.route.path.as_str());
    let mut findings = fields.findings(filter, depends);
    findings.extend(enabled::findings(filter, front, ways, roots));
    findings.push(allowed_headers(filter, ours));
    findings.extend(over_http.map(|service| http_headers(&service, ours)));
    findings.push(mutations(filter));
    findings.extend(mutation_rules(filter, ours));
    findings.extend(metadata(filter));
    findings
}

fn metadata(filter: &Place<'_>) -> Option<Finding> {
    let dropped = filter.flag("enable_dynamic_metadata_ingestion") == Some(false);
    dropped.then(|| {
        filter.warn(
            "metadata",
            "the identity is not stored as dynamic metadata: access logs and RBAC do not \
                 see it",
            "remove enable_dynamic_metadata_ingestion: false",
        )
    })
}

/// Whether Doorward sees what it has to see.
fn allowed_headers(filter: &Place<'_>, ours: &OurHeaders) -> Finding {
    const CHECK: &str = "allowed_headers";
    let over_http = filter.get("http_service").is_some();
    let list = filter
        .get(CHECK)
        .or_else(|| filter.at("http_service.authorization_request.allowed_headers"));
    let authorization = "authorization".to_owned();
    if let Some(hidden) = filter.get("disallowed_headers") {
        const REMEDY: &str = "remove it from disallowed_headers";
        let matchers = List::read(&hidden);
        let like: Vec<_> = matchers.texts().flat_map(|text| ours.like(text)).collect();
        let mut names = ours.to_see.iter().chain(&like).chain([&authorization]);
        if let Some(lost) = names.find(|name| matchers.takes(name) != Some(false)) {
            let found = format!("disallowed_headers hides {lost} from Doorward");
            return hidden.fail(CHECK, found, REMEDY);
        }
        if matchers.expressions().any(|it| ours.may_be_taken_by(it)) {
            let found =
                "disallowed_headers hides names that an expression takes, which may be trusted";
            return hidden.warn(CHECK, found, REMEDY);
        }
    }
    // Over HTTP the service sees Host, Method, Path, Content-Length and Authorization.
    let Some(list) = list else {
        if over_http {
            let name = ours.to_see.first().map_or("", String::as_str);
            return not_seen(filter, name, "not set", ours);
        }
        return Finding::pass(CHECK, "Doorward sees every header");
    };
    let matchers = List::read(&list);
    // Envoy adds Authorization by itself when it asks over HTTP.
    let asked = (!over_http).then_some(&authorization);
    if let Some(lost) = matchers.first(Some(false), asked) {
        let found = "is not in the list: every request arrives without a token";
        return list.fail(CHECK, format!("{lost} {found}"), "add {exact: authorization}");
    }
    if let Some(lost) = matchers.first(Some(false), &ours.to_see) {
        return not_seen(&list, lost, "incomplete", ours);
    }
    let mut of_preflights = ours.of_preflights.iter();
    if let Some(name) = of_preflights.find(|name| matchers.takes(name) == Some(false)) {
        return list.fail(
            CHECK,
            format!(
                "{name} is not in the list: Doorward cannot recognize CORS preflights without \
                 it, and rules.cors_preflight: allow lets none pass"
            ),
            "add {exact: origin} and {exact: access-control-request-method}",
        );
    }
    if matchers.first(None, asked.into_iter().chain(&ours.to_see)).is_some() {
        let found = "a matcher that cannot be read decides what Doorward sees";
        return list.warn(CHECK, found, ours.remedy());
    }
    Finding::pass(CHECK, "the token and every trusted name")
}

fn not_seen(place: &Place<'_>, name: &str, how: &str, ours: &OurHeaders) -> Finding {
    place.fail(
        "allowed_headers",
        format!(
            "{how}: Doorward never sees {name}, so it cannot have it removed, and many \
             upstreams read it as the real one"
        ),
        ours.remedy(),
    )
}

/// Whether the identity arrives: over HTTP, Envoy forwards only what is listed.
pub(super) fn http_headers(service: &Place<'_>, ours: &OurHeaders) -> Finding {
    if let Some(fixed) = service.get("path_override") {
        return fixed.fail(
            "http_headers",
            "Doorward is asked about the same path for every request",
            format!("remove path_override, and set path_prefix: {PATH_PREFIX}"),
        );
    }
    if let Some(finding) = HTTP.wrong_path(service, false) {
        return finding;
    }
    let remedy = || format!("set it to {{patterns: {}}}", ours.upstream_matchers());
    let Some(list) = service.at("authorization_response.allowed_upstream_headers") else {
        return service.fail("http_headers", "authorization_response.allowed_upstream_headers is not set: no identity reaches the upstream", remedy());
    };
    let matchers = List::read(&list);
    let kept = |name: &str| matchers.takes(name) != Some(false);
    if let Some(finding) = HTTP.lost(&list, kept, ours, remedy()) {
        return finding;
    }
    let appended = service.at("authorization_response.allowed_upstream_headers_to_append");
    let appended = appended.and_then(|list| {
        let matchers = List::read(&list);
        let name = ours.set.iter().find(|name| matchers.takes(name) != Some(false))?;
        Some(list.fail(
            "http_headers",
            format!("{name} is appended: the client's value comes before Doorward's"),
            "remove allowed_upstream_headers_to_append",
        ))
    });
    if let Some(finding) = appended {
        return finding;
    }
    if let Some(name) = matchers.first(None, &ours.set) {
        return list.warn(
            "http_headers",
            format!("a matcher that cannot be read decides about {name}"),
            remedy(),
        );
    }
    // Envoy adds WWW-Authenticate to allowed_client_headers by itself.
    Finding::pass("http_headers", "identity headers reach the upstream")
}

fn mutations(filter: &Place<'_>) -> Finding {
    if filter.flag("validate_mutations") == Some(true) {
        Finding::pass("mutations", "a malformed response ends the request")
    } else {
        filter.warn(
            "mutations",
            "not set: the valid part of a malformed response is used",
            "set validate_mutations: true",
        )
    }
}

/// Nothing, when every change that we may ask for is carried out.
fn mutation_rules(filter: &Place<'_>, ours: &OurHeaders) -> Option<Finding> {
    let rules = filter.get("decoder_header_mutation_rules")?;
    let allowed = allowed(&rules);
    // A bearer that is no token is removed where none is checked.
    let mut names = ours.known().chain(["authorization".to_owned()]);
    let Some(name) = names.find(|name| !allowed(name)) else {
        let expression = rules.get("disallow_expression")?;
        return ours.may_be_taken_by(&Expression::read(&expression)).then(|| {
            expression.warn(
                "mutation_rules",
                "Doorward may not set or remove names that this expression takes, which may be trusted",
                "set decoder_header_mutation_rules: {}, Envoy's own limits",
            )
        });
    };
    let then = if rules.flag("disallow_is_error") == Some(true) {
        "every request is refused"
    } else {
        "the client's value reaches the upstream"
    };
    Some(rules.fail("mutation_rules", format!("Doorward may not set or remove {name}: {then}"), "set decoder_header_mutation_rules: {}, Envoy's own limits: Doorward removes authorization, \
         too, where it is no token"))
}

/// In Envoy's order: what is disallowed by name, what is allowed by name, all.
fn allowed(rules: &Place<'_>) -> impl Fn(&str) -> bool {
    let expression = |field: &str| rules.get(field).map(|it| Expression::read(&it));
    let (disallow, allow) = (expression("disallow_expression"), expression("allow_expression"));
    let all = rules.flag("disallow_all") != Some(true);
    move |name| {
        // An expression that cannot be read here may say anything.
        if disallow.as_ref().is_some_and(|it| it.takes(name) != Some(false)) {
            return false;
        }
        all || allow.as_ref().is_some_and(|it| it.takes(name) == Some(true))
    }
}
