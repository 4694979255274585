//! The keys the issuer signs with: made, published, rotated.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::DevIssuerError;

/// How many keys the set holds at most: the current one and older ones kept on rotation.
const MAX_KEYS: usize = 8;

/// What the issuer signs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSA, 2048 bits, PKCS #1 v1.5, SHA-256.
    #[default]
    Rs256,
    /// ECDSA on P-256, SHA-256.
    Es256,
}

/// What becomes of the key in use when a new one takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousKey {
    /// It leaves the key set: its tokens are to be refused.
    Withdraw,
    /// It stays published: its tokens pass until they expire, as with most providers.
    Keep,
}

/// The current key and what is published.
pub(super) struct KeyRing {
    keys: ArcSwap<Keys>,
}

struct Keys {
    current: Arc<SigningKey>,
    previous: Vec<Arc<SigningKey>>,
}

struct SigningKey {
    header: Header,
    private: EncodingKey,
    public: Jwk,
}

impl KeyRing {
    pub(super) async fn generate(algorithm: SigningAlgorithm) -> Result<Self, DevIssuerError> {
        let current = generate(algorithm).await?;
        Ok(Self { keys: ArcSwap::from_pointee(Keys { current, previous: Vec::new() }) })
    }

    /// Signs with a new key from now on; its `kid`.
    pub(super) async fn rotate(
        &self,
        algorithm: SigningAlgorithm,
        previous: PreviousKey,
    ) -> Result<String, DevIssuerError> {
        let current = generate(algorithm).await?;
        self.keys.rcu(|old| {
            let kept = match previous {
                PreviousKey::Withdraw => Vec::new(),
                PreviousKey::Keep => std::iter::once(&old.current)
                    .chain(&old.previous)
                    .take(MAX_KEYS - 1)
                    .cloned()
                    .collect(),
            };
            Keys { current: Arc::clone(&current), previous: kept }
        });
        Ok(current.kid().to_owned())
    }

    /// The `kid` of the key that signs now.
    pub(super) fn current_kid(&self) -> String {
        self.keys.load().current.kid().to_owned()
    }

    /// The JWKS, current key first.
    pub(super) fn published(&self) -> JwkSet {
        let keys = self.keys.load();
        let all = std::iter::once(&keys.current).chain(&keys.previous);
        JwkSet { keys: all.map(|key| key.public.clone()).collect() }
    }

    /// `claims` as a signed token of media type `typ`.
    pub(super) fn sign(
        &self,
        typ: &str,
        claims: &impl Serialize,
    ) -> Result<String, DevIssuerError> {
        let key = Arc::clone(&self.keys.load().current);
        let header = Header { typ: Some(typ.to_owned()), ..key.header.clone() };
        jsonwebtoken::encode(&header, claims, &key.private).map_err(DevIssuerError::Signing)
    }
}

impl SigningKey {
    fn new(algorithm: Algorithm, private: EncodingKey) -> Result<Self, DevIssuerError> {
        let mut public =
            Jwk::from_encoding_key(&private, algorithm).map_err(DevIssuerError::Signing)?;
        // RFC 7638: the name follows from the key, so no two keys can share one.
        let kid = public.thumbprint(ThumbprintHash::SHA256).map_err(DevIssuerError::Signing)?;
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_id = Some(kid.clone());
        let header = Header { kid: Some(kid), ..Header::new(algorithm) };
        Ok(Self { header, private, public })
    }

    fn kid(&self) -> &str {
        self.header.kid.as_deref().unwrap_or_default()
    }
}

/// A new key. An RSA one takes long enough (tens to hundreds of milliseconds) to stall
/// the runtime that serves everybody else, so it is made on a thread of its own.
async fn generate(algorithm: SigningAlgorithm) -> Result<Arc<SigningKey>, DevIssuerError> {
    let made = tokio::task::spawn_blocking(move || match algorithm {
        SigningAlgorithm::Rs256 => SigningKey::new(Algorithm::RS256, rsa()?),
        SigningAlgorithm::Es256 => SigningKey::new(Algorithm::ES256, p256()?),
    });
    made.await.map_err(|_| DevIssuerError::KeyGeneration)?.map(Arc::new)
}

fn rsa() -> Result<EncodingKey, DevIssuerError> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| DevIssuerError::KeyGeneration)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| DevIssuerError::KeyGeneration)?;
    // The library takes PKCS #8 for RSA only as PEM; its DER entry wants PKCS #1.
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(DevIssuerError::Signing)
}

fn p256() -> Result<EncodingKey, DevIssuerError> {
    let der = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .and_then(|pair| pair.to_pkcs8v1())
        .map_err(|_| DevIssuerError::KeyGeneration)?;
    Ok(EncodingKey::from_ec_der(der.as_ref()))
}
