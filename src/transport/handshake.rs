//! TLS that is not agreed on: Envoy then answers every request 503, and knows less of the reason
//! than we do.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tokio_rustls::rustls::{AlertDescription, Error, InvalidMessage};

use super::log_limit::LogLimit;
use crate::telemetry::{ConnectionMetrics, TlsFailure};

/// Counts what fails at one listener, and tells of it now and then.
pub(super) struct Handshakes {
    /// `grpc`, `http` or `admin`.
    listener: &'static str,
    /// By reason, so that none hides another.
    told: Mutex<[LogLimit; TlsFailure::ALL.len()]>,
}

/// A handshake that failed.
#[derive(Debug)]
pub(super) struct Failure {
    why: TlsFailure,
    /// What TLS says, where that says more.
    detail: Option<String>,
}

impl Failure {
    /// TLS at a port without.
    pub(super) const TO_PLAINTEXT_PORT: Self =
        Self { why: TlsFailure::TlsToPlaintextPort, detail: None };
}

impl Handshakes {
    pub(super) fn new(listener: &'static str) -> Self {
        Self { listener, told: Mutex::default() }
    }

    /// Takes note of a failure.
    pub(super) fn failed(
        &self,
        failure: &Failure,
        peer: Option<IpAddr>,
        metrics: &ConnectionMetrics,
    ) {
        metrics.tls_failed(self.listener, failure.why);
        // A port that is only knocked at: every load balancer does that.
        if failure.why == TlsFailure::WentAway {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = told.get_mut(failure.why as usize).and_then(LogLimit::take_turn)
        else {
            return;
        };
        drop(told);
        let (listener, reason) = (self.listener, failure.why.label());
        let peer =
            peer.map_or_else(|| "a client on the unix socket".to_owned(), |ip| ip.to_string());
        let what = Told { peer: &peer, listener, failure };
        tracing::warn!(listener, peer, reason, left_out, "{what}");
    }
}

impl From<&io::Error> for Failure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the lists are open")]
    fn from(error: &io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            let why = match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe => TlsFailure::WentAway,
                _ => TlsFailure::Other,
            };
            return Self { why, detail: Some(error.to_string()) };
        };
        use AlertDescription as A;
        let (why, detail) = match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                (TlsFailure::Plaintext, None)
            }
            Error::AlertReceived(alert) => match alert {
                // BoringSSL says decrypt_error of an authority of the right name and another key.
                A::UnknownCA
                | A::DecryptError
                | A::BadCertificate
                | A::CertificateUnknown
                | A::CertificateExpired
                | A::CertificateRevoked
                | A::UnsupportedCertificate => {
                    (TlsFailure::CertificateRefused, Some(alert_name(*alert)))
                }
                A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity => {
                    (TlsFailure::Incompatible, Some(format!("alert {}", alert_name(*alert))))
                }
                _ => (TlsFailure::Other, Some(format!("alert {}", alert_name(*alert)))),
            },
            Error::NoCertificatesPresented => (TlsFailure::NoClientCertificate, None),
            Error::InvalidCertificate(fault) => {
                (TlsFailure::BadClientCertificate, Some(fault.to_string()))
            }
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
                (TlsFailure::Incompatible, Some(error.to_string()))
            }
            _ => (TlsFailure::Other, Some(error.to_string())),
        };
        Self { why, detail }
    }
}

/// As RFC 8446 §6 writes it: `unknown_ca`.
fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    let mut before = false;
    for char in format!("{alert:?}").chars() {
        if char.is_uppercase() && before {
            name.push('_');
        }
        before = char.is_lowercase();
        name.push(char.to_ascii_lowercase());
    }
    name
}

/// A failure in words, with what to do about it.
struct Told<'a> {
    peer: &'a str,
    listener: &'static str,
    failure: &'a Failure,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, listener, failure } = self;
        let detail = failure.detail.as_deref().unwrap_or_default();
        match failure.why {
            TlsFailure::Plaintext => write!(
                f,
                "{peer} spoke plaintext to the TLS port of server.{listener}: add a \
                 transport_socket to Envoy's cluster (envoy/envoy-tls.yaml)"
            ),
            TlsFailure::TlsToPlaintextPort if *listener == "console" => write!(
                f,
                "{peer} spoke TLS to the plaintext port of server.console: open it with http://, \
                 or set server.console.tls"
            ),
            TlsFailure::TlsToPlaintextPort => write!(
                f,
                "{peer} spoke TLS to the plaintext port of server.{listener}: set \
                 server.{listener}.tls, or remove the transport_socket from Envoy's cluster"
            ),
            TlsFailure::CertificateRefused => write!(
                f,
                "{peer} does not trust our certificate (alert {detail}): trusted_ca of Envoy's \
                 cluster must be the authority of server.{listener}.tls.cert, which must be for \
                 the host that Envoy asks for and currently valid"
            ),
            TlsFailure::NoClientCertificate => write!(
                f,
                "{peer} sent no client certificate, which server.{listener}.tls.client_ca \
                 requires: add tls_certificates to Envoy's cluster"
            ),
            TlsFailure::BadClientCertificate => write!(
                f,
                "{peer} sent a client certificate that is not accepted: {detail}; it must be \
                 signed by an authority in server.{listener}.tls.client_ca and currently valid"
            ),
            TlsFailure::Incompatible => write!(
                f,
                "{peer} and server.{listener} have no TLS version or cipher in common: {detail}; \
                 Doorward speaks TLS 1.2 and 1.3"
            ),
            TlsFailure::WentAway | TlsFailure::Other => {
                write!(f, "the TLS handshake of {peer} with server.{listener} failed: {detail}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As when an authority was made anew under its old name.
    #[test]
    fn a_certificate_is_refused_in_several_ways() {
        for (alert, name) in [
            (AlertDescription::DecryptError, "decrypt_error"),
            (AlertDescription::CertificateExpired, "certificate_expired"),
        ] {
            let failure = Failure::from(&io::Error::other(Error::AlertReceived(alert)));
            assert_eq!(failure.why, TlsFailure::CertificateRefused);
            assert_eq!(failure.detail.as_deref(), Some(name));
        }
    }

    #[test]
    fn alerts_have_the_names_of_the_standard() {
        for (alert, name) in [
            (AlertDescription::UnknownCA, "unknown_ca"),
            (AlertDescription::CertificateUnknown, "certificate_unknown"),
            (AlertDescription::ProtocolVersion, "protocol_version"),
        ] {
            assert_eq!(alert_name(alert), name);
        }
    }
}
