//! Envoy Gateway: security policies, client traffic policies and the routes they are for.

use std::time::Duration;

use serde_json::Value;

use super::OurHeaders;
use super::judge::{at, body, clear_route_cache, failure_mode, status_on_error, timeout};
use super::place::Place;
use crate::doctor::report::{Finding, Section};

/// Envoy Gateway's own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const PATH_PREFIX: &str = "/apis/auth/ext-authz";

/// One section a policy, and one for the routes when they are in the file.
pub(super) fn sections(roots: &[Place<'_>], ours: &OurHeaders) -> Vec<Section> {
    let ours_alone: Vec<_> = roots
        .iter()
        .filter(|root| {
            root.text("apiVersion")
                .is_some_and(|version| version.starts_with("gateway.envoyproxy.io/"))
        })
        .collect();
    let of_kind = |kind: &str| {
        let kind = kind.to_owned();
        ours_alone.iter().copied().filter(move |root| root.text("kind") == Some(kind.as_str()))
    };
    let security: Vec<_> = of_kind("SecurityPolicy").collect();
    let mut sections: Vec<Section> =
        security.iter().map(|policy| security_policy(policy, ours)).collect();
    sections.extend(of_kind("ClientTrafficPolicy").map(client_traffic));
    if !security.is_empty() {
        sections.extend(routes(roots, &security));
    }
    sections
}

fn named(policy: &Place<'_>) -> String {
    policy.text("metadata.name").unwrap_or("without a name").to_owned()
}

fn security_policy(policy: &Place<'_>, ours: &OurHeaders) -> Section {
    let title = format!("Envoy Gateway's SecurityPolicy {}", named(policy));
    let Some(auth) = policy.at("spec.extAuth") else {
        if policy.at("spec.mergeType").is_some() {
            let found = "what its Gateway's policy says of extAuth holds (mergeType)";
            return Section { title, findings: vec![Finding::pass("ext_authz", found)] };
        }
        let finding = Finding::fail(
            "ext_authz",
            format!(
                "no extAuth{}: the policy of a route replaces that of its Gateway as a whole, so \
                 nobody is asked",
                at(policy)
            ),
            "say extAuth here again",
        );
        return Section { title, findings: vec![finding] };
    };
    let status = auth.get("statusOnError").map(|status| status.value.to_string());
    let mut findings = vec![
        Finding::pass("ext_authz", format!("Doorward is asked{}", at(&auth))),
        failure_mode(&auth, "failOpen"),
        timeout(&auth, "timeout", DEFAULT_TIMEOUT),
        status_on_error(&auth, status.as_deref(), "set statusOnError: 503"),
        clear_route_cache(&auth, "recomputeRoute"),
        body(&auth, "bodyToExtAuth"),
        allowed_headers(&auth, ours),
    ];
    findings.extend(auth.get("http").map(|http| http_headers(&http, ours)));
    Section { title, findings }
}

/// The list takes exact names only, so it hides every name that nobody has thought of.
fn allowed_headers(auth: &Place<'_>, ours: &OurHeaders) -> Finding {
    match auth.get("headersToExtAuth") {
        None if auth.get("http").is_some() => hidden(auth, ours, "not set"),
        None => Finding::pass("allowed_headers", "Doorward sees every header"),
        Some(list) => hidden(&list, ours, "exact names only"),
    }
}

fn hidden(place: &Place<'_>, ours: &OurHeaders, how: &str) -> Finding {
    let name = ours.to_see.first().map_or("a trusted name", String::as_str);
    Finding::fail(
        "allowed_headers",
        format!(
            "headersToExtAuth: {how}{}: Doorward never sees {name}, so it cannot have it removed",
            at(place)
        ),
        "ask over gRPC and leave headersToExtAuth out: Doorward then sees every header",
    )
}

fn http_headers(http: &Place<'_>, ours: &OurHeaders) -> Finding {
    let path = http.text("path").unwrap_or_default();
    if path.trim_end_matches('/') != PATH_PREFIX {
        return Finding::fail(
            "http_headers",
            format!("path is \"{path}\"{}: Doorward decides under {PATH_PREFIX}", at(http)),
            format!("set path: {PATH_PREFIX}"),
        );
    }
    let listed = http.get("headersToBackend").map(|list| list.value);
    let listed: Vec<_> = listed
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_ascii_lowercase)
        .collect();
    match ours.set.iter().find(|name| !listed.contains(name)) {
        None => Finding::pass("http_headers", "identity headers reach the upstream"),
        Some(name) => Finding::fail(
            "http_headers",
            format!(
                "{name} is not in headersToBackend{}: the upstream keeps the client's",
                at(http)
            ),
            format!("set headersToBackend: [{}]", ours.set.join(", ")),
        ),
    }
}

