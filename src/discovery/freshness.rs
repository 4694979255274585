//! How long an answer may be believed, as its sender says (RFC 9111 §5.2.2).

use std::time::Duration;

use reqwest::header::{AGE, CACHE_CONTROL, HeaderMap};

/// What an answer says about how long it stays true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing: no `Cache-Control` that means anything here.
    #[default]
    Unstated,
    /// So long from now (`max-age`, less the `Age` it already has).
    For(Duration),
    /// Not at all (`no-store`, `no-cache`).
    NotAtAll,
}

impl Freshness {
    /// Reads it from the header of an answer.
    ///
    /// `Expires` is not looked at: every provider that sends it sends `Cache-Control`
    /// too, and it needs two clocks to agree.
    #[must_use]
    pub fn of(header: &HeaderMap) -> Self {
        let mut freshness = Self::Unstated;
        let values =
            header.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
        for directive in values.flat_map(|value| value.split(',')) {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return Self::NotAtAll;
            }
            if name.eq_ignore_ascii_case("max-age")
                && let Ok(seconds) = argument.trim().trim_matches('"').parse::<u64>()
            {
                let age = header.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
                freshness =
                    Self::For(Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))));
            }
        }
        freshness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cache_control: &[&str], age: Option<&str>) -> Freshness {
        let mut header = HeaderMap::new();
        for value in cache_control {
            header.append(CACHE_CONTROL, value.parse().unwrap());
        }
        if let Some(age) = age {
            header.insert(AGE, age.parse().unwrap());
        }
        Freshness::of(&header)
    }

    #[test]
    fn what_providers_send_is_read() {
        let an_hour = Freshness::For(Duration::from_secs(3600));
        assert_eq!(read(&[], None), Freshness::Unstated);
        assert_eq!(read(&["public, max-age=3600, must-revalidate"], None), an_hour);
        assert_eq!(read(&["public", "Max-Age = \"3600\""], None), an_hour);
        assert_eq!(read(&["max-age=3660"], Some("60")), an_hour);
        assert_eq!(read(&["max-age=5"], Some("60")), Freshness::For(Duration::ZERO));
        assert_eq!(read(&["max-age=3600, no-cache"], None), Freshness::NotAtAll);
        assert_eq!(read(&["no-store"], None), Freshness::NotAtAll);
        assert_eq!(read(&["max-age=-1"], None), Freshness::Unstated);
        assert_eq!(read(&["max-age=99999999999999999999"], None), Freshness::Unstated);
        assert_eq!(read(&["private, s-maxage"], None), Freshness::Unstated);
    }
}
