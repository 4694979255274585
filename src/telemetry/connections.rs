//! Connections, and what of them and of their calls is not served to its end.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Result};
use strum::VariantArray as _;

use super::register::Register;

/// What is counted of connections.
#[derive(Clone)]
pub struct ConnectionMetrics {
    open: IntGauge,
    unfinished: IntGauge,
    closed: IntCounterVec,
    cut_off: IntCounterVec,
    tls_failures: IntCounterVec,
}

/// Why a connection was closed by us, or not taken.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Closed {
    /// It said nothing, or not all of its first words.
    #[error("the client sent nothing, or did not complete its preface")]
    Silent,
    /// It had no call for long.
    #[error("there was no call for a long time")]
    Idle,
    /// The client took no answers, or began headers without ending them.
    #[error("the client reads no responses, or does not finish the headers that it began")]
    Stalled,
    /// The headers that it began found no room.
    #[error("there is no memory left for the unfinished headers beside other unfinished calls")]
    OverBudget,
    /// Another connection needed its place.
    #[error("it was closed to make room for another connection")]
    MadeRoom,
    /// All places were taken by connections at work.
    #[error("the connection limit is reached")]
    NoPlace,
}

/// Why a call was ended before its decision, or before all of the answer was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CutOff {
    /// Its message did not come in time, or its answer was not taken in time.
    Late,
    /// What it held found no room.
    OverBudget,
}

/// Why the TLS of a connection was not agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum TlsFailure {
    /// Plaintext came to a port with TLS.
    Plaintext,
    /// TLS came to a port without.
    TlsToPlaintextPort,
    /// The client does not believe our certificate.
    CertificateRefused,
    /// The client has to show a certificate and shows none.
    NoClientCertificate,
    /// The one it shows is not of `client_ca`, or not valid.
    BadClientCertificate,
    /// No version of TLS, or no ciphers, that both know.
    Incompatible,
    /// The client went away in the middle.
    WentAway,
    /// The connection ended for a reason that is none of the others.
    Other,
}

impl TlsFailure {
    /// All of them.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// As metrics and the log have it.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// The listeners, as `server` names them.
pub const LISTENERS: [&str; 4] = ["grpc", "http", "admin", "console"];

impl ConnectionMetrics {
    pub(super) fn new(register: Register<'_>) -> Result<Self> {
        let metrics = Self {
            open: register
                .gauge("doorward_connections", "Connections to the gRPC and HTTP ports.")?,
            unfinished: register.gauge(
                "doorward_unfinished_bytes",
                "Bytes held by unfinished calls, of the budget that all connections share.",
            )?,
            closed: register.counters(
                "doorward_connections_closed_total",
                "Connections that Doorward closed or did not accept.",
                &["reason"],
            )?,
            cut_off: register.counters(
                "doorward_calls_cut_off_total",
                "Calls that ended before a decision or response.",
                &["reason"],
            )?,
            tls_failures: register.counters(
                "doorward_tls_handshake_failures_total",
                "TLS handshakes that failed.",
                &["listener", "reason"],
            )?,
        };
        // Each is shown from the start, so that its first increase is one.
        Closed::VARIANTS.iter().for_each(|reason| drop(metrics.closed_for(*reason)));
        CutOff::VARIANTS.iter().for_each(|reason| drop(metrics.cut_off_for(*reason)));
        for listener in LISTENERS {
            TlsFailure::ALL.iter().for_each(|why| drop(metrics.tls_failed_for(listener, *why)));
        }
        Ok(metrics)
    }

    /// Takes note of a connection that was closed.
    pub fn closed(&self, reason: Closed) {
        self.closed_for(reason).inc();
    }

    /// Takes note of a call that was cut off.
    pub fn cut_off(&self, reason: CutOff) {
        self.cut_off_for(reason).inc();
    }

    /// Takes note of a connection whose TLS was not agreed on.
    pub fn tls_failed(&self, listener: &'static str, why: TlsFailure) {
        self.tls_failed_for(listener, why).inc();
    }

    /// Says how many connections there are, and how many bytes unfinished calls share.
    pub fn set(&self, connections: usize, unfinished: usize) {
        self.open.set(i64::try_from(connections).unwrap_or(i64::MAX));
        self.unfinished.set(i64::try_from(unfinished).unwrap_or(i64::MAX));
    }

    fn closed_for(&self, reason: Closed) -> IntCounter {
        self.closed.with_label_values(&[<&str>::from(reason)])
    }

    fn tls_failed_for(&self, listener: &'static str, why: TlsFailure) -> IntCounter {
        self.tls_failures.with_label_values(&[listener, why.label()])
    }

    fn cut_off_for(&self, reason: CutOff) -> IntCounter {
        self.cut_off.with_label_values(&[<&str>::from(reason)])
    }
}
