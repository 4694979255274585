//! Keys that are there from the start and never change.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};

use super::{KeySet, KeySource, Refetch, RefetchCause, Snapshot};
use crate::clock::UnixTime;

/// The keys of an issuer that nobody is asked for: they stand in a configuration, say.
pub struct StaticKeys(ArcSwapOption<Snapshot>);

impl StaticKeys {
    /// Keys that may be believed for ever.
    #[must_use]
    pub fn new(set: impl Into<Arc<KeySet>>) -> Self {
        let snapshot = Snapshot::new(set.into(), UnixTime::default(), UnixTime::NEVER);
        Self(ArcSwapOption::from_pointee(snapshot))
    }
}

impl KeySource for StaticKeys {
    fn snapshot(&self) -> Guard<Option<Arc<Snapshot>>> {
        self.0.load()
    }

    fn may_refetch(&self, _: RefetchCause) -> bool {
        false
    }

    fn refetch(
        &self,
        _: RefetchCause,
        _: Duration,
    ) -> Pin<Box<dyn Future<Output = Refetch> + Send + '_>> {
        Box::pin(ready(Refetch::NotDue))
    }
}
