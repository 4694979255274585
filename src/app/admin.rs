//! What the admin port tells of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use super::assembly::{Assembly, Shared};
use crate::discovery::{FetchCounts, IssuerKeys, IssuerStatus};
use crate::keys::KeySource as _;
use crate::telemetry::KeySetFacts;
use crate::transport::{AdminView, Door, Readiness, Resources};

/// All there is to tell.
pub(super) struct Overview {
    shared: Shared,
    door: Arc<ArcSwap<Door>>,
    keys: ArcSwap<Vec<Arc<IssuerKeys>>>,
    resources: Resources,
    stopping: AtomicBool,
}

impl Overview {
    pub(super) fn new(assembly: &Assembly, shared: Shared, resources: Resources) -> Self {
        Self {
            shared,
            resources,
            door: Arc::clone(assembly.door()),
            keys: ArcSwap::from_pointee(assembly.keys()),
            stopping: AtomicBool::new(false),
        }
    }

    /// Tells of another configuration from now on.
    pub(super) fn follow(&self, assembly: &Assembly) {
        self.keys.store(Arc::new(assembly.keys()));
    }

    pub(super) fn stop_being_ready(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether requests should be sent here: some issuer's keys are there, or none are
    /// needed. One IdP that is down must not take the others' users with it.
    pub(super) fn is_ready(&self) -> bool {
        if self.stopping.load(Ordering::Relaxed) {
            return false;
        }
        let keys = self.keys.load();
        !self.door.load().authorizer().enabled
            || keys.is_empty()
            || keys.iter().any(|keys| keys.snapshot().is_some())
    }
}

impl AdminView for Overview {
    fn readiness(&self) -> Readiness {
        let ready = self.is_ready();
        let mut lines = vec![if ready { "ready" } else { "not ready" }.to_owned()];
        if self.stopping.load(Ordering::Relaxed) {
            lines.push("stopping".to_owned());
        }
        lines.extend(self.keys.load().iter().map(|keys| line(&keys.status())));
        Readiness { ready, lines }
    }

    fn metrics(&self) -> String {
        let now = self.shared.clock.now();
        let facts: Vec<_> = self
            .keys
            .load()
            .iter()
            .map(|keys| {
                let IssuerStatus { issuer, keys, obtained_at, fetches, .. } = keys.status();
                let FetchCounts { ok, unchanged, withdrawn, empty, error } = fetches;
                KeySetFacts {
                    issuer,
                    fetches: vec![
                        ("ok", ok),
                        ("unchanged", unchanged),
                        ("withdrawn", withdrawn),
                        ("empty", empty),
                        ("error", error),
                    ],
                    keys,
                    age: obtained_at.map(|moment| now.since(moment)),
                }
            })
            .collect();
        self.resources.take_note();
        let entries = self.door.load().authorizer().cache.len();
        self.shared.metrics.render(&self.shared.cache_counters, entries, &facts)
    }
}

fn line(status: &IssuerStatus) -> String {
    let IssuerStatus { issuer, keys, borrowing, last_error, .. } = status;
    let state = match (keys, borrowing) {
        _ if status.withdrawn() => "the issuer has withdrawn all its keys".to_owned(),
        (0, true) => "no keys of its own yet, borrowing the primary issuer's".to_owned(),
        (0, false) => "no keys yet".to_owned(),
        (count, _) => format!("{count} keys"),
    };
    match last_error {
        Some(error) => format!("{issuer}: {state}; last attempt failed: {error}"),
        None => format!("{issuer}: {state}"),
    }
}
