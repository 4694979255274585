//! Who answers the requests of an HTTP front.

use std::future::Future;

use ::http::{Request, Response};
use bytes::Bytes;

/// What such a front answers with.
pub(super) type Answer = Response<Bytes>;

/// Answers requests, whose bodies nobody looks at.
pub(super) trait Responder: Clone + Send + Sync + 'static {
    /// The answer to a request.
    fn answer(&self, request: Request<()>) -> impl Future<Output = Answer> + Send + use<Self>;

    /// The answer when there is no room to wait for another one.
    fn overloaded(&self) -> Answer;
}
