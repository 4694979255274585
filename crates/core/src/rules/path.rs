//! Path rules, and the question whether a path can be read two ways.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use icu_normalizer::DecomposingNormalizerBorrowed;
use memchr::{memchr_iter, memchr2, memchr3};
use percent_encoding::{percent_decode, percent_decode_str};
use smallvec::SmallVec;

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
    /// No `/` at the end of a prefix.
    #[error("a prefix ends with `/`, and needs no `*`: `/files/`")]
    NotAPrefix,
    /// A `?` or `#`: rules see paths without query and fragment.
    #[error("rules match only the path: remove `?` and `#`")]
    Query,
    /// Written in a way that could be read two ways.
    #[error("the path can be read in two ways (`//`, `\\`, dot segments, a last dot, odd escapes)")]
    Ambiguous,
}

/// What a path may be to those who read it: a path as it was sent, or one with an encoded slash,
/// which is part of a name to some and separates names to others.
#[derive(Clone, Debug)]
pub enum Readings<'a> {
    /// This path, to everybody.
    One(&'a [u8]),
    /// With each encoded slash part of a name, and with a slash in its place.
    Two([Box<str>; 2]),
}

impl<'a> Readings<'a> {
    /// The readings of a path with encoded slashes; `None` when one of them can itself be read in
    /// two ways: decoded, it may hold a dot segment or `//`.
    pub(super) fn of_encoded_slashes(path: &str) -> Option<Self> {
        // No pattern has such a character in a name. U+FFFD.
        const PART_OF_A_NAME: &str = "%EF%BF%BD";
        let with = |slash: &str| path.replace("%2F", slash).replace("%2f", slash);
        let both = [with(PART_OF_A_NAME), with("/")];
        let readable = both.iter().all(|path| readable(path).is_some());
        readable.then(|| Self::Two(both.map(String::into_boxed_str)))
    }

    /// Whether some server may take one of them for another path than it says: it can be read in two
    /// ways, or hides a letter, a digit or a mark by an escape that says nothing (RFC 3986 §6.2.2.2).
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        let is_odd = |path: &[u8]| {
            str::from_utf8(path).map_or(true, |path| ambiguous(path) || hides_unreserved(path))
        };
        self.each().any(is_odd)
    }

    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        let (first, second) = match self {
            Self::One(path) => (*path, None),
            Self::Two([first, second]) => (first.as_bytes(), Some(second.as_bytes())),
        };
        std::iter::once(first).chain(second)
    }
}

/// Whether a path has an escape for a character that needs none, or for the `;` in front of
/// parameters. `~` is not held against it: many
/// encoders of before RFC 3986 escape it.
fn hides_unreserved(path: &str) -> bool {
    path.contains('%')
        && path.split('%').skip(1).any(|rest| {
            let byte = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            byte.is_none_or(|byte| byte.is_ascii_alphanumeric() || b"-._;".contains(&byte))
        })
}

/// A path without the parameters (`;v=1`) of its segments.
#[must_use]
pub fn without_path_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') {
        return Cow::Borrowed(path);
    }
    let names: Vec<_> = path.split('/').map(without_parameters).collect();
    Cow::Owned(names.join("/"))
}

/// Whether a path holds an encoded slash or backslash.
pub(super) fn holds_encoded_slash(path: &[u8]) -> bool {
    memchr_iter(b'%', path).any(|at| {
        let escape = path.get(at + 1..at + 3).unwrap_or_default();
        escape.eq_ignore_ascii_case(b"2f") || escape.eq_ignore_ascii_case(b"5c")
    })
}

/// Below which path encoded slashes may stand: `/files/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlashPrefix(Box<str>);

impl SlashPrefix {
    pub(super) fn holds(&self, path: &str) -> bool {
        path.starts_with(&*self.0)
    }
}

impl FromStr for SlashPrefix {
    type Err = PathRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse()? {
            PathRule::Exact(path) if path.ends_with('/') => Ok(Self(path.into())),
            PathRule::Exact(_) | PathRule::Below(_) => Err(PathRuleError::NotAPrefix),
        }
    }
}

