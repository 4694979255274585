//! What people hand to `explain`: a token as they paste it, headers, moments.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use doorward_core::clock::UnixTime;
use doorward_core::request::HeaderView;

use super::ExplainArgs;
use crate::cli::pasted;
use crate::printable::printable;

/// The value of the `Authorization` header; `None` without one.
pub(super) fn authorization(args: &ExplainArgs) -> Result<Option<Vec<u8>>, InputError> {
    if args.anonymous {
        return Ok(None);
    }
    let given = pasted::given(args.token.as_deref().unwrap_or("-"));
    let given = given.map_err(InputError::Unreadable)?;
    if args.raw_header {
        // The line end is the terminal's or the shell's, not the header's.
        let end =
            given.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        return Ok(given.get(..end).map(<[u8]>::to_vec));
    }
    let token = pasted::token_in(&given);
    if token.is_empty() {
        return Err(InputError::Empty);
    }
    Ok(Some([b"Bearer ", token].concat()))
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
pub(in crate::cli) struct Header {
    name: String,
    value: String,
}

impl Header {
    pub(in crate::cli) fn pair(&self) -> (String, String) {
        (self.name.clone(), self.value.clone())
    }

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
