//! Istio: extension providers of the mesh, and the policies that use them.

use std::time::Duration;

use super::OurHeaders;
use super::asking::Fields;
use super::clusters::is_doorward;
use super::kubernetes::{is_of, named, of_kind};
use super::names::glob_takes;
use super::place::Place;
use super::routes::DOORWARDS_OWN;
use crate::doctor::report::{Finding, Section};

/// How Istio's providers are written.
const FIELDS: Fields = Fields {
    failure_mode: "failOpen",
    timeout: "timeout",
    unset: Duration::from_secs(600),
    status: "statusOnError",
    unavailable: "statusOnError: \"503\"",
    route_cache: "clearRouteCache",
    body: "includeRequestBodyInCheck",
    path: "pathPrefix",
    kept: "headersToUpstreamOnAllow",
};

/// One section a provider and one a policy.
pub(super) fn sections(roots: &[Place<'_>], ours: &OurHeaders) -> Vec<Section> {
    let has_providers = |place: &Place<'_>| place.get("extensionProviders").is_some();
    let mut sections = Vec::new();
    let mut known = Vec::new();
    for mesh in roots.iter().flat_map(|root| root.find(&has_providers)) {
        let providers = mesh.items("extensionProviders");
        known.extend(providers.iter().filter_map(|provider| provider.text("name")));
        sections.extend(providers.iter().filter_map(|it| provider(it, &mesh, ours)));
    }
    let policies = roots.iter().filter(|root| is_custom(root));
    sections.extend(policies.map(|it| policy(it, &known, roots)));
    sections.extend(roots.iter().filter_map(placed));
    sections.extend(unasked(roots));
    sections
}

/// The patches of an EnvoyFilter that put Doorward itself into the chain.
fn inside<'v>(root: &Place<'v>) -> Vec<Place<'v>> {
    let patches = match root.text("kind") {
        Some("EnvoyFilter") => root.items("spec.configPatches"),
        Some(_) | None => Vec::new(),
    };
    let is_doorward =
        |it: &Place<'_>| it.at("patch.value.typed_config").is_some_and(|it| is_doorward(&it));
    patches.into_iter().filter(is_doorward).collect()
}

/// Where an EnvoyFilter puts Doorward among other filters; its configuration is examined for itself.
fn placed(root: &Place<'_>) -> Option<Section> {
    let patches = inside(root);
    let first = patches.first()?;
    let late = patches.iter().find(|it| it.text("patch.operation") != Some("INSERT_FIRST"));
    let finding = match late {
        Some(patch) => patch.warn(
            "filter_order",
            "other filters may stand before it, and believe identity headers that clients made up",
            "set operation: INSERT_FIRST",
        ),
        None => Finding::pass("filter_order", "before every other filter"),
    };
    let found = match first.text("match.context") {
        Some("SIDECAR_OUTBOUND") => first.fail(
            "module",
            "it decides about requests that a workload sends, not about those that reach it",
            "set context: GATEWAY, or SIDECAR_INBOUND",
        ),
        Some(_) | None => Finding::pass("module", "Doorward decides inside Envoy"),
    };
    let title = format!("Istio's EnvoyFilter {}", named(root));
    Some(Section { title, findings: vec![found, finding] })
}

/// Gateways and routes of Istio's, and no policy that asks about them.
fn unasked(roots: &[Place<'_>]) -> Option<Section> {
    let of_istio = |kind| of_kind(roots, [kind]).filter(|root| is_of(root, "networking.istio.io/"));
    let policies: Vec<_> =
        roots.iter().filter(|root| is_custom(root) || !inside(root).is_empty()).collect();
    let is_asked = |gateway: &&Place<'_>| {
        policies.iter().any(|policy| {
            let wanted = policy.at("spec.selector.matchLabels");
            let wanted = wanted.or_else(|| policy.at("spec.workloadSelector.labels"));
            // A label that the gateway does not ask for, its pods may have all the same.
            let other = |label: &Place<'_>| {
                let has = gateway.at("spec.selector").and_then(|has| has.value.get(label.key()));
                has.is_some_and(|has| has != label.value)
            };
            !wanted.is_some_and(|wanted| wanted.children().iter().any(other))
        })
    };
    let (asked, open): (Vec<_>, Vec<_>) = of_istio("Gateway").partition(is_asked);
    let routes = of_istio("VirtualService").find(|_| policies.is_empty());
    let open = open.first().copied().or(routes)?;
    let found = "no AuthorizationPolicy with action CUSTOM applies to it: Doorward is not asked";
    let elsewhere = of_kind(roots, ["AuthorizationPolicy"]).next().is_none();
    let finding = if elsewhere {
        let remedy =
            "examine it together with the policies: cat *.yaml | doorward doctor --envoy -";
        open.warn("ext_authz", found, remedy)
    } else if asked.is_empty() {
        let remedy = "add one that selects the gateway's pods, as in envoy/istio/gateway.yaml";
        open.fail("ext_authz", found, remedy)
    } else {
        let remedy = "make sure that nothing behind it believes identity headers, or add a policy";
        open.warn("ext_authz", found, remedy)
    };
    let kind = open.text("kind").unwrap_or_default();
    Some(Section { title: format!("Istio's {kind} {}", named(open)), findings: vec![finding] })
}