/// Whether upstreams and proxies could disagree on what `path` means. Such a path never
/// matches a bypass, and where a rule applies it is denied.
pub(super) fn ambiguous(path: &str) -> bool {
    readable(path).is_none()
}

/// The path with its escapes decoded, in UTF-8; `None` when it is ambiguous:
///
/// - as it stands, it holds `//`, `\`, `#`, white space, a control character or anything that
///   is not ASCII;
/// - an escape is broken, or hides a character with a meaning in paths: `%2f`, `%25`, `%00`;
/// - the escapes are not UTF-8. Lenient decoders take `%c0%af`, an over-long form, for `/`;
/// - a character has such a meaning once it is normalized (NFKC): `%ef%bc%8f`, a full-width
///   slash, and `%e2%80%a6`, which becomes `...`;
/// - a segment is a dot segment, or becomes one, or another name, where trailing dots and white
///   space are cut off: `..%20`, `admin.`;
/// - a segment in the middle is nothing but parameters (`/a/;v=1/b`): some read `/a//b`.
pub(super) fn readable(path: &str) -> Option<Cow<'_, str>> {
    // To the end even where the first is odd: so the compiler looks at many at a time.
    let is_odd = |byte: u8| matches!(byte, b'\\' | b'#' | 0..=b' ' | 0x7f..);
    let pairs = path.as_bytes().iter().zip(path.as_bytes().get(1..).unwrap_or_default());
    let doubled = pairs.fold(false, |any, (one, next)| any | (*one == b'/') & (*next == b'/'));
    if path.bytes().fold(doubled, |any, byte| any | is_odd(byte)) {
        return None;
    }
    // All else takes one of these.
    if memchr3(b'%', b';', b'.', path.as_bytes()).is_none() {
        return Some(Cow::Borrowed(path));
    }
    if path.split('%').skip(1).any(escape_is_odd) {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let name = without_parameters(segment);
        let is_last = segments.peek().is_none();
        if (name.is_empty() && !is_last) || name.ends_with('.') || name.trim() != name {
            return None;
        }
    }
    (decoded.is_ascii() || !hides_a_meaning(&decoded)).then_some(decoded)
}

/// Whether a path steps aside for servers that cut parameters off: `/a/..;x/admin` is `/admin` to
/// them, `/;x/admin` too. In any spelling: gateways that know this one decode `%2e` and `%3b` later.
pub(super) fn steps_aside(path: &[u8]) -> bool {
    if memchr2(b';', b'%', path).is_none() {
        return false;
    }
    let decoded: Vec<u8> = percent_decode(path).collect();
    let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let mut parts = segment.splitn(2, |byte| *byte == b';');
        let name = parts.next().unwrap_or_default();
        let has_parameters = parts.next().is_some();
        let is_last = segments.peek().is_none();
        if has_parameters && (matches!(name, b"." | b"..") || (name.is_empty() && !is_last)) {
            return true;
        }
    }
    false
}

/// A segment up to its first `;`, from where on some servers see parameters: `/..;v=1/admin`.
fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// Calls `visit` with the segments of a path in each way that servers may take it apart: parameters
/// (`;v=1`) cut off and kept, with its last slash and without.
pub(super) fn each_split(path: &str, mut visit: impl FnMut(&[&str])) {
    let has_parameters = path.contains(';');
    for cuts in [true, false] {
        if cuts && !has_parameters {
            continue;
        }
        // By hand: `split` and `collect` take twice as long, on the way of every request.
        let mut segments: SmallVec<[&str; 16]> = SmallVec::new();
        let mut slashes = memchr_iter(b'/', path.as_bytes());
        let mut slash = slashes.next();
        while let Some(start) = slash {
            slash = slashes.next();
            let segment = path.get(start + 1..slash.unwrap_or(path.len())).unwrap_or_default();
            segments.push(if cuts { without_parameters(segment) } else { segment });
        }
        visit(&segments);
        if let Some((&"", without_last_slash)) = segments.split_last() {
            visit(without_last_slash);
        }
    }
}

