//! The methods that a table of endpoints may speak of.

use std::str::FromStr;

/// A method that a table may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method(&'static str);

impl Method {
    /// All of them (RFC 9110 §9, RFC 5789).
    const KNOWN: [&'static str; 9] =
        ["get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"];

    /// Whether a request's method is this one, in any case.
    pub(super) fn is(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.0.as_bytes())
    }

    /// The same, where what is said of GET is said of HEAD, too (RFC 9110 §9.3.2).
    pub(super) fn covers(self, name: &[u8]) -> bool {
        self.is(name) || (self.is(b"get") && name.eq_ignore_ascii_case(b"HEAD"))
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(text));
        known.map(Self).ok_or(UnknownMethod)
    }
}

/// No method that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an HTTP method: {}", Method::KNOWN.join(", "))]
pub struct UnknownMethod;
