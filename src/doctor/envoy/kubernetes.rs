//! What objects of Kubernetes do to requests that have been decided about: headers that routes
//! and policies set, filters that extensions put in, patches of what a control plane makes.

use super::OurHeaders;
use super::clusters::{is_called_doorward, is_doorward};
use super::identity;
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

/// The objects of one of these kinds.
pub(super) fn of_kind<'r, 'v, const N: usize>(
    roots: &'r [Place<'v>],
    kinds: [&'r str; N],
) -> impl Iterator<Item = &'r Place<'v>> {
    roots.iter().filter(move |root| root.text("kind").is_some_and(|it| kinds.contains(&it)))
}

/// Whether an object is of a version of this group (`networking.istio.io/`).
pub(super) fn is_of(object: &Place<'_>, group: &str) -> bool {
    object.text("apiVersion").is_some_and(|version| version.starts_with(group))
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
            "EnvoyExtensionPolicy" if brings_others(root) => {
                code(root, ours).or_else(|| filter(root, "adds filters behind Doorward's"))
            }
            "WasmPlugin" if !matches!(root.text("spec.phase"), Some("AUTHN")) => {
                filter(root, "is a filter that may stand behind Doorward's")
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
    Some(identity::behind(std::slice::from_ref(root), &[], ours)).filter(|it| it.remedy.is_some())
}

/// What is put into the Envoy that a control plane makes.
fn patches(root: &Place<'_>, ours: &OurHeaders) -> Option<Finding> {
    let off = |place: &Place<'_>| place.flag("disabled") == Some(true);
    if let Some(off) = root.all().find(off) {
        return Some(off.fail(
            "routes_off",
            "a filter is turned off: forged identity headers may reach the upstream",
            "let what needs no token pass by rules.bypass of Doorward's configuration",
        ));
    }
    let list = [root.items("spec.configPatches"), root.items("spec.jsonPatches")].concat();
    let removes = |patch: &Place<'_>| {
        let removed = matches!(patch.text("patch.operation"), Some("REMOVE" | "REPLACE"))
            || matches!(patch.text("operation.op"), Some("remove"));
        removed && patch.has_text(|text| text.contains("ext_authz"))
    };
    if let Some(removed) = list.iter().find(|patch| removes(patch)) {
        return Some(removed.fail(
            "ext_authz",
            "the filter that asks Doorward is taken out or replaced",
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
        if let Some(place) = root.all().find(set) {
            return Some(place.fail(
                "patches",
                format!("{field} is {unsafe_value}"),
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
        // Doorward itself, where Istio's own part says what there is to say of it.
        patch.at("patch.value.typed_config").is_some_and(|it| is_doorward(&it))
            || patch.text("applyTo").is_some_and(|what| HARMLESS.contains(&what))
            || patch.text("type").is_some_and(|what| what.ends_with(".Cluster"))
    };
    let other = list.iter().find(|patch| !harmless(patch))?;
    Some(other.warn(
        "patches",
        "what Envoy does is changed, and what comes out is not in this file",
        COMES_OUT,
    ))
}

fn code(root: &Place<'_>, ours: &OurHeaders) -> Option<Finding> {
    let name = code_changes(&root.all_texts(), ours)?;
    Some(root.fail(
        "filter_order",
        format!("its code changes {name}, which may be done behind Doorward's filter"),
        "leave identity headers alone in it",
    ))
}

fn filter(root: &Place<'_>, what: &str) -> Option<Finding> {
    Some(root.warn(
        "filter_order",
        format!("it {what}, and may change identity headers"),
        "make sure that it does not",
    ))
}

/// Envoy Gateway lets one say where ext_authz stands.
fn filter_order(root: &Place<'_>) -> Option<Finding> {
    let order = root.at("spec.filterOrder")?;
    let moves = |entry: &Place<'_>| match entry.text("name") {
        // To the front is where Doorward itself belongs.
        Some("envoy.filters.http.dynamic_modules") => entry.get("after").is_some(),
        Some(_) | None => entry.has_text(|text| text == "envoy.filters.http.ext_authz"),
    };
    let moved = order.children().into_iter().find(moves)?;
    let name = moved.text("name").unwrap_or_default();
    let name = if name.ends_with("dynamic_modules") { "the module" } else { "ext_authz" };
    Some(moved.warn(
        "filter_order",
        format!("{name} is put elsewhere among the filters"),
        COMES_OUT,
    ))
}

/// Whether a policy brings more filters than Doorward itself.
fn brings_others(policy: &Place<'_>) -> bool {
    let code = ["extProc", "wasm", "lua"].iter();
    let modules = policy.items("spec.dynamicModule");
    code.map(|kind| policy.items(&format!("spec.{kind}"))).any(|it| !it.is_empty())
        || modules.is_empty()
        || modules.iter().any(|it| !is_called_doorward(it.text("name").unwrap_or_default()))
}
