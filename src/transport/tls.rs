//! TLS for a listener: what is in force, and what may take its place.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use doorward_core::clock::UnixTime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::config::TlsSettings;
use crate::tls_files::{TlsError, TlsFiles};

/// The TLS of one listener, or none: what connections that come from now on are to speak.
#[derive(Clone)]
pub struct ListenerTls {
    in_force: Arc<ArcSwapOption<InForce>>,
    /// Offered by ALPN.
    protocols: &'static [&'static [u8]],
}

/// Certificates that were read and can be used, but are not yet.
pub struct PreparedTls(Option<Arc<InForce>>);

struct InForce {
    config: Arc<ServerConfig>,
    expires: Option<UnixTime>,
}

impl ListenerTls {
    pub(super) fn new(protocols: &'static [&'static [u8]]) -> Self {
        Self { in_force: Arc::default(), protocols }
    }

    /// Reads the files. Changes nothing yet.
    ///
    /// # Errors
    /// A file cannot be read, holds no PEM, or certificate and key do not go together.
    pub fn prepare(&self, settings: Option<&TlsSettings>) -> Result<PreparedTls, TlsError> {
        let read = |settings: &TlsSettings| {
            let TlsSettings { cert, key, client_ca } = settings;
            let TlsFiles { mut config, expires } = TlsFiles::read(cert, key, client_ca.as_deref())?;
            config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
            Ok::<_, TlsError>(Arc::new(InForce { config: Arc::new(config), expires }))
        };
        Ok(PreparedTls(settings.map(read).transpose()?))
    }

    /// From the next connection on; those that are there stay as they are.
    pub fn put_to_work(&self, prepared: PreparedTls) {
        self.in_force.store(prepared.0);
    }

    /// When the certificate that is shown runs out; `None`: none is shown, or it tells no date.
    #[must_use]
    pub fn expires(&self) -> Option<UnixTime> {
        self.in_force.load().as_ref()?.expires
    }

    /// What a connection that comes now is to speak.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        let in_force = self.in_force.load();
        Some(TlsAcceptor::from(Arc::clone(&in_force.as_ref()?.config)))
    }
}
