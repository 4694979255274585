//! What can verify a signature, and until when it may.
//!
//! This room knows no HTTP and no claims. Documents are handed to it
//! ([`KeySet::parse`]); whoever fetches them stands behind [`KeySource`].

mod algorithm;
mod jwk;
mod set;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::algorithm::{Algorithm, AlgorithmSet, UnknownAlgorithm};
pub use self::jwk::{UnusableKey, VerificationKey};
pub use self::set::{KeySet, KeySetError, KeySetId, LeftOut};
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

    /// The keys.
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
    fn may_refetch(&self) -> bool;

    /// Asks for the keys once more, because a token names one that is not in the
    /// snapshot, and waits at most `wait`. However many ask at once, one fetch is made;
    /// dropping the future leaves that fetch running for the others.
    fn refetch(&self, wait: Duration) -> Pin<Box<dyn Future<Output = Refetch> + Send + '_>>;
}

/// How [`KeySource::refetch`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refetch {
    /// The issuer answered: the snapshot is as new as can be.
    Answered,
    /// Nothing was fetched: the issuer was asked less than a cool-down ago, or its keys
    /// never change (inline).
    NotDue,
    /// The issuer did not answer, or not with a key set.
    Failed,
    /// The fetch goes on, but longer than the request can wait.
    StillUnderWay,
}
