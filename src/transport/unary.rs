//! The messages of one unary gRPC call (gRPC over HTTP/2, "Requests" and "Responses"), as
//! far as `Check` needs it.
//!
//! tonic would do, but for two things. Whatever it finds wrong with a message (too large,
//! compressed, cut off) it answers with a gRPC status, which Envoy does not take for a
//! denial. And it copies each message in and each reply out through buffers of its own,
//! where ours are slices of what was received and of what is cached.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::{HeaderMap, HeaderValue, Response, header};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use super::budget::{CALL_BYTES, Held, OverBudget};
use super::h2_connection::STREAM_WINDOW_BYTES;

/// Larger messages are denied: Envoy's limit for headers is far below.
pub(super) const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// A message's flag (not compressed) and length go before it.
pub(super) const PREFIX_BYTES: usize = 5;

/// DATA frames of less than 1,024 bytes are copied next to the frame before them, and leave
/// in one system call with it; larger ones are written by themselves (the h2 crate, without
/// vectored writes). A reply is a few of them.
const FRAME_BYTES: usize = 1023;

/// What there is of a call's message when the call arrives.
pub(super) enum Arrival {
    /// All of it, as nearly always; or what cannot be read.
    Message(Result<Bytes, MessageFault>),
    /// A part, or nothing yet.
    Part(IncomingMessage),
    /// The call was reset.
    Gone,
}

/// Takes what is there of the message of a call.
pub(super) fn receive(mut body: RecvStream, context: &mut Context<'_>) -> Arrival {
    let part = match body.poll_data(context) {
        Poll::Pending => Bytes::new(),
        Poll::Ready(None) => return Arrival::Message(Err(MessageFault::CutOff)),
        Poll::Ready(Some(Err(_))) => return Arrival::Gone,
        // Dropped with its stream, the data is given back to the connection's window; the
        // stream needs no more of its own.
        Poll::Ready(Some(Ok(data))) if body.is_end_stream() => {
            return Arrival::Message(unwrap_message(data));
        }
        Poll::Ready(Some(Ok(data))) => data,
    };
    match IncomingMessage::new(body, &part) {
        Ok(incoming) => Arrival::Part(incoming),
        Err(fault) => Arrival::Message(Err(fault)),
    }
}

/// The one message of a call, when it does not come at once.
pub(super) struct IncomingMessage {
    body: RecvStream,
    /// A copy: what the h2 crate hands out is part of a larger buffer, which would be kept.
    received: BytesMut,
    /// Prefix and message, in bytes.
    expected: Option<usize>,
    /// Not yet given back to the stream's window, in bytes.
    withheld: usize,
    room: Room,
}

/// Leave to grow beyond the stream's window, given to few of a connection's messages at once.
/// The others wait where they are, at the client: held up, they cost at most their window.
enum Room {
    NotAsked,
    Asked(Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>),
    Given(#[expect(dead_code, reason = "held for its Drop")] OwnedSemaphorePermit),
}

/// How the wait for a message ends.
pub(super) enum Received {
    Message(Result<Bytes, MessageFault>),
    /// The call was reset.
    Gone,
}

impl IncomingMessage {
    fn new(body: RecvStream, part: &[u8]) -> Result<Self, MessageFault> {
        let (received, expected) = (BytesMut::new(), None);
        let mut incoming = Self { body, received, expected, withheld: 0, room: Room::NotAsked };
        incoming.append(part)?;
        Ok(incoming)
    }

    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.received.capacity()
    }

    /// Whether it is we who keep it from growing.
    pub(super) fn waits_for_room(&self) -> bool {
        matches!(self.room, Room::Asked(_))
    }

    /// The message, when it has arrived; not to be polled again then.
    ///
    /// # Errors
    /// There is no room for more of it.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        held: &mut Held,
    ) -> Poll<Result<Received, OverBudget>> {
        while let Poll::Ready(data) = self.body.poll_data(context) {
            let message = match data {
                Some(Err(_)) => return Poll::Ready(Ok(Received::Gone)),
                Some(Ok(data)) => match self.append(&data) {
                    Ok(()) => {
                        held.set(CALL_BYTES.saturating_add(self.bytes()))?;
                        continue;
                    }
                    Err(fault) => Err(fault),
                },
                // The end, or trailers, which are the end of the data too.
                None => unwrap_message(mem::take(&mut self.received).freeze()),
            };
            return Poll::Ready(Ok(Received::Message(message)));
        }
        if self.expected.is_some_and(|expected| expected > STREAM_WINDOW_BYTES as usize) {
            ready!(self.poll_room(context, held))?;
            // An error means that the client has gone: then there is no more to come either.
            let _ = self.body.flow_control().release_capacity(mem::take(&mut self.withheld));
        }
        Poll::Pending
    }

    fn append(&mut self, part: &[u8]) -> Result<(), MessageFault> {
        self.withheld += part.len();
        if self.received.is_empty()
            && let Some(expected) = read_prefix(part)?
        {
            self.received.reserve(expected.min(STREAM_WINDOW_BYTES as usize));
        }
        self.received.extend_from_slice(part);
        if self.expected.is_none() {
            self.expected = read_prefix(&self.received)?;
        }
        match self.expected {
            Some(expected) if self.received.len() > expected => Err(MessageFault::CutOff),
            _ => Ok(()),
        }
    }

    fn poll_room(
        &mut self,
        context: &mut Context<'_>,
        held: &mut Held,
    ) -> Poll<Result<(), OverBudget>> {
        let expected = self.expected.unwrap_or_default();
        loop {
            match &mut self.room {
                Room::Given(_) => return Poll::Ready(Ok(())),
                Room::Asked(asked) => {
                    let permit = ready!(asked.as_mut().poll(context)).map_err(|_| OverBudget)?;
                    held.set(CALL_BYTES.saturating_add(expected))?;
                    self.received.reserve(expected.saturating_sub(self.received.len()));
                    self.room = Room::Given(permit);
                }
                Room::NotAsked => self.room = Room::Asked(Box::pin(held.room_to_grow(expected))),
            }
        }
    }
}

