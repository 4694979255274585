//! The messages of one unary gRPC call (gRPC over HTTP/2, "Requests" and "Responses"), as
//! far as `Check` needs it.
//!
//! tonic would do, but for two things. Whatever it finds wrong with a message (too large,
//! compressed, cut off) it answers with a gRPC status, which Envoy does not take for a
//! denial. And it copies each message in and each reply out through buffers of its own,
//! where ours are slices of what was received and of what is cached.

use std::mem;
use std::task::{Context, Poll, ready};

use ::http::{HeaderMap, HeaderValue, Response, header};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;

/// A message's flag (not compressed) and length go before it.
pub(super) const PREFIX_BYTES: usize = 5;

/// DATA frames of less than 1,024 bytes are copied next to the frame before them, and leave
/// in one system call with it; larger ones are written by themselves (the h2 crate, without
/// vectored writes). A reply is a few of them.
const FRAME_BYTES: usize = 1023;

/// The one message of a call, on its way in.
pub(super) struct IncomingMessage {
    body: RecvStream,
    max_bytes: usize,
    received: Bytes,
}

impl IncomingMessage {
    /// A message of at most `max_bytes`.
    pub(super) fn new(body: RecvStream, max_bytes: usize) -> Self {
        Self { body, max_bytes, received: Bytes::new() }
    }

    /// The message, when it has arrived; not to be polled again then.
    ///
    /// # Errors
    /// There is none, it is longer than allowed, or it is not as gRPC has it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, MessageFault>> {
        while let Some(data) = ready!(self.body.poll_data(context)) {
            let Ok(data) = data else { return Poll::Ready(Err(MessageFault::CutOff)) };
            // The client may send as much again. An error means that it has gone: then
            // there is no more to come either.
            let _ = self.body.flow_control().release_capacity(data.len());
            let before = mem::take(&mut self.received);
            self.received = if before.is_empty() { data } else { joined(before, &data) };
            if self.received.len() > self.max_bytes.saturating_add(PREFIX_BYTES) {
                return Poll::Ready(Err(MessageFault::TooLong));
            }
            if self.body.is_end_stream() {
                break;
            }
        }
        Poll::Ready(unwrap_message(mem::take(&mut self.received)))
    }
}

/// A message in more than one DATA frame: rare, since a check is smaller than one.
fn joined(received: Bytes, more: &[u8]) -> Bytes {
    let mut joined = BytesMut::from(received);
    joined.extend_from_slice(more);
    joined.freeze()
}

/// Takes the prefix off. A second message behind the first is no unary call.
fn unwrap_message(mut received: Bytes) -> Result<Bytes, MessageFault> {
    if received.len() < PREFIX_BYTES {
        return Err(MessageFault::CutOff);
    }
    let flag = received.get_u8();
    let length = received.get_u32();
    if flag != 0 {
        return Err(MessageFault::Compressed);
    }
    if usize::try_from(length) == Ok(received.len()) {
        Ok(received)
    } else {
        Err(MessageFault::CutOff)
    }
}

/// Writes the prefix of a message of this length, in bytes.
pub(super) fn put_prefix(length: usize, out: &mut BytesMut) {
    out.put_u8(0);
    // Our replies are a few kilobytes.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Sends a successful answer: a message with its prefix, then `grpc-status: 0`.
///
/// # Errors
/// The call or its connection has ended meanwhile.
pub(super) fn send_reply(
    mut wrapped: Bytes,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    head.headers_mut().insert(header::CONTENT_TYPE, grpc);
    let mut body = respond.send_response(head, false)?;
    while !wrapped.is_empty() {
        let length = wrapped.len().min(FRAME_BYTES);
        body.send_data(wrapped.split_to(length), false)?;
    }
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    body.send_trailers(trailers)
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageFault {
    /// Longer than is ever needed.
    TooLong,
    /// Compressed, which nobody was offered.
    Compressed,
    /// The connection broke, or the length is not what was said.
    CutOff,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_unwrapped_when_its_length_is_right() {
        let unwrap = |bytes: &'static [u8]| unwrap_message(Bytes::from_static(bytes));
        assert_eq!(unwrap(b"\0\0\0\0\x02ab").unwrap(), "ab");
        assert_eq!(unwrap(b"\0\0\0\0\0").unwrap(), "");
        assert_eq!(unwrap(b"\x01\0\0\0\x02ab"), Err(MessageFault::Compressed));
        for odd in
            [&b""[..], b"\0\0\0", b"\0\0\0\0\x03ab", b"\0\0\0\0\x01ab", b"\0\xff\xff\xff\xffa"]
        {
            assert_eq!(unwrap(odd), Err(MessageFault::CutOff), "{odd:?}");
        }
        let mut wrapped = BytesMut::new();
        put_prefix(3, &mut wrapped);
        wrapped.extend_from_slice(b"abc");
        assert_eq!(unwrap_message(wrapped.freeze()).unwrap(), "abc");
    }
}
