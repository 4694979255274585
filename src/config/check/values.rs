//! Single values: texts, URLs, spans, numbers, files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward_core::identity::ClaimPath;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::{Host, Url};

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::plain;
use super::super::raw::Span;
use super::super::resource::ResourceId;
use super::super::warning::Warning;
use super::Checker;
use crate::discovery::{CaFile, SetupError};
use crate::loopback::is_loopback;
use crate::redact::{REDACTED, Shown};
use crate::regular_file::read_file;

pub(super) const ZERO: Duration = Duration::ZERO;
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
/// A made-up `kid` must not buy more fetches than this.
pub(super) const COOL_DOWN: Duration = Duration::from_millis(100);
/// Leeway is for clocks that are off; more of it is a longer life for every token.
pub(super) const LEEWAY: Duration = Duration::from_secs(10 * 60);
pub(super) const ROUND_TRIP: Duration = Duration::from_secs(60);
pub(super) const LONG: Duration = Duration::from_secs(24 * 3600);
/// A revoked key is accepted no longer than this.
pub(super) const RECHECK: Duration = Duration::from_secs(10 * 60);
/// Of a token.
pub(super) const LIFETIME: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(10 * 366 * 24 * 3600));
pub(super) const STALE: Duration = Duration::from_secs(30 * 24 * 3600);
/// A file that a setting names is not larger.
const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;
/// A policy is not larger.
const MAX_POLICY_BYTES: usize = 32 * 1024 * 1024;
/// Envoy's own limit on all headers is at most 8 MiB, by default 60 KiB.
pub(super) const TOKEN_BYTES: (u64, u64) = (1024, 1024 * 1024);

impl Checker {
    pub(super) fn span(
        &mut self,
        key: &str,
        span: &Span,
        min: Duration,
        max: Duration,
    ) -> Option<Duration> {
        self.keep(&KeyPath::dotted(key), span_within(span, min, max))
    }

    /// `lower` must not be longer than `upper`.
    pub(super) fn ordered(
        &mut self,
        lower_key: &'static str,
        lower: Option<Duration>,
        upper_key: &'static str,
        upper: Option<Duration>,
    ) {
        if let (Some(found), Some(limit)) = (lower, upper)
            && found > limit
        {
            let why = BadValue::LongerThan { found, other: upper_key, limit };
            self.bad(&KeyPath::dotted(lower_key), why);
        }
    }

    pub(super) fn number(&mut self, key: &str, found: u64, range: (u64, u64)) -> Option<u64> {
        let (min, max) = range;
        let in_range = (min..=max).contains(&found);
        let result =
            if in_range { Ok(found) } else { Err(BadValue::OutOfRange { found, min, max }) };
        self.keep(&KeyPath::dotted(key), result)
    }
}

pub(super) fn span_within(span: &Span, min: Duration, max: Duration) -> Result<Duration, BadValue> {
    let found = parse_span(span)?;
    if found < min || found > max {
        return Err(BadValue::SpanOutOfRange { found, min, max });
    }
    Ok(found)
}

pub(super) fn parse_span(span: &Span) -> Result<Duration, BadValue> {
    match span {
        Span::Seconds(seconds) => Ok(Duration::from_secs(*seconds)),
        Span::Text(text) => text
            .trim()
            .parse()
            .map(Duration::from_secs)
            .or_else(|_| humantime::parse_duration(text.trim()))
            .map_err(|_| BadValue::NotASpan(text.into())),
    }
}

/// A text without spaces, as identifiers are: not empty, and no placeholder from a
/// template.
pub(super) fn word(text: &str) -> Result<String, BadValue> {
    if text.is_empty() {
        return Err(BadValue::Empty);
    }
    let bracketed = text.split_once('<').is_some_and(|(_, rest)| rest.contains('>'));
    if bracketed || text.contains("${") {
        return Err(BadValue::Placeholder(text.into()));
    }
    plain::check(text)?;
    if text.contains(char::is_whitespace) {
        return Err(BadValue::Space(text.into()));
    }
    Ok(text.to_owned())
}

/// The name of a claim, or the way to it.
pub(super) fn claim(c: &mut Checker, key: &KeyPath, text: &str) -> Option<ClaimPath> {
    if text.starts_with("$.") || text.starts_with("$[") {
        let pointer = pointer(text.trim_start_matches('$')).into();
        c.bad(key, BadValue::JsonPath { found: text.into(), pointer });
        return None;
    }
    let path = c.keep(key, text.parse::<ClaimPath>())?;
    // A name with dots in it is one all the same: only what looks like names alone is told of.
    let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    if text.contains('.') && text.chars().all(is_name) {
        let (key, claim, pointer) = (key.to_string(), text.into(), pointer(text).into());
        c.warnings.push(Warning::DottedClaim { key, claim, pointer });
    }
    Some(path)
}

