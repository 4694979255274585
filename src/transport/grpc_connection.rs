//! One HTTP/2 connection of gRPC calls, on the h2 crate itself.
//!
//! An HTTP server in between would start a task for each call and wake the connection for
//! each reply. Here a connection and its calls are one task: it takes in all that has
//! arrived, answers all it can, and then what the answers come to leaves together
//! (`docs/decisions/0005-server.md`).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use ::http::Request;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
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

/// Serves a connection, each call by the future that `call` makes of it, as
/// [`Front::serve`] has it.
///
/// [`Front::serve`]: super::server::Front::serve
pub(super) async fn serve<F: Future<Output = ()>>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut stop: watch::Receiver<bool>,
    call: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F,
) -> Result<(), ConnectionError> {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let io = BufReader::with_capacity(READ_BYTES, io);
    let connection = tokio::time::timeout(PATIENCE, builder.handshake(io)).await??;
    let mut calls = Calls { connection, under_way: FuturesUnordered::new(), call };

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

struct Calls<T, F, C> {
    connection: Connection<T, Bytes>,
    under_way: FuturesUnordered<F>,
    call: C,
}

impl<T, F, C> Calls<T, F, C>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = ()>,
    C: Fn(Request<RecvStream>, SendResponse<Bytes>) -> F,
{
    /// Ready when the connection has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        loop {
            // Reads, and writes what was answered in the round before.
            while let Poll::Ready(accepted) = pin!(self.connection.accept()).poll(context) {
                let Some(accepted) = accepted else { return Poll::Ready(Ok(())) };
                let (request, respond) = accepted?;
                self.under_way.push((self.call)(request, respond));
            }
            let mut answered = false;
            while let Poll::Ready(Some(())) = self.under_way.poll_next_unpin(context) {
                answered = true;
            }
            if !answered {
                return Poll::Pending;
            }
        }
    }
}
