//! Values and moments as text: what a claim holds may be hostile, and a terminal obeys
//! control characters.

use std::time::{Duration, UNIX_EPOCH};

use doorward_core::clock::UnixTime;
use serde_json::Value;

use crate::printable::printable;

/// Longer values are cut, in characters.
const MAX_SHOWN: usize = 160;

/// A claim's value as JSON on one line, cut where it is long.
pub(super) fn value(value: &Value) -> String {
    cut(&printable(&value.to_string()))
}

/// The same for one that may be absent.
pub(super) fn claim(claim: Option<&Value>) -> String {
    claim.map_or_else(|| "absent".to_owned(), value)
}

/// A text between quotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    value(&Value::from(text))
}

/// Some of many, with how many more there are.
pub(super) fn list<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    const MOST: usize = 8;
    let items: Vec<&str> = items.into_iter().collect();
    let mut text = items.iter().take(MOST).map(|item| cut(&printable(item))).collect::<Vec<_>>();
    if items.len() > MOST {
        text.push(format!("and {} more", items.len() - MOST));
    }
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => {
            let rest = text.chars().count() - MAX_SHOWN;
            format!("{}… ({rest} characters more)", text.get(..end).unwrap_or_default())
        }
        None => text.to_owned(),
    }
}

/// A moment as RFC 3339, in UTC.
#[must_use]
pub fn moment(time: UnixTime) -> String {
    if time > UnixTime::END_OF_YEAR_9999 {
        return format!("second {} (beyond the year 9999)", time.0);
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time.0)).to_string()
}

/// A moment and how far it is from `now`: `2026-11-23T20:00:00Z, 3m 5s ago`.
pub(super) fn moment_from(time: UnixTime, now: UnixTime) -> String {
    let distance = match (time.since(now), now.since(time)) {
        (Duration::ZERO, Duration::ZERO) => "now".to_owned(),
        (Duration::ZERO, ago) => format!("{} ago", span(ago)),
        (ahead, _) => format!("in {}", span(ahead)),
    };
    format!("{}, {distance}", moment(time))
}

/// A span by its two largest units.
pub(super) fn span(span: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_text_commands_a_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}31m\r\nb\u{202e}c\u{7f}\u{200b}";
        for text in [value(&json!(hostile)), printable(hostile), list([hostile])] {
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(!text.contains(['\u{202e}', '\u{200b}']), "{text:?}");
        }
        assert_eq!(value(&json!("zo\u{eb}")), "\"zo\u{eb}\"", "letters are letters");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = "\u{eb}".repeat(1000);
        assert!(value(&json!(long)).chars().count() < 200);
        assert!(list(["a"; 20]).ends_with("and 12 more"));
    }

    #[test]
    fn moments() {
        let at = |seconds| moment_from(UnixTime(seconds), UnixTime(1000));
        assert_eq!(at(1000), "1970-01-01T00:16:40Z, now");
        assert_eq!(at(815), "1970-01-01T00:13:35Z, 3m 5s ago");
        assert_eq!(at(1000 + 90_061), "1970-01-02T01:17:41Z, in 1day 1h");
        assert_eq!(moment(UnixTime::END_OF_YEAR_9999), "9999-12-31T23:59:59Z");
        assert!(moment(UnixTime(u64::MAX)).contains("beyond"));
    }
}
