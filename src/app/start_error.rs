//! Why a server does not start, or does not take a new configuration.

use std::io;

use doorward_core::token_cache::NoRandomness;

use crate::config::ListenAddress;
use crate::tls_files::TlsError;
use crate::transport::BindError;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificates of a listener cannot be used.
    #[error("TLS configuration of `server.{listener}`")]
    Tls {
        /// `grpc`, `http` or `admin`.
        listener: &'static str,
        /// The system's answer.
        #[source]
        source: TlsError,
    },
    /// Unsigned tokens would be believed, and others than this machine can send them.
    #[error(
        "auth.allow_unsigned_jwt is true, and server.{listener} listens on {address}, which is not \
         loopback"
    )]
    UnsignedBeyondLoopback {
        /// `grpc`, `http` or `admin`.
        listener: &'static str,
        /// What is bound, whatever the new settings say.
        address: ListenAddress,
    },
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// No random key for the token cache.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Metrics cannot be registered.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// gRPC reflection cannot be set up.
    #[error("gRPC reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server's thread ended without a word.
    #[error("the server's thread has ended")]
    Died,
}
