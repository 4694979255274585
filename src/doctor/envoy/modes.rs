//! What Envoy's routes tell Doorward, in `context_extensions` or in the module's own configuration of
//! a route, and paths that change behind it.

use super::OurHeaders;
use super::clusters::service;
use super::ext_authz::http_headers;
use super::filters::Filter;
use super::module;
use super::place::Place;
use super::routes::Way;
use crate::doctor::report::{Finding, Outcome};

/// Findings about what routes say to this filter, where something is odd. `by_path`: Doorward
/// has rules for paths.
pub(super) fn findings(
    filter: &Filter<'_>,
    config: &Place<'_>,
    ways: &[Way<'_>],
    by_path: bool,
    ours: &OurHeaders,
) -> Vec<Finding> {
    let asked: Vec<_> = ways.iter().filter(|way| way.off(filter).is_none()).collect();
    let first =
        |check: &dyn Fn(&Way<'_>) -> Option<Finding>| asked.iter().find_map(|way| check(way));
    let is_module = filter.module().is_some();
    let findings = [
        first(&|way| match is_module {
            true => module::unheard(way, filter, config),
            false => unheard(way, filter, config),
        }),
        first(&|way| if is_module { module::hidden(way, filter) } else { None }),
        first(&|way| elsewhere(way, filter, config, ours)),
        first(&|way| wide_open(way, filter)),
        first(&|way| rewritten(way, filter, by_path)),
    ];
    findings.into_iter().flatten().collect()
}

/// The mode of a way, and where it stands.
fn mode<'v>(way: &Way<'v>, filter: &Filter<'v>) -> Option<(&'v str, Place<'v>)> {
    if filter.module().is_some() {
        return module::mode(way, filter);
    }
    let mut settings = way.check_settings(filter).into_iter();
    settings.find_map(|settings| {
        let extensions = settings.get("context_extensions")?;
        let mode = extensions.get("doorward.mode")?;
        Some((mode.value.as_str()?, mode))
    })
}

/// Whether a mode lets somebody in who has no token.
fn lets_in(mode: &str) -> bool {
    matches!(mode, "optional" | "bypass")
}

/// What Doorward does not understand, or, over HTTP, is never told.
fn unheard(way: &Way<'_>, filter: &Filter<'_>, config: &Place<'_>) -> Option<Finding> {
    let settings = way.check_settings(filter);
    let said = settings.iter().flat_map(|settings| {
        settings.get("context_extensions").map(|it| it.children()).unwrap_or_default()
    });
    let ours: Vec<_> = said
        .filter_map(|entry| {
            let key = entry.key().strip_prefix("doorward.")?.to_owned();
            Some((key, entry))
        })
        .collect();
    let over_http = settings.iter().any(|settings| settings.get("http_service").is_some())
        || config.get("http_service").is_some();
    if over_http && let Some((_, entry)) = ours.first() {
        return Some(entry.fail(
            "modes",
            "context_extensions are not sent over HTTP: they have no effect",
            "use gRPC, or use rules in Doorward's configuration",
        ));
    }
    let unknown = |(key, entry): &(String, Place<'_>)| match (key.as_str(), entry.value.as_str()) {
        ("mode", Some("required" | "optional" | "bypass")) => false,
        // What a dump shows of every such value.
        ("mode" | "scopes" | "audience", Some("[redacted]")) => false,
        ("scopes" | "audience", Some(value)) => value.trim().is_empty(),
        _ => true,
    };
    let (_, entry) = ours.iter().find(|it| unknown(it))?;
    Some(entry.fail(
        "modes",
        "Doorward does not know this setting, and denies every request there",
        "doorward.mode is required, optional or bypass; doorward.scopes and doorward.audience are \
         not empty; there are no others",
    ))
}

/// A route that asks somebody else, or otherwise.
fn elsewhere(
    way: &Way<'_>,
    filter: &Filter<'_>,
    config: &Place<'_>,
    ours: &OurHeaders,
) -> Option<Finding> {
    let settings = way.check_settings(filter);
    let other = settings.iter().find(|settings| {
        service(settings).is_some_and(|name| service(config) != Some(name))
            || settings.at("grpc_service.google_grpc").is_some()
    });
    if let Some(other) = other {
        return Some(other.fail(
            "asked_elsewhere",
            "a service other than Doorward decides",
            "remove grpc_service or http_service from check_settings",
        ));
    }
    let otherwise = settings.iter().filter_map(|settings| settings.get("http_service"));
    let mut otherwise = otherwise.map(|service| http_headers(&service, ours));
    otherwise.find(|finding| finding.outcome != Outcome::Pass)
}

/// A catch-all that asks for no token is hardly meant.
fn wide_open(way: &Way<'_>, filter: &Filter<'_>) -> Option<Finding> {
    let (mode, place) = mode(way, filter)?;
    (lets_in(mode) && way.takes_everything()).then(|| {
        place.warn(
            "modes",
            format!("the mode is {mode} for every path: no request needs a token"),
            "list the paths that need none, and remove the mode from all others",
        )
    })
}

/// A path that is decided about here, and another behind.
fn rewritten(way: &Way<'_>, filter: &Filter<'_>, by_path: bool) -> Option<Finding> {
    let open = mode(way, filter).is_some_and(|(mode, _)| lets_in(mode));
    let rewrite = way.rewrite()?;
    let (found, remedy) = if open {
        (
            "paths that need no token become other paths upstream",
            "make sure that those need none either, or do not rewrite them",
        )
    } else if by_path {
        (
            "the upstream gets other paths than those in rules of Doorward's configuration",
            "make sure that the rules are written for the paths before they are rewritten",
        )
    } else {
        return None;
    };
    Some(rewrite.warn("rewrites", found, remedy))
}
