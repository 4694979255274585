//! The filter where it is Doorward itself: a dynamic module inside Envoy. Its configuration is read
//! as the module reads it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::filters::Filter;
use super::place::Place;
use super::routes::Way;
use crate::config::{
    ConfigFaults, Problem, RouteSettings, Settings, load_filter_config, load_route,
};
use crate::doctor::report::Finding;

/// What it is called as a check.
const CHECK: &str = "module";
/// The only filter, and the only settings of routes, that there are in it.
const NAME: &str = "doorward";

/// Findings about the filter's configuration.
pub(super) fn findings(filter: &Place<'_>) -> Vec<Finding> {
    let mut findings = vec![configuration(filter, handed_over(filter))];
    let remote = filter.at("dynamic_module_config.module.remote");
    findings.extend(remote.map(|remote| loaded_from(&remote)));
    findings.extend(misnamed(filter, "filter_name"));
    let terminal =
        filter.get("terminal_filter").filter(|_| filter.flag("terminal_filter") == Some(true));
    findings.extend(terminal.map(|place| {
        place.fail(
            CHECK,
            "terminal_filter is true: nothing behind the filter is reached",
            "remove terminal_filter: true",
        )
    }));
    findings.push(stays_loaded(filter, "dynamic_module_config.do_not_close"));
    findings
}

/// Whether Envoy keeps the module loaded, which this field says.
pub(super) fn stays_loaded(place: &Place<'_>, field: &str) -> Finding {
    match place.flag(field) {
        Some(true) => Finding::pass("do_not_close", "the module stays loaded"),
        Some(false) | None => place.warn(
            "do_not_close",
            "not set: Envoy may unload the module with the last listener that uses it, while its \
             thread fetches keys",
            format!("set {field}: true"),
        ),
    }
}

/// The settings that the module comes to, if they are sound and can be read here.
pub(super) fn settings(filter: &Place<'_>) -> Option<Settings> {
    let loaded = load_filter_config(&handed_over(filter)?);
    loaded.ok().map(|loaded| loaded.settings)
}

/// Whether the module accepts what it is given; `None` where that cannot be read.
pub(super) fn configuration(filter: &Place<'_>, given: Option<Vec<u8>>) -> Finding {
    const CHECK: &str = "configuration";
    match given.map(|given| load_filter_config(&given)) {
        None => filter.warn(
            CHECK,
            "filter_config is of a type that cannot be read here",
            "use google.protobuf.Struct, or google.protobuf.StringValue with the path of a file",
        ),
        Some(Ok(loaded)) => {
            let issuers = loaded.settings.issuers.len();
            let plural = if issuers == 1 { "" } else { "s" };
            Finding::pass(CHECK, format!("valid ({issuers} issuer{plural})"))
        }
        Some(Err(faults)) if is_elsewhere(&faults) => filter.warn(
            CHECK,
            format!("cannot be examined here: {faults}"),
            "examine it where Envoy runs: doorward config check --module FILE",
        ),
        Some(Err(faults)) => filter.fail(
            CHECK,
            format!("Envoy refuses the listener: {}", told(&faults)),
            "doorward config check --module FILE checks the same in a file",
        ),
    }
}

/// Whether the one fault is that a file is not on this machine.
fn is_elsewhere(faults: &ConfigFaults) -> bool {
    faults.faults().iter().all(|fault| {
        fault.key.is_root()
            && matches!(&fault.problem, Problem::Unreadable(error)
                if error.kind() == std::io::ErrorKind::NotFound)
    })
}

/// The first fault, and how many more there are.
fn told(faults: &ConfigFaults) -> String {
    let first = faults.faults().first().map(ToString::to_string).unwrap_or_default();
    first + &super::place::and_more(faults.faults().len())
}

/// What the module is given of a `filter_config`: of a `Struct` its JSON. `None` where it is of
/// another type.
fn handed_over(config: &Place<'_>) -> Option<Vec<u8>> {
    let Some(given) = config.get("filter_config") else { return Some(Vec::new()) };
    let value = given.get("value");
    let text = || value.as_ref().and_then(|it| it.value.as_str()).unwrap_or_default();
    match given.type_name()? {
        "google.protobuf.StringValue" => Some(text().into()),
        "google.protobuf.BytesValue" => STANDARD.decode(text()).ok(),
        "google.protobuf.Struct" => {
            Some(value.map_or_else(|| "{}".to_owned(), |it| it.value.to_string()).into_bytes())
        }
        _ => None,
    }
}

