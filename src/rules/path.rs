//! Path rules, and the question whether a path can be read two ways.

use std::fmt;
use std::str::FromStr;

/// Which paths a rule is about: one (`/health`), or all below one (`/public/*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// This path and no other.
    Exact(String),
    /// Every path that starts with this, which ends in `/`.
    Below(String),
}

impl PathRule {
    /// Whether the rule is about `path`, which has no query and is not [`ambiguous`].
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Below(prefix) => path.starts_with(prefix.as_str()),
        }
    }
}

impl FromStr for PathRule {
    type Err = PathRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with('/') {
            return Err(PathRuleError::NotAPath);
        }
        let (path, below) = match text.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('/') => (prefix, true),
            Some(_) => return Err(PathRuleError::Wildcard),
            None => (text, false),
        };
        if path.contains('*') {
            return Err(PathRuleError::Wildcard);
        }
        if path.contains(['?', '#']) {
            return Err(PathRuleError::Query);
        }
        if ambiguous(path) {
            return Err(PathRuleError::Ambiguous);
        }
        Ok(if below { Self::Below(path.to_owned()) } else { Self::Exact(path.to_owned()) })
    }
}

impl fmt::Display for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Below(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Why a text is no path rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRuleError {
    /// No `/` in front.
    #[error("a path starts with `/`")]
    NotAPath,
    /// A `*` anywhere but after the last `/`.
    #[error("`*` may only stand at the end, after a `/`: `/public/*`")]
    Wildcard,
    /// A `?` or `#`: rules see paths without query and fragment.
    #[error("rules match the path alone: leave `?` and `#` out")]
    Query,
    /// Written in a way that could be read two ways.
    #[error("the path can be read in two ways (`//`, dot segments, `%`-escapes or `\\`)")]
    Ambiguous,
}

/// Whether upstreams and proxies could disagree on what `path` means: an encoded slash,
/// backslash, dot or NUL, a dot segment, an empty segment, a backslash, a control
/// character or a broken escape. Such a path never matches a bypass.
pub(super) fn ambiguous(path: &str) -> bool {
    let path_bytes = path.as_bytes();
    let odd_byte = path_bytes.iter().any(|byte| matches!(byte, b'\\' | b'#' | 0..=b' ' | 0x7f..));
    let dot_segment = || {
        path.split('/').any(|segment| {
            // `;` starts a parameter that some servers cut off: `/..;/admin`.
            matches!(segment.split(';').next(), Some("." | ".."))
        })
    };
    odd_byte
        || path.contains("//")
        || (path.contains("/.") && dot_segment())
        || path.split('%').skip(1).any(escape_is_odd)
}

/// What follows a `%`: odd when it is no escape, or one that hides a character with a
/// meaning in paths. `%25` could become such an escape when decoded twice.
fn escape_is_odd(after_percent: &str) -> bool {
    let digits = after_percent
        .get(..2)
        .and_then(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits));
    let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
        return true;
    };
    matches!(byte, b'/' | b'\\' | b'.' | b'%' | b';' | b'?' | b'#' | 0..b' ' | 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_parse_and_match() {
        let rule: PathRule = "/public/*".parse().unwrap();
        assert!(rule.matches("/public/a/b") && rule.matches("/public/"));
        assert!(!rule.matches("/public") && !rule.matches("/publication"));
        let rule: PathRule = "/health".parse().unwrap();
        assert!(rule.matches("/health") && !rule.matches("/health/") && !rule.matches("/Health"));
        for (text, error) in [
            ("health", PathRuleError::NotAPath),
            ("/a*", PathRuleError::Wildcard),
            ("/a/*/b", PathRuleError::Wildcard),
            ("/a?b", PathRuleError::Query),
            ("/a/../b", PathRuleError::Ambiguous),
            ("/a//*", PathRuleError::Ambiguous),
        ] {
            assert_eq!(text.parse::<PathRule>(), Err(error), "{text}");
        }
    }

    #[test]
    fn paths_that_can_be_read_two_ways() {
        for path in [
            "//admin",
            "/public/../admin",
            "/public/.",
            "/public/%2e%2e/admin",
            "/public/%2E./x",
            "/public%2fadmin",
            "/public%5cadmin",
            "/public\\admin",
            "/public/%00",
            "/public/%zz",
            "/public/%",
            "/public/%2",
            "/public/..;/admin",
            "/public/..;x=1/admin",
            "/public/%252e%252e/admin",
            "/public/ x",
            "/public/\u{e9}",
            "/public/%3fx",
        ] {
            assert!(ambiguous(path), "{path:?}");
        }
        for path in ["/", "/a/b", "/a/.well-known", "/a/b..c", "/a%20b", "/a/;p=1", "/%C3%A9"] {
            assert!(!ambiguous(path), "{path:?}");
        }
    }
}
