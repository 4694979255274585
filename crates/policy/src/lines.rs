//! Which lines were evaluated, and where bodies of rules stop.

use std::collections::BTreeSet;

use regorus::Engine;
use regorus::unstable::{Ref, Rule};

use crate::ast;

/// The lines of a file that the engine evaluated.
pub(crate) fn covered(engine: &Engine, file: &str) -> BTreeSet<u32> {
    let report = engine.get_coverage_report();
    let files = report.map(|report| report.files).unwrap_or_default();
    files.into_iter().find(|of| of.path == file).map(|of| of.covered).unwrap_or_default()
}

/// The last statement of each body of the rules that was evaluated, with its line: of rules without a
/// value, the one that does not hold.
pub(crate) fn stopped_at(rules: &[Ref<Rule>], covered: &BTreeSet<u32>) -> Vec<(u32, String)> {
    let mut stops = Vec::new();
    for rule in rules {
        for lines in ast::bodies(rule) {
            let Some(last) = lines.into_iter().rev().find(|line| covered.contains(line)) else {
                continue;
            };
            let source = rule.span().source.get_contents();
            let text = source.lines().zip(1..).find_map(|(text, at)| (at == last).then_some(text));
            stops.extend(text.map(|text| (last, text.trim().to_owned())));
        }
    }
    stops
}
