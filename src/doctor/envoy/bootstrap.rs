//! What a bootstrap says for all of Envoy.

use super::OurHeaders;
use super::place::Place;
use crate::doctor::report::{Finding, Section};
use crate::loopback::is_loopback_host;

/// A section for each bootstrap with something odd in it.
pub(super) fn sections(roots: &[Place<'_>], ours: &OurHeaders) -> Vec<Section> {
    let odd = |root: &Place<'_>| {
        let findings: Vec<_> = header_prefix(root, roots, ours)
            .into_iter()
            .chain(admin(root))
            .chain(elsewhere(root))
            .collect();
        (!findings.is_empty()).then(|| Section { title: "bootstrap".to_owned(), findings })
    };
    roots.iter().filter_map(odd).collect()
}

/// Of one field in both spellings, Envoy takes one: a section for a file that has such.
pub(super) fn spelling(roots: &[Place<'_>]) -> Option<Section> {
    let field = roots.iter().find_map(Place::twice)?;
    let finding = field.fail(
        "spelling",
        "this is set in two spellings, and Envoy accepts either",
        "remove one of them",
    );
    Some(Section { title: "spelling".to_owned(), findings: vec![finding] })
}

/// Envoy's own headers are `x-envoy-…`, or called otherwise.
fn header_prefix(root: &Place<'_>, roots: &[Place<'_>], ours: &OurHeaders) -> Option<Finding> {
    let place = root.get("header_prefix")?;
    let prefix = place.value.as_str()?.to_ascii_lowercase();
    let asks_over_http = |place: &Place<'_>| {
        place.is_a(".http.ext_authz.v3.ExtAuthz") && place.get("http_service").is_some()
    };
    let over_http = roots.iter().any(|root| !root.find(&asks_over_http).is_empty());
    let what = if ours.known().any(|name| name.starts_with(&prefix)) {
        "identity headers then count as Envoy's own, which Doorward may not change"
    } else if over_http && prefix != "x-envoy" {
        "over HTTP, Envoy then does not see which headers Doorward has removed"
    } else {
        return None;
    };
    Some(place.fail(
        "header_prefix",
        format!("header_prefix is \"{prefix}\": {what}"),
        "remove header_prefix",
    ))
}

/// Who reaches the admin port reads all of this, changes runtime keys, and can end Envoy.
fn admin(root: &Place<'_>) -> Option<Finding> {
    let address = root.at("admin.address.socket_address")?;
    let local = is_loopback_host(address.text("address").unwrap_or_default());
    (!local).then(|| {
        address.warn(
            "admin",
            "Envoy's admin port is open to the network",
            "listen on 127.0.0.1: anyone who reaches it can change runtime keys and shut Envoy \
             down",
        )
    })
}

/// Of listeners that a control plane sends nothing is known here.
fn elsewhere(root: &Place<'_>) -> Option<Finding> {
    let dynamic = root.get("dynamic_resources")?;
    let listeners = ["lds_config", "lds_resources_locator"];
    let listeners = listeners.iter().find_map(|field| dynamic.get(field))?;
    Some(listeners.warn(
        "entrances",
        "listeners are also loaded from elsewhere",
        "examine them too (`curl …/config_dump` of Envoy's admin has all of them)",
    ))
}
