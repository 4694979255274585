//! One accept loop for all fronts.
//!
//! Connections are dealt to the workers in turn. Each worker is a thread with a runtime
//! of its own: Envoy keeps few connections and long ones, and dealing them out leaves no
//! worker idle as hashing them (`SO_REUSEPORT`) may.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::listener::{Accepted, Listener};
use super::tls::{ListenerTls, TlsError};
use crate::config::TlsSettings;

/// How many calls may be under way on one HTTP/2 connection; Envoy opens another one
/// beyond.
pub(super) const MAX_STREAMS: u32 = 1024;
/// What a client may send ahead on one stream and on one connection, in bytes: a check is
/// some 3 KB, so no call ever waits for a window, and a connection's memory is bounded.
pub(super) const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// How long a client may take for TLS, for its first words in HTTP/2, and for the head of
/// an HTTP/1 request.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection ended before its time. Only told in the log, at debug level.
pub type ConnectionError = Box<dyn Error + Send + Sync>;

/// Answers requests; one for each listener.
pub trait Front: Clone + Send + Sync + 'static {
    /// The protocols it speaks, the preferred one first, as TLS names them (RFC 7301).
    const PROTOCOLS: &'static [&'static [u8]];

    /// Serves one connection to its end. Once `stop` says so, no new requests are taken
    /// and those under way are answered.
    fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        stop: watch::Receiver<bool>,
    ) -> impl Future<Output = Result<(), ConnectionError>> + Send;
}

/// A connection to be served, on whichever runtime it is spawned.
pub type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The threads that serve connections, seen from the accept loops.
#[derive(Clone)]
pub struct Workers {
    queues: Arc<[mpsc::UnboundedSender<Job>]>,
    next: Arc<AtomicUsize>,
}

impl Workers {
    /// Deals jobs to these queues.
    #[must_use]
    pub fn new(queues: Vec<mpsc::UnboundedSender<Job>>) -> Self {
        Self { queues: queues.into(), next: Arc::default() }
    }

    fn deal(&self, job: Job) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len().max(1);
        if let Some(queue) = self.queues.get(turn) {
            // A closed queue belongs to a worker that has stopped: we are stopping too.
            let _ = queue.send(job);
        }
    }
}

/// A listener with its TLS, ready to be served.
pub struct Port {
    listener: Listener,
    tls: ListenerTls,
}

impl Port {
    /// Prepares TLS where it is configured.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn new<F: Front>(listener: Listener, tls: Option<&TlsSettings>) -> Result<Self, TlsError> {
        let own = ListenerTls::new(F::PROTOCOLS);
        own.put_to_work(own.prepare(tls)?);
        Ok(Self { listener, tls: own })
    }

    /// Its TLS, to be renewed while it serves.
    #[must_use]
    pub fn tls(&self) -> ListenerTls {
        self.tls.clone()
    }

    /// Accepts connections and deals them to the workers until `stop` says so. Every
    /// connection holds a clone of `stop`: when none is left, all have ended.
    pub async fn serve<F: Front>(self, front: F, workers: Workers, stop: watch::Receiver<bool>) {
        let mut stopped = stop.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = told_to_stop(&mut stopped) => return,
            };
            match accepted {
                Ok(accepted) => {
                    let (tls, front, stop) = (self.tls.acceptor(), front.clone(), stop.clone());
                    workers.deal(Box::pin(async move {
                        if let Err(error) = serve_connection(accepted, tls, front, stop).await {
                            tracing::debug!(error = &*error, "connection ended with an error");
                        }
                    }));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: try again rather than give up.
                    tracing::warn!(%error, address = %self.listener.address(), "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn serve_connection<F: Front>(
    accepted: Accepted,
    tls: Option<TlsAcceptor>,
    front: F,
    stop: watch::Receiver<bool>,
) -> Result<(), ConnectionError> {
    let stream = accepted.into_stream()?;
    match tls {
        None => front.serve(stream, stop).await,
        Some(tls) => {
            let stream = tokio::time::timeout(PATIENCE, tls.accept(stream)).await??;
            front.serve(stream, stop).await
        }
    }
}

/// Waits until `stop` says so.
pub(super) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to tell us: stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}
