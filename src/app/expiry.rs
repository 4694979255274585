//! Certificates that run out while the server runs: told when a month is left, when a week is, and
//! when nothing is. What is already so at the start or at a reload is a warning of the configuration.

use doorward_core::clock::UnixTime;

use crate::telemetry::{ConfigMetrics, LISTENERS};
use crate::tls_files::{Lifetime, told};
use crate::transport::ListenerTls;

/// Tells of each step once.
pub(super) struct ExpiryLog {
    metrics: ConfigMetrics,
    listeners: [(ListenerTls, Option<(UnixTime, Lifetime)>); 3],
}

impl ExpiryLog {
    pub(super) fn new(tls: &[ListenerTls; 3], metrics: ConfigMetrics) -> Self {
        Self { metrics, listeners: tls.clone().map(|tls| (tls, None)) }
    }

    /// Looks at the certificates that are shown.
    pub(super) fn look(&mut self, now: UnixTime) {
        for ((tls, known), listener) in self.listeners.iter_mut().zip(LISTENERS) {
            let expires = tls.expires();
            self.metrics.certificate(listener, expires);
            let left = expires.map(|expires| (expires, Lifetime::left(expires, now)));
            let shorter = |(expires, left): &(UnixTime, Lifetime)| {
                known.is_some_and(|(same, before)| same == *expires && before < *left)
            };
            if let Some((expires, _)) = left.filter(shorter) {
                tracing::warn!(
                    listener,
                    "the certificate {}: renew it; the new file is loaded automatically",
                    told(expires, now)
                );
            }
            *known = left;
        }
    }
}
