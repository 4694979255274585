//! Values that layers set while Envoy runs, and the switches in Envoy's own code that our safety
//! rests on.

use super::place::{Place, boolean};
use crate::doctor::report::Finding;

/// A switch of Envoy's own.
struct RuntimeGuard {
    key: &'static str,
    /// The check that says well of what it turns off.
    check: &'static str,
    /// What is off then.
    off: &'static str,
}

/// Those of Envoy 1.40 that take back what a sound configuration says; others were looked at and
/// do not (docs/decisions/0028). A new one is one row here and one in `tests/openings`.
const GUARDS: [RuntimeGuard; 2] = [
    RuntimeGuard {
        key: "http_connection_manager.path_with_escaped_slashes_action_enabled",
        check: "escaped_slashes",
        off: "path_with_escaped_slashes_action has no effect, and /public/..%2Fadmin may be a \
              different path upstream",
    },
    RuntimeGuard {
        key: "envoy.reloadable_features.http_pause_generic_upgrade_request_body",
        check: "upgrades",
        off: "where an upgrade is allowed, what follows a request reaches the upstream before that has \
              agreed, which takes it for further requests that nobody has checked",
    },
];

/// The layers of run-time values, later ones winning.
pub(super) struct Runtime<'v>(Vec<Place<'v>>);

impl<'v> Runtime<'v> {
    pub(super) fn of(roots: &[Place<'v>]) -> Self {
        Self(roots.iter().flat_map(|root| root.items("layered_runtime.layers")).collect())
    }

    /// What the layers of the file say of a key; the last counts.
    pub(super) fn says(&self, key: &str) -> Option<Place<'v>> {
        self.0.iter().rev().find_map(|layer| layer.get("static_layer")?.nested(key))
    }

    /// A layer that others write to.
    pub(super) fn settable(&self) -> Option<&Place<'v>> {
        let kinds = ["admin_layer", "rtds_layer", "disk_layer"];
        self.0.iter().find(|layer| kinds.iter().any(|kind| layer.get(kind).is_some()))
    }

    /// What a layer turns off, and who else may, for a connection manager.
    pub(super) fn guards(&self) -> Vec<Finding> {
        let off = |guard: &RuntimeGuard| {
            let said = self.says(guard.key).filter(|said| !is_on(said))?;
            let found = format!("{} is turned off: {}", guard.key, guard.off);
            Some(said.fail(guard.check, found, "remove it from the layer"))
        };
        let settable = self.settable().map(|layer| {
            let [first, ..] = &GUARDS;
            let found = format!(
                "anyone who can write to a layer of runtime values can turn off what makes paths \
                 safe ({} and others)",
                first.key
            );
            layer.warn(
                "runtime",
                found,
                "remove the layer, or make sure that nobody sets such keys",
            )
        });
        GUARDS.iter().filter_map(off).chain(settable).collect()
    }
}

/// Whether a value leaves a switch, or a share of requests, on for all.
pub(super) fn is_on(set: &Place<'_>) -> bool {
    let number = set.value.as_f64().or_else(|| set.value.as_str()?.parse().ok());
    match number {
        Some(percent) => percent >= 100.0,
        None => boolean(set.value).unwrap_or_else(|| is_all(set)),
    }
}

/// A `FractionalPercent` of one.
pub(super) fn is_all(fraction: &Place<'_>) -> bool {
    let numerator = fraction.number("numerator").unwrap_or(0);
    let denominator = match fraction.choice("denominator", &["HUNDRED", "TEN_THOUSAND", "MILLION"])
    {
        Some("HUNDRED") => 100,
        None if fraction.get("denominator").is_none() => 100,
        Some("TEN_THOUSAND") => 10_000,
        Some("MILLION") => 1_000_000,
        // What Envoy does not know either.
        Some(_) | None => return false,
    };
    numerator >= denominator
}
