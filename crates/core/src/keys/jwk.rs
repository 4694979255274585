//! One JSON Web Key (RFC 7517) made ready to verify, or the reason it is left out.
//!
//! All that can be settled before a token comes is settled here: which algorithms the
//! key serves, and the public key parsed once for each of them.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, AlgorithmSet};
use super::ed25519::is_weak_point;

/// Smallest RSA modulus accepted, in bits (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;
/// Largest RSA modulus accepted, in bits: the crypto library verifies no larger one.
const MAX_RSA_BITS: usize = 8192;

/// A public key that can verify signatures.
pub struct VerificationKey {
    kid: Option<Box<str>>,
    issuer: Option<Box<str>>,
    kind: KeyKind,
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with a modulus of so many bits.
    Rsa(usize),
    /// A point on the curve of this name.
    Curve(&'static str),
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA of {bits} bits"),
            Self::Curve(name) => f.write_str(name),
        }
    }
}

/// A key parsed once for each algorithm that it serves.
type Verifiers = Vec<(Algorithm, ParsedPublicKey)>;

impl VerificationKey {
    /// Reads one member of a JWKS `keys` array.
    ///
    /// # Errors
    /// Why the key must not be used; the rest of its set is unaffected.
    pub fn from_jwk(jwk: &Value) -> Result<Self, UnusableKey> {
        let jwk = jwk.as_object().ok_or(UnusableKey::NotAnObject)?;
        check_purpose(jwk)?;
        let bound = bound_algorithm(jwk)?;
        let (kind, verifiers) = match text(jwk, "kty")?.ok_or(UnusableKey::Missing("kty"))? {
            "RSA" => rsa(jwk, bound)?,
            "EC" => elliptic(jwk, bound)?,
            "OKP" => edwards(jwk, bound)?,
            "oct" => return Err(UnusableKey::Symmetric),
            _ => return Err(UnusableKey::UnknownType),
        };
        Ok(Self {
            kid: said(jwk, "kid")?.map(Box::from),
            issuer: text(jwk, "issuer")?.map(Box::from),
            kind,
            verifiers,
        })
    }

    /// The key's `kid`, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The issuer this key alone may sign for, as the key itself says (Azure's JWKS;
    /// may hold `{tenantid}`).
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The algorithms the key serves.
    #[must_use]
    pub fn algorithms(&self) -> AlgorithmSet {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm).collect()
    }

    /// All that makes two keys the same key, in an order to sort by.
    pub(super) fn content(&self) -> impl Ord + '_ {
        let material: Option<&[u8]> = self.verifiers.first().map(|(_, key)| key.as_ref());
        (self.kid(), self.issuer(), self.algorithms().bits(), material)
    }

    /// Whether `signature` is this key's over `message` with `algorithm`; `false` also
    /// when the key does not serve that algorithm.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.verifiers
            .iter()
            .find(|(served, _)| *served == algorithm)
            .is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }
}

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerificationKey")
            .field("kid", &self.kid)
            .field("issuer", &self.issuer)
            .field("algorithms", &self.algorithms())
            .finish()
    }
}

