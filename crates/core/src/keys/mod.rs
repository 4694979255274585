//! What can verify a signature, and until when it may.
//!
//! This room knows no HTTP and no claims. Documents are handed to it
//! ([`KeySet::parse`]); whoever fetches them stands behind [`KeySource`].

mod algorithm;
mod ed25519;
mod fixed;
mod jwk;
mod set;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::algorithm::{Algorithm, AlgorithmSet, UnknownAlgorithm};
pub use self::fixed::StaticKeys;
pub use self::jwk::{KeyKind, UnusableKey, VerificationKey};
pub use self::set::{KeySet, KeySetError, KeySetId, LeftOut, MAX_TRIED_KEYS};
use crate::clock::UnixTime;

/// A key set as an issuer published it at some moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Of `set`: looked at for every cached token, where the set itself is not.
    id: KeySetId,
    set: Arc<KeySet>,
    obtained_at: UnixTime,
    usable_until: UnixTime,
}

impl Snapshot {
    /// Keys that their issuer confirmed at `obtained_at`, and that nobody should believe
    /// from `usable_until` on (`max_stale`).
    #[must_use]
    pub fn new(set: Arc<KeySet>, obtained_at: UnixTime, usable_until: UnixTime) -> Self {
        Self { id: set.id(), set, obtained_at, usable_until }
    }

    /// Which key set it is. A refresh that brings the same keys keeps the same set, so that
    /// whatever is tied to its id lives on.
    #[must_use]
    pub fn id(&self) -> KeySetId {
        self.id
    }

    /// The keys as they were published then.
    #[must_use]
    pub fn set(&self) -> &Arc<KeySet> {
        &self.set
    }

    /// When the issuer last confirmed these keys.
    #[must_use]
    pub fn obtained_at(&self) -> UnixTime {
        self.obtained_at
    }

    /// From this moment on nobody should believe these keys any more.
    #[must_use]
    pub fn usable_until(&self) -> UnixTime {
        self.usable_until
    }
}

/// Where the keys of one issuer come from.
pub trait KeySource: Send + Sync {
    /// The keys in force, or `None` when none were ever obtained. No I/O, no lock, no
    /// waiting.
    fn snapshot(&self) -> arc_swap::Guard<Option<Arc<Snapshot>>>;

    /// Whether [`refetch`](Self::refetch) would come to anything but
    /// [`Refetch::NotDue`] now. No I/O, no waiting.
    fn may_refetch(&self, cause: RefetchCause) -> bool;

    /// Asks for the keys once more, because a token cannot be verified with those in the
    /// snapshot, and waits at most `wait`. However many ask at once, one fetch is made;
    /// dropping the future leaves that fetch running for the others.
    fn refetch(
        &self,
        cause: RefetchCause,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = Refetch> + Send + '_>>;
}

/// Why newer keys may be what a token needs. Each cause has a limit of its own to how often
/// an issuer is asked because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefetchCause {
    /// No usable key has the token's `kid`, or there are no keys at all.
    UnknownKey,
    /// The key of that `kid` did not make the signature. An issuer that was set up anew may
    /// have given an old name to a new key.
    BadSignature,
}

/// How [`KeySource::refetch`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refetch {
    /// The issuer answered: the snapshot is as new as can be.
    Answered,
    /// Nothing was fetched: the issuer was asked too short a time ago, or its keys never
    /// change (inline).
    NotDue,
    /// The issuer did not answer, or not with a key set.
    Failed,
    /// The fetch goes on, but longer than the request can wait.
    StillUnderWay,
    /// The fetch goes on, and as many requests wait for it as may.
    Crowded,
}
