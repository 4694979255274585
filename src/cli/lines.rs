//! Checks on a screen, one line each, the same for `explain`, `doctor` and `init`.

use std::io::{self, Write};

use anstyle::Style;

use super::style::{BAD, DIM, GOOD, WARN};

/// Lines are broken before this column.
const WIDTH: usize = 98;
/// How wide the names of checks are.
const NAME: usize = 16;
/// How wide `pass`, `warn` and `fail` are.
pub(super) const WORD: usize = 4;

/// How a check came out, as people read it.
pub(super) type Word = (&'static str, Style);
/// The check passed.
pub(super) const PASS: Word = ("pass", GOOD);
/// It passed, with something one should know.
pub(super) const WARNING: Word = ("warn", WARN);
/// It could not be tried.
pub(super) const NOT_SEEN: Word = ("not seen", WARN);
/// The check failed.
pub(super) const FAIL: Word = ("fail", BAD);

/// Writes one check: how it came out, in a column as wide as `width`, what was found, and below it
/// what else is to be said under a heading of its own.
pub(super) fn check(
    out: &mut dyn Write,
    (word, style): Word,
    width: usize,
    name: &str,
    found: &str,
    below: &[(&str, &str)],
) -> io::Result<()> {
    // Two, the word, two, the name, two.
    let column = 2 + width + 2 + NAME + 2;
    writeln!(out, "  {style}{word:<width$}{style:#}  {name:<NAME$}  {}", broken(found, column))?;
    below.iter().try_for_each(|(heading, text)| {
        let text = broken(text, column);
        writeln!(out, "  {:width$}  {DIM}{heading:<NAME$}{DIM:#}  {text}", "")
    })
}

/// Over what a remedy stands.
pub(super) const FIX: &str = "↳ fix:";

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
