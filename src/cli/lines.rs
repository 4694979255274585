//! Checks on a screen, one line each, the same for `explain`, `doctor` and `init`.

use std::io::{self, Write};

use anstyle::Style;

use super::style::{BAD, DIM, GOOD, WARN};
use crate::finding::{Finding, Outcome};

/// Lines are broken before this column.
const WIDTH: usize = 98;
/// How wide the names of checks are.
const NAME: usize = 16;
/// How wide `pass`, `warn` and `fail` are.
pub(super) const WORD: usize = 4;

/// How a check came out, as people read it.
pub(super) fn word(outcome: Outcome) -> (&'static str, Style) {
    match outcome {
        Outcome::Pass => ("pass", GOOD),
        Outcome::Warn => ("warn", WARN),
        Outcome::NotReached => ("----", DIM),
        Outcome::NotSeen => ("not seen", WARN),
        Outcome::Fail => ("fail", BAD),
    }
}

/// Writes one check: how it came out, in a column as wide as `width`, what was found, and below it
/// what was expected instead and how to put it right.
pub(super) fn check(out: &mut dyn Write, width: usize, finding: &Finding) -> io::Result<()> {
    let Finding { check, outcome, expected, found, remedy } = finding;
    // Two, the word, two, the name, two.
    let column = 2 + width + 2 + NAME + 2;
    let (word, style) = word(*outcome);
    writeln!(out, "  {style}{word:<width$}{style:#}  {check:<NAME$}  {}", broken(found, column))?;
    let failed = *outcome == Outcome::Fail && !expected.is_empty();
    let expected = failed.then_some(("expected", expected));
    let below = expected.into_iter().chain(remedy.iter().map(|remedy| ("↳ fix:", remedy)));
    for (heading, text) in below {
        let text = broken(text, column);
        writeln!(out, "  {:width$}  {DIM}{heading:<NAME$}{DIM:#}  {text}", "")?;
    }
    Ok(())
}

/// The text in lines that end before [`WIDTH`], all but the first moved to `column`. What
/// has no spaces, such as a URL, is left whole to be copied.
pub(super) fn broken(text: &str, column: usize) -> String {
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
