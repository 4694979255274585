//! Counters, gauges and histograms as Envoy keeps them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What a module counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What becomes of the old value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Add(u64),
    Subtract(u64),
    Set(u64),
    /// A histogram's; what is kept is how many there were.
    Record,
}

/// `envoy_dynamic_module_type_metrics_result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Outcome {
    Success = 0,
    NotFound = 1,
    InvalidLabels = 2,
    Frozen = 3,
}

/// One store for all configurations, as in Envoy.
static VALUES: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// What a configuration has defined.
#[derive(Default)]
pub(crate) struct Statistics {
    /// By id.
    defined: Vec<(Kind, String, Vec<String>)>,
    /// From the end of the configuration's hook on nothing can be defined.
    frozen: bool,
}

impl Statistics {
    pub(crate) fn freeze(&mut self) {
        self.frozen = true;
    }

    pub(crate) fn define(
        &mut self,
        kind: Kind,
        name: String,
        labels: Vec<String>,
    ) -> Result<usize, Outcome> {
        if self.frozen {
            return Err(Outcome::Frozen);
        }
        self.defined.push((kind, name, labels));
        Ok(self.defined.len())
    }

    pub(crate) fn change(
        &mut self,
        kind: Kind,
        id: usize,
        values: &[String],
        change: Change,
    ) -> Outcome {
        let defined = id.checked_sub(1).and_then(|index| self.defined.get(index));
        let Some((_, name, labels)) = defined.filter(|(defined, ..)| *defined == kind) else {
            return Outcome::NotFound;
        };
        if labels.len() != values.len() {
            return Outcome::InvalidLabels;
        }
        let pairs = labels.iter().zip(values).map(|(label, value)| format!("{label}=\"{value}\""));
        let pairs: Vec<_> = pairs.collect();
        let key = match pairs.is_empty() {
            true => name.clone(),
            false => format!("{name}{{{}}}", pairs.join(",")),
        };
        let mut values = VALUES.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.entry(key).or_default();
        *value = match change {
            Change::Add(more) => value.saturating_add(more),
            Change::Subtract(less) => value.saturating_sub(less),
            Change::Set(new) => new,
            Change::Record => *value + 1,
        };
        Outcome::Success
    }
}

/// All that modules count in this process: by name, labels as Prometheus writes them.
#[must_use]
pub fn statistics() -> BTreeMap<String, u64> {
    VALUES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
