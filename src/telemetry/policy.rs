//! The policy, where there is one: whether it is in force, how old it is, how often it was loaded.

use std::time::Duration;

use prometheus::{IntCounterVec, IntGaugeVec, Result};

use super::register::{Register, catch_up};

/// What is counted of the policy.
#[derive(Clone)]
pub struct PolicyMetrics {
    loads: IntCounterVec,
    loaded: IntGaugeVec,
    age: IntGaugeVec,
}

/// What a policy looks like at the time of a scrape.
#[derive(Clone, Debug)]
pub struct PolicyFacts {
    /// Who decides.
    pub provider: &'static str,
    /// Whether there is one in force.
    pub is_loaded: bool,
    /// Since it was read, or found to be the newest.
    pub age: Option<Duration>,
    /// Loads so far, by outcome.
    pub loads: Vec<(&'static str, u64)>,
}

impl PolicyMetrics {
    pub(super) fn new(register: Register<'_>) -> Result<Self> {
        Ok(Self {
            loads: register.counters(
                "doorward_policy_loads_total",
                "Loads of policies.",
                &["outcome"],
            )?,
            loaded: register.gauges(
                "doorward_policy_loaded",
                "1: a policy is in force. 0: requests are answered with 503.",
                &["provider"],
            )?,
            age: register.gauges(
                "doorward_policy_age_seconds",
                "Seconds since the policy was read, or found to be the newest.",
                &["provider"],
            )?,
        })
    }

    /// Brings up to date what is counted elsewhere; `None`: there is no policy.
    pub fn look(&self, facts: Option<&PolicyFacts>) {
        self.loaded.reset();
        self.age.reset();
        let Some(facts) = facts else { return };
        for (outcome, count) in &facts.loads {
            catch_up(&self.loads.with_label_values(&[*outcome]), *count);
        }
        let provider = &[facts.provider];
        self.loaded.with_label_values(provider).set(i64::from(facts.is_loaded));
        if let Some(age) = facts.age {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            self.age.with_label_values(provider).set(seconds);
        }
    }
}
