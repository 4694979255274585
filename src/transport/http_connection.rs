//! One connection of a front that speaks HTTP/1.1 or HTTP/2, as the client begins.

use std::task::Context;

use tokio::io::{AsyncRead, AsyncWrite};

use super::budget::Account;
use super::call::Call;
use super::h1_connection;
use super::h2_connection;
use super::intake::{Intake, Protocol};
use super::request_call::RequestCall;
use super::responder::Responder;
use super::session::{ConnectionError, Session};

/// Both protocols, as TLS names them.
pub(super) const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Serves a connection, as [`Front::serve`] has it.
///
/// [`Front::serve`]: super::server::Front::serve
pub(super) async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut session: Session,
    responder: impl Responder,
) -> Result<(), ConnectionError> {
    let io = session.first_words(Intake::detect(io)).await?;
    match io.protocol() {
        Protocol::Http1 => h1_connection::serve(io, session, responder).await,
        Protocol::Http2 => {
            let begin = |arrived, _: &Account, _: &mut Context<'_>| {
                let call: Box<dyn Call> = Box::new(RequestCall::new(&responder, arrived));
                Some(call)
            };
            h2_connection::serve(io, session, begin).await
        }
    }
}
