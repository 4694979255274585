//! Whether the filter asks about every request, and heeds the answer.

use super::filters::Filter;
use super::judge::at;
use super::place::Place;
use crate::doctor::report::Finding;

/// Findings where it does not, and one when a share was written out and is all. `front` are
/// the filters that a request meets before.
pub(super) fn findings(
    filter: &Place<'_>,
    front: &[Filter<'_>],
    roots: &[Place<'_>],
) -> Vec<Finding> {
    let shadow = filter.flag("shadow_mode") == Some(true);
    let shadow = shadow.then(|| {
        Finding::fail(
            "shadow_mode",
            format!(
                "shadow_mode is on{}: Doorward is asked, and every request passes as it came",
                at(filter)
            ),
            "remove shadow_mode: true",
        )
    });
    let marked = filter.get("filter_enabled_metadata");
    let marked = marked.map(|marked| (share_marked(&marked, front), marked));
    let part = filter.get("filter_enabled").map(|part| (share(&part, roots), part));
    let shares: Vec<_> = marked.into_iter().chain(part).collect();
    let worst = shares.iter().max_by_key(|(share, _)| *share);
    shadow.into_iter().chain(worst.map(|(share, place)| said(*share, place, filter))).collect()
}

/// Of how many requests the filter asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    All,
    /// As long as nobody sets a runtime key.
    AllForNow,
    Some,
}

fn said(share: Share, place: &Place<'_>, filter: &Place<'_>) -> Finding {
    const REMEDY: &str = "remove it, or set default_value to 100 of HUNDRED and no runtime_key";
    match share {
        Share::All => Finding::pass("filter_enabled", format!("for every request{}", at(place))),
        Share::AllForNow => Finding::warn(
            "filter_enabled",
            format!(
                "whoever sets the runtime key {}{} decides which requests are asked about",
                place.text("runtime_key").unwrap_or_default(),
                at(place)
            ),
            "remove runtime_key",
        ),
        Share::Some if filter.flag("deny_at_disable.default_value") == Some(true) => Finding::warn(
            "filter_enabled",
            format!("only some requests are asked about{}: the others are refused", at(place)),
            REMEDY,
        ),
        Share::Some => Finding::fail(
            "filter_enabled",
            format!("only some requests are asked about{}: the others pass unseen", at(place)),
            REMEDY,
        ),
    }
}

/// As Istio does it: rules in front mark the requests that are to be asked about. All, when a
/// rule takes everything.
fn share_marked(marked: &Place<'_>, front: &[Filter<'_>]) -> Share {
    let by = marked.text("filter").unwrap_or_default();
    let rules = front.iter().filter(|filter| filter.is("rbac") && filter.name() == by);
    let rules = rules.filter_map(|filter| filter.config.as_ref()?.at("shadow_rules.policies"));
    let takes_all = |policy: &Place<'_>| {
        ["permissions", "principals"].iter().all(|list| policy.items(list).iter().any(everything))
    };
    let all = rules.flat_map(|policies| policies.children()).any(|policy| takes_all(&policy));
    if all { Share::All } else { Share::Some }
}

/// A permission or principal that is everybody's.
fn everything(rule: &Place<'_>) -> bool {
    let list = |ways: [&str; 2]| ways.iter().flat_map(|way| rule.items(way)).collect::<Vec<_>>();
    let all = list(["and_rules.rules", "and_ids.ids"]);
    rule.flag("any") == Some(true)
        || (!all.is_empty() && all.iter().all(everything))
        || list(["or_rules.rules", "or_ids.ids"]).iter().any(everything)
}

fn share(partly: &Place<'_>, roots: &[Place<'_>]) -> Share {
    let Some(default) = partly.get("default_value") else { return Share::Some };
    if !is_all(&default) {
        return Share::Some;
    }
    let Some(key) = partly.text("runtime_key") else { return Share::All };
    let layers: Vec<_> =
        roots.iter().flat_map(|root| root.items("layered_runtime.layers")).collect();
    let set = layers.iter().filter_map(|layer| layer.get("static_layer")?.nested(key));
    let lowered = set.into_iter().any(|set| match set.value.as_u64() {
        Some(percent) => percent < 100,
        None => !is_all(&set),
    });
    let settable = ["admin_layer", "rtds_layer", "disk_layer"];
    if lowered {
        Share::Some
    } else if layers.iter().any(|layer| settable.iter().any(|kind| layer.get(kind).is_some())) {
        Share::AllForNow
    } else {
        Share::All
    }
}

/// A `FractionalPercent` of one.
fn is_all(fraction: &Place<'_>) -> bool {
    let numerator = fraction.number("numerator").unwrap_or(0);
    let denominator = match fraction.choice("denominator", &["HUNDRED", "TEN_THOUSAND", "MILLION"])
    {
        Some("TEN_THOUSAND") => 10_000,
        Some("MILLION") => 1_000_000,
        Some(_) | None => 100,
    };
    numerator >= denominator
}