/// Envoy Gateway always normalizes; slashes can be told otherwise.
fn client_traffic(policy: &Place<'_>) -> Section {
    let merge = if policy.flag("spec.path.disableMergeSlashes") == Some(true) {
        Finding::fail(
            "merge_slashes",
            format!(
                "disableMergeSlashes is true{}: //admin is another path here than behind",
                at(policy)
            ),
            "set disableMergeSlashes: false",
        )
    } else {
        Finding::pass("merge_slashes", "on")
    };
    let escaped = match policy.text("spec.path.escapedSlashesAction") {
        Some("KeepUnchanged") => Finding::warn(
            "escaped_slashes",
            format!(
                "escapedSlashesAction is KeepUnchanged{}: /public/..%2Fadmin may be another path \
                 behind",
                at(policy)
            ),
            "set escapedSlashesAction: RejectRequest, unless the upstream needs encoded slashes",
        ),
        Some(action) => Finding::pass("escaped_slashes", action.to_owned()),
        None => Finding::pass("escaped_slashes", "UnescapeAndRedirect, the default"),
    };
    Section {
        title: format!("Envoy Gateway's ClientTrafficPolicy {}", named(policy)),
        findings: vec![merge, escaped],
    }
}

/// Whether every route is under a policy, its own or its Gateway's.
fn routes(roots: &[Place<'_>], policies: &[&Place<'_>]) -> Option<Section> {
    let targets: Vec<(String, String, bool)> = policies
        .iter()
        .flat_map(|policy| {
            let asks = policy.at("spec.extAuth").is_some() || policy.at("spec.mergeType").is_some();
            let several = policy.items("spec.targetRefs");
            let one = policy.at("spec.targetRef");
            several.into_iter().chain(one).map(move |target| {
                let text = |name| target.text(name).unwrap_or_default().to_owned();
                (text("kind"), text("name"), asks)
            })
        })
        .collect();
    // Whom a selector selects is not in the file.
    let selects = |kind: &str| {
        policies.iter().filter(|policy| policy.at("spec.extAuth").is_some()).any(|policy| {
            policy.items("spec.targetSelectors").iter().any(|one| one.text("kind") == Some(kind))
        })
    };
    let covers = |kind: &str, name: &str| {
        selects(kind)
            || targets.iter().any(|(of, named, asks)| *asks && of == kind && named == name)
    };
    let is_route = |root: &&Place<'_>| matches!(root.text("kind"), Some("HTTPRoute" | "GRPCRoute"));
    let all: Vec<_> = roots.iter().filter(is_route).collect();
    if all.is_empty() {
        return None;
    }
    let open = all.iter().find(|route| {
        let own = covers(route.text("kind").unwrap_or_default(), &named(route));
        let parents = route.items("spec.parentRefs");
        let inherited = !parents.is_empty()
            && parents
                .iter()
                .all(|parent| covers("Gateway", parent.text("name").unwrap_or_default()));
        !own && !inherited
    });
    let finding = match open {
        None => Finding::pass("routes_off", format!("{} routes, all asked about", all.len())),
        Some(route) => Finding::fail(
            "routes_off",
            format!("the route {} is under no policy with extAuth{}", named(route), at(route)),
            "target the Gateway: a route added later is then guarded without anybody thinking of it",
        ),
    };
    Some(Section { title: "Envoy Gateway's routes".to_owned(), findings: vec![finding] })
}
