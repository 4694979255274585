//! Private keys of an issuer that does not exist: every token is really signed.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A private key with the name it is published under.
pub struct Signer {
    kid: String,
    key: Key,
}

enum Key {
    Ed(Ed25519KeyPair),
    Ec(&'static str, usize, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    /// The same key whenever the seed is the same.
    pub fn ed(kid: &str, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        Self { kid: kid.into(), key: Key::Ed(pair) }
    }

    /// `curve`: `P-256`, `P-384` or `P-521`.
    pub fn ec(kid: &str, curve: &'static str) -> Self {
        let (algorithm, bytes): (&'static EcdsaSigningAlgorithm, _) = match curve {
            "P-256" => (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, 32),
            "P-384" => (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, 48),
            "P-521" => (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, 66),
            _ => panic!("no such curve: {curve}"),
        };
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        Self { kid: kid.into(), key: Key::Ec(curve, bytes, pair) }
    }

    pub fn rsa(kid: &str) -> Self {
        Self { kid: kid.into(), key: Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    /// The public half as a member of a JWKS.
    pub fn jwk(&self) -> Value {
        let kid = &self.kid;
        match &self.key {
            Key::Ed(pair) => {
                let x = encode(pair.public_key());
                json!({"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": x})
            }
            Key::Ec(curve, bytes, pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(*bytes);
                json!({"kty": "EC", "kid": kid, "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Key::Rsa(pair) => {
                let n = encode(pair.public_key().modulus().big_endian_without_leading_zero());
                let e = encode(pair.public_key().exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": kid, "n": n, "e": e})
            }
        }
    }

    /// A token with these claims, signed with `alg` and naming this key.
    pub fn signed(&self, alg: &str, claims: &Value) -> String {
        self.raw(&json!({"alg": alg, "kid": self.kid}).to_string(), &claims.to_string())
    }

    /// The same with EdDSA.
    pub fn token(&self, claims: &Value) -> String {
        self.signed("EdDSA", claims)
    }

    /// A token of this very header and these very claims, signed as the header's `alg` says.
    pub fn raw(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", encode(header), encode(claims));
        let said: Value = serde_json::from_str(header).unwrap_or_default();
        let signature = self.sign(said["alg"].as_str().unwrap_or_default(), input.as_bytes());
        format!("{input}.{}", encode(signature))
    }

    fn sign(&self, alg: &str, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Ed(pair) => pair.sign(input).as_ref().to_vec(),
            Key::Ec(_, _, pair) => pair.sign(&random, input).unwrap().as_ref().to_vec(),
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
                pair.sign(padding, &random, input, &mut signature).unwrap();
                signature
            }
        }
    }
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
