//! What people hand to `explain`: a token as they paste it, headers, moments.

use std::io::{self, IsTerminal as _, Read as _};
use std::str::FromStr;
use std::time::Duration;

use doorward_core::clock::UnixTime;
use doorward_core::request::HeaderView;

use super::ExplainArgs;
use crate::cli::style::DIM;
use crate::printable::printable;

/// No more than this is read from standard input, in bytes; longer tokens are refused by
/// the engine anyway.
const MOST_READ: u64 = 1024 * 1024;

/// The value of the `Authorization` header; `None` without one.
pub(super) fn authorization(args: &ExplainArgs) -> Result<Option<Vec<u8>>, InputError> {
    if args.anonymous {
        return Ok(None);
    }
    let given = match args.token.as_deref() {
        None | Some("-") => from_standard_input()?,
        Some(token) => {
            note("a token on the command line is visible in the process list: pipe it in instead");
            token.as_bytes().to_vec()
        }
    };
    if args.raw_header {
        // The line end is the terminal's or the shell's, not the header's.
        let end =
            given.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        return Ok(given.get(..end).map(<[u8]>::to_vec));
    }
    let Pasted { token, left_out } = Pasted::of(&given);
    if !left_out.is_empty() {
        note(&format!("not part of the token, and ignored: {}", left_out.join(", ")));
    }
    if token.is_empty() {
        return Err(InputError::Empty);
    }
    Ok(Some([b"Bearer ", token].concat()))
}

/// A string without a part of it, if that is there.
type Without = fn(&[u8]) -> Option<&[u8]>;

/// A token in what people copy: a header, a line of curl's, a JSON string.
struct Pasted<'p> {
    token: &'p [u8],
    left_out: Vec<&'static str>,
}

impl<'p> Pasted<'p> {
    fn of(given: &'p [u8]) -> Self {
        let mut pasted = Self { token: given.trim_ascii(), left_out: Vec::new() };
        let parts: [(_, Without); 4] = [
            ("quotes", without_quote),
            ("`-H`", |text| without_word(text, b"-H")),
            ("`Authorization:`", |text| without_name(text, b"authorization:")),
            ("`Bearer`", |text| without_word(text, b"bearer")),
        ];
        while let Some((part, rest)) =
            parts.iter().find_map(|(part, without)| Some((*part, without(pasted.token)?)))
        {
            pasted.token = rest.trim_ascii();
            if !pasted.left_out.contains(&part) {
                pasted.left_out.push(part);
            }
        }
        pasted
    }
}

/// Without a quotation mark at one end or both, as shells and as word processors set them.
fn without_quote(text: &[u8]) -> Option<&[u8]> {
    const MARKS: [&str; 7] = ["\"", "'", "`", "“", "”", "‘", "’"];
    let bare = MARKS.iter().fold(text, |text, mark| {
        let text = text.strip_prefix(mark.as_bytes()).unwrap_or(text);
        text.strip_suffix(mark.as_bytes()).unwrap_or(text)
    });
    (bare.len() < text.len()).then_some(bare)
}

/// Without this in front, in any case.
fn without_name<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let (front, rest) = text.split_at_checked(name.len())?;
    front.eq_ignore_ascii_case(name).then_some(rest)
}

/// The same where a token could begin like this: only when a word ends there.
fn without_word<'t>(text: &'t [u8], word: &[u8]) -> Option<&'t [u8]> {
    let ends = |rest: &&[u8]| {
        rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'".contains(byte))
    };
    without_name(text, word).filter(ends)
}

fn from_standard_input() -> Result<Vec<u8>, InputError> {
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        note("paste the token, then press Enter and Ctrl-D");
    }
    let mut token = Vec::new();
    input.by_ref().take(MOST_READ).read_to_end(&mut token).map_err(InputError::Unreadable)?;
    Ok(token)
}

fn note(text: &str) {
    anstream::eprintln!("{DIM}note:{DIM:#} {text}");
}

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error(
        "no token: pipe one in (`doorward auth token | doorward explain`), or use `--anonymous`"
    )]
    Empty,
    #[error("standard input cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("`--at` is before 1970 or out of range")]
    NoSuchMoment,
}

/// A header as people write it: `Name: value`.
#[derive(Clone, Debug)]
pub(super) struct Header {
    name: String,
    value: String,
}

impl Header {
    pub(super) fn view(&self) -> HeaderView<'_> {
        HeaderView { name: self.name.as_bytes(), value: self.value.as_bytes() }
    }
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            Some(_) | None => Err(format!("expected `Name: value`, found `{}`", printable(text))),
        }
    }
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("expected KEY=VALUE, found `{}`", printable(text)))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A moment, or a distance from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(UnixTime),
    Ago(Duration),
    Ahead(Duration),
}

impl Moment {
    pub(super) fn from(self, now: UnixTime) -> Option<UnixTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Ago(span) => now.0.checked_sub(span.as_secs()).map(UnixTime),
            Self::Ahead(span) => now.0.checked_add(span.as_secs()).map(UnixTime),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(seconds) = text.parse::<u64>()
            && !text.starts_with('+')
        {
            return Ok(Self::At(UnixTime(seconds)));
        }
        let span = |text: &str| humantime::parse_duration(text).map_err(|error| error.to_string());
        if let Some(ago) = text.strip_prefix('-') {
            return span(ago).map(Self::Ago);
        }
        if let Some(ahead) = text.strip_prefix('+') {
            return span(ahead).map(Self::Ahead);
        }
        humantime::parse_rfc3339_weak(text)
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .map(|since| Self::At(UnixTime(since.as_secs())))
            .ok_or_else(|| {
                "expected RFC 3339 (`2026-11-23T20:00:00Z`), Unix seconds, or `-10m`, `+1h`"
                    .to_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_every_form() {
        let now = UnixTime(10_000);
        let at = |text: &str| text.parse::<Moment>().ok().and_then(|moment| moment.from(now));
        assert_eq!(at("1970-01-01T00:10:00Z"), Some(UnixTime(600)));
        assert_eq!(at("1970-01-01 00:10:00"), Some(UnixTime(600)));
        assert_eq!(at("600"), Some(UnixTime(600)));
        assert_eq!(at("-10m"), Some(UnixTime(9400)));
        assert_eq!(at("+1h 5s"), Some(UnixTime(13_605)));
        for odd in ["", "soon", "-1day", "+", "-", "1969-01-01T00:00:00Z", "+600"] {
            assert_eq!(at(odd), None, "{odd}");
        }
    }

    #[test]
    fn headers_are_written_as_in_http() {
        let header: Header = "X-A:  b: c ".parse().unwrap();
        assert_eq!((header.name.as_str(), header.value.as_str()), ("X-A", "b: c"));
        assert!("X-A".parse::<Header>().is_err() && ": b".parse::<Header>().is_err());
    }
}
