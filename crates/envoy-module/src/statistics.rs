//! The server's metrics as statistics of Envoy's.

use doorward::telemetry::{Change, STATISTICS, Step};

use crate::abi::{EnvoyConfiguration, StatisticId};

/// The statistics, as they are defined for one configuration.
pub struct Statistics([Option<StatisticId>; STATISTICS.len()]);

impl Statistics {
    /// Defines all of them; Envoy takes none later.
    #[must_use]
    pub fn define(envoy: &EnvoyConfiguration<'_>) -> Self {
        Self(STATISTICS.each_ref().map(|one| envoy.define(one.name, one.labels, one.is_counter)))
    }

    /// Tells Envoy what has changed.
    pub fn tell(&self, envoy: &EnvoyConfiguration<'_>, changes: &[Change]) {
        for Change { statistic, labels, step } in changes {
            let Some(Some(id)) = self.0.get(*statistic) else { continue };
            match step {
                Step::Add(value) => envoy.add(*id, labels, *value),
                Step::Set(value) => envoy.set(*id, labels, *value),
            }
        }
    }
}
