//! The configuration of a filter: `filter_config` → one at work, shared with others like it.

use std::sync::Arc;

use doorward::app::{Embedded, announce};
use doorward::config::{ConfigFaults, Loaded, load_filter_config};

use crate::abi::EnvoyConfiguration;
use crate::log;
use crate::statistics::Statistics;

/// The only `filter_name` there is.
pub const FILTER_NAME: &[u8] = b"doorward";

/// One configuration of the filter.
pub struct Configuration {
    /// Nothing, where Envoy only validates: no request comes then.
    embedded: Option<Arc<Embedded>>,
    statistics: Statistics,
}

impl Configuration {
    /// Reads a configuration and puts it to work; `None`: it has faults, which the log tells.
    #[must_use]
    pub fn new(envoy: &EnvoyConfiguration<'_>, name: &[u8], config: &[u8]) -> Option<Self> {
        log::install();
        if name != FILTER_NAME {
            log::error("filter_name: the only name is `doorward`");
            return None;
        }
        match load_filter_config(config) {
            Ok(loaded) => Self::of(envoy, loaded),
            Err(faults) => {
                reject(&faults);
                None
            }
        }
    }

    fn of(envoy: &EnvoyConfiguration<'_>, loaded: Loaded) -> Option<Self> {
        announce(&loaded);
        let statistics = Statistics::define(envoy);
        if envoy.only_validates() {
            return Some(Self { embedded: None, statistics });
        }
        let scheduler = envoy.scheduler();
        match Embedded::start(loaded.settings, move || scheduler.commit()) {
            Ok(embedded) => Some(Self { embedded: Some(embedded), statistics }),
            Err(error) => {
                log::error(&format!("the filter cannot be put to work: {error}"));
                None
            }
        }
    }

    /// What requests are decided by.
    #[must_use]
    pub fn embedded(&self) -> Option<&Embedded> {
        self.embedded.as_deref()
    }

    /// Tells Envoy what has changed of the statistics.
    pub fn tell(&self, envoy: &EnvoyConfiguration<'_>) {
        if let Some(embedded) = &self.embedded {
            self.statistics.tell(envoy, &embedded.changes());
        }
    }
}

/// Tells all that is wrong, a line each. Envoy's own answer says no more than that it was refused.
fn reject(faults: &ConfigFaults) {
    log::error(&format!("this configuration is rejected; one that serves stays in use:\n{faults}"));
}
