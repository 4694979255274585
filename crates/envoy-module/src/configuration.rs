//! The configuration of a filter: `filter_config` → one at work, shared with others like it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward::app::{Embedded, announce};
use doorward::config::{ConfigFaults, Loaded, load_filter_config};
use doorward::discovery::{Call, CarrierFault};

use crate::abi::{Answered, CallFault, ConfigurationScheduler, EnvoyConfiguration, Headers};
use crate::statistics::Statistics;
use crate::{log, request};

/// The only `filter_name` there is.
pub const FILTER_NAME: &[u8] = b"doorward";

/// One configuration of the filter.
pub struct Configuration {
    /// Nothing, where Envoy only validates: no request comes then.
    embedded: Option<Arc<Embedded>>,
    statistics: Statistics,
    /// Nothing any more where this is about to go, and perhaps Envoy's main thread with it.
    scheduler: Arc<Mutex<Option<ConfigurationScheduler>>>,
    /// Calls to clusters that are under way, by Envoy's number; the main thread's alone.
    calls: Mutex<HashMap<u64, Call>>,
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
        let mut configuration =
            Self { embedded: None, statistics, scheduler: Arc::default(), calls: Mutex::default() };
        if envoy.only_validates() {
            return Some(configuration);
        }
        *lock(&configuration.scheduler) = Some(envoy.scheduler());
        let scheduler = Arc::clone(&configuration.scheduler);
        let teller = move || {
            if let Some(scheduler) = &*lock(&scheduler) {
                scheduler.commit();
            }
        };
        match Embedded::start(loaded.settings, teller) {
            Ok(embedded) => {
                configuration.embedded = Some(embedded);
                Some(configuration)
            }
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

    /// Tells Envoy what has changed of the statistics, and has it fetch what is to be fetched.
    pub fn scheduled(&self, envoy: &EnvoyConfiguration<'_>) {
        let Some(embedded) = &self.embedded else { return };
        self.statistics.tell(envoy, &embedded.changes());
        for call in embedded.calls() {
            let sent = envoy.send(&call.cluster, &request::headers_of(&call), call.timeout);
            match sent {
                Ok(id) => drop(lock(&self.calls).insert(id, call)),
                Err(fault) => call.answer(Err(told(fault))),
            }
        }
    }

    /// Hands over what came of a call.
    pub fn answered(&self, id: u64, answer: Answered<'_>) {
        let call = lock(&self.calls).remove(&id);
        if let Some(call) = call {
            let whole = |(headers, body): (Headers<'_>, Vec<u8>)| {
                request::answer_of(&headers, body).ok_or(CarrierFault::Reset)
            };
            call.answer(answer.map_err(told).and_then(whole));
        }
    }
}

impl Drop for Configuration {
    /// Envoy drops with a configuration what was called through it: whoever serves on calls again.
    fn drop(&mut self) {
        *lock(&self.scheduler) = None;
        let calls = std::mem::take(&mut *lock(&self.calls));
        if let Some(embedded) = self.embedded.take() {
            embedded.return_calls(calls.into_values());
            embedded.end();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told(fault: CallFault) -> CarrierFault {
    match fault {
        CallFault::NoCluster => CarrierFault::NoCluster,
        CallFault::NoHost => CarrierFault::NoHost,
        CallFault::Reset => CarrierFault::Reset,
        CallFault::TooLarge => CarrierFault::TooLarge,
    }
}

/// Tells all that is wrong, a line each. Envoy's own answer says no more than that it was refused.
fn reject(faults: &ConfigFaults) {
    log::error(&format!("this configuration is rejected; one that serves stays in use:\n{faults}"));
}
