//! Connections that stop being HTTP: nobody looks at what passes there.

use super::judge::at;
use super::manager::{Chain, Manager};
use super::place::Place;
use crate::doctor::report::Finding;

/// The filter chains that upgrades have for themselves.
pub(super) fn chains<'v>(manager: &Manager<'v>) -> Vec<(Place<'v>, Chain<'v>)> {
    let upgrades = manager.place.items("upgrade_configs").into_iter();
    let own = upgrades.filter(|upgrade| upgrade.get("filters").is_some());
    own.map(|upgrade| {
        let chain = Chain::read(&upgrade.items("filters"));
        (upgrade, chain)
    })
    .collect()
}

/// What is wrong with upgrades, if anything.
pub(super) fn finding(manager: &Manager<'_>) -> Option<Finding> {
    let unasked = chains(manager).into_iter().find(|(_, chain)| chain.asking().next().is_none());
    if let Some((upgrade, _)) = unasked {
        return Some(Finding::fail(
            "upgrades",
            format!("{} has filters of its own without ext_authz{}", kind(&upgrade), at(&upgrade)),
            "remove filters there, or put ext_authz into them",
        ));
    }
    // Whether an upgrade is possible is said for all routes, and then by each.
    let everywhere = manager.place.items("upgrade_configs");
    let of_ways = manager.ways.iter().flat_map(|way| way.action.items("upgrade_configs"));
    let (upgrade, how) = everywhere
        .into_iter()
        .filter(|upgrade| kind(upgrade) == "h2c")
        .chain(of_ways)
        .filter(|upgrade| upgrade.flag("enabled") != Some(false))
        .find_map(|upgrade| Some((upgrade.clone(), opens(&upgrade)?)))?;
    Some(Finding::fail(
        "upgrades",
        format!("{how}{}: whoever is let in once sends requests that nobody sees", at(&upgrade)),
        "remove it: only protocols that are not HTTP may pass unseen, such as websocket",
    ))
}

fn kind(upgrade: &Place<'_>) -> String {
    upgrade.text("upgrade_type").unwrap_or_default().to_ascii_lowercase()
}

fn opens(upgrade: &Place<'_>) -> Option<&'static str> {
    match kind(upgrade).as_str() {
        "h2c" => Some("h2c turns a request into HTTP/2 with the upstream"),
        _ if upgrade.get("connect_config").is_some() => Some("CONNECT opens a connection to the upstream"),
        _ => None,
    }
}
