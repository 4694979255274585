//! Who answers the requests of an HTTP front.

use std::future::Future;

use ::http::{Request, Response};
use bytes::Bytes;

/// What such a front answers with.
pub(super) type Answer = Response<Bytes>;

/// Answers requests.
pub(super) trait Responder: Clone + Send + Sync + 'static {
    /// How much of a request's body is read, over HTTP/1; a longer one is refused. Where it is 0,
    /// bodies are not looked at.
    const MAX_BODY_BYTES: usize = 0;

    /// The answer to a request.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Answer> + Send + use<Self>;

    /// The answer when there is no room to wait for another one.
    fn overloaded(&self) -> Answer;
}
