//! An issuer's key set (JWKS, RFC 7517 §5): parsed once, never changed after.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use serde_json::value::RawValue;

use super::algorithm::Algorithm;
use super::jwk::{UnusableKey, VerificationKey};

/// How many keys may be tried for one token. More would let a token buy one signature check
/// a key.
pub const MAX_TRIED_KEYS: usize = 8;

/// The usable keys of one JWKS document.
#[derive(Debug)]
pub struct KeySet {
    id: KeySetId,
    keys: Vec<VerificationKey>,
    by_kid: HashMap<Box<str>, Vec<usize>>,
    without_kid: Vec<usize>,
    left_out: Vec<LeftOut>,
    holds_private_keys: bool,
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
    /// Why it verifies nothing here.
    pub reason: UnusableKey,
}

impl Default for KeySet {
    /// A set without keys.
    fn default() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: KeySetId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            keys: Vec::new(),
            by_kid: HashMap::new(),
            without_kid: Vec::new(),
            left_out: Vec::new(),
            holds_private_keys: false,
        }
    }
}

impl KeySet {
    /// Reads a JWKS document. Keys are judged one by one: those that must not be used
    /// are listed in [`left_out`](Self::left_out) and spoil nothing, even when their JSON
    /// cannot be read.
    ///
    /// # Errors
    /// The document is not a JSON object with an array `keys`.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        // What is no UTF-8 is so in the members that hold it: their values are no base64url.
        let document = String::from_utf8_lossy(document);
        // RFC 8259 §8.1: whoever reads JSON may ignore a byte order mark.
        let document = document.strip_prefix('\u{feff}').unwrap_or(&document);
        let document: &RawValue = serde_json::from_str(document).map_err(KeySetError::NotJson)?;
        let keys = member(document, "keys").ok_or(KeySetError::NoKeys)?;
        let members: Vec<&RawValue> =
            serde_json::from_str(keys.get()).map_err(|_| KeySetError::KeysNotAnArray)?;
        let mut set = Self::default();
        for (position, jwk) in members.into_iter().enumerate() {
            // `d` is the private part of every asymmetric JWK (RFC 7518 §6, RFC 8037 §2).
            set.holds_private_keys |= member(jwk, "d").is_some();
            match read(jwk) {
                Ok(key) => set.add(key),
                Err(reason) => {
                    let kid =
                        member(jwk, "kid").and_then(|kid| serde_json::from_str(kid.get()).ok());
                    set.left_out.push(LeftOut { position, kid, reason });
                }
            }
        }
        Ok(set)
    }

    fn add(&mut self, key: VerificationKey) {
        let index = self.keys.len();
        match key.kid() {
            Some(kid) => self.by_kid.entry(kid.into()).or_default().push(index),
            None => self.without_kid.push(index),
        }
        self.keys.push(key);
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

    /// Whether private keys were published too.
    #[must_use]
    pub fn holds_private_keys(&self) -> bool {
        self.holds_private_keys
    }

    /// Whether a usable key has this `kid`.
    #[must_use]
    pub fn knows(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// The keys that a token with this `kid` and `algorithm` may be signed by: those of that
    /// name (two may share one); where no key has it, those without a name (`kid` is optional,
    /// RFC 7517 §4.5, and some issuers name their keys in tokens alone); for a token that
    /// names none, all. No more than [`MAX_TRIED_KEYS`] should be tried.
    pub fn candidates<'s>(
        &'s self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'s VerificationKey> {
        let (all, some) = match kid {
            None => (self.keys.as_slice(), &[][..]),
            Some(kid) => (&[][..], self.by_kid.get(kid).unwrap_or(&self.without_kid).as_slice()),
        };
        some.iter()
            .filter_map(|index| self.keys.get(*index))
            .chain(all)
            .filter(move |key| key.algorithms().contains(algorithm))
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

/// A member of a JSON object; `None` for anything else. The rest of the object is passed over,
/// however deep and odd it is.
fn member<'j>(object: &'j RawValue, name: &str) -> Option<&'j RawValue> {
    let mut members: HashMap<String, &RawValue> = serde_json::from_str(object.get()).ok()?;
    members.remove(name)
}

fn read(jwk: &RawValue) -> Result<VerificationKey, UnusableKey> {
    let jwk: Value = serde_json::from_str(jwk.get()).map_err(|_| UnusableKey::Unreadable)?;
    VerificationKey::from_jwk(&jwk)
}

/// Why a document is no key set at all.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The document is not JSON.
    #[error("it is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but without a member `keys`.
    #[error("it has no member `keys`: is the URL that of a JWKS?")]
    NoKeys,
    /// `keys` is something else than an array.
    #[error("its member `keys` is not an array")]
    KeysNotAnArray,
}
