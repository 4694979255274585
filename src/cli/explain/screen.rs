//! A decision on a screen, and as JSON.

use std::io::{self, Write};

use crate::cli::lines::{self, WORD};
use crate::cli::style::{BAD, DIM, GOOD, HEAD, WARN};
use crate::explain::{Answer, Explanation};
use crate::finding::Outcome;

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
    let (left, made): (Vec<_>, Vec<_>) =
        steps.iter().partition(|step| step.outcome == Outcome::NotReached);
    made.into_iter().try_for_each(|step| lines::check(out, WORD, step))?;
    if !left.is_empty() {
        let names: Vec<_> = left.iter().map(|step| step.check).collect();
        let names = lines::broken(&format!("not checked: {}", names.join(", ")), 8);
        writeln!(out, "  {DIM}----  {names}{DIM:#}")?;
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