/// Why a key of a JWKS is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableKey {
    /// The member of `keys` is not a JSON object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// The member's JSON cannot be read: nested too deep, half a surrogate pair.
    #[error("its JSON is nested too deep, or it contains a string that is not Unicode")]
    Unreadable,
    /// A parameter that the key type needs is absent.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A parameter has the wrong type or is not base64url without padding.
    #[error("`{0}` is malformed")]
    Malformed(&'static str),
    /// `kty: oct`: whoever can verify with it could sign with it.
    #[error("it is symmetric (`kty: oct`)")]
    Symmetric,
    /// A `kty` other than `RSA`, `EC` and `OKP`.
    #[error("its `kty` is not RSA, EC or OKP")]
    UnknownType,
    /// A `crv` that no supported algorithm uses.
    #[error("its `crv` is not P-256, P-384, P-521 or Ed25519")]
    UnknownCurve,
    /// `use` or `key_ops` say that it is for something else than verifying.
    #[error("it is not meant for signatures (`use` or `key_ops`)")]
    NotForSignatures,
    /// `alg` names something that is not an asymmetric signature algorithm.
    #[error("its `alg` is not an asymmetric signature algorithm")]
    UnknownAlgorithm,
    /// `alg` does not go with `kty` and `crv`.
    #[error("its `alg` does not match its type")]
    WrongType,
    /// An RSA exponent that is even, below 3 or above what the crypto library verifies.
    #[error("its RSA exponent is not an odd number from 3 to 2^33")]
    RsaExponent,
    /// A point of Ed25519 with which anybody could sign, or a coordinate beyond the field.
    #[error("its point is of small order or not canonical: anyone could forge signatures")]
    WeakPoint,
    /// RSA modulus outside 2048 to 8192 bits.
    #[error("its RSA modulus has {0} bits, not 2048 to 8192")]
    RsaSize(usize),
    /// The numbers are no key: a point off the curve, an even modulus.
    #[error("it is not a valid public key")]
    InvalidNumbers,
}

/// RFC 7517 §4.2, §4.3: a key published for encryption must not verify signatures.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), UnusableKey> {
    // SPIFFE has a `use` of its own for keys that sign tokens (JWT-SVID, SPIFFE bundles §4.2.2).
    if said(jwk, "use")?.is_some_and(|usage| !matches!(usage, "sig" | "jwt-svid")) {
        return Err(UnusableKey::NotForSignatures);
    }
    match jwk.get("key_ops") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(operations)) if operations.is_empty() => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(UnusableKey::NotForSignatures),
        Some(_) => Err(UnusableKey::Malformed("key_ops")),
    }
}

/// The one algorithm that `alg` binds the key to (RFC 7517 §4.4), or `None` when any of
/// its family will do.
fn bound_algorithm(jwk: &Map<String, Value>) -> Result<Option<Algorithm>, UnusableKey> {
    let named = said(jwk, "alg")?.map(str::parse).transpose();
    named.map_err(|_| UnusableKey::UnknownAlgorithm)
}

fn rsa(
    jwk: &Map<String, Value>,
    bound: Option<Algorithm>,
) -> Result<(KeyKind, Verifiers), UnusableKey> {
    // Some IdPs send the sign byte of a DER integer; the crypto library would take the
    // key and then find every signature bad.
    let n = number(jwk, "n")?;
    let e = number(jwk, "e")?;
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(UnusableKey::RsaSize(bits));
    }
    if n.last().is_none_or(|last| last % 2 == 0) {
        return Err(UnusableKey::InvalidNumbers);
    }
    check_exponent(&e)?;
    let verifiers = serving(&RSA_FAMILY, bound, |parameters| {
        PublicKeyComponents { n: &n, e: &e }.to_parsed_public_key(parameters).ok()
    })?;
    Ok((KeyKind::Rsa(bits), verifiers))
}

/// With an exponent of 1 every text is its own signature, an even one is no permutation, and
/// of more than 33 bits the crypto library takes none (each costs as much to verify as it has
/// bits).
fn check_exponent(e: &[u8]) -> Result<(), UnusableKey> {
    let number = e.iter().try_fold(0_u64, |number, byte| {
        number.checked_mul(256).and_then(|number| number.checked_add(u64::from(*byte)))
    });
    match number {
        Some(number) if number % 2 == 1 && (3..1 << 33).contains(&number) => Ok(()),
        Some(_) | None => Err(UnusableKey::RsaExponent),
    }
}

const RSA_FAMILY: [(Algorithm, &RsaParameters); 6] = [
    (Algorithm::RS256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::RS384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::RS512, &signature::RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::PS256, &signature::RSA_PSS_2048_8192_SHA256),
    (Algorithm::PS384, &signature::RSA_PSS_2048_8192_SHA384),
    (Algorithm::PS512, &signature::RSA_PSS_2048_8192_SHA512),
];

