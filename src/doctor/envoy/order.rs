//! Where the filter stands among others.

use super::OurHeaders;
use super::filters::{Filter, Power};
use super::manager::Manager;
use super::place::Place;
use crate::doctor::report::Finding;

/// Whether what comes before decides nothing in its place, and what comes after changes
/// nothing: `front` and `late`, the filters on the way to the upstream included.
pub(super) fn finding<'v>(
    manager: &Manager<'v>,
    front: &[&Filter<'v>],
    late: &[&Filter<'v>],
    ours: &OurHeaders,
) -> Finding {
    let early = front.iter().find_map(|filter| Some((filter, too_early(filter, ours)?)));
    if let Some((filter, (what, remedy))) = early {
        return filter.place.fail("filter_order", format!("{} {what}", filter.name()), remedy);
    }
    let late: Vec<_> = late.iter().filter(|filter| filter.power() == Power::Any).collect();
    let Some(first) = late.first() else {
        return Finding::pass(
            "filter_order",
            "Doorward's filter, then nothing that changes the identity",
        );
    };
    let rewriting =
        late.iter().find_map(|filter| Some((filter, rewritten(manager, filter, ours)?)));
    if let Some((filter, name)) = rewriting {
        return filter.place.fail(
            "filter_order",
            format!("{} comes after Doorward's filter, and its code changes {name}", filter.name()),
            "put it before Doorward's filter, or leave identity headers alone in it",
        );
    }
    let others: Vec<_> = late.iter().skip(1).map(|filter| filter.name()).collect();
    let mut found =
        format!("{} comes after Doorward's filter and may change identity headers", first.name());
    if !others.is_empty() {
        found.push_str(&format!(" (so do {})", others.join(", ")));
    }
    if first.is("ratelimit") {
        found.push_str(", if its service answers with request headers");
    }
    first.place.warn(
        "filter_order",
        found,
        "make sure that it does not, or put it before Doorward's filter",
    )
}

/// The identity header that a filter's code changes, in its own place or in routes.
fn rewritten<'v>(manager: &Manager<'v>, filter: &Filter<'v>, ours: &OurHeaders) -> Option<String> {
    let said = [filter.place.clone()].into_iter().chain(manager.settings_of(filter));
    let texts: Vec<_> = said.flat_map(|place| place.all_texts()).collect();
    code_changes(&texts, ours).filter(|_| filter.is("lua"))
}

/// The identity header that code in a configuration changes: of all that runs code, Lua's can be
/// read, where it writes the name out.
pub(super) fn code_changes(texts: &[&str], ours: &OurHeaders) -> Option<String> {
    const CHANGES: [&str; 3] = [":replace(", ":add(", ":remove("];
    let calls =
        texts.iter().flat_map(|text| CHANGES.iter().flat_map(|change| text.split(change).skip(1)));
    let mut names = calls.filter_map(|call| {
        let name = call.split([',', ')']).next()?.trim();
        Some(name.trim_matches(['"', '\'']).to_ascii_lowercase())
    });
    names.find(|name| ours.trusted(name))
}

/// Filters behind the decision that have the route chosen again, by what they are or by what is
/// written of them.
pub(super) fn route_again<'v>(manager: &Manager<'v>, behind: &[&Filter<'v>]) -> Option<Finding> {
    const FIELD: &str = "clear_route_cache";
    let again = behind.iter().find_map(|filter| {
        if filter.routes_again() {
            return Some((filter, filter.place.clone()));
        }
        let mut said = [filter.place.clone()].into_iter().chain(manager.settings_of(filter));
        let again = |inside: &Place<'v>| inside.flag(FIELD) == Some(true);
        Some((filter, said.find_map(|place| place.all().find(again))?))
    });
    let (filter, place) = again?;
    let name = filter.name();
    if filter.is("grpc_json_transcoder") && manager.ways.len() > 1 {
        return Some(place.fail(
            "route_cache",
            format!(
                "{name} makes another path and has the route chosen again by it after the \
                 decision: what that route asks for is never checked"
            ),
            "set match_incoming_request_route: true",
        ));
    }
    Some(match manager.ways.iter().find(|way| way.depends()) {
        Some(way) => place.fail(
            "route_cache",
            format!(
                "{name} has the route selected again after the decision, and may lead to {}: \
                 what that requires is never checked",
                way.route.path
            ),
            "put it before Doorward's filter",
        ),
        None => place.warn(
            "route_cache",
            format!(
                "{name} has the route selected again after the decision: another route may be \
                 used with this one's decision"
            ),
            "put it before Doorward's filter",
        ),
    })
}

/// What a filter in front of ours does that it must not, and the remedy.
fn too_early(filter: &Filter<'_>, ours: &OurHeaders) -> Option<(&'static str, &'static str)> {
    const REMEDY: &str = "put Doorward's filter before it";
    if filter.is("router") {
        Some((
            "comes before Doorward's filter, which is then never reached",
            "put Doorward's filter before the router",
        ))
    } else if filter.power() == Power::Answers {
        Some((
            "comes before Doorward's filter, and answers requests that were never checked",
            REMEDY,
        ))
    } else if believes(filter, ours) {
        Some(("reads the identity before Doorward has replaced what the client sent", REMEDY))
    } else {
        None
    }
}

/// Whether it decides by the identity: what only writes a header is of no matter there.
fn believes(filter: &Filter<'_>, ours: &OurHeaders) -> bool {
    let Some(config) = &filter.config else { return false };
    filter.power() == Power::Fixed
        && !filter.is("header_mutation")
        && !filter.is("transform")
        && !only_refuses(config, ours)
        && config.has_text(|text| text == "envoy.filters.http.ext_authz" || ours.trusted(text))
}

/// Whether rules refuse whoever sends an identity header, and ask nothing else of it.
fn only_refuses(config: &Place<'_>, ours: &OurHeaders) -> bool {
    let deny = config.choice("rules.action", &["ALLOW", "DENY", "LOG"]) == Some("DENY");
    let is_ours = |it: &Place<'_>| it.text("name").is_some_and(|name| ours.trusted(name));
    let headers = config.find(&is_ours);
    let refuses = |it: &Place<'_>| {
        it.flag("present_match") == Some(true)
            && it.get("invert_match").is_none()
            && !["not_rule", "not_id", "notRule", "notId"].iter().any(|not| it.path.contains(not))
    };
    deny && !headers.is_empty() && headers.iter().all(refuses)
}
