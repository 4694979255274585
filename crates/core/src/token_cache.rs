//! Verified tokens, so that the next request with the same one costs no signature.
//!
//! A token itself is never kept: the key is its 128-bit GMAC (NIST SP 800-38D) under a key
//! drawn at random when the cache is made (`docs/decisions/0004-token-cache.md`). One cache
//! belongs to authorizers that [verify alike](crate::Authorizer::with_cache).

use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use moka::sync::Cache;

use crate::bearer::BearerToken;
use crate::verified_identity::VerifiedIdentity;

/// What an entry takes besides its texts: the cache's own node and the structures.
const ENTRY_OVERHEAD_BYTES: usize = 640;

/// Verified tokens.
pub struct TokenCache {
    entries: Cache<TokenHash, Arc<VerifiedIdentity>, BuildHasherDefault<AlreadyHashed>>,
    hasher: TokenHasher,
    counters: Arc<Counters>,
}

/// Gives tokens names that say nothing to anybody else.
pub struct TokenHasher(LessSafeKey);

/// How often the cache helped.
#[derive(Debug, Default)]
pub struct Counters {
    /// Look-ups that found a usable entry.
    pub hits: AtomicU64,
    /// Look-ups that did not.
    pub misses: AtomicU64,
    /// Entries pushed out by others.
    pub evictions: AtomicU64,
}

/// Names a token to those with the same [`TokenHasher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(u128);

impl TokenCache {
    /// A cache of at most `max_entries` tokens and `max_bytes` bytes, whichever is
    /// reached first. `counters` outlive it.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(
        max_entries: NonZeroU64,
        max_bytes: u64,
        counters: Arc<Counters>,
    ) -> Result<Self, NoRandomness> {
        let hasher = TokenHasher::new()?;
        // Every entry weighs at least an equal share, which bounds their number too.
        let share = u32::try_from(max_bytes / max_entries).unwrap_or(u32::MAX).max(1);
        let evicted = Arc::clone(&counters);
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(move |_, identity: &Arc<VerifiedIdentity>| bytes_of(identity).max(share))
            .eviction_listener(move |_, _, cause| {
                if cause.was_evicted() {
                    evicted.evictions.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(BuildHasherDefault::default());
        Ok(Self { entries, hasher, counters })
    }

    /// The token's name in this cache; `None` when it cannot be computed, which nothing is known to
    /// bring about.
    #[must_use]
    pub fn hash(&self, token: BearerToken<'_>) -> Option<TokenHash> {
        self.hasher.hash(token)
    }

    /// The entry of a token, when there is one that `still_holds`; one that does not is
    /// dropped.
    pub fn find(
        &self,
        token: TokenHash,
        still_holds: impl FnOnce(&VerifiedIdentity) -> bool,
    ) -> Option<Arc<VerifiedIdentity>> {
        if let Some(identity) = self.entries.get(&token) {
            if still_holds(&identity) {
                self.counters.hits.fetch_add(1, Ordering::Relaxed);
                return Some(identity);
            }
            self.entries.invalidate(&token);
        }
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Keeps a verified token.
    pub fn keep(&self, token: TokenHash, identity: &Arc<VerifiedIdentity>) {
        self.entries.insert(token, Arc::clone(identity));
    }

    /// How many tokens are kept, about.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TokenHasher {
    /// One with a key of its own.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new() -> Result<Self, NoRandomness> {
        let mut key = [0; 16];
        rand::fill(&mut key).map_err(|_| NoRandomness)?;
        let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| NoRandomness)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// The token's name; `None` when it cannot be computed, which nothing is known to bring about.
    ///
    /// That the nonce is always the same would matter to a message that is sent: it lets
    /// those who see the hashes find the key. Nobody sees these.
    #[must_use]
    pub fn hash(&self, token: BearerToken<'_>) -> Option<TokenHash> {
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let token = Aad::from(token.as_bytes());
        let hash = self.0.seal_in_place_separate_tag(nonce, token, &mut []).ok()?;
        Some(TokenHash(u128::from_ne_bytes(hash.as_ref().try_into().ok()?)))
    }
}

/// The operating system gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoRandomness;

/// What an entry takes in memory. Its texts stand there as identity and, encoded, in
/// dynamic metadata.
fn bytes_of(identity: &VerifiedIdentity) -> u32 {
    let bytes = ENTRY_OVERHEAD_BYTES + 2 * identity.text_bytes();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Hands on half of what is a hash already.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached by a u128; kept right for any other key.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "either half is as good")]
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}
