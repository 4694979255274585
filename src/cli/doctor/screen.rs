//! Findings on a screen, and as JSON.

use std::io::{self, Write};

use serde_json::json;

use crate::cli::lines::{self, WORD};
use crate::cli::style::HEAD;
use crate::doctor::{Outcome, Report};

pub(super) fn as_json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let count = |outcome| report.count(outcome);
    let document = json!({
        "outcome": report.worst(),
        "pass": count(Outcome::Pass),
        "warn": count(Outcome::Warn),
        "not_seen": count(Outcome::NotSeen),
        "fail": count(Outcome::Fail),
        "sections": report.sections,
    });
    writeln!(out, "{document:#}")
}

pub(super) fn as_lines(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (warnings, failures) = (report.count(Outcome::Warn), report.count(Outcome::Fail));
    let unseen = report.count(Outcome::NotSeen);
    let width = if unseen > 0 { lines::word(Outcome::NotSeen).0.len() } else { WORD };
    for section in &report.sections {
        writeln!(out, "{HEAD}{}{HEAD:#}", section.title)?;
        section.findings.iter().try_for_each(|finding| lines::check(out, width, finding))?;
        writeln!(out)?;
    }
    let style = lines::word(report.worst()).1;
    let plural = if warnings == 1 { "" } else { "s" };
    let verdict = match (warnings, failures, unseen) {
        (0, 0, 0) => "all is well".to_owned(),
        (_, _, 0) => format!("{failures} failed, {warnings} warning{plural}"),
        _ => format!("{failures} failed, {warnings} warning{plural}, {unseen} not seen"),
    };
    let passed = report.count(Outcome::Pass);
    writeln!(out, "{style}{verdict}{style:#}, {passed} passed")
}
