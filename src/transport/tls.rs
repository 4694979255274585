//! TLS for a listener: certificates from PEM files, TLS 1.2 and 1.3.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::config::TlsSettings;

/// The TLS of one listener, or none: what connections that come from now on are to speak.
#[derive(Clone)]
pub struct ListenerTls {
    config: Arc<ArcSwapOption<ServerConfig>>,
    /// Offered by ALPN.
    protocols: &'static [&'static [u8]],
}

/// Certificates that were read and can be used, but are not yet.
pub struct PreparedTls(Option<Arc<ServerConfig>>);

impl ListenerTls {
    pub(super) fn new(protocols: &'static [&'static [u8]]) -> Self {
        Self { config: Arc::default(), protocols }
    }

    /// Reads the files. Changes nothing yet.
    ///
    /// # Errors
    /// A file cannot be read, holds no PEM, or certificate and key do not go together.
    pub fn prepare(&self, settings: Option<&TlsSettings>) -> Result<PreparedTls, TlsError> {
        let read = |settings| server_config(settings, self.protocols).map(Arc::new);
        Ok(PreparedTls(settings.map(read).transpose()?))
    }

    /// From the next connection on; those that are there stay as they are.
    pub fn put_to_work(&self, prepared: PreparedTls) {
        self.config.store(prepared.0);
    }

    /// What a connection that comes now is to speak.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.config.load_full().map(TlsAcceptor::from)
    }
}

fn server_config(settings: &TlsSettings, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
    let TlsSettings { cert, key, client_ca } = settings;
    let chain = certificates(cert)?;
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
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, private_key)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
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
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file does not hold what it should.
    #[error("{path} is not the PEM file it should be")]
    NotPem {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The file is PEM, but no certificate is in it.
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    /// Certificate and key do not go together, or cannot be used.
    #[error("certificate and key cannot be used together")]
    Unusable(#[from] rustls::Error),
    /// The authorities for client certificates cannot be used.
    #[error("the certificates of `client_ca` cannot be used")]
    ClientCa(#[from] VerifierBuilderError),
}