/// Curve, its algorithm, the bytes of a coordinate.
const CURVES: [(&str, Algorithm, &EcdsaVerificationAlgorithm, usize); 3] = [
    ("P-256", Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED, 32),
    ("P-384", Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED, 48),
    ("P-521", Algorithm::ES512, &signature::ECDSA_P521_SHA512_FIXED, 66),
];

fn elliptic(
    jwk: &Map<String, Value>,
    bound: Option<Algorithm>,
) -> Result<(KeyKind, Verifiers), UnusableKey> {
    let named = text(jwk, "crv")?.ok_or(UnusableKey::Missing("crv"))?;
    let curve = CURVES.into_iter().find(|(curve, ..)| *curve == named);
    let (curve, algorithm, parameters, coordinate_bytes) =
        curve.ok_or(UnusableKey::UnknownCurve)?;
    // SEC 1 §2.3.3: 0x04, x and y, each padded to the length of the field.
    let mut point = vec![4];
    for coordinate in ["x", "y"] {
        let significant = number(jwk, coordinate)?;
        let padding = coordinate_bytes
            .checked_sub(significant.len())
            .ok_or(UnusableKey::Malformed(coordinate))?;
        point.resize(point.len() + padding, 0);
        point.extend_from_slice(&significant);
    }
    let family: [(_, &'static dyn VerificationAlgorithm); 1] = [(algorithm, parameters)];
    let verifiers =
        serving(&family, bound, |parameters| ParsedPublicKey::new(parameters, &point).ok())?;
    Ok((KeyKind::Curve(curve), verifiers))
}

fn edwards(
    jwk: &Map<String, Value>,
    bound: Option<Algorithm>,
) -> Result<(KeyKind, Verifiers), UnusableKey> {
    if text(jwk, "crv")?.ok_or(UnusableKey::Missing("crv"))? != "Ed25519" {
        return Err(UnusableKey::UnknownCurve);
    }
    let x = <[u8; 32]>::try_from(bytes(jwk, "x")?).map_err(|_| UnusableKey::Malformed("x"))?;
    if is_weak_point(x) {
        return Err(UnusableKey::WeakPoint);
    }
    let family: [(_, &'static dyn VerificationAlgorithm); 1] =
        [(Algorithm::EdDSA, &signature::ED25519)];
    let verifiers = serving(&family, bound, |parameters| ParsedPublicKey::new(parameters, x).ok())?;
    Ok((KeyKind::Curve("Ed25519"), verifiers))
}

/// Parses the key once for each algorithm of its family that it may serve.
fn serving<P: Copy>(
    family: &[(Algorithm, P)],
    bound: Option<Algorithm>,
    parse: impl Fn(P) -> Option<ParsedPublicKey>,
) -> Result<Verifiers, UnusableKey> {
    let served = family.iter().filter(|(algorithm, _)| bound.is_none_or(|one| one == *algorithm));
    let keys = served
        .map(|(algorithm, parameters)| Some((*algorithm, parse(*parameters)?)))
        .collect::<Option<Vec<_>>>()
        .ok_or(UnusableKey::InvalidNumbers)?;
    if keys.is_empty() { Err(UnusableKey::WrongType) } else { Ok(keys) }
}

fn text<'a>(
    jwk: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, UnusableKey> {
    match jwk.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) => Ok(Some(value)),
        Some(_) => Err(UnusableKey::Malformed(name)),
    }
}

/// The same where an empty text says nothing either.
fn said<'a>(
    jwk: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, UnusableKey> {
    Ok(text(jwk, name)?.filter(|value| !value.is_empty()))
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, UnusableKey> {
    let encoded = text(jwk, name)?.ok_or(UnusableKey::Missing(name))?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| UnusableKey::Malformed(name))
}

/// A big-endian unsigned number without leading zero bytes (Base64urlUInt, RFC 7518 §2).
fn number(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, UnusableKey> {
    let mut bytes = bytes(jwk, name)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}
