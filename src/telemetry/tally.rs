//! The same metrics for a gateway that keeps statistics of its own: what has changed since it was
//! told last, so that no request pays for it.
//!
//! Not told are durations, which a gateway would have to be told of one by one, and what is of the
//! server's listeners and files.

use std::collections::HashMap;

use prometheus::proto::{Metric, MetricFamily, MetricType};

/// A metric that a gateway is told of.
#[derive(Debug)]
pub struct Statistic {
    /// Its name at `/metrics`.
    pub name: &'static str,
    /// The names of its labels, in the order of [`Change::labels`].
    pub labels: &'static [&'static str],
    /// Whether it only grows.
    pub is_counter: bool,
}

const fn counter(name: &'static str, labels: &'static [&'static str]) -> Statistic {
    Statistic { name, labels, is_counter: true }
}

const fn gauge(name: &'static str, labels: &'static [&'static str]) -> Statistic {
    Statistic { name, labels, is_counter: false }
}

/// Every metric that a gateway is told of.
pub const STATISTICS: [Statistic; 13] = [
    counter("doorward_checks_total", &["decision", "reason", "issuer"]),
    counter("doorward_dropped_groups_total", &["issuer"]),
    counter("doorward_dropped_scopes_total", &["issuer"]),
    counter("doorward_group_overage_total", &["issuer"]),
    counter("doorward_key_set_fetches_total", &["issuer", "outcome"]),
    gauge("doorward_key_set_keys", &["issuer"]),
    gauge("doorward_key_set_age_seconds", &["issuer"]),
    gauge("doorward_key_set_expires_seconds", &["issuer"]),
    counter("doorward_token_cache_hits_total", &[]),
    counter("doorward_token_cache_misses_total", &[]),
    counter("doorward_token_cache_evictions_total", &[]),
    gauge("doorward_token_cache_entries", &[]),
    gauge("doorward_build_info", &["version"]),
];

/// A change that the gateway is yet to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which of [`STATISTICS`].
    pub statistic: usize,
    /// The values of its labels.
    pub labels: Vec<String>,
    /// What changed.
    pub step: Step,
}

/// How the value of a statistic changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A counter grew by so much; 0 shows it.
    Add(u64),
    /// A gauge has this value now; what would be less than 0 is 0.
    Set(u64),
}

/// What a gateway was told so far.
#[derive(Debug, Default)]
pub struct Tally {
    told: HashMap<(usize, Vec<String>), u64>,
}

impl Tally {
    /// What has changed, and is told with this.
    pub fn changes(&mut self, families: &[MetricFamily]) -> Vec<Change> {
        let mut changes = Vec::new();
        for family in families {
            let place = STATISTICS.iter().position(|known| known.name == family.name());
            let Some((statistic, known)) = place.and_then(|at| Some((at, STATISTICS.get(at)?)))
            else {
                continue;
            };
            for metric in family.get_metric() {
                let key = (statistic, label_values(metric, known.labels));
                let value = value(family.get_field_type(), metric);
                let before = self.told.insert(key.clone(), value);
                let step = match (known.is_counter, before) {
                    (_, Some(before)) if before == value => continue,
                    (true, before) => Step::Add(value.saturating_sub(before.unwrap_or(0))),
                    (false, _) => Step::Set(value),
                };
                changes.push(Change { statistic, labels: key.1, step });
            }
        }
        changes
    }

    /// For one who was not told before: all counters, so that they are shown on, and with the next
    /// [`changes`](Self::changes) all gauges that there are then.
    #[must_use]
    pub fn again(&mut self) -> Vec<Change> {
        let is_counter =
            |statistic: usize| STATISTICS.get(statistic).is_some_and(|known| known.is_counter);
        self.told.retain(|(statistic, _), _| is_counter(*statistic));
        let again = |(statistic, labels): &(usize, Vec<String>)| Change {
            statistic: *statistic,
            labels: labels.clone(),
            step: Step::Add(0),
        };
        self.told.keys().map(again).collect()
    }
}

fn label_values(metric: &Metric, names: &[&str]) -> Vec<String> {
    let value = |name: &&str| {
        let label = metric.get_label().iter().find(|label| label.name() == *name);
        label.map_or("", |label| label.value()).to_owned()
    };
    names.iter().map(value).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "they count; the cast makes 0 of what is less"
)]
fn value(kind: MetricType, metric: &Metric) -> u64 {
    match kind {
        MetricType::COUNTER => metric.get_counter().get_value() as u64,
        MetricType::GAUGE => metric.get_gauge().get_value() as u64,
        MetricType::SUMMARY | MetricType::UNTYPED | MetricType::HISTOGRAM => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use doorward_core::decision::{Decision, Denial, Fault};
    use doorward_core::token_cache::Counters;

    use super::super::{KeySetFacts, Metrics};
    use super::*;

    #[test]
    fn what_changed_is_told_once() {
        let (metrics, cache) = (Metrics::new().unwrap(), Counters::default());
        let recorder = metrics.recorder(vec!["idp".into()]);
        let denied = Decision::Deny(Denial::from(Fault::NoCredentials));
        let mut tally = Tally::default();
        let gather = || metrics.gather(&cache, 3, &[]);
        let _ = tally.changes(&gather());
        assert_eq!(tally.changes(&gather()), []);
        recorder.record(&denied);
        recorder.record(&denied);
        let labels = ["deny", "missing_token", ""].map(str::to_owned).to_vec();
        let told = Change { statistic: 0, labels, step: Step::Add(2) };
        assert_eq!(tally.changes(&gather()), std::slice::from_ref(&told));
        assert!(tally.again().contains(&Change { step: Step::Add(0), ..told }));
        assert!(tally.changes(&gather()).iter().all(|change| matches!(change.step, Step::Set(_))));
    }

    /// Names and labels are those of `/metrics`.
    #[test]
    fn every_statistic_is_a_metric() {
        let (metrics, cache) = (Metrics::new().unwrap(), Counters::default());
        metrics.recorder(Vec::new()).record(&Decision::Deny(Denial::from(Fault::NoCredentials)));
        let (issuer, fetches) = ("idp".to_owned(), vec![("ok", 1)]);
        let (age, expires_in) = (Some(Duration::ZERO), Some(-1));
        let facts = KeySetFacts { issuer, fetches, age, expires_in, ..KeySetFacts::default() };
        let families = metrics.gather(&cache, 0, &[facts]);
        // Those are there as soon as a token lost something.
        let always = STATISTICS
            .iter()
            .filter(|one| !one.name.contains("_dropped_") && !one.name.contains("_group_overage_"));
        for Statistic { name, labels, is_counter } in always {
            let family = families.iter().find(|family| family.name() == *name).expect(name);
            assert_eq!(family.get_field_type() == MetricType::COUNTER, *is_counter, "{name}");
            let mut have: Vec<_> =
                family.get_metric()[0].get_label().iter().map(|label| label.name()).collect();
            let mut named = labels.to_vec();
            have.sort_unstable();
            named.sort_unstable();
            assert_eq!(have, named, "{name}");
        }
    }
}
