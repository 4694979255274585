//! The last denials, for the console: what was refused and why, never what was shown for it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use doorward_core::clock::UnixTime;
use doorward_core::decision::Denial;
use doorward_core::request::RequestView;
use serde::Serialize;

use super::decisions::shown;
use crate::turns::Turns;

/// So many are kept. One takes at most some 1200 bytes.
const KEPT: usize = 100;
/// Of more in a second, the first are kept: a flood of them is to be seen, not written down.
const PER_SECOND: u32 = 20;

/// The last denials.
#[derive(Debug)]
pub struct RecentDenials {
    turns: Turns,
    kept: Mutex<VecDeque<RecentDenial>>,
}

/// One denial, without anything of its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecentDenial {
    /// When it was made, in Unix seconds.
    pub at: u64,
    /// The reason code.
    pub reason: &'static str,
    /// What was wrong.
    pub fault: String,
    /// The configured name of the issuer that the token named; empty when that is none of ours.
    pub issuer: String,
    /// The method of the request, at most 256 bytes of it.
    pub method: String,
    /// Its path without the query, at most 256 bytes of it.
    pub path: String,
}

impl Default for RecentDenials {
    fn default() -> Self {
        Self { turns: Turns::new(PER_SECOND), kept: Mutex::default() }
    }
}

impl RecentDenials {
    /// Takes note of a denial, if this second has not had many.
    pub fn note(&self, denial: &Denial, issuer: &str, request: &RequestView<'_>, now: UnixTime) {
        if !self.turns.take(now) {
            return;
        }
        let denial = RecentDenial {
            at: now.0,
            reason: denial.reason().code(),
            fault: denial.fault.to_string(),
            issuer: issuer.to_owned(),
            method: shown(request.method),
            path: shown(request.path_without_query()),
        };
        let mut kept = self.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(denial);
    }

    /// All that are kept, the latest first.
    #[must_use]
    pub fn latest_first(&self) -> Vec<RecentDenial> {
        self.lock().iter().rev().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<RecentDenial>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use doorward_core::decision::Fault;
    use doorward_core::request::RouteView;

    use super::*;

    #[test]
    fn the_last_hundred_are_kept_and_of_a_flood_the_first() {
        let denials = RecentDenials::default();
        let (headers, route) = (&[][..], RouteView::default());
        let request =
            RequestView { method: b"GET", path: b"/a?token=t", authority: b"", headers, route };
        for second in 0..10 {
            for _ in 0..1000 {
                denials.note(&Denial::from(Fault::NoCredentials), "", &request, UnixTime(second));
            }
        }
        let kept = denials.latest_first();
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].at, kept[KEPT - 1].at), (9, 5));
        assert_eq!((kept[0].reason, kept[0].path.as_str()), ("missing_token", "/a"));
    }

    /// A figure for people who ask what the page costs.
    #[test]
    fn a_hundred_denials_take_few_bytes() {
        let denials = RecentDenials::default();
        let (long, headers, route) = ([b'/'; 100_000], &[][..], RouteView::default());
        let request = RequestView { method: &long, path: &long, authority: b"", headers, route };
        let issuer = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";
        for second in 0..100 {
            denials.note(
                &Fault::NoCredentialsForOptions.into(),
                issuer,
                &request,
                UnixTime(second),
            );
        }
        let texts = |it: &RecentDenial| {
            it.fault.capacity() + it.issuer.capacity() + it.method.capacity() + it.path.capacity()
        };
        let kept = denials.lock();
        let bytes =
            kept.capacity() * size_of::<RecentDenial>() + kept.iter().map(texts).sum::<usize>();
        assert!(kept.len() == KEPT && bytes < 128 * 1024, "{} denials, {bytes} bytes", kept.len());
        let told = serde_json::to_string(&*kept).unwrap().len();
        assert!(told < 128 * 1024, "{told}");
    }
}
