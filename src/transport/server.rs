//! One accept loop and one way to serve a connection, for all fronts.
//!
//! Connections are dealt to the workers in turn. Each worker is a thread with a runtime
//! of its own: Envoy keeps few connections and long ones, and dealing them out leaves no
//! worker idle as hashing them (`SO_REUSEPORT`) may.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Buf;
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::listener::{Accepted, Listener};
use super::tls::{TlsError, acceptor};
use crate::config::TlsSettings;

/// How many calls may be under way on one HTTP/2 connection; Envoy opens another one
/// beyond.
const MAX_STREAMS: u32 = 1024;
/// What a client may send ahead on one stream and on one connection, in bytes: a check is
/// some 3 KB, so no call ever waits for a window, and a connection's memory is bounded.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// How long a client may take for TLS, and for the head of an HTTP/1 request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an idle HTTP/2 connection is probed, so that those of vanished peers end.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Answers requests; one for each listener.
pub trait Front: Clone + Send + Sync + 'static {
    /// The body of its answers.
    type Body: Body<Data: Buf + Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Which protocols it speaks.
    const PROTOCOLS: Protocols;

    /// Answers one request.
    fn answer(
        self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Which protocols a front speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2 alone, as gRPC needs.
    Http2,
    /// HTTP/1.1 or HTTP/2, as the client begins.
    Both,
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
    tls: Option<TlsAcceptor>,
}

impl Port {
    /// Prepares TLS where it is configured.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn new<F: Front>(listener: Listener, tls: Option<&TlsSettings>) -> Result<Self, TlsError> {
        let protocols: &[&[u8]] = match F::PROTOCOLS {
            Protocols::Http2 => &[b"h2"],
            Protocols::Both => &[b"h2", b"http/1.1"],
        };
        let tls = tls.map(|settings| acceptor(settings, protocols)).transpose()?;
        Ok(Self { listener, tls })
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
                    let (tls, front, stop) = (self.tls.clone(), front.clone(), stop.clone());
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
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let stream = accepted.into_stream()?;
    match tls {
        None => serve_stream(TokioIo::new(stream), front, stop).await,
        Some(tls) => {
            let stream = tokio::time::timeout(PATIENCE, tls.accept(stream)).await??;
            serve_stream(TokioIo::new(stream), front, stop).await
        }
    }
}

async fn serve_stream<F: Front>(
    io: impl Read + Write + Unpin + Send + 'static,
    front: F,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEP_ALIVE);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let builder = match F::PROTOCOLS {
        Protocols::Http2 => {
            // gRPC has no use for it, and it is a header more to compress each time.
            builder.http2().auto_date_header(false);
            builder.http2_only()
        }
        Protocols::Both => builder,
    };
    let service = service_fn(move |request| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    let mut connection = pin!(builder.serve_connection(io, service));
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = told_to_stop(&mut stop) => {
            // No new calls; those under way are answered.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to tell us: stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}
