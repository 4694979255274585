//! Decisions over time, for the console: what the metrics said at regular moments, over the last
//! fifteen minutes and the last day. Nothing is counted for this but what is counted anyway.

use std::collections::{BTreeMap, VecDeque};

use doorward_core::clock::UnixTime;
use doorward_core::decision::Reason;
use serde::Serialize;

/// The reason codes of denials, and those that an approval has in their place.
const CODES: usize = APPROVALS.len() + Reason::ALL.len();
const APPROVALS: [&str; 4] = ["authenticated", "anonymous", "bypassed", "auth_disabled"];
/// Upper bounds of the durations of decisions, in seconds: a cached token takes microseconds, a
/// wait for keys a fraction of a second.
pub(super) const DURATION_BUCKETS: [f64; 12] =
    [2e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 0.5];
/// The last is for decisions that took longer than any bound.
const DURATIONS: usize = DURATION_BUCKETS.len() + 1;

/// How often the counters have to be looked at, in seconds.
pub const LOOK_EVERY: u64 = 10;
/// So many looks make a moment of the day.
const LOOKS_OF_DAY: u64 = 30;

/// All counters at one moment, or what came between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    decisions: [u64; CODES],
    durations: [u64; DURATIONS],
    cache_hits: u64,
    cache_misses: u64,
}

impl Default for Totals {
    fn default() -> Self {
        let (decisions, durations) = ([0; CODES], [0; DURATIONS]);
        Self { decisions, durations, cache_hits: 0, cache_misses: 0 }
    }
}

impl Totals {
    /// Adds decisions with this code.
    pub fn add_decisions(&mut self, code: &str, count: u64) {
        let index = codes().position(|known| known == code);
        if let Some(total) = index.and_then(|index| self.decisions.get_mut(index)) {
            *total += count;
        }
    }

    /// Takes the histogram of durations: how many took no longer than each bound, and how many
    /// there are in all.
    pub fn set_durations(&mut self, cumulative: impl Iterator<Item = u64>, all: u64) {
        let mut before = 0;
        for (total, up_to) in self.durations.iter_mut().zip(cumulative.chain([all])) {
            *total = up_to.saturating_sub(before);
            before = up_to;
        }
    }

    /// Takes the look-ups of the token cache.
    pub fn set_cache(&mut self, hits: u64, misses: u64) {
        (self.cache_hits, self.cache_misses) = (hits, misses);
    }

    fn combine(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let mut result = self.clone();
        let zip = |these: &mut [u64], those: &[u64]| {
            these.iter_mut().zip(those).for_each(|(one, two)| *one = with(*one, *two));
        };
        zip(&mut result.decisions, &other.decisions);
        zip(&mut result.durations, &other.durations);
        result.cache_hits = with(self.cache_hits, other.cache_hits);
        result.cache_misses = with(self.cache_misses, other.cache_misses);
        result
    }

    /// The duration that this share of the decisions did not exceed, in microseconds, by the
    /// middle of the bucket that it falls in; `None` without decisions.
    fn quantile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.durations.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let wanted = all as f64 * share;
        let mut before = 0_u64;
        let bounds = DURATION_BUCKETS.iter().copied().chain([f64::INFINITY]);
        let mut lower = 0.0;
        for (count, upper) in self.durations.iter().zip(bounds) {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let (first, within) = (before as f64, *count as f64);
            if *count > 0 && first + within >= wanted {
                let upper = if upper.is_finite() { upper } else { lower };
                return Some((lower + (upper - lower) * (wanted - first) / within) * 1e6);
            }
            before += count;
            lower = upper;
        }
        None
    }
}

fn codes() -> impl Iterator<Item = &'static str> {
    APPROVALS.into_iter().chain(Reason::ALL.iter().map(|reason| reason.code()))
}

/// What happened between moments.
#[derive(Debug)]
struct Series {
    every: u64,
    kept: usize,
    before: Totals,
    moments: VecDeque<(UnixTime, Totals)>,
}

impl Series {
    fn new(every: u64, seconds: usize) -> Self {
        let kept = seconds / usize::try_from(every).unwrap_or(1);
        Self { every, kept, before: Totals::default(), moments: VecDeque::with_capacity(kept) }
    }

    fn look(&mut self, now: UnixTime, totals: &Totals) {
        let between = totals.combine(&self.before, u64::saturating_sub);
        self.before = totals.clone();
        if self.moments.len() == self.kept {
            self.moments.pop_front();
        }
        self.moments.push_back((now, between));
    }

    /// With what came since the last moment, by what the counters say now.
    fn shown(&self, now: UnixTime, totals: &Totals) -> Window {
        let since = totals.combine(&self.before, u64::saturating_sub);
        let since = (since != Totals::default()).then_some((now, since));
        let begun = self.moments.iter().chain(&since);
        let begun = begun
            .skip((self.moments.len() + usize::from(since.is_some())).saturating_sub(self.kept));
        let sum = begun
            .clone()
            .fold(Totals::default(), |sum, (_, between)| sum.combine(between, u64::saturating_add));
        let points =
            begun.map(|(at, between)| Point { at: at.0, decisions: nonzero(&between.decisions) });
        Window {
            every: self.every,
            moments: self.kept,
            points: points.collect(),
            decisions: nonzero(&sum.decisions),
            cache_hits: sum.cache_hits,
            cache_misses: sum.cache_misses,
            p50: sum.quantile(0.5),
            p99: sum.quantile(0.99),
        }
    }
}