/// A module that Envoy fetches.
pub(super) fn loaded_from(remote: &Place<'_>) -> Finding {
    remote.fail(
        CHECK,
        "the module is loaded from elsewhere: while it cannot be fetched, requests pass unchecked",
        "put libdoorward_envoy.so on the machine, and load it from there",
    )
}

/// Where the module is asked for something that it does not have.
pub(super) fn misnamed(config: &Place<'_>, field: &str) -> Option<Finding> {
    let name = config.text(field).unwrap_or_default();
    (name != NAME).then(|| {
        config.fail(
            CHECK,
            format!("{field} is \"{name}\", which the module does not have: Envoy refuses it"),
            format!("set {field}: {NAME}"),
        )
    })
}

/// What a way says to the module, the most specific first: that one counts, and nothing of the others.
fn said<'v>(way: &Way<'v>, filter: &Filter<'v>) -> impl Iterator<Item = Place<'v>> {
    let said = way.said(filter).flatten().map(|it| it.get("config").unwrap_or(it));
    said.filter(|it| it.get("filter_config").is_some())
}

fn route(said: &Place<'_>) -> Option<Result<RouteSettings, ConfigFaults>> {
    handed_over(said).map(|given| load_route(&given))
}

/// The mode of a way, and where it stands.
pub(super) fn mode<'v>(way: &Way<'v>, filter: &Filter<'v>) -> Option<(&'static str, Place<'v>)> {
    let said = said(way, filter).next()?;
    let settings = route(&said)?.ok()?;
    settings.mode().map(|mode| (mode, said))
}

/// What a level above asks of tokens, and the one that counts does not say again. Of
/// `context_extensions`, which Envoy merges, it would be in force.
pub(super) fn hidden(way: &Way<'_>, filter: &Filter<'_>) -> Option<Finding> {
    let mut said = said(way, filter);
    let counts = said.next()?;
    let in_force = route(&counts)?.ok()?;
    // Then nobody looks at a token.
    if in_force.mode() == Some("bypass") {
        return None;
    }
    // What it asks for, and where, by key.
    let mut lost: BTreeMap<&str, (String, String)> = BTreeMap::new();
    for above in said {
        let Some(Ok(settings)) = route(&above) else { continue };
        for (key, words) in settings.asks() {
            lost.entry(key).or_insert_with(|| (words.to_owned(), above.path.clone()));
        }
    }
    in_force.asks().for_each(|(key, _)| drop(lost.remove(key)));
    if lost.is_empty() {
        return None;
    }
    let keys: Vec<_> = lost.keys().copied().collect();
    let places: BTreeSet<_> = lost.values().map(|(_, path)| path.as_str()).collect();
    let places: Vec<_> = places.into_iter().collect();
    // Words in quotes: `on` alone would be a boolean.
    let again: Vec<_> = lost.iter().map(|(key, (words, _))| format!("{key}: {words:?}")).collect();
    Some(counts.warn(
        "modes",
        format!(
            "this hides {} of {}: Envoy takes the most specific settings whole",
            keys.join(" and "),
            places.join(" and ")
        ),
        format!("add to its filter_config what is to hold here, too: {}", again.join(", ")),
    ))
}

/// What a route says that the module does not take, or another one is given.
pub(super) fn unheard(way: &Way<'_>, filter: &Filter<'_>, config: &Place<'_>) -> Option<Finding> {
    const CHECK: &str = "modes";
    let said = said(way, filter).next()?;
    let name = "dynamic_module_config.name";
    let module = said.text(name).unwrap_or_default();
    // The filter itself may be loaded by the path of its file.
    let known = config.text(name).unwrap_or("doorward_envoy");
    if module != known {
        return Some(said.fail(
            CHECK,
            format!("the route's settings are for the module \"{module}\""),
            format!("set dynamic_module_config: {{name: {known}}}"),
        ));
    }
    match route(&said) {
        Some(Ok(_)) => None,
        Some(Err(faults)) => Some(said.fail(
            CHECK,
            format!("Envoy refuses the routes: {}", told(&faults)),
            "give it mode (required, optional, bypass), scopes or audience",
        )),
        None => Some(said.warn(
            CHECK,
            "filter_config is of a type that cannot be read here",
            "use google.protobuf.Struct: {mode: bypass}",
        )),
    }
}
