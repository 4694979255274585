//! A decision on a screen, and as JSON.

use std::io::{self, Write};

use crate::cli::lines::{self, FIX, WORD};
use crate::cli::style::{BAD, DIM, GOOD, HEAD, WARN};
use crate::explain::{Answer, Explanation, Step, StepOutcome};

pub(super) fn json(out: &mut dyn Write, explanation: &Explanation) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, explanation)?;
    writeln!(out)
}

pub(super) fn tell(out: &mut dyn Write, explanation: &Explanation) -> io::Result<()> {
    let Explanation { decision, reason, status, at, steps, headers, notes, .. } = explanation;
    let (word, colour) = match decision {
        Answer::Allow => ("allowed", GOOD),
        Answer::Deny => ("denied", BAD),
    };
    writeln!(
        out,
        "{colour}{word}{colour:#} {HEAD}{status} {reason}{HEAD:#} {DIM}at {at}{DIM:#}\n"
    )?;
    for step in steps.iter().filter(|step| step.outcome != StepOutcome::NotReached) {
        tell_step(out, step)?;
    }
    let left: Vec<_> = steps
        .iter()
        .filter(|step| step.outcome == StepOutcome::NotReached)
        .map(|step| step.check.name())
        .collect();
    if !left.is_empty() {
        writeln!(
            out,
            "  {DIM}----  {}{DIM:#}",
            lines::broken(&format!("not checked: {}", left.join(", ")), 8)
        )?;
    }
    if let Some(headers) = headers {
        writeln!(out, "\n{HEAD}The upstream gets{HEAD:#}")?;
        for (name, value) in &headers.set {
            writeln!(out, "  {name}: {value}")?;
        }
        if headers.set.is_empty() {
            writeln!(out, "  {DIM}no identity{DIM:#}")?;
        }
        let count = headers.remove.len();
        writeln!(
            out,
            "  {DIM}{count} header names that a client may have forged are removed (--json){DIM:#}"
        )?;
    }
    for (index, note) in notes.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        writeln!(out, "{gap}{WARN}note:{WARN:#} {note}")?;
    }
    Ok(())
}

fn tell_step(out: &mut dyn Write, step: &Step) -> io::Result<()> {
    let Step { check, outcome, expected, found, remedy } = step;
    let (word, below) = match outcome {
        StepOutcome::Fail => (
            lines::FAIL,
            vec![("expected", &**expected), (FIX, remedy.as_deref().unwrap_or_default())],
        ),
        StepOutcome::Pass | StepOutcome::NotReached => (lines::PASS, Vec::new()),
    };
    lines::check(out, word, WORD, check.name(), found, &below)
}
