//! Answers as identity providers send them, which is not always as RFC 6749 and RFC 8628
//! write them: numbers as text, lists for words, members under older names or left out.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// What no lifetime is longer than: a hundred years.
const LONGEST_SECONDS: f64 = 100.0 * 365.0 * 24.0 * 3600.0;
/// RFC 8628 §3.2: what holds when no interval is named.
const USUAL_INTERVAL: Duration = Duration::from_secs(5);

/// An answer of the token endpoint (RFC 6749 §5.1).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    /// Left out by some, although it is required.
    #[serde(default)]
    pub(super) token_type: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "words")]
    pub(super) scope: Option<Vec<String>>,
    #[serde(default, deserialize_with = "text")]
    pub(super) refresh_token: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) id_token: Option<String>,
}

/// An answer of the device authorization endpoint (RFC 8628 §3.2).
#[derive(Deserialize)]
pub(super) struct DeviceAnswer {
    pub(super) device_code: String,
    pub(super) user_code: String,
    #[serde(default, deserialize_with = "text")]
    verification_uri: Option<String>,
    /// Google's name for it is older than the RFC; some send both.
    #[serde(default, deserialize_with = "text")]
    verification_url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) verification_uri_complete: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    interval: Option<Duration>,
}

impl DeviceAnswer {
    /// What to open, under whichever name.
    pub(super) fn page(&self) -> &str {
        let page = self.verification_uri.as_deref().or(self.verification_url.as_deref());
        page.unwrap_or_default()
    }

    /// The least time between two polls.
    pub(super) fn interval(&self) -> Duration {
        self.interval.unwrap_or(USUAL_INTERVAL)
    }
}

/// An error (RFC 6749 §5.2), with whatever status.
#[derive(Deserialize)]
pub(super) struct Refusal {
    pub(super) error: String,
    #[serde(default, deserialize_with = "text")]
    pub(super) error_description: Option<String>,
}

/// What stands in a member, if it is of any use.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(f64),
    Text(String),
    List(Vec<Loose>),
    Other(IgnoredAny),
}

/// `3599`, `"3599"`, `3600.0`. What is no span of time (nothing, null, a negative number) says
/// nothing; what no person lives to see is cut off.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let number = match Loose::deserialize(from)? {
        Loose::Number(number) => Some(number),
        Loose::Text(text) => text.trim().parse().ok(),
        Loose::List(_) | Loose::Other(_) => None,
    };
    let number = number.filter(|number: &f64| *number >= 0.0);
    Ok(number.map(|number| Duration::from_secs_f64(number.min(LONGEST_SECONDS).trunc())))
}

/// `"a b"` or `["a", "b"]`. RFC 6749 §3.3 has no scope without a word: an empty one says
/// nothing.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    let texts = match Loose::deserialize(from)? {
        Loose::Text(text) => vec![Loose::Text(text)],
        Loose::List(items) => items,
        Loose::Number(_) | Loose::Other(_) => Vec::new(),
    };
    let texts = texts.iter().filter_map(|item| match item {
        Loose::Text(text) => Some(text.split_ascii_whitespace().map(str::to_owned)),
        Loose::Number(_) | Loose::List(_) | Loose::Other(_) => None,
    });
    let words: Vec<_> = texts.flatten().collect();
    Ok((!words.is_empty()).then_some(words))
}

/// A text with something in it.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Loose::deserialize(from)? {
        Loose::Text(text) if !text.is_empty() => Some(text),
        Loose::Text(_) | Loose::Number(_) | Loose::List(_) | Loose::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lifetime(value: &Value) -> Option<u64> {
        let answer = json!({"access_token": "a", "expires_in": value});
        let answer: TokenAnswer = serde_json::from_value(answer).unwrap();
        answer.expires_in.map(|span| span.as_secs())
    }

    #[test]
    fn a_lifetime_is_read_however_it_is_written_and_is_never_absurd() {
        for (written, read) in [
            (json!(3599), Some(3599)),
            (json!("3599"), Some(3599)),
            (json!(" 3599 "), Some(3599)),
            (json!(3600.0), Some(3600)),
            (json!("3600.0"), Some(3600)),
            (json!(0), Some(0)),
            (json!(-1), None),
            (json!("-1"), None),
            (json!("NaN"), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!([]), None),
            (json!({}), None),
            (json!(u64::MAX), Some(3_153_600_000)),
            (json!("inf"), Some(3_153_600_000)),
            (json!(1e300), Some(3_153_600_000)),
        ] {
            assert_eq!(lifetime(&written), read, "{written}");
        }
    }

    #[test]
    fn scopes_are_words_or_a_list_of_them_and_an_empty_one_says_nothing() {
        for (written, read) in [
            (json!("a b"), vec!["a", "b"]),
            (json!(["a", "b c"]), vec!["a", "b", "c"]),
            (json!([]), vec![]),
            (json!(" "), vec![]),
            (json!(null), vec![]),
            (json!([1, null, "a"]), vec!["a"]),
        ] {
            let answer = json!({"access_token": "a", "scope": written});
            let answer: TokenAnswer = serde_json::from_value(answer).unwrap();
            assert_eq!(answer.scope.unwrap_or_default(), read, "{written}");
        }
    }
}
