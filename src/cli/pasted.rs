//! A token as people hand it over: on the command line or piped in, with what they copied around it.

use std::io::{self, IsTerminal as _, Read as _};

use super::output::say;
use super::style::DIM;
use crate::explain::Pasted;

/// No more than this is read from standard input, in bytes; longer tokens are refused by
/// the engine anyway.
const MOST_READ: u64 = 1024 * 1024;

/// What was handed over: `argument`, or where that is `-` what stands on standard input.
pub(super) fn given(argument: &str) -> io::Result<Vec<u8>> {
    if argument == "-" {
        return from_standard_input();
    }
    note("a token on the command line is visible in the process list: pipe it in instead");
    Ok(argument.as_bytes().to_vec())
}

/// The token in what people copy: a header, a line of curl's, a JSON string. What is left out is
/// said.
pub(super) fn token_in(given: &[u8]) -> &[u8] {
    let Pasted { token, left_out } = Pasted::of(given);
    if !left_out.is_empty() {
        note(&format!("not part of the token, and ignored: {}", left_out.join(", ")));
    }
    token
}

fn from_standard_input() -> io::Result<Vec<u8>> {
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        note("paste the token, then press Enter and Ctrl-D");
    }
    let mut token = Vec::new();
    input.by_ref().take(MOST_READ).read_to_end(&mut token)?;
    Ok(token)
}

fn note(text: &str) {
    say!("{DIM}note:{DIM:#} {text}");
}