fn is_custom(root: &Place<'_>) -> bool {
    root.text("kind") == Some("AuthorizationPolicy") && root.text("spec.action") == Some("CUSTOM")
}

fn provider(provider: &Place<'_>, mesh: &Place<'_>, ours: &OurHeaders) -> Option<Section> {
    let http = provider.get("envoyExtAuthzHttp");
    let over_http = http.is_some();
    let service = provider.get("envoyExtAuthzGrpc").or(http)?;
    let mut findings = FIELDS.findings(&service, None);
    if over_http {
        findings.push(seen_over_http(&service, ours));
        let list = ours.to_set(|prefix| format!("\"{prefix}*\""), |name| format!("\"{name}\""));
        findings.push(FIELDS.answered(&service, glob_takes, ours, &list));
    }
    findings.extend(paths(mesh));
    let name = provider.text("name").unwrap_or("without a name");
    Some(Section { title: format!("Istio's provider {name} at {}", provider.path), findings })
}

fn seen_over_http(service: &Place<'_>, ours: &OurHeaders) -> Finding {
    let list = service.texts("includeRequestHeadersInCheck");
    let seen = |name: &str| list.iter().any(|glob| glob_takes(glob, name));
    if let Some(name) = ours.of_preflights.iter().find(|name| !seen(name)) {
        return service.fail(
            "allowed_headers",
            format!(
                "Doorward never sees {name}: it cannot recognize CORS preflights without it, \
                 and rules.cors_preflight: allow lets none pass"
            ),
            "use envoyExtAuthzGrpc, which sends every header, or add origin and \
             access-control-request-method to includeRequestHeadersInCheck",
        );
    }
    let hidden = ours.to_see.iter().find(|name| !seen(name));
    match hidden {
        None => Finding::pass("allowed_headers", "Doorward sees every trusted name"),
        Some(name) => {
            service.get("includeRequestHeadersInCheck").unwrap_or_else(|| service.clone()).fail(
                "allowed_headers",
                format!("Doorward never sees {name}, so it cannot have it removed"),
                "use envoyExtAuthzGrpc, which sends every header, or set \
             includeRequestHeadersInCheck: [authorization, \"x*\"]: any character may stand for \
             `-`",
            )
        }
    }
}

/// Istio's levels: NONE, BASE (the default), MERGE_SLASHES, DECODE_AND_MERGE_SLASHES; each does what
/// those before it do.
fn paths(mesh: &Place<'_>) -> [Finding; 3] {
    let level = mesh.text("pathNormalization.normalization").unwrap_or("BASE");
    let place = mesh.get("pathNormalization").unwrap_or_else(|| mesh.clone());
    let done = match level {
        "NONE" => 0,
        "MERGE_SLASHES" => 2,
        "DECODE_AND_MERGE_SLASHES" => 3,
        _ => 1,
    };
    let find = |needs, check, so_what: &str| {
        if done >= needs {
            return Finding::pass(check, format!("normalization is {level}"));
        }
        let remedy = "set pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}";
        let found = format!("normalization is {level}: {so_what}");
        let escaped = check == "escaped_slashes";
        if escaped { place.warn(check, found, remedy) } else { place.fail(check, found, remedy) }
    };
    [
        find(1, "normalize_path", "/public/../admin is below /public/ here and /admin upstream"),
        find(2, "merge_slashes", "//admin is a different path here than upstream"),
        find(3, "escaped_slashes", "/public/..%2Fadmin may be a different path upstream"),
    ]
}

/// A policy of action CUSTOM: which requests it leaves out.
fn policy(root: &Place<'_>, known: &[&str], roots: &[Place<'_>]) -> Section {
    let provider = root.text("spec.provider.name").unwrap_or_default();
    let present = if known.is_empty() || known.contains(&provider) {
        Finding::pass("ext_authz", format!("the provider {provider} is asked"))
    } else {
        root.fail(
            "ext_authz",
            format!("the mesh has no provider {provider}"),
            format!("use one of: {}", known.join(", ")),
        )
    };
    Section {
        title: format!("Istio's AuthorizationPolicy {}", named(root)),
        findings: vec![present, dry_run(root).unwrap_or_else(|| coverage(root, roots))],
    }
}

