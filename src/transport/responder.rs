//! Who answers the requests of an HTTP front.

use std::future::Future;

use ::http::request::Parts;
use ::http::{Request, Response};
use bytes::Bytes;

/// What such a front answers with.
pub(super) type Answer = Response<Bytes>;

/// Answers requests.
pub(super) trait Responder: Clone + Send + Sync + 'static {
    /// How much of the body of a request with this head is read, over HTTP/1; a longer one is
    /// refused. Where it is 0, the body is not looked at.
    ///
    /// # Errors
    /// The answer to a request that is refused for its head alone: none of its body is waited for.
    fn body_limit(&self, _head: &Parts) -> Result<usize, Box<Answer>> {
        Ok(0)
    }

    /// The answer to a request whose head was not refused.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Answer> + Send + use<Self>;

    /// The answer when there is no room to wait for another one.
    fn overloaded(&self) -> Answer;
}
