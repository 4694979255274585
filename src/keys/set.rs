//! An issuer's key set (JWKS, RFC 7517 §5): parsed once, never changed after.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::algorithm::Algorithm;
use super::jwk::{UnusableKey, VerificationKey};

/// How many keys are tried for a token that names none. More would let such a token buy
/// one signature check per key.
const MAX_TRIED_WITHOUT_KID: usize = 8;

/// The usable keys of one JWKS document.
#[derive(Debug)]
pub struct KeySet {
    id: KeySetId,
    keys: Vec<VerificationKey>,
    by_kid: HashMap<Box<str>, Vec<usize>>,
    left_out: Vec<LeftOut>,
}

/// Tells one parsed key set from every other of this process: what a cached
/// verification is tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySetId(u64);

/// A key of the document that must not be used.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// Position in the document's `keys` array, from 0.
    pub position: usize,
    /// Its `kid`, when that is a string.
    pub kid: Option<String>,
    /// Why.
    pub reason: UnusableKey,
}

impl KeySet {
    /// Reads a JWKS document. Keys are judged one by one: those that must not be used
    /// are listed in [`left_out`](Self::left_out) and spoil nothing.
    ///
    /// # Errors
    /// The document is not a JSON object with an array `keys`.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let document: Value = serde_json::from_slice(document).map_err(KeySetError::NotJson)?;
        let members = document
            .get("keys")
            .ok_or(KeySetError::NoKeys)?
            .as_array()
            .ok_or(KeySetError::KeysNotAnArray)?;
        let mut keys = Vec::with_capacity(members.len());
        let mut left_out = Vec::new();
        for (position, jwk) in members.iter().enumerate() {
            match VerificationKey::from_jwk(jwk) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
                    left_out.push(LeftOut { position, kid, reason });
                }
            }
        }
        Ok(Self::new(keys, left_out))
    }

    fn new(keys: Vec<VerificationKey>, left_out: Vec<LeftOut>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let mut by_kid: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (index, key) in keys.iter().enumerate() {
            if let Some(kid) = key.kid() {
                by_kid.entry(kid.into()).or_default().push(index);
            }
        }
        Self { id: KeySetId(NEXT_ID.fetch_add(1, Ordering::Relaxed)), keys, by_kid, left_out }
    }

    /// Which key set this is.
    #[must_use]
    pub fn id(&self) -> KeySetId {
        self.id
    }

    /// The usable keys, in the document's order.
    #[must_use]
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// What was left out and why.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The keys that a token with this `kid` and `algorithm` may be signed by: those of
    /// that name (two may share one), or, for a token that names none, the first few
    /// that serve the algorithm. Costs the same however many keys there are.
    pub fn candidates<'s>(
        &'s self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'s VerificationKey> {
        let named = kid.and_then(|kid| self.by_kid.get(kid)).map_or(&[][..], Vec::as_slice);
        let unnamed = if kid.is_none() { self.keys.as_slice() } else { &[] };
        named
            .iter()
            .filter_map(|index| self.keys.get(*index))
            .chain(unnamed)
            .filter(move |key| key.algorithms().contains(algorithm))
            .take(MAX_TRIED_WITHOUT_KID)
    }

    /// Whether `other` holds the very same keys, in whatever order.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        fn sorted(set: &KeySet) -> Vec<impl Ord + '_> {
            let mut keys: Vec<_> = set.keys.iter().map(VerificationKey::content).collect();
            keys.sort_unstable();
            keys
        }
        sorted(self) == sorted(other)
    }
}

/// Why a document is no key set at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Not JSON.
    #[error("it is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but without a member `keys`.
    #[error("it has no member `keys`: is the URL that of a JWKS?")]
    NoKeys,
    /// `keys` is something else than an array.
    #[error("its member `keys` is not an array")]
    KeysNotAnArray,
}
