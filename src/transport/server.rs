//! One accept loop for all fronts.
//!
//! Connections are dealt to the workers in turn. Each worker is a thread with a runtime
//! of its own: Envoy keeps few connections and long ones, and dealing them out leaves no
//! worker idle as hashing them (`SO_REUSEPORT`) may.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::handshake::{Failure, Handshakes};
use super::listener::{Accepted, Listener};
use super::log_limit::LogLimit;
use super::session::{ConnectionError, Resources, Session, told_to_stop};
use super::tls::ListenerTls;
use crate::config::{ListenAddress, TlsSettings};
use crate::tls_files::TlsError;

/// Answers requests; one for each listener.
pub trait Front: Clone + Send + Sync + 'static {
    /// The protocols it speaks, the preferred one first, as TLS names them (RFC 7301).
    const PROTOCOLS: &'static [&'static [u8]];

    /// Serves one connection to its end. Once the session is told to end, no new requests are
    /// taken and those under way are answered.
    fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        session: Session,
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
    handshakes: Arc<Handshakes>,
}

impl Port {
    /// Prepares TLS where it is configured. `name` is that of the listener: `grpc`, `http` or
    /// `admin`.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub fn new<F: Front>(
        name: &'static str,
        listener: Listener,
        tls: Option<&TlsSettings>,
    ) -> Result<Self, TlsError> {
        let own = ListenerTls::new(F::PROTOCOLS);
        own.put_to_work(own.prepare(tls)?);
        Ok(Self { listener, tls: own, handshakes: Arc::new(Handshakes::new(name)) })
    }

    /// Its TLS, to be renewed while it serves.
    #[must_use]
    pub fn tls(&self) -> ListenerTls {
        self.tls.clone()
    }

    /// Accepts connections and deals them to the workers until `stop` says so. Every
    /// connection holds a clone of `stop`: when none is left, all have ended.
    pub async fn serve<F: Front>(
        self,
        front: F,
        workers: Workers,
        resources: Resources,
        stop: watch::Receiver<bool>,
    ) {
        let mut stopped = stop.clone();
        let mut log = LogLimit::default();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = told_to_stop(&mut stopped) => return,
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tell(&mut log, self.listener.address(), &error);
                    if lacks_resources(&error) {
                        // Whoever says nothing has to give a file back.
                        resources.close_one();
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    continue;
                }
            };
            let session = match resources.session(stop.clone()).await {
                Ok(session) => session,
                Err(reason) => {
                    resources.metrics().closed(reason);
                    tell(&mut log, self.listener.address(), &reason);
                    continue;
                }
            };
            let (tls, front) = (self.tls.acceptor(), front.clone());
            let handshakes = Arc::clone(&self.handshakes);
            workers.deal(Box::pin(async move {
                let served = serve_connection(accepted, tls, &handshakes, front, session);
                if let Err(error) = served.await {
                    tracing::debug!(error = &*error, "connection ended with an error");
                }
            }));
        }
    }
}

/// Whether a connection could not be accepted for want of files or memory. Otherwise it is the
/// connection's own fault: it has gone already, say.
fn lacks_resources(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

fn tell(limit: &mut LogLimit, address: &ListenAddress, error: &dyn fmt::Display) {
    if let Some(left_out) = limit.take_turn() {
        tracing::warn!(%error, %address, left_out, "cannot accept");
    }
}

async fn serve_connection<F: Front>(
    accepted: Accepted,
    tls: Option<TlsAcceptor>,
    handshakes: &Handshakes,
    front: F,
    mut session: Session,
) -> Result<(), ConnectionError> {
    let (peer, metrics) = (accepted.peer(), session.metrics.clone());
    let stream = accepted.into_stream()?;
    let Some(tls) = tls else {
        let is_tls = async { Ok::<_, ConnectionError>(stream.begins_with_tls().await) };
        if session.first_words(is_tls).await? {
            handshakes.failed(&Failure::TO_PLAINTEXT_PORT, peer, &metrics);
            return Err("TLS to a port without".into());
        }
        return front.serve(stream, session).await;
    };
    let accept = tls.accept(stream);
    let shake_hands = async {
        accept.await.inspect_err(|error| handshakes.failed(&error.into(), peer, &metrics))
    };
    let stream = session.first_words(shake_hands).await?;
    front.serve(stream, session).await
}