/// `.a.b`, `['a']['b']` → `/a/b`.
fn pointer(way: &str) -> String {
    let quotes = ['"', '\''];
    let steps = way.split(['.', '[', ']']).map(|step| step.trim_matches(quotes));
    let steps = steps.filter(|step| !matches!(*step, "" | "*"));
    steps.map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

/// The domain of email addresses, in lower case; a name in another script as addresses carry it
/// (`xn--…`).
pub(super) fn email_domain(text: &str) -> Result<String, BadValue> {
    let text = word(text)?;
    let not_a_domain = || BadValue::NotADomain(text.as_str().into());
    // What the parser lets pass, and no address has after its `@`.
    let is_odd = |part: &str| {
        part.is_empty() || part.chars().any(|char| char.is_ascii() && !is_label_char(char))
    };
    match Host::parse(&text) {
        Ok(Host::Domain(domain)) if !text.split('.').any(is_odd) => Ok(domain),
        Ok(_) | Err(_) => Err(not_a_domain()),
    }
}

fn is_label_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '_')
}

/// What can stand in a quoted string without escapes (RFC 9110 §5.6.4).
pub(super) fn quotable(text: &str) -> Result<String, BadValue> {
    if text.is_empty() {
        return Err(BadValue::Empty);
    }
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        return Ok(text.to_owned());
    }
    Err(BadValue::NotQuotable(text.into()))
}

/// A filter of log lines. To the parser a word that is no level names a target, of which alone
/// everything is logged: it is a misspelled level.
pub(super) fn log_filter(text: &str) -> Result<Targets, BadValue> {
    let mut parts = text.split(',').map(str::trim);
    let word = parts.find(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err());
    if let Some(word) = word.or(Some(text).filter(|text| text.trim().is_empty())) {
        return Err(BadValue::NotALevel(word.into()));
    }
    let filter = text.parse::<Targets>();
    filter.map_err(|error| BadValue::NotAFilter { found: text.into(), error: error.to_string() })
}

/// An https URL without fragment and credentials. Plain http is for loopback: whoever
/// sits on the way of anything else could hand out keys of his own.
pub(super) fn url(text: &str) -> Result<Url, BadValue> {
    http_url(text, is_loopback, |found| BadValue::NotHttps { found })
}

/// A resource identifier (RFC 9728 §1.2), which is kept as it is written.
pub(super) fn resource(text: &str) -> Result<ResourceId, BadValue> {
    let url = url(text)?;
    if !text.contains("://") {
        return Err(BadValue::NotHttps { found: text.into() });
    }
    ResourceId::new(text, url).ok_or_else(|| BadValue::QueryOrFragment(text.into()))
}

/// A URL that an issuer's documents are fetched from. With `allow_http` the operator takes
/// plain http from anywhere.
pub(super) fn issuer_url(text: &str, allow_http: bool) -> Result<Url, BadValue> {
    let plain = |url: &Url| allow_http || is_loopback(url);
    http_url(text, plain, |found| BadValue::NotHttpsOfIssuer { found })
}

/// A URL at which the platform is asked for something.
pub(super) fn platform_url(text: &str, allow_http: bool) -> Result<Url, BadValue> {
    let plain = |url: &Url| allow_http || is_loopback(url);
    http_url(text, plain, |found| BadValue::NotHttpsOfPlatform { found })
}

/// The URL of a bundle that nobody has signed.
pub(super) fn unsigned_url(text: &str) -> Result<Url, BadValue> {
    http_url(text, is_loopback, |found| BadValue::UnsignedOverHttp { found })
}

/// The URL of an OPA, or of a signed bundle.
pub(super) fn policy_url(text: &str, allow_http: bool) -> Result<Url, BadValue> {
    let plain = |url: &Url| allow_http || is_loopback(url);
    http_url(text, plain, |found| BadValue::NotHttpsOfPolicy { found })
}

