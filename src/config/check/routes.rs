//! `rules.routes`: a route's settings by host, path and method; and those of Envoy's own routes.

use doorward_core::rules::{ConfiguredRoute, TokenRequirement};

use super::super::settings::RouteSettings;
use super::{BadValue, Checker, KeyPath, Warning, raw, values};

/// The routes, in their order.
pub(super) fn check(c: &mut Checker, routes: &[raw::Route]) -> Option<Vec<ConfiguredRoute>> {
    let section = KeyPath::dotted("rules.routes");
    let checked: Vec<_> =
        routes.iter().enumerate().map(|(index, raw)| route(c, &section.join(index), raw)).collect();
    checked.into_iter().collect()
}

fn route(c: &mut Checker, key: &KeyPath, raw: &raw::Route) -> Option<ConfiguredRoute> {
    let hosts = c.each(&key.join("host"), &raw.host, |host| {
        host.parse().map_err(|error| BadValue::NotAHost { found: host.into(), error })
    });
    let text = raw.path.as_deref().unwrap_or("/*");
    let path = text.parse().map_err(|error| BadValue::Pattern { found: text.into(), error });
    let path = c.keep(&key.join("path"), path);
    let methods = c.each(&key.join("methods"), &raw.methods, |method| {
        method.parse().map_err(|error| BadValue::NotAMethod { found: method.into(), error })
    });
    let words = |c: &mut Checker, name: &str, list: &raw::Texts| {
        let words = c.each(&key.join(name), list, |word| values::word(word))?;
        Some((!words.is_empty()).then(|| words.join(" ").into()))
    };
    let scopes = words(c, "scopes", &raw.scopes);
    let audience = words(c, "audience", &raw.audience);
    let requirement = raw.mode.map(|mode| match mode {
        raw::Mode::Required => TokenRequirement::Required,
        raw::Mode::Optional => TokenRequirement::Optional,
        raw::Mode::Bypass => TokenRequirement::Ignored,
    });
    consistent(c, key, raw);
    Some(ConfiguredRoute {
        name: format!("{key}: {text}").into(),
        hosts: hosts?,
        path: path?,
        methods: methods?,
        requirement,
        scopes: scopes?,
        audience: audience?,
        closed: raw.deny,
    })
}

/// Refuses settings that would go unheeded.
fn consistent(c: &mut Checker, key: &KeyPath, raw: &raw::Route) {
    let asks = !raw.scopes.is_empty() || !raw.audience.is_empty();
    let opens = raw.mode == Some(raw::Mode::Bypass);
    if raw.deny && (asks || raw.mode.is_some()) {
        c.bad(&key.join("deny"), BadValue::ClosedAndMore);
    } else if opens && asks {
        c.bad(&key.join("mode"), BadValue::NoTokenToAsk);
    } else if !raw.deny && !asks && raw.mode.is_none() {
        c.bad(key, BadValue::RouteOfNothing);
    }
    let is_everything = raw.path.as_deref().is_none_or(|path| path == "/*");
    if opens && is_everything && raw.host.is_empty() && raw.methods.is_empty() {
        c.warnings.push(Warning::EverythingOpen { key: key.to_string() });
    }
}

/// What one of Envoy's routes says to the module.
pub(in crate::config) fn of_envoy(c: &mut Checker, raw: &raw::EnvoyRoute) -> RouteSettings {
    let mut words = |name: &str, list: &raw::Texts| {
        let key = KeyPath::dotted(name);
        let words: Vec<_> = list.iter().flat_map(|text| text.split_whitespace()).collect();
        if words.is_empty() && !list.is_empty() {
            c.bad(&key, BadValue::Empty);
        }
        for word in &words {
            c.keep(&key, values::word(word));
        }
        (!words.is_empty()).then(|| words.join(" ").into_boxed_str())
    };
    let (scopes, audience) = (words("scopes", &raw.scopes), words("audience", &raw.audience));
    let asks = scopes.is_some() || audience.is_some();
    if asks && raw.mode == Some(raw::Mode::Bypass) {
        c.bad(&KeyPath::dotted("mode"), BadValue::NoTokenToAsk);
    } else if *raw == raw::EnvoyRoute::default() {
        c.bad(&KeyPath::default(), BadValue::EnvoyRouteOfNothing);
    }
    RouteSettings { mode: raw.mode, scopes, audience }
}
