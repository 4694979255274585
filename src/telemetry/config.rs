//! Reloads of the configuration, and how long the certificates that are shown are good.

use doorward_core::clock::UnixTime;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Result};

use super::register::Register;

/// What is counted of the configuration.
#[derive(Clone)]
pub struct ConfigMetrics {
    reloads: IntCounterVec,
    last: IntGaugeVec,
    successful: IntGauge,
    certificates: IntGaugeVec,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reload {
    /// The new configuration is in force.
    Accepted,
    /// The old one serves on.
    Refused,
}

impl Reload {
    fn label(self) -> &'static str {
        self.into()
    }
}

impl ConfigMetrics {
    pub(super) fn new(register: Register<'_>) -> Result<Self> {
        let metrics = Self {
            reloads: register.counters(
                "doorward_config_reloads_total",
                "Reloads of the configuration.",
                &["outcome"],
            )?,
            last: register.gauges(
                "doorward_config_last_reload_timestamp_seconds",
                "When the configuration was last accepted, the start included, and last refused.",
                &["outcome"],
            )?,
            successful: register.gauge(
                "doorward_config_last_reload_successful",
                "1: the configuration in the files is in force. 0: it was refused.",
            )?,
            certificates: register.gauges(
                "doorward_certificate_expires_timestamp_seconds",
                "When the listener's certificate chain expires, by its earliest certificate.",
                &["listener"],
            )?,
        };
        for outcome in [Reload::Accepted, Reload::Refused] {
            let _ = metrics.reloads.with_label_values(&[outcome.label()]);
        }
        Ok(metrics)
    }

    /// Takes note of the configuration that is in force from the start.
    pub fn started(&self, now: UnixTime) {
        self.note(Reload::Accepted, now);
    }

    /// Takes note of a reload.
    pub fn reloaded(&self, outcome: Reload, now: UnixTime) {
        self.reloads.with_label_values(&[outcome.label()]).inc();
        self.note(outcome, now);
    }

    fn note(&self, outcome: Reload, now: UnixTime) {
        let seconds = i64::try_from(now.0).unwrap_or(i64::MAX);
        self.last.with_label_values(&[outcome.label()]).set(seconds);
        self.successful.set(i64::from(outcome == Reload::Accepted));
    }

    /// When the configuration was last taken, or last refused; `None`: never.
    #[must_use]
    pub fn last(&self, outcome: Reload) -> Option<UnixTime> {
        let seconds = self.last.with_label_values(&[outcome.label()]).get();
        u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(UnixTime)
    }

    /// Says when the certificate of a listener runs out; `None`: it shows none.
    pub fn certificate(&self, listener: &str, expires: Option<UnixTime>) {
        match expires.and_then(|expires| i64::try_from(expires.0).ok()) {
            Some(seconds) => self.certificates.with_label_values(&[listener]).set(seconds),
            None => drop(self.certificates.remove_label_values(&[listener])),
        }
    }
}
