//! Private keys of issuers that do not exist: every token in the tests is really signed.

use std::sync::LazyLock;

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
    Rsa(RsaKeyPair),
    Ec(&'static str, usize, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// The key that most tests sign with; made once, since RSA keys take their time.
pub static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-1"));
/// A key that no issuer publishes.
pub static STRANGER: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-1"));

impl Signer {
    pub fn rsa(kid: &str) -> Self {
        Self::rsa_of_size(kid, KeySize::Rsa2048)
    }

    pub fn rsa_of_size(kid: &str, size: KeySize) -> Self {
        Self { kid: kid.into(), key: Key::Rsa(RsaKeyPair::generate(size).unwrap()) }
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

    pub fn ed(kid: &str) -> Self {
        Self { kid: kid.into(), key: Key::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    /// The same key whenever the seed is the same: for tokens made by several processes.
    #[allow(dead_code, reason = "the benchmarks' load is signed with it")]
    pub fn ed_from_seed(kid: &str, seed: &[u8; 32]) -> Self {
        Self { kid: kid.into(), key: Key::Ed(Ed25519KeyPair::from_seed_unchecked(seed).unwrap()) }
    }

    /// The public half as a member of a JWKS, without `alg`.
    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA", "kid": self.kid, "use": "sig",
                    "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Key::Ec(curve, bytes, pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(*bytes);
                json!({
                    "kty": "EC", "kid": self.kid, "use": "sig", "crv": curve,
                    "x": encode(x), "y": encode(y),
                })
            }
            Key::Ed(pair) => json!({
                "kty": "OKP", "kid": self.kid, "use": "sig", "crv": "Ed25519",
                "x": encode(pair.public_key().as_ref()),
            }),
        }
    }

    /// A token with these claims, signed with `alg` and naming this key.
    pub fn token(&self, alg: &str, claims: &Value) -> String {
        self.token_with(json!({"alg": alg, "kid": self.kid, "typ": "JWT"}), claims)
    }

    /// A token with this header, signed with the header's `alg` (RS256 where that is none
    /// of this key's).
    pub fn token_with(&self, header: Value, claims: &Value) -> String {
        let alg = header["alg"].as_str().unwrap_or("RS256").to_owned();
        self.raw_token(&alg, header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of these very bytes.
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
                pair.sign(padding, &random, input, &mut signature).unwrap();
                signature
            }
            Key::Ec(_, _, pair) => pair.sign(&random, input).unwrap().as_ref().to_vec(),
            Key::Ed(pair) => pair.sign(input).as_ref().to_vec(),
        }
    }
}

/// A JWKS document of these keys.
pub fn jwks<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Value {
    json!({"keys": signers.into_iter().map(Signer::jwk).collect::<Vec<_>>()})
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970, and so many more.
pub fn from_now(seconds: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

/// The claims of a token that is good for an hour, with `more` put over them; `null`
/// takes a claim out.
pub fn claims(issuer: &str, more: Value) -> Value {
    let mut claims = json!({
        "iss": issuer, "sub": "alice", "aud": "nmp", "iat": from_now(-10), "exp": from_now(3600),
        "email": "alice@example.com", "groups": ["research", "team-b"], "scope": "openid models:read",
    });
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}
