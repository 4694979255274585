//! The compact serialization of a JWS (RFC 7515 §3.1), taken apart.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::NO_PAD;

use super::fault::TokenFault;
use crate::bearer::BearerToken;

/// Base64url without padding. It takes and refuses the same texts as the crate's plain engine, which
/// reads one character at a time; this one reads 32 where the processor can.
static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

/// Three base64url parts, decoded; their JSON not yet read.
pub struct CompactJws<'t> {
    signing_input: &'t [u8],
    /// Header, claims and signature, one behind the other.
    decoded: Vec<u8>,
    header_end: usize,
    claims_end: usize,
}

impl<'t> CompactJws<'t> {
    /// Takes `token` apart.
    ///
    /// # Errors
    /// It is longer than `max_bytes`, does not have exactly three parts (five would be
    /// an encrypted token), or one of them is not base64url without padding.
    pub fn decode(token: BearerToken<'t>, max_bytes: usize) -> Result<Self, TokenFault> {
        let token = token.as_bytes();
        if token.len() > max_bytes {
            return Err(TokenFault::TooLong);
        }
        // A third dot is looked for, however many there are.
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenFault::NotThreeParts);
        };
        let part = |range| token.get(range).ok_or(TokenFault::NotThreeParts);
        let (header, claims) = (part(0..first)?, part(first + 1..second)?);
        let (signing_input, signature) = (part(0..second)?, part(second + 1..token.len())?);
        let mut decoded = Vec::with_capacity(token.len() / 4 * 3 + 3);
        let mut decode = |part| {
            let decoding = BASE64URL.decode_vec(part, &mut decoded);
            decoding.map(|()| decoded.len()).map_err(|_| TokenFault::NotBase64Url)
        };
        let header_end = decode(header)?;
        let claims_end = decode(claims)?;
        decode(signature)?;
        Ok(Self { signing_input, decoded, header_end, claims_end })
    }

    /// What the signature is over (RFC 7515 §5.2 step 8).
    #[must_use]
    pub fn signing_input(&self) -> &'t [u8] {
        self.signing_input
    }

    /// The JSON of the JOSE header.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.decoded.get(..self.header_end).unwrap_or_default()
    }

    /// The JSON of the claims.
    #[must_use]
    pub fn claims(&self) -> &[u8] {
        self.decoded.get(self.header_end..self.claims_end).unwrap_or_default()
    }

    /// The signature, decoded.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        self.decoded.get(self.claims_end..).unwrap_or_default()
    }
}
