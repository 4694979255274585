//! One connection of a front that speaks HTTP/1.1 or HTTP/2, as the client begins.

use std::convert::Infallible;
use std::pin::pin;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::server::{
    CONNECTION_WINDOW_BYTES, ConnectionError, MAX_STREAMS, PATIENCE, STREAM_WINDOW_BYTES,
    told_to_stop,
};

/// What such a front answers with.
pub(super) type Answer = Response<Full<Bytes>>;

/// Both protocols, as TLS names them.
pub(super) const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Serves a connection, each request by `answer`, as [`Front::serve`] has it.
///
/// [`Front::serve`]: super::server::Front::serve
pub(super) async fn serve<F: Future<Output = Answer> + Send + 'static>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut stop: watch::Receiver<bool>,
    answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
) -> Result<(), ConnectionError> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = told_to_stop(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
