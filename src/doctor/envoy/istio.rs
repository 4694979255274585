//! Istio: extension providers of the mesh, and the policies that use them.

use std::time::Duration;

use super::OurHeaders;
use super::asking::Fields;
use super::kubernetes::named;
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
    let meshes: Vec<_> = roots.iter().flat_map(|root| root.find(&has_providers)).collect();
    let mut sections: Vec<Section> = meshes.iter().flat_map(|mesh| providers(mesh, ours)).collect();
    sections.extend(roots.iter().filter_map(|root| policy(root, &meshes, roots)));
    sections.extend(unasked(roots));
    sections
}

/// Gateways and routes of Istio's, and no policy that asks about them.
fn unasked(roots: &[Place<'_>]) -> Option<Section> {
    let of_istio = |root: &&Place<'_>, kind: &str| {
        let version = root.text("apiVersion").unwrap_or_default();
        version.starts_with("networking.istio.io/") && root.text("kind") == Some(kind)
    };
    let policies: Vec<_> = roots.iter().filter(|root| is_custom(root)).collect();
    let is_asked = |gateway: &&Place<'_>| {
        policies.iter().any(|policy| {
            let wanted = policy.at("spec.selector.matchLabels");
            // A label that the gateway does not ask for, its pods may have all the same.
            let other = |label: &Place<'_>| {
                let has = gateway.at("spec.selector").and_then(|has| has.value.get(label.key()));
                has.is_some_and(|has| has != label.value)
            };
            !wanted.is_some_and(|wanted| wanted.children().iter().any(other))
        })
    };
    let gateways = roots.iter().filter(|root| of_istio(root, "Gateway"));
    let (asked, open): (Vec<_>, Vec<_>) = gateways.partition(is_asked);
    let routes = roots.iter().find(|root| policies.is_empty() && of_istio(root, "VirtualService"));
    let open = open.first().copied().or(routes)?;
    let found = "no AuthorizationPolicy with action CUSTOM applies to it: Doorward is not asked";
    let elsewhere = !roots.iter().any(|root| root.text("kind") == Some("AuthorizationPolicy"));
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

fn providers(mesh: &Place<'_>, ours: &OurHeaders) -> Vec<Section> {
    let mut sections = Vec::new();
    for provider in mesh.items("extensionProviders") {
        let grpc = provider.get("envoyExtAuthzGrpc");
        let http = provider.get("envoyExtAuthzHttp");
        let over_http = http.is_some();
        let Some(service) = grpc.or(http) else { continue };
        let mut findings = FIELDS.findings(&service, None);
        if over_http {
            findings.push(seen_over_http(&service, ours));
            let list = ours.to_set(|prefix| format!("\"{prefix}*\""), |name| format!("\"{name}\""));
            findings.push(FIELDS.answered(&service, glob_takes, ours, &list));
        }
        findings.extend(paths(mesh));
        let name = provider.text("name").unwrap_or("without a name");
        sections.push(Section {
            title: format!("Istio's provider {name} at {}", provider.path),
            findings,
        });
    }
    sections
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

/// Istio's levels: NONE, BASE (the default), MERGE_SLASHES, DECODE_AND_MERGE_SLASHES.
fn paths(mesh: &Place<'_>) -> Vec<Finding> {
    let level = mesh.text("pathNormalization.normalization").unwrap_or("BASE");
    let place = mesh.get("pathNormalization").unwrap_or_else(|| mesh.clone());
    let remedy = "set pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}";
    let say = |check, so_what: &str| {
        place.fail(check, format!("normalization is {level}: {so_what}"), remedy)
    };
    let good = |check| Finding::pass(check, format!("normalization is {level}"));
    let (normalized, merged, decoded) = match level {
        "NONE" => (false, false, false),
        "MERGE_SLASHES" => (true, true, false),
        "DECODE_AND_MERGE_SLASHES" => (true, true, true),
        _ => (true, false, false),
    };
    let mut findings = Vec::new();
    findings.push(if normalized {
        good("normalize_path")
    } else {
        say("normalize_path", "/public/../admin is below /public/ here and /admin upstream")
    });
    findings.push(if merged {
        good("merge_slashes")
    } else {
        say("merge_slashes", "//admin is a different path here than upstream")
    });
    findings.push(if decoded {
        good("escaped_slashes")
    } else {
        place.warn(
            "escaped_slashes",
            format!(
                "normalization is {level}: /public/..%2Fadmin may be a different path upstream"
            ),
            remedy,
        )
    });
    findings
}

/// A policy of action CUSTOM: which requests it leaves out.
fn policy(root: &Place<'_>, meshes: &[Place<'_>], roots: &[Place<'_>]) -> Option<Section> {
    if !is_custom(root) {
        return None;
    }
    let name = named(root);
    let provider = root.text("spec.provider.name").unwrap_or_default();
    let known: Vec<_> = meshes
        .iter()
        .flat_map(|mesh| mesh.items("extensionProviders"))
        .filter_map(|provider| provider.text("name"))
        .collect();
    let present = if known.is_empty() || known.contains(&provider) {
        Finding::pass("ext_authz", format!("the provider {provider} is asked"))
    } else {
        root.fail(
            "ext_authz",
            format!("the mesh has no provider {provider}"),
            format!("use one of: {}", known.join(", ")),
        )
    };
    Some(Section {
        title: format!("Istio's AuthorizationPolicy {name}"),
        findings: vec![present, dry_run(root).unwrap_or_else(|| coverage(root, roots))],
    })
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
    match least(rules.iter().map(gap)) {
        None => match unanswered(policy, roots) {
            None => Finding::pass("routes_off", "no request reaches an upstream unasked"),
            Some(finding) => finding,
        },
        Some((place, gap)) => place.fail(
            "routes_off",
            format!("{gap}: forged identity headers reach the service there"),
            "check every request (rules: [{}]) and list what needs no token in rules.bypass of \
             Doorward's configuration",
        ),
    }
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
    let of_kind = roots.iter().filter(|root| root.text("kind") == Some("VirtualService"));
    for service in of_kind {
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
