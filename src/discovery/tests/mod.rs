//! The module through its public interface, against an identity provider with faults.

mod bearer;
mod emptied;
mod fake_idp;
mod fetching;
mod persistence;
mod refetching;
mod refreshing;
mod url_policy;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::clock::{Clock, SystemClock};
use doorward_core::keys::{KeySetId, KeySource, Refetch, RefetchCause};
use tokio::task::JoinSet;

use super::{Access, EmptySet, FetchPolicy, IssuerKeys, KeyLocation, KeysSpec, keys_of};

const AN_HOUR: Duration = Duration::from_secs(3600);
/// As long as a test waits for what must not come late.
const PATIENCE: Duration = Duration::from_secs(10);

/// Never refreshes by itself within a test, and lets every request fetch.
fn on_demand() -> FetchPolicy {
    FetchPolicy {
        refresh_min: AN_HOUR,
        refresh_max: AN_HOUR,
        refresh_default: AN_HOUR,
        cool_down: Duration::ZERO,
        wait: PATIENCE,
        timeout: PATIENCE,
        max_stale: 24 * AN_HOUR,
        empty_set: EmptySet::WITHDRAW,
        cache_dir: None,
    }
}

/// Refreshes all the time.
fn restless() -> FetchPolicy {
    FetchPolicy {
        refresh_min: Duration::from_millis(20),
        refresh_default: Duration::from_millis(20),
        cool_down: AN_HOUR,
        ..on_demand()
    }
}

fn spec(issuer: &str, location: KeyLocation, policy: FetchPolicy) -> KeysSpec {
    KeysSpec { issuer: issuer.to_owned(), location, access: Access::default(), policy }
}

/// An issuer's keys and the task that keeps them; the task ends with it.
struct Running {
    keys: Arc<IssuerKeys>,
    _task: JoinSet<()>,
}

impl Running {
    fn start(spec: KeysSpec) -> Self {
        Self::start_with(spec, None, None, Arc::new(SystemClock))
    }

    fn start_with(
        spec: KeysSpec,
        lender: Option<Arc<dyn KeySource>>,
        predecessor: Option<&IssuerKeys>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (keys, work) = keys_of(spec, lender, predecessor, clock);
        let mut task = JoinSet::new();
        task.spawn(work);
        Self { keys, _task: task }
    }

    /// Started, and the first attempt over.
    async fn tried(spec: KeysSpec) -> Self {
        let running = Self::start(spec);
        running.keys.tried().await;
        running
    }

    fn kids(&self) -> Vec<String> {
        kids(&*self.keys)
    }

    fn set_id(&self) -> Option<KeySetId> {
        self.keys.snapshot().as_ref().map(|snapshot| snapshot.id())
    }

    async fn refetch(&self) -> Refetch {
        self.keys.refetch(RefetchCause::UnknownKey, PATIENCE).await
    }
}

fn kids(source: &dyn KeySource) -> Vec<String> {
    let snapshot = source.snapshot();
    let keys = snapshot.as_ref().map(|snapshot| snapshot.set().keys()).unwrap_or_default();
    keys.iter().filter_map(|key| key.kid().map(str::to_owned)).collect()
}

/// Polls until it holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn write_atomically(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(&new, path).unwrap();
}