/// A policy that is only tried out.
fn dry_run(policy: &Place<'_>) -> Option<Finding> {
    let annotations = policy.at("metadata.annotations")?;
    let dry = annotations.get("istio.io/dry-run")?;
    let on = dry.value.as_str() == Some("true") || dry.value.as_bool() == Some(true);
    on.then(|| {
        dry.fail(
            "shadow_mode",
            "istio.io/dry-run is true: the policy is not enforced",
            "remove the annotation",
        )
    })
}

fn coverage(policy: &Place<'_>, roots: &[Place<'_>]) -> Finding {
    let rules = policy.items("spec.rules");
    if rules.is_empty() {
        return policy.fail(
            "routes_off",
            "no rules: no request is ever checked",
            "set rules: [{}], which means every request",
        );
    }
    // Rules are alternatives: one that leaves nothing out is enough.
    if let Some((place, gap)) = least(rules.iter().map(gap)) {
        return place.fail(
            "routes_off",
            format!("{gap}: forged identity headers reach the service there"),
            "check every request (rules: [{}]) and list what needs no token in rules.bypass of \
             Doorward's configuration",
        );
    }
    let all_asked = || Finding::pass("routes_off", "no request reaches an upstream unasked");
    unanswered(policy, roots).unwrap_or_else(all_asked)
}

/// Of the paths that the policy leaves out because Doorward answers them itself, one that a
/// VirtualService leads elsewhere.
fn unanswered(policy: &Place<'_>, roots: &[Place<'_>]) -> Option<Finding> {
    let left_out: Vec<_> =
        policy.everywhere("notPaths").iter().flat_map(|list| list.all_texts()).collect();
    let hosts = |route: &Place<'_>| -> Vec<_> {
        let to = route.items("route");
        to.iter().filter_map(|to| to.text("destination.host")).map(str::to_owned).collect()
    };
    for service in of_kind(roots, ["VirtualService"]) {
        let routes = service.items("spec.http");
        let takes = |route: &Place<'_>, path: &str| {
            route.items("match").iter().any(|it| it.text("uri.exact") == Some(path))
        };
        let own = |route: &&Place<'_>| left_out.iter().any(|path| takes(route, path));
        let guarded: Vec<_> = routes.iter().filter(|route| !own(route)).flat_map(hosts).collect();
        let answered = |path: &&str| {
            let route = routes.iter().find(|route| takes(route, path));
            route.is_some_and(|route| !hosts(route).iter().any(|host| guarded.contains(host)))
        };
        if let Some(path) = left_out.iter().find(|path| !answered(path)) {
            return Some(service.fail("routes_off", format!("the policy leaves {path} out, and the VirtualService {} does not lead it to \
                     Doorward: forged identity headers reach the service there", named(service)), "lead it to Doorward's HTTP port, as in envoy/istio/gateway.yaml, or take it out of \
                 notPaths"));
        }
    }
    None
}

/// What a rule leaves out, if anything.
fn gap<'v>(rule: &Place<'v>) -> Option<(Place<'v>, String)> {
    for field in ["from", "when"] {
        if let Some(limited) = rule.get(field) {
            return Some((limited, format!("only requests matching {field} are checked")));
        }
    }
    let to = rule.items("to");
    if to.is_empty() {
        return None;
    }
    // Operations are alternatives too.
    least(to.iter().map(operation_gap))
}

/// Of alternatives, what is left out by all.
fn least<T>(gaps: impl Iterator<Item = Option<T>>) -> Option<T> {
    gaps.min_by_key(Option::is_some).flatten()
}

fn operation_gap<'v>(to: &Place<'v>) -> Option<(Place<'v>, String)> {
    let operation = to.get("operation")?;
    for limit in operation.children() {
        let name = limit.path.rsplit('.').next().unwrap_or_default().to_owned();
        let values: Vec<&str> =
            limit.children().iter().filter_map(|item| item.value.as_str()).collect();
        let harmless = match name.as_str() {
            "notPaths" => values.iter().all(|path| DOORWARDS_OWN.contains(path)),
            "paths" => values.iter().any(|path| matches!(*path, "*" | "/*")),
            "hosts" | "methods" => values.contains(&"*"),
            _ => false,
        };
        if !harmless {
            return Some((limit, format!("{name} skips requests")));
        }
    }
    None
}
