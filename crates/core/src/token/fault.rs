//! Why a token is not accepted.

use super::kind::OtherKind;

/// What is wrong with a token, in the order of the checks.
///
/// The texts are for logs and `explain`; clients are told less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Longer than `token.max_token_bytes`.
    #[error("the token is longer than `token.max_token_bytes`")]
    TooLong,
    /// Not header.claims.signature.
    #[error("the token does not have three parts separated by dots")]
    NotThreeParts,
    /// A part is not base64url without padding.
    #[error("a part of the token is not base64url without padding")]
    NotBase64Url,
    /// The header is not a JSON object with members of the right types.
    #[error(
        "the token's header is not a JSON object with members of the right types and no \
             duplicates"
    )]
    HeaderNotAnObject,
    /// The claims are not a JSON object with distinct members.
    #[error("the token's claims are not a JSON object without duplicate members")]
    ClaimsNotAnObject,
    /// Arrays and objects nested beyond reason.
    #[error("the token's JSON is nested too deep")]
    NestedTooDeep,
    /// `alg: none`.
    #[error("the token is not signed (`alg: none`)")]
    Unsigned,
    /// An `alg` that is no asymmetric signature algorithm.
    #[error("the token's `alg` is not an asymmetric signature algorithm")]
    UnknownAlgorithm,
    /// A `crit` header: it asks for extensions, and Doorward knows none.
    #[error("the token's header has `crit`, and no extension is supported")]
    Critical,
    /// A `typ` that is not an access token's.
    #[error("the token's `typ` is neither absent, `JWT` nor `at+jwt`")]
    WrongType,
    /// `iss` is missing or not a string.
    #[error("the token has no `iss`, or one that is not a string")]
    NoIssuer,
    /// `iss` is none of ours.
    #[error("the token's `iss` is not a configured issuer")]
    UnknownIssuer,
    /// The issuer stands for many tenants and this is none of those allowed.
    #[error("the token's `tid` is missing, does not match `iss`, or is not an allowed tenant")]
    UnknownTenant,
    /// It says of itself that it is not for access.
    #[error("the token identifies itself as {0}, not an access token")]
    AnotherKind(OtherKind),
    /// It looks like an ID token, by this claim, and access tokens are required.
    #[error("the token looks like an ID token (`{0}`), and `require_access_token` is set")]
    LikeIdToken(&'static str),
    /// It is bound to a key (`cnf`), which a bearer does not show.
    #[error("the token is bound to a key (`cnf`), so a plain bearer must not use it")]
    BoundToKey,
    /// `alg` is not in the issuer's list.
    #[error("the token's `alg` is not among the issuer's `algorithms`")]
    AlgorithmNotAllowed,
    /// No key of that `kid`, for that algorithm and issuer.
    #[error("the issuer publishes no usable key for the token's `kid` and `alg`")]
    NoSuchKey,
    /// The signature is not that of the key.
    #[error("the token's signature does not verify")]
    BadSignature,
    /// It says that it is an access key of NeMo Platform where none may come, or does not say so
    /// where nothing else may.
    #[error("the token's `nmp_token_type` is not what this issuer's tokens have here")]
    WrongUse,
    /// A claim is missing that tokens of this kind must have.
    #[error("the token has no `{0}`, which tokens of its kind must have")]
    ClaimMissing(&'static str),
    /// `jti` is not in the form that access keys have.
    #[error("the access key's `jti` is not `ak_` and 32 hexadecimal digits")]
    NotAKeyId,
    /// `exp` is missing, or not a number.
    #[error("the token has no `exp`, or one that is not a number")]
    NoExpiry,
    /// `exp` is no date of this calendar: milliseconds, mostly.
    #[error("the token's `exp` is after the year 9999")]
    ExpiryBeyondReason,
    /// `exp` has passed.
    #[error("the token's `exp` has passed")]
    Expired,
    /// `nbf` or `iat` is not a number.
    #[error("the token's `nbf` or `iat` is not a number")]
    BadTime,
    /// `nbf` lies ahead.
    #[error("the token's `nbf` is in the future")]
    NotYetValid,
    /// `iat` lies ahead.
    #[error("the token's `iat` is in the future")]
    IssuedInFuture,
    /// From `iat`, or from now, to `exp` is longer than `max_lifetime`.
    #[error("the token lives longer than `max_lifetime`")]
    LivesTooLong,
    /// `aud` is missing, of a wrong type, or none of ours.
    #[error("the token's `aud` contains none of the configured audiences")]
    WrongAudience,
    /// `azp`, `appid`, `client_id` or `cid` is none of the allowed clients.
    #[error("the token's client is not among `allowed_clients`")]
    WrongClient,
}
