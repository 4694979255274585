//! Certificates that run out while the server runs: told when a month is left, when a week is, and
//! when nothing is. What is already so at the start or at a reload is a warning of the configuration.

use doorward_core::clock::UnixTime;

use crate::telemetry::ConfigMetrics;
use crate::tls_files::{Lifetime, told};
use crate::transport::ListenerTls;

/// Tells of each step once.
pub(super) struct ExpiryLog {
    metrics: ConfigMetrics,
    listeners: Vec<Certificate>,
}

/// The certificate of one listener, and what was known of it at the last look.
type Certificate = (&'static str, ListenerTls, Option<(UnixTime, Lifetime)>);

impl ExpiryLog {
    pub(super) fn new(tls: &[(&'static str, ListenerTls)], metrics: ConfigMetrics) -> Self {
        let listeners = tls.iter().map(|(name, tls)| (*name, tls.clone(), None)).collect();
        Self { metrics, listeners }
    }

    /// Looks at the certificates that are shown.
    pub(super) fn look(&mut self, now: UnixTime) {
        for (listener, tls, known) in &mut self.listeners {
            let expires = tls.expires();
            self.metrics.certificate(listener, expires);
            let left = expires.map(|expires| (expires, Lifetime::left(expires, now)));
            let shorter = |(expires, left): &(UnixTime, Lifetime)| {
                known.is_some_and(|(same, before)| same == *expires && before < *left)
            };
            if let Some((expires, _)) = left.filter(shorter) {
                tracing::warn!(
                    listener = *listener,
                    "the certificate {}: renew it; the new file is loaded automatically",
                    told(expires, now)
                );
            }
            *known = left;
        }
    }
}
