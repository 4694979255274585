//! What Doorward decides: allow with an identity, or deny with a reason.
//!
//! No status codes and no header syntax here: the transport translates.

use std::fmt;

/// Why a request was denied. The names ([`Reason::code`]) are stable: clients, logs,
/// metrics and `explain` all show the same ones.
///
/// To add one: add the variant, let the compiler lead you to its code and its status in
/// `transport/denial.rs`, and list it in the README's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// No method, or a path that does not start with `/`.
    MalformedRequest,
    /// No credentials where some are required.
    MissingToken,
    /// Not exactly one `Authorization: Bearer <token>` (RFC 6750 §2.1).
    MalformedHeader,
    /// Not a compact JWS of JSON objects, or beyond a limit.
    MalformedToken,
    /// An `alg`, `crit` or `typ` that is not accepted.
    UnsupportedToken,
    /// `iss` is none of the configured issuers.
    UnknownIssuer,
    /// The issuer publishes no usable key of that name.
    UnknownKey,
    /// The signature is not the key's.
    BadSignature,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `aud` (or the client) is not ours.
    BadAudience,
    /// A claim is missing, of a wrong type, or cannot be carried by a header.
    InvalidClaim,
    /// The token maps to a name that the platform reserves for itself.
    ReservedIdentity,
    /// None of the scopes that the route asks for.
    InsufficientScope,
    /// The policy said no.
    PolicyDenied,
    /// The issuer's keys were never obtained, are too old, or were still on their way.
    KeysUnavailable,
    /// The policy engine could not decide.
    PolicyUnavailable,
    /// Doorward itself failed while deciding.
    InternalError,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 18] = [
        Self::MalformedRequest,
        Self::MissingToken,
        Self::MalformedHeader,
        Self::MalformedToken,
        Self::UnsupportedToken,
        Self::UnknownIssuer,
        Self::UnknownKey,
        Self::BadSignature,
        Self::Expired,
        Self::NotYetValid,
        Self::BadAudience,
        Self::InvalidClaim,
        Self::ReservedIdentity,
        Self::InsufficientScope,
        Self::PolicyDenied,
        Self::KeysUnavailable,
        Self::PolicyUnavailable,
        Self::InternalError,
    ];

    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::MissingToken => "missing_token",
            Self::MalformedHeader => "malformed_header",
            Self::MalformedToken => "malformed_token",
            Self::UnsupportedToken => "unsupported_token",
            Self::UnknownIssuer => "unknown_issuer",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::BadAudience => "bad_audience",
            Self::InvalidClaim => "invalid_claim",
            Self::ReservedIdentity => "reserved_identity",
            Self::InsufficientScope => "insufficient_scope",
            Self::PolicyDenied => "policy_denied",
            Self::KeysUnavailable => "keys_unavailable",
            Self::PolicyUnavailable => "policy_unavailable",
            Self::InternalError => "internal_error",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
