//! Which of our changes to headers Envoy carries out: `decoder_header_mutation_rules`.

use super::OurHeaders;
use super::judge::at;
use super::names::matches;
use super::place::Place;
use crate::doctor::report::Finding;

/// Nothing, when every change that we may ask for is carried out.
pub(super) fn finding(filter: &Place<'_>, ours: &OurHeaders) -> Option<Finding> {
    let rules = filter.get("decoder_header_mutation_rules")?;
    let name = ours.known().find(|name| !allowed(&rules, name))?;
    let then = if rules.flag("disallow_is_error") == Some(true) {
        "every request is refused"
    } else {
        "the client's own reaches the upstream"
    };
    Some(Finding::fail(
        "mutation_rules",
        format!("Doorward may not set or remove {name}{}: {then}", at(&rules)),
        "set decoder_header_mutation_rules: {}, Envoy's own limits",
    ))
}

/// In Envoy's order: what is disallowed by name, what is allowed by name, all.
fn allowed(rules: &Place<'_>, name: &str) -> bool {
    let says = |field: &str| rules.get(field).map(|expression| matches(&expression, name));
    // An expression that cannot be read here may say anything.
    if says("disallow_expression").is_some_and(|it| it != Some(false)) {
        return false;
    }
    if says("allow_expression") == Some(Some(true)) {
        return true;
    }
    rules.flag("disallow_all") != Some(true)
}
