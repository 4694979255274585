//! Listening on loopback, and nowhere else.

use std::net::{SocketAddr, TcpListener};

use crate::loopback::is_loopback_address;

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
        /// Where.
        address: SocketAddr,
        /// What it said.
        source: std::io::Error,
    },
}

/// A listener on `address`, ready for tokio, and the address it really got.
pub(super) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    if !is_loopback_address(address.ip()) {
        return Err(ListenError::NotLoopback(address));
    }
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| ListenError::Bind { address, source })
}
