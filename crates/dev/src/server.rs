//! A server on loopback, and nowhere else.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Host;

/// Largest body that is read.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// Why a development server does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address can be reached from other machines.
    #[error(
        "{0} can be reached from other machines; this server is for development and listens on \
         loopback only (127.0.0.1 or [::1])"
    )]
    NotLoopback(SocketAddr),
    /// The operating system refused.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What it said.
        source: std::io::Error,
    },
}

/// A server that ends with its handle.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    router: Router,
    serving: JoinSet<()>,
}

impl Server {
    /// Serves what `router` makes for the address, once it is known: port 0 takes a free one.
    pub(crate) async fn start(
        address: SocketAddr,
        router: impl FnOnce(SocketAddr) -> Router,
    ) -> Result<Self, ListenError> {
        if !address.ip().is_loopback() {
            return Err(ListenError::NotLoopback(address));
        }
        let failed = |source| ListenError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mut server = Self { address, router: router(address), serving: JoinSet::new() };
        server.serve(listener);
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses connections from now on.
    pub(crate) async fn stop(&mut self) {
        self.serving.shutdown().await;
    }

    /// Takes connections again, at the same address.
    pub(crate) async fn restart(&mut self) -> Result<(), ListenError> {
        let address = self.address;
        let listener = TcpListener::bind(address).await;
        self.serve(listener.map_err(|source| ListenError::Bind { address, source })?);
        Ok(())
    }

    fn serve(&mut self, listener: TcpListener) {
        let router = self.router.clone();
        // That it ended before it was told to, nobody could do anything about.
        self.serving.spawn(async move { drop(axum::serve(listener, router).await) });
    }
}

/// Whether a host, as it stands in a URL, can only be this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        Err(_) => false,
    }
}

/// A panic elsewhere leaves nothing half-written here, so its poison is ignored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
