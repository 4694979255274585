//! One HTTP/2 connection of gRPC calls, on the h2 crate itself.
//!
//! An HTTP server in between would start a task for each call and wake the connection for
//! each reply. Here a connection and its calls are one task: it takes in all that has
//! arrived, answers all it can, and then what the answers come to leaves together
//! (`docs/decisions/0005-server.md`).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use ::http::Request;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::sync::watch;

use super::server::{
    CONNECTION_WINDOW_BYTES, ConnectionError, MAX_STREAMS, PATIENCE, STREAM_WINDOW_BYTES,
    told_to_stop,
};

/// HTTP/2, as TLS names it.
pub(super) const PROTOCOLS: &[&[u8]] = &[b"h2"];

/// How much is taken from the system at once: the checks of a dozen streams. The h2 crate
/// by itself would ask for 8 KiB.
const READ_BYTES: usize = 32 * 1024;

/// How many calls are taken in before the first of them is answered. What can be answered
/// at once leaves together; a client that sends more without a pause waits no longer for
/// its first answers than these take.
const CALLS_AT_ONCE: usize = 32;

/// What is left to do for a call that could not be answered at once.
pub(super) type Call<'f> = Pin<Box<dyn Future<Output = ()> + Send + 'f>>;

/// Serves a connection, as [`Front::serve`] has it. `begin` answers a call, or says what is
/// left to do for it.
///
/// [`Front::serve`]: super::server::Front::serve
pub(super) async fn serve<'f>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut stop: watch::Receiver<bool>,
    begin: impl Fn(Request<RecvStream>, SendResponse<Bytes>, &mut Context<'_>) -> Option<Call<'f>>,
) -> Result<(), ConnectionError> {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let hold = Hold::default();
    let io = BufReader::with_capacity(READ_BYTES, Held { io, hold: hold.clone() });
    let connection = tokio::time::timeout(PATIENCE, builder.handshake(io)).await??;
    let (arrived, waiting) = (Vec::new(), FuturesUnordered::new());
    let mut calls = Calls { connection, hold, arrived, waiting, begin };

    let mut stop = pin!(told_to_stop(&mut stop));
    let mut stopping = false;
    poll_fn(|context| {
        if !stopping && stop.as_mut().poll(context).is_ready() {
            stopping = true;
            // No new calls; the connection ends when those under way are answered.
            calls.connection.graceful_shutdown();
        }
        calls.poll(context)
    })
    .await
}

struct Calls<'f, T, B> {
    connection: Connection<T, Bytes>,
    /// On what `connection` writes.
    hold: Hold,
    /// Taken in and not looked at; empty between two polls.
    arrived: Vec<(Request<RecvStream>, SendResponse<Bytes>)>,
    waiting: FuturesUnordered<Call<'f>>,
    begin: B,
}

impl<'f, T, B> Calls<'f, T, B>
where
    T: AsyncRead + AsyncWrite + Unpin,
    B: Fn(Request<RecvStream>, SendResponse<Bytes>, &mut Context<'_>) -> Option<Call<'f>>,
{
    /// Ready when the connection has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        // What h2 has to write of itself waits for the answers to what came with it: clients
        // in Go send a ping along with nearly every batch of calls.
        self.hold.set(true);
        let ended = self.take_in(context);
        self.hold.set(false);
        if ended.is_ready() {
            return ended;
        }
        loop {
            self.answer(context);
            // Writes what was answered, and may find that more has arrived.
            if let Poll::Ready(end) = self.take_in(context) {
                return Poll::Ready(end);
            }
            if self.arrived.is_empty() {
                return Poll::Pending;
            }
        }
    }

    /// Takes in the calls that have arrived, and writes. Ready when the connection has ended.
    fn take_in(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while self.arrived.len() < CALLS_AT_ONCE {
            match ready!(self.connection.poll_accept(context)) {
                Some(accepted) => self.arrived.push(accepted?),
                None => return Poll::Ready(Ok(())),
            }
        }
        Poll::Pending
    }

    /// Answers what can be answered.
    fn answer(&mut self, context: &mut Context<'_>) {
        for (request, respond) in self.arrived.drain(..) {
            self.waiting.extend((self.begin)(request, respond, context));
        }
        while let Poll::Ready(Some(())) = self.waiting.poll_next_unpin(context) {}
    }
}

/// Whether a [`Held`] stream writes.
#[derive(Clone, Default)]
struct Hold(Arc<AtomicBool>);

impl Hold {
    fn set(&self, held: bool) {
        // Both ends are in one task.
        self.0.store(held, Ordering::Relaxed);
    }
}

/// A stream that writes nothing while it is held, and wakes nobody when it no longer is:
/// whoever holds it lets go and polls again before resting.
struct Held<T> {
    io: T,
    hold: Hold,
}

impl<T: Unpin> Held<T> {
    fn writable(self: Pin<&mut Self>) -> Poll<Pin<&mut T>> {
        if self.hold.0.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Poll::Ready(Pin::new(&mut self.get_mut().io))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Held<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Held<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.writable()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writable()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writable()).poll_shutdown(context)
    }
}
