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
            "a request becomes a connection to the upstream{}: whoever is let in once sends what \
             nobody sees",
            at(&upgrade)
        ),
        "remove connect_config",
    ))
}

fn kind(upgrade: &Place<'_>) -> String {
    upgrade.text("upgrade_type").unwrap_or_default().to_ascii_lowercase()
}
