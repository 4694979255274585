//! Envoy Gateway: security policies, client traffic policies and the routes they are for.

use std::time::Duration;

use super::OurHeaders;
use super::asking::Fields;
use super::clusters::is_called_doorward;
use super::kubernetes::{is_of, named, namespace, of_kind, same_namespace};
use super::place::Place;
use super::{identity, module};
use crate::doctor::report::{Finding, Section};

/// How `extAuth` is written.
const FIELDS: Fields = Fields {
    failure_mode: "failOpen",
    timeout: "timeout",
    unset: Duration::from_secs(10),
    status: "statusOnError",
    unavailable: "statusOnError: 503",
    route_cache: "recomputeRoute",
    body: "bodyToExtAuth",
    path: "path",
    kept: "headersToBackend",
};

/// One section a policy, and one for the routes when they are in the file.
pub(super) fn sections(roots: &[Place<'_>], ours: &OurHeaders) -> Vec<Section> {
    let of_envoy_gateway =
        |kind| of_kind(roots, [kind]).filter(|root| is_of(root, "gateway.envoyproxy.io/"));
    let security: Vec<_> = of_envoy_gateway("SecurityPolicy").collect();
    let mut sections: Vec<Section> =
        security.iter().map(|policy| security_policy(policy, ours)).collect();
    let inside: Vec<_> = of_envoy_gateway("EnvoyExtensionPolicy").collect();
    let proxies: Vec<_> = of_envoy_gateway("EnvoyProxy").collect();
    let modules = inside.iter().filter_map(|policy| extension_policy(policy, &proxies));
    let before = sections.len();
    sections.extend(modules);
    let decides = !security.is_empty() || sections.len() > before;
    sections.extend(of_envoy_gateway("ClientTrafficPolicy").map(client_traffic));
    if decides {
        sections.extend(routes(roots, [&security, &inside]));
    }
    sections
}

/// Doorward inside Envoy, as a policy names it.
fn module<'v>(policy: &Place<'v>) -> Option<Place<'v>> {
    let called = |it: &Place<'_>, field| it.text(field).is_some_and(is_called_doorward);
    let mut modules = policy.items("spec.dynamicModule").into_iter();
    modules.find(|it| called(it, "filterName") || called(it, "name"))
}

/// `proxies` register what policies may load.
fn extension_policy(policy: &Place<'_>, proxies: &[&Place<'_>]) -> Option<Section> {
    let module = module(policy)?;
    let given = module.get("config").map(|config| config.value.to_string()).unwrap_or_default();
    let mut findings = vec![
        Finding::pass("module", "Doorward decides inside Envoy"),
        module::configuration(&module, Some(given.into_bytes())),
    ];
    findings.extend(module::misnamed(&module, "filterName"));
    let registered = proxies.iter().flat_map(|proxy| proxy.items("spec.dynamicModules"));
    for entry in registered.filter(|entry| entry.text("name") == module.text("name")) {
        findings.extend(entry.at("source.remote").map(|remote| module::loaded_from(&remote)));
        findings.push(module::stays_loaded(&entry, "doNotClose"));
    }
    let title = format!("Envoy Gateway's EnvoyExtensionPolicy {}", named(policy));
    Some(Section { title, findings })
}

fn security_policy(policy: &Place<'_>, ours: &OurHeaders) -> Section {
    let mut findings = Vec::new();
    if let Some(auth) = policy.at("spec.extAuth") {
        findings.push(Finding::pass("ext_authz", "Doorward is asked"));
        findings.extend(FIELDS.findings(&auth, None));
        findings.push(allowed_headers(&auth, ours));
        findings.extend(wide_open(policy, &auth));
        findings.extend(auth.get("http").map(|http| {
            let exact = |listed: &str, name: &str| listed.eq_ignore_ascii_case(name);
            FIELDS.answered(&http, exact, ours, &format!("[{}]", ours.set.join(", ")))
        }));
    } else if policy.at("spec.mergeType").is_some() {
        let found = "the extAuth of its Gateway's policy applies (mergeType)";
        findings.push(Finding::pass("ext_authz", found));
    } else {
        findings.push(policy.fail(
            "ext_authz",
            "no extAuth: the policy of a route replaces the whole policy of its Gateway, so \
             nothing is checked",
            "repeat extAuth here",
        ));
    }
    Section { title: format!("Envoy Gateway's SecurityPolicy {}", named(policy)), findings }
}

/// A Gateway whose every route needs no token, but for those with policies of their own.
fn wide_open(policy: &Place<'_>, auth: &Place<'_>) -> Option<Finding> {
    let extensions = auth.items("contextExtensions");
    let mode = extensions.iter().find(|it| it.text("name") == Some("doorward.mode"))?;
    let value = mode.text("value").filter(|value| matches!(*value, "optional" | "bypass"))?;
    targets(policy).iter().any(|target| target.text("kind") == Some("Gateway")).then(|| {
        mode.warn(
            "modes",
            format!("doorward.mode is {value} for a whole Gateway: no request needs a token"),
            "set it in a policy for the routes that need none",
        )
    })
}

/// What a policy is for, by name.
fn targets<'v>(policy: &Place<'v>) -> Vec<Place<'v>> {
    policy.items("spec.targetRefs").into_iter().chain(policy.at("spec.targetRef")).collect()
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
    place.fail(
        "allowed_headers",
        format!(
            "headersToExtAuth: {how}: Doorward never sees {name}, so it cannot have it removed"
        ),
        "use gRPC and remove headersToExtAuth: Doorward then sees every header",
    )
}