fn nonzero(decisions: &[u64; CODES]) -> BTreeMap<&'static str, u64> {
    codes().zip(decisions.iter().copied()).filter(|(_, count)| *count > 0).collect()
}

/// The last fifteen minutes and the last day. It takes [`History::BYTES`] and no more.
#[derive(Debug)]
pub struct History {
    looks: u64,
    minutes: Series,
    day: Series,
}

impl Default for History {
    fn default() -> Self {
        let minutes = Series::new(LOOK_EVERY, 15 * 60);
        Self { looks: 0, minutes, day: Series::new(LOOK_EVERY * LOOKS_OF_DAY, 24 * 3600) }
    }
}

impl History {
    /// What it takes in memory at most, in bytes.
    pub const BYTES: usize = (90 + 288) * size_of::<(UnixTime, Totals)>();

    /// Takes what the counters say now; to be called every [`LOOK_EVERY`] seconds.
    pub fn look(&mut self, now: UnixTime, totals: &Totals) {
        self.minutes.look(now, totals);
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS_OF_DAY) {
            self.day.look(now, totals);
        }
    }

    /// Fifteen minutes and a day until now, for people.
    #[must_use]
    pub fn shown(&self, now: UnixTime, totals: &Totals) -> Windows {
        Windows { minutes: self.minutes.shown(now, totals), day: self.day.shown(now, totals) }
    }
}

/// Decisions over two stretches of time.
#[derive(Clone, Debug, Serialize)]
pub struct Windows {
    /// The last fifteen minutes.
    pub minutes: Window,
    /// The last 24 hours.
    pub day: Window,
}

/// Decisions over one stretch of time.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    /// The seconds between two points.
    pub every: u64,
    /// How many points there are when the server has run for long.
    pub moments: usize,
    /// What came before each moment, the oldest first.
    pub points: Vec<Point>,
    /// All decisions by their code.
    pub decisions: BTreeMap<&'static str, u64>,
    /// Look-ups of the token cache that found something.
    pub cache_hits: u64,
    /// Look-ups of the token cache that found nothing.
    pub cache_misses: u64,
    /// The median duration of a decision, in microseconds.
    pub p50: Option<f64>,
    /// The duration that one decision in a hundred exceeds, in microseconds.
    pub p99: Option<f64>,
}

/// What came before one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// The moment, in Unix seconds.
    pub at: u64,
    /// Decisions by their code.
    pub decisions: BTreeMap<&'static str, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(expired: u64, cached: u64) -> Totals {
        let mut totals = Totals::default();
        totals.add_decisions("expired", expired);
        totals.add_decisions("authenticated", cached);
        totals.add_decisions("no such code", 1);
        totals.set_cache(cached, 0);
        // Half within 2 µs, all within 5 µs.
        let all = expired + cached;
        totals.set_durations([all / 2].into_iter().chain([all; 11]), all);
        totals
    }

    #[test]
    fn windows_hold_what_came_between_two_looks_and_no_more_than_their_time() {
        let mut history = History::default();
        for look in 1..=200 {
            history.look(UnixTime(look * LOOK_EVERY), &totals(look, look * 3));
        }
        let last = totals(200, 600);
        let Windows { minutes, day } = history.shown(UnixTime(2000), &last);
        assert_eq!((minutes.points.len(), day.points.len()), (90, 7));
        assert_eq!(minutes.points[89].at, 2000);
        assert_eq!(minutes.points[0].decisions, [("authenticated", 3), ("expired", 1)].into());
        assert_eq!(minutes.decisions["authenticated"], 270);
        assert_eq!(day.points[1].decisions["expired"], 30);
        // What has come since the last moment of the day counts, too.
        assert_eq!((day.points[6].at, day.points[6].decisions["expired"]), (2000, 20));
        assert_eq!((day.cache_hits, day.cache_misses), (600, 0));
        let Windows { minutes: later, .. } = history.shown(UnixTime(2003), &totals(201, 605));
        assert_eq!((later.points.len(), later.points[89].at), (90, 2003));
        assert_eq!(later.points[89].decisions, [("authenticated", 5), ("expired", 1)].into());
        assert!(minutes.p50.is_some_and(|p50| (1.9..=2.1).contains(&p50)), "{minutes:?}");
        assert!(minutes.p99.is_some_and(|p99| (4.8..=5.0).contains(&p99)), "{minutes:?}");
    }

    /// Figures for people who ask what the page costs: what is kept, and what is told of it when
    /// everything happens all the time.
    #[test]
    fn a_day_takes_few_bytes() {
        const { assert!(History::BYTES < 192 * 1024) };
        let mut history = History::default();
        let mut totals = Totals::default();
        for look in 0..10_000 {
            codes().for_each(|code| totals.add_decisions(code, 1_000_000));
            history.look(UnixTime(1_700_000_000 + look), &totals);
        }
        let shown = history.shown(UnixTime(1_700_010_000), &totals);
        assert_eq!((shown.minutes.points.len(), shown.day.points.len()), (90, 288));
        let kept = history.minutes.moments.capacity() + history.day.moments.capacity();
        assert!(kept * size_of::<(UnixTime, Totals)>() <= History::BYTES, "{kept}");
        let told = serde_json::to_string(&shown).unwrap().len();
        assert!(told < 256 * 1024, "{told}");
    }

    #[test]
    fn nothing_counted_has_no_quantiles() {
        assert_eq!(Totals::default().quantile(0.5), None);
        let mut slow = Totals::default();
        slow.set_durations([0; 12].into_iter(), 5);
        assert_eq!(slow.quantile(0.99), Some(500_000.0));
    }
}
