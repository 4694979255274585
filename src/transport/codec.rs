//! How tonic reads and writes `Check`: a lean message in, ready bytes out.

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::lean;

/// Lean request, pre-encoded response.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeanCodec;

impl Codec for LeanCodec {
    type Encode = Bytes;
    type Decode = lean::CheckRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        Self
    }
}

impl Encoder for LeanCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, reply: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(reply);
        Ok(())
    }
}

impl Decoder for LeanCodec {
    type Item = lean::CheckRequest;
    type Error = Status;

    /// A message that cannot be read becomes an empty one: it is then denied as a
    /// malformed request, where a gRPC error could be taken for an allow.
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        // One `Bytes` for all: the message's fields become slices of it.
        let message = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(lean::CheckRequest::decode(message).unwrap_or_default()))
    }
}
