//! One unary gRPC call (gRPC over HTTP/2, "Requests" and "Responses"), as far as `Check`
//! needs it.
//!
//! tonic would do, but for two things. Whatever it finds wrong with a message (too large,
//! compressed, cut off) it answers with a gRPC status, which Envoy does not take for a
//! denial. And it copies each message in and each reply out through buffers of its own,
//! where ours are slices of what was received and of what is cached.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::{HeaderMap, HeaderValue, Response, header};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A message's flag (not compressed) and length go before it.
pub(super) const PREFIX_BYTES: usize = 5;

/// DATA frames of less than 1,024 bytes are copied next to the frame before them, and leave
/// in one system call with it; larger ones are written by themselves (the h2 crate, without
/// vectored writes). A reply is a few of them.
const FRAME_BYTES: usize = 1023;

/// Reads the one message of a call.
///
/// # Errors
/// There is none, it is longer than `max_bytes`, or it is not as gRPC has it.
pub(super) async fn read_message(
    mut body: Incoming,
    max_bytes: usize,
) -> Result<Bytes, MessageFault> {
    let mut received = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| MessageFault::CutOff)?.into_data() else { continue };
        if received.is_empty() && joined.is_empty() {
            received = data;
        } else {
            // More than one DATA frame: rare, since a check is smaller than one.
            if joined.is_empty() {
                joined.extend_from_slice(&received);
            }
            joined.extend_from_slice(&data);
        }
        if joined.len().max(received.len()) > max_bytes.saturating_add(PREFIX_BYTES) {
            return Err(MessageFault::TooLong);
        }
    }
    unwrap_message(if joined.is_empty() { received } else { joined.freeze() })
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

/// A successful answer: a message with its prefix, then `grpc-status: 0`.
pub(super) fn reply(wrapped: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply { rest: wrapped, ended: false });
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

/// The body of a successful answer.
#[derive(Debug)]
pub struct Reply {
    rest: Bytes,
    ended: bool,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.rest.is_empty() {
            let length = self.rest.len().min(FRAME_BYTES);
            return Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        self.ended = true;
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
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