/// What follows a `%`: odd when it is no escape, or one of a character with a meaning in paths.
fn escape_is_odd(after_percent: &str) -> bool {
    let digits = after_percent
        .get(..2)
        .and_then(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits));
    let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    byte.is_none_or(|byte| has_meaning(char::from(byte)))
}

/// `%` too: `%25` could become an escape when it is decoded twice.
fn has_meaning(char: char) -> bool {
    matches!(char, '/' | '\\' | '.' | '%' | ';' | '?' | '#' | '\0'..' ' | '\x7f')
}

/// Whether a character outside of ASCII is a control character, or has a meaning in paths where
/// text is normalized. That is decomposed here (NFKD); NFKC composes again, but none of these.
fn hides_a_meaning(decoded: &str) -> bool {
    let beyond_ascii = || decoded.chars().filter(|char| !char.is_ascii());
    let normalizer = DecomposingNormalizerBorrowed::new_nfkd();
    beyond_ascii().any(char::is_control)
        || normalizer.normalize_iter(beyond_ascii()).any(has_meaning)
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
    fn paths_that_step_aside() {
        for path in [
            "/a/..;/admin",
            "/a/%2e%2e;x=1/admin",
            "/a/.%2E%3b/admin",
            "/a/..%3bx../admin",
            "/a/.;/b",
            "/;/admin",
            "/%3bx/admin",
            "/a%2f..;/admin",
            "/a/..;x",
        ] {
            assert!(steps_aside(path.as_bytes()), "{path}");
        }
        for path in [
            "/",
            "/;jsessionid=1",
            "/a;v=1/b",
            "/a/b;c",
            "/a/..x;/b",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a%3b/..",
            "/a/...;/b",
            "/100%",
        ] {
            assert!(!steps_aside(path.as_bytes()), "{path}");
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
            // Not UTF-8: over-long forms of `/` and `.`, a surrogate, half a character, Latin-1
            "/public/..%c0%af/admin",
            "/public/%c0%ae%c0%ae/admin",
            "/public/%e0%80%af",
            "/public/%f0%80%80%ae",
            "/public/%ed%a0%80",
            "/public/%c3",
            "/public/%e9",
            // NFKC: full-width / . \ ; % # ?, small, one and two dots, `1.`, `a/c`, a Greek `;`
            "/public/..%ef%bc%8fadmin",
            "/public/%ef%bc%8e%EF%BC%8E/admin",
            "/public/..%ef%bc%bcadmin",
            "/public/..%ef%bc%9b/admin",
            "/public/%ef%bc%852e",
            "/public/%ef%bc%83",
            "/public/%ef%bc%9f",
            "/public/%ef%b9%92",
            "/public/%ef%b9%a8",
            "/public/%e2%80%a4%e2%80%a4/admin",
            "/public/%e2%80%a5/admin",
            "/public/%e2%80%a6",
            "/public/%e2%92%88",
            "/public/%e2%84%80",
            "/public/a%cd%beb",
            // Trimmed, a dot segment or another name
            "/public/..%20/admin",
            "/public/%20../admin",
            "/public/%20..%20/admin",
            "/public/.%20/x",
            "/public/..%09/admin",
            "/public/..%0b/admin",
            "/public/..%c2%a0/admin",
            "/public/..%e3%80%80/admin",
            "/public/..%c2%85/admin",
            "/public/..%20;v=1/admin",
            "/public/.../admin",
            "/public/.%20./admin",
            "/admin.",
            "/admin%20",
            "/%20admin",
            "/admin./x",
            "/admin.;v=1",
            // Nothing but parameters
            "/public/;v=1/x",
            "/;/admin",
        ] {
            assert!(ambiguous(path), "{path:?}");
        }
        for path in [
            "/",
            "/a/b",
            "/a/.well-known",
            "/a/b..c",
            "/a%20b",
            "/a/;p=1",
            "/a;p=1./b",
            "/%C3%A9",
            "/%ef%bc%a1%ef%bd%82",
            "/%e7%ac%ac%e4%b8%80%e7%ab%a0%e3%80%82txt",
            "/%f0%9f%98%80",
        ] {
            assert!(!ambiguous(path), "{path:?}");
        }
    }
}
