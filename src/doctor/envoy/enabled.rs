//! Whether the filter asks about every request, and heeds the answer.

use super::filters::Filter;
use super::names::Matcher;
use super::place::Place;
use super::routes::Way;
use super::runtime::{Runtime, is_all, is_on};
use crate::doctor::report::Finding;

/// Findings where it does not, and one when a share was written out and is all. `front` are
/// the filters that a request meets before.
pub(super) fn findings<'v>(
    filter: &Place<'v>,
    front: &[&Filter<'v>],
    ways: &[Way<'v>],
    roots: &[Place<'v>],
) -> Vec<Finding> {
    let shadow = filter.flag("shadow_mode") == Some(true);
    let shadow = shadow.then(|| {
        filter.fail(
            "shadow_mode",
            "shadow_mode is on: Doorward is asked, and every request passes unchanged",
            "remove shadow_mode: true",
        )
    });
    let marked = filter.get("filter_enabled_metadata");
    let marked = marked.map(|marked| (share_marked(&marked, front, ways), marked));
    let part = filter.get("filter_enabled").map(|part| (share(&part, roots), part));
    let shares: Vec<_> = marked.into_iter().chain(part).collect();
    let worst = shares.iter().max_by_key(|(share, _)| *share);
    let denied = always_denied(filter, roots);
    shadow.into_iter().chain(worst.map(|(share, place)| said(*share, place, denied))).collect()
}

/// Of how many requests the filter asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    All,
    /// As long as nobody sets a runtime key.
    AllForNow,
    Some,
}

/// `denied`: those that it does not ask about are refused.
fn said(share: Share, place: &Place<'_>, denied: bool) -> Finding {
    const REMEDY: &str = "remove it, or set default_value to 100 of HUNDRED and no runtime_key";
    match share {
        Share::All => Finding::pass("filter_enabled", "for every request"),
        Share::AllForNow => place.warn(
            "filter_enabled",
            format!(
                "anyone who can set the runtime key {} decides which requests are checked",
                place.text("runtime_key").unwrap_or_default()
            ),
            "remove runtime_key",
        ),
        Share::Some if denied => place.warn(
            "filter_enabled",
            "only some requests are checked: the others are rejected",
            REMEDY,
        ),
        Share::Some => place.fail(
            "filter_enabled",
            "only some requests are checked: the others pass unchecked",
            REMEDY,
        ),
    }
}

/// Whether what is not asked about is refused, and nobody can change that at run time.
fn always_denied(filter: &Place<'_>, roots: &[Place<'_>]) -> bool {
    filter.get("deny_at_disable").is_some_and(|deny| {
        let runtime = Runtime::of(roots);
        let changeable = |key| runtime.says(key).is_some() || runtime.settable().is_some();
        deny.flag("default_value") == Some(true)
            && !deny.text("runtime_key").is_some_and(changeable)
    })
}

/// As Istio does it: rules in front mark the requests that are to be asked about. All, when a
/// rule takes everything, and what each of them writes is what is wanted.
fn share_marked<'v>(marked: &Place<'v>, front: &[&Filter<'v>], ways: &[Way<'v>]) -> Share {
    let by = marked.text("filter").unwrap_or_default();
    let takes_all = |policy: &Place<'_>| {
        ["permissions", "principals"].iter().all(|list| policy.items(list).iter().any(everything))
    };
    let marks_all = |filter: &Filter<'v>| {
        let Some(config) = &filter.config else { return false };
        let policies = config.items("shadow_rules.policies");
        // The first policy that takes a request leaves its name.
        let prefix = config.text("shadow_rules_stat_prefix").unwrap_or_default();
        let key = format!("{prefix}shadow_effective_policy_id");
        let path = marked.items("path");
        let wanted = |policy: &Place<'_>| {
            let value = marked.at("value.string_match");
            value.is_some_and(|value| Matcher::read(&value).takes(policy.key()) == Some(true))
        };
        path.len() == 1
            && path.iter().all(|segment| segment.text("key") == Some(&key))
            && policies.iter().all(wanted)
            && policies.iter().any(takes_all)
    };
    let is_on = |filter: &Filter<'v>| {
        filter.off().is_none() && !filter.picked && !ways.iter().any(|way| way.speaks_of(filter))
    };
    let mut rules = front.iter().filter(|filter| filter.is("rbac") && filter.name() == by);
    let all = marked.flag("invert") != Some(true)
        && rules.next().is_some_and(|filter| is_on(filter) && marks_all(filter));
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
    let runtime = Runtime::of(roots);
    match runtime.says(key) {
        Some(set) if !is_on(&set) => Share::Some,
        Some(_) | None if runtime.settable().is_some() => Share::AllForNow,
        Some(_) | None => Share::All,
    }
}
