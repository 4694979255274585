//! A decision on a screen, and as JSON.

use std::io::{self, Write};

use crate::cli::style::{BAD, DIM, GOOD, HEAD, WARN};
use crate::explain::{Answer, Explanation, Step, StepOutcome};

/// Lines are broken before this column.
const WIDTH: usize = 100;
/// Where what was found begins: behind the outcome and the check.
const TEXT_COLUMN: usize = 25;

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
        .map(|step| step.check.title())
        .collect();
    if !left.is_empty() {
        writeln!(
            out,
            "  {DIM}----  {}{DIM:#}",
            folded(&format!("not checked: {}", left.join(", ")), 8)
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
    match outcome {
        StepOutcome::Pass => {
            writeln!(out, "  {GOOD}pass{GOOD:#}  {check:<17}{}", folded(found, TEXT_COLUMN))
        }
        StepOutcome::Fail => {
            writeln!(
                out,
                "  {BAD}FAIL{BAD:#}  {HEAD}{check:<17}{HEAD:#}{}",
                folded(found, TEXT_COLUMN)
            )?;
            writeln!(
                out,
                "        {DIM}{:<17}{DIM:#}{}",
                "expected",
                folded(expected, TEXT_COLUMN)
            )?;
            match remedy {
                Some(remedy) => {
                    writeln!(
                        out,
                        "        {DIM}{:<17}{DIM:#}{}",
                        "fix:",
                        folded(remedy, TEXT_COLUMN)
                    )
                }
                None => Ok(()),
            }
        }
        StepOutcome::NotReached => Ok(()),
    }
}

/// Words in lines of at most 100 columns, all but the first moved to `column`.
fn folded(text: &str, column: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if column + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:column$}", ""))
}