/// Envoy Gateway always normalizes; slashes can be told otherwise.
fn client_traffic(policy: &Place<'_>) -> Section {
    let merge = if policy.flag("spec.path.disableMergeSlashes") == Some(true) {
        policy.fail(
            "merge_slashes",
            "disableMergeSlashes is true: //admin is a different path here than upstream",
            "set disableMergeSlashes: false",
        )
    } else {
        Finding::pass("merge_slashes", "on")
    };
    let escaped = match policy.text("spec.path.escapedSlashesAction") {
        Some("KeepUnchanged") => policy.warn(
            "escaped_slashes",
            "escapedSlashesAction is KeepUnchanged: /public/..%2Fadmin may be a different \
                 path upstream",
            "set escapedSlashesAction: RejectRequest, unless the upstream needs encoded slashes",
        ),
        Some(action) => Finding::pass("escaped_slashes", action.to_owned()),
        None => Finding::pass("escaped_slashes", "UnescapeAndRedirect, the default"),
    };
    let given = policy.get("spec").and_then(|spec| identity::in_front(&[spec]));
    Section {
        title: format!("Envoy Gateway's ClientTrafficPolicy {}", named(policy)),
        findings: [merge, escaped].into_iter().chain(given).collect(),
    }
}

/// Whether every route is under a policy, its own or its Gateway's.
fn routes(roots: &[Place<'_>], policies: [&[&Place<'_>]; 2]) -> Option<Section> {
    let all: Vec<_> = of_kind(roots, ["HTTPRoute", "GRPCRoute"]).collect();
    let mut raw = of_kind(roots, ["TCPRoute", "TLSRoute", "UDPRoute"]);
    let guarded: Vec<_> = all.iter().flat_map(|route| backends(route)).collect();
    let past = raw.find(|route| backends(route).iter().any(|to| guarded.contains(to)));
    let finding = if let Some(route) = past {
        route.fail(
            "entrances",
            format!(
                "{} {} leads to a guarded service without asking Doorward",
                route.text("kind").unwrap_or_default(),
                named(route)
            ),
            "remove it",
        )
    } else if let Some(route) =
        // One kind of policy takes nothing from the other.
        all
            .iter()
            .find(|route| !policies.iter().any(|kind| is_asked_about(route, kind)))
    {
        route.fail(
            "routes_off",
            format!("the route {} is under no policy with extAuth or the module", named(route)),
            "target the Gateway: routes added later are then covered too",
        )
    } else if all.is_empty() {
        return None;
    } else {
        Finding::pass("routes_off", format!("{} routes, all checked", all.len()))
    };
    Some(Section { title: "Envoy Gateway's routes".to_owned(), findings: vec![finding] })
}

/// The services that a route leads to, with their namespaces.
fn backends<'v>(route: &Place<'v>) -> Vec<(&'v str, &'v str)> {
    let rules = route.items("spec.rules");
    let refs = rules.iter().flat_map(|rule| rule.items("backendRefs"));
    refs.filter_map(|to| Some((to.text("namespace").unwrap_or(namespace(route)), to.text("name")?)))
        .collect()
}

/// Whether a policy has Doorward decide.
fn decides(policy: &Place<'_>) -> bool {
    policy.at("spec.extAuth").is_some() || module(policy).is_some()
}

/// Whether a policy that decides holds for all of a route: its own, or those of all its Gateways.
fn is_asked_about(route: &Place<'_>, policies: &[&Place<'_>]) -> bool {
    let kind = route.text("kind").unwrap_or_default();
    let inherited = || {
        let parents = route.items("spec.parentRefs");
        let asked = |parent: &Place<'_>| {
            let of = parent.text("namespace").unwrap_or(namespace(route));
            let gateway = parent.text("name").unwrap_or_default();
            policies.iter().any(|policy| {
                let whole = |target: &Place<'_>| {
                    let part = target.text("sectionName");
                    part.is_none() || part == parent.text("sectionName")
                };
                // Gateways and their labels may be in another file.
                let selects = policy.items("spec.targetSelectors");
                let selects = selects.iter().any(|it| it.text("kind") == Some("Gateway"));
                decides(policy)
                    && (selects || targeted(policy, "Gateway", of, gateway).iter().any(whole))
            })
        };
        !parents.is_empty() && parents.iter().all(asked)
    };
    let is_own = |policy: &&&Place<'_>| {
        let targets = targeted(policy, kind, namespace(route), named(route));
        selected(policy, route) || targets.iter().any(|it| it.get("sectionName").is_none())
    };
    let own: Vec<_> = policies.iter().filter(is_own).collect();
    let asks = |policy: &&&Place<'_>| decides(policy);
    let merges = |policy: &&Place<'_>| policy.at("spec.mergeType").is_some();
    // A policy of the route's own replaces that of its Gateway, unless they are merged.
    own.iter().any(asks) || own.iter().all(|policy| merges(policy)) && inherited()
}

/// The targets of a policy with this name. Policies are for their own namespace.
fn targeted<'v>(policy: &Place<'v>, kind: &str, of: &str, name: &str) -> Vec<Place<'v>> {
    let mut targets = targets(policy);
    targets.retain(|target| {
        same_namespace(namespace(policy), of)
            && target.text("kind") == Some(kind)
            && target.text("name") == Some(name)
    });
    targets
}

/// Whether a policy selects a route by its labels.
fn selected(policy: &Place<'_>, route: &Place<'_>) -> bool {
    let has = |label: &Place<'_>| {
        let labels = route.at("metadata.labels");
        labels.is_some_and(|labels| labels.value.get(label.key()) == Some(label.value))
    };
    same_namespace(namespace(policy), namespace(route))
        && policy.items("spec.targetSelectors").iter().any(|selector| {
            let labels = selector.get("matchLabels").map(|labels| labels.children());
            // What expressions take is not looked at.
            selector.text("kind") == route.text("kind")
                && selector.get("matchExpressions").is_none()
                && labels.unwrap_or_default().iter().all(has)
        })
}
