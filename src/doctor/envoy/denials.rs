//! Whether denials reach the client as Doorward wrote them.

use super::filters::Power;
use super::manager::Manager;
use super::place::Place;
use crate::doctor::report::Finding;

/// The first thing that changes a denial, if any.
pub(super) fn finding(manager: &Manager<'_>) -> Option<Finding> {
    let (place, how) = changed(manager)?;
    Some(place.warn(
        "denials",
        how,
        "leave 400, 401, 403 and 503 with their bodies and WWW-Authenticate unchanged: they tell \
         clients what to do",
    ))
}

fn changed<'v>(manager: &Manager<'v>) -> Option<(Place<'v>, &'static str)> {
    let cut = manager.chain.asking().find_map(|(_, config)| {
        let limit = "max_denied_response_body_bytes";
        config.get(limit).filter(|_| config.number(limit) != Some(0))
    });
    let replaced = || {
        let config = manager.place.get("local_reply_config")?;
        let mut mappers = config.items("mappers").into_iter();
        let mapper = mappers.find(|mapper| {
            let fields = ["status_code", "body", "body_format_override", "headers_to_add"];
            fields.iter().any(|field| mapper.get(field).is_some()) && meets_denials(mapper)
        });
        mapper.or_else(|| config.get("body_format"))
    };
    let answered = || {
        let filter =
            manager.chain.filters.iter().find(|filter| filter.power() == Power::Rewords)?;
        Some(filter.place.clone())
    };
    cut.map(|place| (place, "bodies of denials are truncated"))
        .or_else(|| Some((replaced()?, "Envoy replaces denials with another response")))
        .or_else(|| Some((answered()?, "a filter may replace denials with another response")))
}

/// A mapper for another status is none of ours.
fn meets_denials(mapper: &Place<'_>) -> bool {
    let comparison = mapper.at("filter.status_code_filter.comparison");
    let Some(comparison) = comparison else { return true };
    let status = comparison.number("value.default_value");
    let equal = comparison.choice("op", &["EQ", "GE", "LE", "NE"]).unwrap_or("EQ") == "EQ";
    !equal || matches!(status, None | Some(400 | 401 | 403 | 503))
}