/// Prefix and message, in bytes; `None` when not even the prefix is there.
fn read_prefix(mut received: &[u8]) -> Result<Option<usize>, MessageFault> {
    if received.len() < PREFIX_BYTES {
        return Ok(None);
    }
    if received.get_u8() != 0 {
        return Err(MessageFault::Compressed);
    }
    match usize::try_from(received.get_u32()) {
        Ok(length) if length <= MAX_MESSAGE_BYTES => Ok(Some(PREFIX_BYTES + length)),
        _ => Err(MessageFault::TooLong),
    }
}

/// Takes the prefix off. A second message behind the first is no unary call.
fn unwrap_message(mut received: Bytes) -> Result<Bytes, MessageFault> {
    if read_prefix(&received)? != Some(received.len()) {
        return Err(MessageFault::CutOff);
    }
    received.advance(PREFIX_BYTES);
    Ok(received)
}

/// Writes the prefix of a message of this length, in bytes.
pub(super) fn put_prefix(length: usize, out: &mut BytesMut) {
    out.put_u8(0);
    // Our replies are a few kilobytes.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Sends a successful answer: a message with its prefix, then `grpc-status: 0`. What the
/// client's window has no room for is still to be sent.
///
/// # Errors
/// The call or its connection has ended meanwhile.
pub(super) fn send_reply(
    wrapped: Bytes,
    respond: &mut SendResponse<Bytes>,
) -> Result<Option<Outgoing>, h2::Error> {
    let mut head = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    head.headers_mut().insert(header::CONTENT_TYPE, grpc);
    let body = respond.send_response(head, false)?;
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Outgoing { body, rest: wrapped, trailers: Some(trailers) }.send()
}

/// An answer on its way out. The h2 crate would take all of it, and keep what the client's
/// window does not let out for as long as the client likes.
pub(super) struct Outgoing {
    body: SendStream<Bytes>,
    rest: Bytes,
    trailers: Option<HeaderMap>,
}

impl Outgoing {
    pub(super) fn new(body: SendStream<Bytes>, rest: Bytes) -> Self {
        Self { body, rest, trailers: None }
    }

    /// What is still to be sent, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rest.len()
    }

    /// Sends it, if there is room for all of it, else nothing of it yet.
    pub(super) fn send(mut self) -> Result<Option<Self>, h2::Error> {
        let length = self.rest.len();
        self.body.reserve_capacity(length);
        if self.body.capacity() < length {
            return Ok(Some(self));
        }
        send_frames(&mut self.body, &mut self.rest, length, self.trailers.is_none())?;
        if let Some(trailers) = self.trailers {
            self.body.send_trailers(trailers)?;
        }
        Ok(None)
    }

    /// Goes on sending; ready when all is sent, or nobody wants it any more.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let is_last = self.trailers.is_none();
        let is_wanted = ready!(send_what_fits(&mut self.body, &mut self.rest, is_last, context))?;
        Poll::Ready(match self.trailers.take() {
            Some(trailers) if is_wanted => self.body.send_trailers(trailers),
            _ => Ok(()),
        })
    }
}

/// Sends what the client's window lets out. Ready when that is all of it, or with `false` when
/// nobody wants it any more. `is_last`: the stream ends with it.
pub(super) fn send_what_fits(
    body: &mut SendStream<Bytes>,
    rest: &mut Bytes,
    is_last: bool,
    context: &mut Context<'_>,
) -> Poll<Result<bool, h2::Error>> {
    while !rest.is_empty() {
        body.reserve_capacity(rest.len());
        let room = body.capacity().min(rest.len());
        if room > 0 {
            send_frames(body, rest, room, is_last)?;
            continue;
        }
        match ready!(body.poll_capacity(context)) {
            Some(room) => drop(room?),
            None => return Poll::Ready(Ok(false)),
        }
    }
    Poll::Ready(Ok(true))
}

/// Sends so many bytes, which there is room for.
fn send_frames(
    body: &mut SendStream<Bytes>,
    rest: &mut Bytes,
    mut bytes: usize,
    is_last: bool,
) -> Result<(), h2::Error> {
    while bytes > 0 {
        let frame = rest.split_to(bytes.min(FRAME_BYTES));
        bytes -= frame.len();
        body.send_data(frame, is_last && rest.is_empty())?;
    }
    Ok(())
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
        assert_eq!(unwrap(b"\0\xff\xff\xff\xffa"), Err(MessageFault::TooLong));
        for odd in [&b""[..], b"\0\0\0", b"\0\0\0\0\x03ab", b"\0\0\0\0\x01ab"] {
            assert_eq!(unwrap(odd), Err(MessageFault::CutOff), "{odd:?}");
        }
        let mut wrapped = BytesMut::new();
        put_prefix(3, &mut wrapped);
        wrapped.extend_from_slice(b"abc");
        assert_eq!(unwrap_message(wrapped.freeze()).unwrap(), "abc");
    }
}
