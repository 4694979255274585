//! The certificates and the key of a listener, as PEM files: read, held against each other, dated.
//! `config check` asks what `serve` asks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use doorward_core::clock::UnixTime;

/// What a listener needs to speak TLS 1.2 and 1.3.
#[derive(Debug)]
pub struct TlsFiles {
    /// Certificates and key; what ALPN offers is the listener's to say.
    pub config: ServerConfig,
    /// When the first certificate of the chain runs out; `None` when a date cannot be read.
    pub expires: Option<UnixTime>,
}

impl TlsFiles {
    /// Reads the chain, its key, and the authorities of client certificates where they are asked
    /// for.
    ///
    /// # Errors
    /// A file cannot be read, holds no PEM, or certificate and key do not go together.
    pub fn read(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Self, TlsError> {
        let chain = certificates(cert)?;
        let expires = chain.iter().filter_map(expiry).min();
        let private_key = PrivateKeyDer::from_pem_file(key).map_err(pem_error(key))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, private_key).map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) {
                TlsError::OtherKey { cert: cert.to_owned(), key: key.to_owned() }
            } else {
                error.into()
            }
        })?;
        Ok(Self { config, expires })
    }
}

/// How long before a certificate runs out that is told, and told more loudly.
const SOON: [u64; 2] = [30, 7];
const DAY: u64 = 24 * 3600;

/// How near the end of a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifetime {
    /// More than a month.
    Long,
    /// Thirty days or fewer.
    Month,
    /// Seven days or fewer.
    Week,
    /// It has run out.
    Over,
}

impl Lifetime {
    /// What is left at `now` of something that runs out at `expires`.
    #[must_use]
    pub fn left(expires: UnixTime, now: UnixTime) -> Self {
        let [month, week] = SOON.map(|days| days * DAY);
        match expires.0.saturating_sub(now.0) {
            0 => Self::Over,
            left if left <= week => Self::Week,
            left if left <= month => Self::Month,
            _ => Self::Long,
        }
    }
}

/// What is left of a certificate, for people.
#[must_use]
pub fn told(expires: UnixTime, now: UnixTime) -> String {
    let days = |seconds: u64| match seconds / DAY {
        0 => "less than a day".to_owned(),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    };
    match expires.0.checked_sub(now.0) {
        Some(left @ 1..) => format!("expires in {}", days(left)),
        Some(0) | None => format!("expired {} ago", days(now.0 - expires.0.min(now.0))),
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok().map(UnixTime)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem_error(path))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

fn pem_error(path: &Path) -> impl Fn(pem::Error) -> TlsError {
    move |error| {
        let path = path.to_owned();
        if let pem::Error::Io(source) = error {
            TlsError::Unreadable { path, source }
        } else {
            TlsError::NotPem { path, source: error }
        }
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file that was to be read.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file does not hold what it should.
    #[error("{path} is not the expected PEM file")]
    NotPem {
        /// The file that was to be read.
        path: PathBuf,
        /// What of it is no PEM.
        #[source]
        source: pem::Error,
    },
    /// The file is PEM, but no certificate is in it.
    #[error("{0} contains no certificate")]
    NoCertificate(PathBuf),
    /// The key is another certificate's.
    #[error("the key in {key} does not match the first certificate in {cert}")]
    OtherKey {
        /// The file with the certificate chain.
        cert: PathBuf,
        /// The file with the private key.
        key: PathBuf,
    },
    /// Certificate and key cannot be used.
    #[error("certificate and key cannot be used together")]
    Unusable(#[from] rustls::Error),
    /// The authorities for client certificates cannot be used.
    #[error("the certificates of `client_ca` cannot be used")]
    ClientCa(#[from] VerifierBuilderError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_told_in_three_steps() {
        let left =
            |days: u64| Lifetime::left(UnixTime(1000 * DAY + days * DAY), UnixTime(1000 * DAY));
        assert_eq!(
            [left(31), left(30), left(8), left(7), left(1), left(0)],
            [
                Lifetime::Long,
                Lifetime::Month,
                Lifetime::Month,
                Lifetime::Week,
                Lifetime::Week,
                Lifetime::Over
            ]
        );
        assert_eq!(told(UnixTime(20 * DAY), UnixTime(15 * DAY)), "expires in 5 days");
        assert_eq!(told(UnixTime(15 * DAY), UnixTime(20 * DAY)), "expired 5 days ago");
        assert_eq!(told(UnixTime(20), UnixTime(15)), "expires in less than a day");
    }
}
