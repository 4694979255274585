//! Which of our changes to headers Envoy carries out: `decoder_header_mutation_rules`.

use super::OurHeaders;
use super::names::Expression;
use super::place::Place;
use crate::doctor::report::Finding;

/// Nothing, when every change that we may ask for is carried out.
pub(super) fn finding(filter: &Place<'_>, ours: &OurHeaders) -> Option<Finding> {
    let rules = filter.get("decoder_header_mutation_rules")?;
    let allowed = allowed(&rules);
    // A bearer that is no token is removed where none is checked.
    let mut names = ours.known().chain(["authorization".to_owned()]);
    let Some(name) = names.find(|name| !allowed(name)) else {
        let expression = rules.get("disallow_expression")?;
        return ours.may_be_taken_by(&Expression::read(&expression)).then(|| {
            expression.warn(
                "mutation_rules",
                "Doorward may not set or remove names that this expression takes, which may be trusted",
                "set decoder_header_mutation_rules: {}, Envoy's own limits",
            )
        });
    };
    let then = if rules.flag("disallow_is_error") == Some(true) {
        "every request is refused"
    } else {
        "the client's value reaches the upstream"
    };
    Some(rules.fail("mutation_rules", format!("Doorward may not set or remove {name}: {then}"), "set decoder_header_mutation_rules: {}, Envoy's own limits: Doorward removes authorization, \
         too, where it is no token"))
}

/// In Envoy's order: what is disallowed by name, what is allowed by name, all.
fn allowed(rules: &Place<'_>) -> impl Fn(&str) -> bool {
    let expression = |field: &str| rules.get(field).map(|it| Expression::read(&it));
    let (disallow, allow) = (expression("disallow_expression"), expression("allow_expression"));
    let all = rules.flag("disallow_all") != Some(true);
    move |name| {
        // An expression that cannot be read here may say anything.
        if disallow.as_ref().is_some_and(|it| it.takes(name) != Some(false)) {
            return false;
        }
        all || allow.as_ref().is_some_and(|it| it.takes(name) == Some(true))
    }
}
