//! What objects of Kubernetes do to requests that have been decided about: headers that routes
//! and policies set, filters that extensions put in, patches of what a control plane makes.

use super::OurHeaders;
use super::identity;
use super::judge::at;
use super::order::code_changes;
use super::place::Place;
use crate::doctor::report::{Finding, Section};

/// Patches to these change no request.
const HARMLESS: [&str; 2] = ["CLUSTER", "BOOTSTRAP"];
const COMES_OUT: &str = "examine what comes out of it: curl …/config_dump of the gateway's Envoy, given to \
                         doctor --envoy";

/// The name of an object.
pub(super) fn named<'v>(object: &Place<'v>) -> &'v str {
    object.text("metadata.name").unwrap_or("without a name")
}

/// Its namespace; where none is written, it is the one in which it is applied.
pub(super) fn namespace<'v>(object: &Place<'v>) -> &'v str {
    object.text("metadata.namespace").unwrap_or_default()
}

/// Whether two namespaces are one, as far as they are written.
pub(super) fn same_namespace(one: &str, other: &str) -> bool {
    one.is_empty() || other.is_empty() || one == other
}

/// A section for each object that changes what Doorward answered, or may.
pub(super) fn sections(roots: &[Place<'_>], ours: &OurHeaders) -> Vec<Section> {
    let odd = |root: &Place<'_>| {
        let kind = root.text("kind")?;
        let finding = match kind {
            "HTTPRoute" | "GRPCRoute" | "HTTPRouteFilter" | "VirtualService" | "SecurityPolicy" => {
                headers(root, ours)
            }
            "EnvoyFilter" | "EnvoyPatchPolicy" => patches(root, ours),
            "EnvoyExtensionPolicy" => {
                code(root, ours).or_else(|| filter(root, "adds filters behind ext_authz"))
            }
            "WasmPlugin" if !matches!(root.text("spec.phase"), Some("AUTHN")) => {
                filter(root, "is a filter that may stand behind ext_authz")
            }
            "EnvoyProxy" => filter_order(root),
            _ => None,
        }?;
        Some(Section { title: format!("{kind} {}", named(root)), findings: vec![finding] })
    };
    roots.iter().filter_map(odd).collect()
}

/// An identity header that a route or a policy sets or removes: that is done last.
fn headers(root: &Place<'_>, ours: &OurHeaders) -> Option<Finding> {
    let mut names = Vec::new();
    // Gateway API: of a rule, of a backend.
    for change in root.everywhere("requestHeaderModifier") {
        let set = [change.items("set"), change.items("add")].concat();
        names.extend(set.iter().filter_map(|header| header.get("name")));
        names.extend(change.items("remove"));
    }
    // Istio: by the names of members.
    for change in root.everywhere("headers").iter().filter_map(|headers| headers.get("request")) {
        names.extend(change.items("remove"));
        let set = [change.items("set"), change.items("add")].concat();
        if let Some(set) = set.iter().find(|header| ours.trusted(header.key())) {
            return Some(changed(set.key(), set));
        }
    }
    // Envoy Gateway: what other ways to authenticate say, behind ours.
    for claim in root.everywhere("claimToHeaders") {
        names.extend(claim.children().iter().filter_map(|claim| claim.get("header")));
    }
    for field in ["forwardClientIDHeader", "forwardUsernameHeader"] {
        names.extend(root.everywhere(field));
    }
    names.extend(root.at("spec.credentialInjection.header"));
    let name = names.iter().find(|name| name.value.as_str().is_some_and(|it| ours.trusted(it)))?;
    Some(changed(name.value.as_str().unwrap_or_default(), name))
}

fn changed(name: &str, place: &Place<'_>) -> Finding {
    Finding::fail(
        "identity",
        format!(
            "{} is changed{}: the upstream gets a different identity than Doorward sent",
            name.to_ascii_lowercase(),
            at(place)
        ),
        "leave it alone there; headers.claims of Doorward's configuration makes headers of more claims",
    )
}

/// What is put into the Envoy that a control plane makes.
fn patches(root: &Place<'_>, ours: &OurHeaders) -> Option<Finding> {
    let off = |place: &Place<'_>| place.flag("disabled") == Some(true);
    if let Some(off) = root.somewhere(&off) {
        return Some(Finding::fail(
            "routes_off",
            format!(
                "a filter is turned off{}: forged identity headers may reach the upstream",
                at(&off)
            ),
            "let what needs no token pass by rules.bypass of Doorward's configuration",
        ));
    }
    let list = [root.items("spec.configPatches"), root.items("spec.jsonPatches")].concat();
    let removes = |patch: &Place<'_>| {
        let removed = matches!(patch.text("patch.operation"), Some("REMOVE" | "REPLACE"))
            || matches!(patch.text("operation.op"), Some("remove"));
        removed && patch.has_text(&|text| text.contains("ext_authz"))
    };
    if let Some(removed) = list.iter().find(|patch| removes(patch)) {
        return Some(Finding::fail(
            "ext_authz",
            format!("the filter that asks Doorward is taken out or replaced{}", at(removed)),
            "leave it as the policy has it",
        ));
    }
    for (field, unsafe_value) in [
        ("failure_mode_allow", true),
        ("shadow_mode", true),
        ("normalize_path", false),
        ("merge_slashes", false),
    ] {
        let set = |place: &Place<'_>| place.flag(field) == Some(unsafe_value);
        if let Some(place) = root.somewhere(&set) {
            return Some(Finding::fail(
                "patches",
                format!("{field} is {unsafe_value}{}", at(&place)),
                format!("set {field}: {}", !unsafe_value),
            ));
        }
    }
    let changed = identity::behind(&list, &["envoy.filters.http.ext_authz"], ours);
    if changed.remedy.is_some() {
        return Some(changed);
    }
    if let Some(finding) = code(root, ours) {
        return Some(finding);
    }
    let harmless = |patch: &Place<'_>| {
        patch.text("applyTo").is_some_and(|what| HARMLESS.contains(&what))
            || patch.text("type").is_some_and(|what| what.ends_with(".Cluster"))
    };
    let other = list.iter().find(|patch| !harmless(patch))?;
    Some(Finding::warn(
        "patches",
        format!("what Envoy does is changed{}, and what comes out is not in this file", at(other)),
        COMES_OUT,
    ))
}

fn code(root: &Place<'_>, ours: &OurHeaders) -> Option<Finding> {
    let name = code_changes(&root.all_texts(), ours)?;
    Some(Finding::fail(
        "filter_order",
        format!("its code changes {name}, which may be done behind ext_authz{}", at(root)),
        "leave identity headers alone in it",
    ))
}

fn filter(root: &Place<'_>, what: &str) -> Option<Finding> {
    Some(Finding::warn(
        "filter_order",
        format!("it {what}, and may change identity headers{}", at(root)),
        "make sure that it does not",
    ))
}

/// Envoy Gateway lets one say where ext_authz stands.
fn filter_order(root: &Place<'_>) -> Option<Finding> {
    let order = root.at("spec.filterOrder")?;
    let moved = order.has_text(&|text| text == "envoy.filters.http.ext_authz");
    moved.then(|| {
        Finding::warn(
            "filter_order",
            format!("ext_authz is put elsewhere among the filters{}", at(&order)),
            COMES_OUT,
        )
    })
}
