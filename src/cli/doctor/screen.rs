//! Findings on a screen, and as JSON.

use std::io::{self, Write};

use serde_json::json;

use crate::cli::lines::{self, FIX, WORD, Word};
use crate::cli::style::HEAD;
use crate::doctor::{Finding, Outcome, Report};

pub(super) fn show(report: &Report, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json { as_json(report, out) } else { as_lines(report, out) }
}

fn as_json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
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

fn as_lines(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (warnings, failures) = (report.count(Outcome::Warn), report.count(Outcome::Fail));
    let unseen = report.count(Outcome::NotSeen);
    let width = if unseen > 0 { lines::NOT_SEEN.0.len() } else { WORD };
    for section in &report.sections {
        writeln!(out, "{HEAD}{}{HEAD:#}", section.title)?;
        section.findings.iter().try_for_each(|finding| line_of(finding, width, out))?;
        writeln!(out)?;
    }
    let style = word(report.worst()).1;
    let verdict = match (warnings, failures, unseen) {
        (0, 0, 0) => "all is well".to_owned(),
        (_, _, 0) => format!("{failures} failed, {}", counted(warnings, "warning")),
        _ => format!("{failures} failed, {}, {unseen} not seen", counted(warnings, "warning")),
    };
    let passed = report.count(Outcome::Pass);
    writeln!(out, "{style}{verdict}{style:#}, {passed} passed")
}

/// One finding, and how to put it right.
pub(in crate::cli) fn lines_of(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    line_of(finding, WORD, out)
}

/// The same where the longest outcome has this width.
fn line_of(finding: &Finding, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let Finding { check, outcome, found, remedy } = finding;
    let remedy: Vec<_> = remedy.iter().map(|remedy| (FIX, remedy.as_str())).collect();
    lines::check(out, word(*outcome), width, check, found, &remedy)
}

fn word(outcome: Outcome) -> Word {
    match outcome {
        Outcome::Pass => lines::PASS,
        Outcome::Warn => lines::WARNING,
        Outcome::NotSeen => lines::NOT_SEEN,
        Outcome::Fail => lines::FAIL,
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