fn http_url(
    text: &str,
    may_be_plain: impl Fn(&Url) -> bool,
    refused: impl Fn(Shown) -> BadValue,
) -> Result<Url, BadValue> {
    let text = word(text)?;
    let shown = Shown::new(&text);
    let url =
        Url::parse(&text).map_err(|error| BadValue::NotAUrl { found: shown.clone(), error })?;
    match url.scheme() {
        "https" if url.has_host() => {}
        "http" if may_be_plain(&url) => {}
        _ => return Err(refused(shown)),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadValue::Credentials(shown));
    }
    if url.fragment().is_some() {
        return Err(BadValue::QueryOrFragment(shown));
    }
    Ok(url)
}

/// An HTTP proxy; credentials are welcome here.
pub(super) fn proxy(text: &str) -> Result<Url, BadValue> {
    // Without a scheme, what stands before the `@` is a credential here, whatever it looks like.
    let shown = match text.rsplit_once('@') {
        Some((_, host)) if !text.contains("://") => Shown::new(&format!("{REDACTED}@{host}")),
        Some(_) | None => text.into(),
    };
    let bad = || BadValue::NotAProxy(shown.clone());
    let url = Url::parse(text).map_err(|_| bad())?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_http { Ok(url) } else { Err(bad()) }
}

pub(super) fn directory(path: &Path) -> Result<PathBuf, BadValue> {
    // One that does not exist is made when it is first needed.
    if path.as_os_str().is_empty() || (path.exists() && !path.is_dir()) {
        return Err(BadValue::NotADirectory(path.into()));
    }
    Ok(path.to_owned())
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, BadValue> {
    read_up_to(path, MAX_FILE_BYTES)
}

/// The same for a policy, its data or its bundle.
pub(super) fn read_policy(path: &Path) -> Result<Vec<u8>, BadValue> {
    read_up_to(path, MAX_POLICY_BYTES)
}

fn read_up_to(path: &Path, most_bytes: usize) -> Result<Vec<u8>, BadValue> {
    read_file(path, most_bytes)
        .map_err(|error| BadValue::UnreadableFile { path: path.into(), error })
}

/// A readable file of certificates, each of which can be used.
pub(super) fn ca_file(path: &Path) -> Result<PathBuf, SetupError> {
    CaFile::read(path).map(|_| path.to_owned())
}

/// A readable file with a PEM section whose label ends in `wanted`.
pub(super) fn pem(path: &Path, wanted: &'static str) -> Result<PathBuf, BadValue> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let found = text.lines().any(|line| {
        line.strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.trim_end().strip_suffix("-----"))
            .is_some_and(|label| label.ends_with(wanted))
    });
    if found {
        return Ok(path.to_owned());
    }
    Err(BadValue::NotPem { path: path.into(), wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units_or_are_seconds() {
        for (span, seconds) in [
            (Span::Seconds(300), 300),
            (Span::from("300"), 300),
            (Span::from("5m"), 300),
            (Span::from("24h"), 86_400),
        ] {
            assert_eq!(parse_span(&span).unwrap(), Duration::from_secs(seconds));
        }
        assert_eq!(parse_span(&"150ms".into()).unwrap(), Duration::from_millis(150));
        for text in ["", "soon", "-5s", "1.5"] {
            assert!(parse_span(&text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn domains_are_what_stands_after_the_at() {
        for (text, domain) in [
            ("corp.example", "corp.example"),
            ("Corp.Example", "corp.example"),
            ("corp", "corp"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(email_domain(text).unwrap(), domain);
        }
        for text in [
            "",
            "@corp.example",
            "a@corp.example",
            "*.corp.example",
            ".corp.example",
            "corp.example.",
            "corp..example",
            "corp/example",
            "corp.example:1",
            "10.0.0.1",
            "[::1]",
            "corp%2eexample",
            "corp example",
        ] {
            assert!(email_domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_are_https_but_for_loopback() {
        for good in [
            "https://idp.example/realms/a",
            "http://127.0.0.1:8080/x",
            "http://localhost:8080",
            "http://[::1]:1/",
        ] {
            assert!(url(good).is_ok(), "{good}");
        }
        for (bad, part) in [
            ("http://idp.example", "must be an https URL"),
            ("http://localhost.evil.example", "must be an https URL"),
            ("ftp://127.0.0.1", "must be an https URL"),
            ("idp.example", "is not a URL"),
            (
                "https://user:pw@idp.example",
                "`https://***@idp.example` must not contain \
                                             credentials",
            ),
            ("https://idp.example#a", "fragment"),
            ("https://idp.example/<tenant>", "placeholder"),
            ("https://idp.example/${TENANT}", "placeholder"),
            ("https://idp.example/a b", "space"),
            ("", "empty"),
        ] {
            let error = url(bad).unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
