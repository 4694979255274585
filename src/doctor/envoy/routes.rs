//! Routes around the filter.

use super::judge::at;
use super::place::Place;
use crate::doctor::report::Finding;

/// What Doorward answers itself, and believes no identity header for.
pub(super) const DOORWARDS_OWN: [&str; 3] =
    ["/apis/auth/discovery", "/apis/auth/authenticate", "/.well-known/oauth-protected-resource"];

/// Whether every route of the connection manager is guarded.
pub(super) fn findings(manager: &Place<'_>, roots: &[Place<'_>], filter: &str) -> Vec<Finding> {
    let tables: Vec<Place<'_>> = match manager.get("route_config") {
        Some(inline) => vec![inline],
        None => {
            let wanted = |place: &Place<'_>| place.get("virtual_hosts").is_some();
            roots.iter().flat_map(|root| root.find(&wanted)).collect()
        }
    };
    if tables.is_empty() {
        return vec![Finding::warn(
            "routes_off",
            format!("the routes are not in this file{}", at(manager)),
            "examine what they come from too (`curl …/config_dump` of Envoy's admin has all of it)",
        )];
    }
    let off: Vec<_> = tables.iter().flat_map(|table| unguarded(table, filter)).collect();
    match off.first() {
        None => vec![Finding::pass("routes_off", "no route reaches an upstream unasked")],
        Some(first) => vec![Finding::fail(
            "routes_off",
            format!(
                "{first}: forged identity headers reach the upstream there{}",
                match off.len() {
                    1 => String::new(),
                    more => format!(" (and {} more)", more - 1),
                }
            ),
            "ask all the same and let it pass: check_settings: {context_extensions: \
             {doorward.mode: bypass}}, or rules.bypass of Doorward's configuration",
        )],
    }
}

/// Every place of a route table that turns the filter off in front of an upstream.
fn unguarded(table: &Place<'_>, filter: &str) -> Vec<String> {
    let mut off = Vec::new();
    off.extend(turned_off(table, filter).map(|place| format!("off for all routes{}", at(&place))));
    for host in table.items("virtual_hosts") {
        let routes = host.items("routes");
        let guarded: Vec<_> = routes
            .iter()
            .filter(|route| turned_off(route, filter).is_none())
            .filter_map(|route| route.text("route.cluster"))
            .collect();
        if let Some(place) = turned_off(&host, filter)
            && routes.iter().any(|route| reaches_an_upstream(route, &[]))
        {
            off.push(format!("off for a virtual host{}", at(&place)));
        }
        for route in routes.iter().filter(|route| reaches_an_upstream(route, &guarded)) {
            let weighted = route.items("route.weighted_clusters.clusters");
            let here = weighted.iter().chain([route]).filter_map(|place| turned_off(place, filter));
            off.extend(here.map(|place| format!("off for a route{}", at(&place))));
        }
    }
    off
}

/// Where the filter is disabled here: by its name, or by the type of what is said of it.
fn turned_off<'v>(place: &Place<'v>, filter: &str) -> Option<Place<'v>> {
    let table = place.get("typed_per_filter_config")?;
    let by_type =
        || table.children().into_iter().find(|entry| entry.is_a(".ext_authz.v3.ExtAuthzPerRoute"));
    let config = table.get(filter).or_else(by_type)?;
    (config.flag("disabled") == Some(true)).then_some(config)
}

/// Doorward's own three documents may be open, at a cluster that serves nothing guarded;
/// so may answers that Envoy gives itself.
fn reaches_an_upstream(route: &Place<'_>, guarded: &[&str]) -> bool {
    if route.get("direct_response").is_some() || route.get("redirect").is_some() {
        return false;
    }
    let own = route.text("match.path").is_some_and(|path| DOORWARDS_OWN.contains(&path));
    let elsewhere = route.text("route.cluster").is_some_and(|cluster| !guarded.contains(&cluster));
    !(own && elsewhere)
}
