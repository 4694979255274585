//! Findings on a screen, and as JSON.

use std::io::{self, Write};

use anstyle::Style;
use serde_json::json;

use crate::cli::style::{BAD, DIM, GOOD, HEAD, WARN};
use crate::doctor::{Finding, Outcome, Report};

/// Lines are broken before this column.
const WIDTH: usize = 98;
/// Where the text of a finding begins, but for the outcome: two, two, the longest check, two.
const TEXT_COLUMN: usize = 22;
/// How wide `pass`, `warn` and `fail` are.
const WORD: usize = 4;

pub(super) fn show(report: &Report, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json { as_json(report, out) } else { as_lines(report, out) }?;
    out.flush()
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
    let word = if unseen > 0 { style(Outcome::NotSeen).0.len() } else { WORD };
    for section in &report.sections {
        writeln!(out, "{HEAD}{}{HEAD:#}", section.title)?;
        section.findings.iter().try_for_each(|finding| line_of(finding, word, out))?;
        writeln!(out)?;
    }
    let style = style(report.worst()).1;
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
    let (word, style) = style(finding.outcome);
    let text = broken(&finding.found, TEXT_COLUMN + width);
    writeln!(out, "  {style}{word:<width$}{style:#}  {:<16}  {text}", finding.check)?;
    match &finding.remedy {
        None => Ok(()),
        Some(remedy) => {
            let text = broken(remedy, TEXT_COLUMN + width);
            writeln!(out, "  {:width$}  {DIM}{:<16}{DIM:#}  {text}", "", "↳ fix:")
        }
    }
}

fn style(outcome: Outcome) -> (&'static str, Style) {
    match outcome {
        Outcome::Pass => ("pass", GOOD),
        Outcome::Warn => ("warn", WARN),
        Outcome::NotSeen => ("not seen", WARN),
        Outcome::Fail => ("fail", BAD),
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The text in lines that end before [`WIDTH`], all but the first moved to `column`. What
/// has no spaces, such as a URL, is left whole to be copied.
pub(in crate::cli) fn broken(text: &str, column: usize) -> String {
    let mut lines = String::with_capacity(text.len() + 2 * column);
    let mut at = column;
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && at + 1 + length > WIDTH {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', column));
            at = column;
        } else if index > 0 {
            lines.push(' ');
            at += 1;
        }
        lines.push_str(word);
        at += length;
    }
    lines
}
