//! Connections that stop being HTTP: nobody looks at what passes there.

use super::clusters::Clusters;
use super::judge::at;
use super::manager::{Chain, Manager};
use super::place::Place;
use super::routes::Way;
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
pub(super) fn finding<'v>(
    manager: &Manager<'v>,
    clusters: &Clusters<'v>,
    own: &dyn Fn(&Way<'v>) -> bool,
) -> Option<Finding> {
    for (upgrade, chain) in chains(manager) {
        let why = if chain.asking().all(|(filter, _)| filter.picked) {
            "without ext_authz".to_owned()
        } else if let Some(off) = manager.off_after(&chain, own) {
            format!("in which ext_authz is off{}", at(&off))
        } else {
            continue;
        };
        return Some(Finding::fail(
            "upgrades",
            format!("{} has filters of its own{}, {why}", kind(&upgrade), at(&upgrade)),
            "remove filters there, or put ext_authz into them",
        ));
    }
    let names = manager.clusters(clusters).into_iter();
    let pools = names.filter_map(|name| clusters.named(name)?.at("upstream_config.typed_config"));
    if let Some(pool) = pools.into_iter().find(|pool| !pool.is_a(".HttpConnectionPoolProto")) {
        return Some(Finding::fail(
            "upgrades",
            format!("request bodies become a connection to the upstream{}", at(&pool)),
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
    Some(Finding::fail(
        "upgrades",
        format!(
            "a request becomes a connection to the upstream{}: after one allowed request a client \
             can send anything unseen",
            at(&upgrade)
        ),
        "remove connect_config",
    ))
}

fn kind(upgrade: &Place<'_>) -> String {
    upgrade.text("upgrade_type").unwrap_or_default().to_ascii_lowercase()
}
