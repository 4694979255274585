//! Do the issuer's clock and ours agree?

use std::time::{Duration, UNIX_EPOCH};

use doorward_core::clock::UnixTime;
use http::HeaderMap;
use http::header::{AGE, DATE};

use super::super::report::Finding;

/// From here on it is worth knowing: it eats into the leeway.
const WORTH_KNOWING: Duration = Duration::from_secs(5);

/// What an answer says of its time, and when it came.
pub(super) struct Sample {
    /// `Date`, and how long caches have kept the answer since (`Age`, RFC 9111 §5.1).
    theirs: Option<UnixTime>,
    before: UnixTime,
    after: UnixTime,
}

impl Sample {
    /// The sample of an answer that was asked for at `before` and there at `after`.
    pub(super) fn of(header: &HeaderMap, before: UnixTime, after: UnixTime) -> Self {
        let text = |name| header.get(name).and_then(|value| value.to_str().ok());
        let age = text(AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
        let theirs = text(DATE).and_then(http_date).map(|d| d.plus(Duration::from_secs(age)));
        Self { theirs, before, after }
    }

    /// How far their clock is ahead of ours, in seconds, as far as that can be told: the
    /// answer was written somewhere between question and arrival, and both clocks count
    /// whole seconds.
    fn ahead(&self) -> Option<i64> {
        let theirs = i64::try_from(self.theirs?.0).ok()?;
        let (before, after) =
            (i64::try_from(self.before.0).ok()?, i64::try_from(self.after.0).ok()?);
        let middle = before.midpoint(after);
        let doubt = (after - before) / 2 + 1;
        let ahead = theirs - middle;
        Some(ahead.signum() * (ahead.abs() - doubt).max(0))
    }
}

pub(super) fn examine(sample: &Sample, leeway: Duration) -> Finding {
    let Some(ahead) = sample.ahead() else {
        return Finding::pass(
            "clock_skew",
            "unknown: the response has no Date header; the iat of a fresh token would show it",
        );
    };
    let off = Duration::from_secs(ahead.unsigned_abs());
    if off < WORTH_KNOWING.min(leeway.max(Duration::from_secs(2))) {
        let found = format!("within {} s of this machine's", off.as_secs().max(1));
        return Finding::pass("clock_skew", found);
    }
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let found = format!("the provider's clock is {} s {side} this machine's", off.as_secs());
    let remedy = "find out which of the two is wrong (timedatectl, chronyc tracking) and \
                  synchronize it with a time server";
    if off >= leeway {
        let beyond = format!("{found}, more than token.leeway ({} s) tolerates", leeway.as_secs());
        Finding::fail("clock_skew", beyond, remedy)
    } else {
        Finding::warn("clock_skew", found, remedy)
    }
}

fn http_date(text: &str) -> Option<UnixTime> {
    let moment = httpdate::parse_http_date(text.trim()).ok()?;
    Some(UnixTime(moment.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::super::super::report::Outcome;
    use super::*;

    fn found(date: &str, age: &str, before: u64, after: u64, leeway: u64) -> Finding {
        let mut header = HeaderMap::new();
        header.insert(DATE, date.parse().unwrap());
        header.insert(AGE, age.parse().unwrap());
        let sample = Sample::of(&header, UnixTime(before), UnixTime(after));
        examine(&sample, Duration::from_secs(leeway))
    }

    const DATE_OF_1994: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AT: u64 = 784_111_777;

    #[test]
    fn both_directions_are_seen_and_the_round_trip_is_not_held_against_it() {
        for (before, after, age, outcome, part) in [
            (AT, AT, "0", Outcome::Pass, "within 1 s"),
            (AT - 4, AT + 4, "0", Outcome::Pass, "within 1 s"),
            (AT + 3, AT + 3, "0", Outcome::Pass, "within 2 s"),
            (AT + 10, AT + 10, "0", Outcome::Warn, "9 s behind"),
            (AT - 10, AT - 10, "0", Outcome::Warn, "9 s ahead"),
            (AT + 100, AT + 100, "0", Outcome::Fail, "99 s behind"),
            (AT - 61, AT - 61, "0", Outcome::Fail, "60 s ahead of"),
            // Kept by a cache for 100 s: that is no skew.
            (AT + 100, AT + 100, "100", Outcome::Pass, "within 1 s"),
        ] {
            let finding = found(DATE_OF_1994, age, before, after, 60);
            assert_eq!(finding.outcome, outcome, "{finding:?}");
            assert!(finding.found.contains(part), "{finding:?}");
        }
    }

    /// Whoever reads a date has to take all three forms (RFC 9110 section 5.6.7).
    #[test]
    fn the_older_forms_of_a_date_are_read() {
        for date in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            let finding = found(date, "0", AT + 100, AT + 100, 60);
            assert!(finding.found.contains("99 s behind"), "{date}: {finding:?}");
        }
    }

    #[test]
    fn without_a_date_nothing_is_claimed() {
        for date in ["", "yesterday", "1994-11-06T08:49:37Z", "x, 99 Foo 1994 a GMT"] {
            let finding = found(date, "0", AT, AT, 60);
            assert_eq!(finding.outcome, Outcome::Pass);
            assert!(finding.found.contains("unknown: the response has no Date"), "{finding:?}");
        }
    }
}
