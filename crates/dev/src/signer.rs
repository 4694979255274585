//! Private keys, and tokens that are really signed with them.

use std::ops::Range;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A private key with the name it is published under.
#[derive(Debug)]
pub struct Signer {
    kid: String,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Rsa(RsaKeyPair),
    Ec(Curve, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// An elliptic curve of RFC 7518 §6.2.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// P-256, for ES256.
    P256,
    /// P-384, for ES384.
    P384,
    /// P-521, for ES512.
    P521,
}

impl Signer {
    /// A new RSA key of 2048 bits. It takes tens to hundreds of milliseconds to make.
    #[must_use]
    pub fn rsa(kid: &str) -> Self {
        Self { kid: kid.into(), key: Key::Rsa(made(RsaKeyPair::generate(KeySize::Rsa2048))) }
    }

    /// A new key on an elliptic curve.
    #[must_use]
    pub fn ec(kid: &str, curve: Curve) -> Self {
        let algorithm = match curve {
            Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            Curve::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        };
        Self { kid: kid.into(), key: Key::Ec(curve, made(EcdsaKeyPair::generate(algorithm))) }
    }

    /// A new Ed25519 key.
    #[must_use]
    pub fn ed(kid: &str) -> Self {
        Self { kid: kid.into(), key: Key::Ed(made(Ed25519KeyPair::generate())) }
    }

    /// An Ed25519 key that is the same whenever the seed is, for tokens of several processes.
    #[must_use]
    pub fn ed_from_seed(kid: &str, seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        Self { kid: kid.into(), key: Key::Ed(made(pair.map_err(|_| Unspecified))) }
    }

    /// The name it is published under.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a member of a key set, without `alg`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Rsa(pair) => {
                // RFC 8017 §A.1.1: a sequence of two integers, of 2048 bits and of 65537, each at the
                // same place in every such key.
                let der = pair.public_key().as_ref();
                let number = |bytes: Range<usize>| encode(der.get(bytes).unwrap_or_default());
                json!({
                    "kty": "RSA", "kid": self.kid, "use": "sig",
                    "n": number(9..265), "e": number(267..270),
                })
            }
            Key::Ec(curve, pair) => {
                // An octet that says the point is not compressed, and its two halves.
                let point = pair.public_key().as_ref().split_first().map_or(&[][..], |it| it.1);
                let (x, y) = point.split_at(point.len() / 2);
                json!({
                    "kty": "EC", "kid": self.kid, "use": "sig", "crv": curve.name(),
                    "x": encode(x), "y": encode(y),
                })
            }
            Key::Ed(pair) => json!({
                "kty": "OKP", "kid": self.kid, "use": "sig", "crv": "Ed25519",
                "x": encode(pair.public_key().as_ref()),
            }),
        }
    }

    /// The algorithm that a provider would sign with, were this its key.
    #[must_use]
    pub fn alg(&self) -> &'static str {
        match &self.key {
            Key::Rsa(_) => "RS256",
            Key::Ec(Curve::P256, _) => "ES256",
            Key::Ec(Curve::P384, _) => "ES384",
            Key::Ec(Curve::P521, _) => "ES512",
            Key::Ed(_) => "EdDSA",
        }
    }

    /// A token with these claims, signed with `alg` and naming this key.
    #[must_use]
    pub fn token(&self, alg: &str, claims: &Value) -> String {
        self.token_with(json!({"alg": alg, "kid": self.kid, "typ": "JWT"}), claims)
    }

    /// A token with this header, signed with the header's `alg` (RS256 where that is none of this
    /// key's).
    #[must_use]
    pub fn token_with(&self, header: Value, claims: &Value) -> String {
        let alg = header.get("alg").and_then(Value::as_str).unwrap_or("RS256");
        self.raw_token(alg, header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of these very bytes.
    #[must_use]
    pub fn raw_token(&self, alg: &str, header: &[u8], claims: &[u8]) -> String {
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(alg, input.as_bytes());
        format!("{input}.{}", encode(&signature))
    }

    fn sign(&self, alg: &str, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match alg {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                made(pair.sign(padding, &random, input, &mut signature));
                signature
            }
            Key::Ec(_, pair) => made(pair.sign(&random, input)).as_ref().to_vec(),
            Key::Ed(pair) => pair.sign(input).as_ref().to_vec(),
        }
    }
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }
}

/// A key set document of these keys.
pub fn jwks<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Value {
    json!({"keys": signers.into_iter().map(Signer::jwk).collect::<Vec<_>>()})
}

/// Bytes in base64url, as tokens have them.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// 256 random bits, in base64url.
pub(crate) fn secret() -> String {
    let mut bytes = [0; 32];
    made(aws_lc_rs::rand::fill(&mut bytes));
    encode(&bytes)
}

#[expect(clippy::expect_used, reason = "without it no demonstration and no test can go on")]
fn made<T>(made: Result<T, Unspecified>) -> T {
    made.expect("the system has random numbers and memory")
}
