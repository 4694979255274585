//! Connections that stop being HTTP: nobody looks at what passes there.

use super::clusters::Clusters;
use super::manager::{Chain, Manager, Own};
use super::place::Place;
use crate::doctor::report::Finding;

/// The filter chains that upgrades have for themselves.
pub(super) fn chains<'v>(
    manager: &Manager<'v>,
    clusters: &Clusters<'v>,
) -> Vec<(Place<'v>, Chain<'v>)> {
    let upgrades = manager.place.items("upgrade_configs").into_iter();
    let own = upgrades.filter(|upgrade| upgrade.get("filters").is_some());
    own.map(|upgrade| {
        let chain = Chain::read(&upgrade.items("filters"), clusters);
        (upgrade, chain)
    })
    .collect()
}

/// What is wrong with upgrades, if anything.
pub(super) fn finding<'v>(
    manager: &Manager<'v>,
    clusters: &Clusters<'v>,
    own: Own<'_, 'v>,
) -> Option<Finding> {
    for (upgrade, chain) in chains(manager, clusters) {
        let (place, why) = if chain.asking().all(|(filter, _)| filter.picked) {
            (upgrade.clone(), "without Doorward's")
        } else if let Some(off) = manager.off_after(&chain, own) {
            (off, "in which Doorward's is off")
        } else {
            continue;
        };
        return Some(place.fail(
            "upgrades",
            format!("{} has filters of its own, {why}", kind(&upgrade)),
            "remove filters there, or put Doorward's into them",
        ));
    }
    let names = manager.clusters(clusters).into_iter();
    let pools = names.filter_map(|name| clusters.named(name)?.at("upstream_config.typed_config"));
    if let Some(pool) = pools.into_iter().find(|pool| !pool.is_a(".HttpConnectionPoolProto")) {
        return Some(pool.fail(
            "upgrades",
            "request bodies become a connection to the upstream",
            "remove upstream_config",
        ));
    }
    // A plain CONNECT has no path, and Doorward lets none pass.
    let opens = |upgrade: &Place<'_>| {
        upgrade.get("connect_config").is_some()
            && upgrade.flag("enabled") != Some(false)
            && (kind(upgrade) != "connect"
                || upgrade.flag("connect_config.allow_post") == Some(true))
    };
    let upgrades = manager.ways.iter().flat_map(|way| way.action.items("upgrade_configs"));
    let upgrade = upgrades.into_iter().find(opens)?;
    Some(upgrade.fail(
        "upgrades",
        "a request becomes a connection to the upstream: after one allowed request a client \
             can send anything unseen",
        "remove connect_config",
    ))
}

fn kind(upgrade: &Place<'_>) -> String {
    upgrade.text("upgrade_type").unwrap_or_default().to_ascii_lowercase()
}
