//! The policy in force: what requests ask, and people look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use doorward_core::clock::UnixTime;
use doorward_core::policy::{Consulted, Policy, PolicyFault, PolicyQuestion};
use tokio::sync::watch;

use super::engine::Loaded;
use super::opa::Opa;
use super::spec::{BundleSpec, OpaSpec, PolicySpec};
use crate::redact::redact_text;

/// After so long a first attempt is no reason to wait for it.
const FIRST_ATTEMPT: Duration = Duration::from_secs(10);

/// The policy in force, if there is one yet.
pub struct LivePolicy {
    spec: PolicySpec,
    in_force: ArcSwapOption<InForce>,
    last_error: Arc<ArcSwapOption<String>>,
    made: Instant,
    tried: watch::Sender<bool>,
}

/// A policy, and what is known of it.
pub(super) struct InForce {
    pub(super) policy: Arc<dyn Policy>,
    pub(super) revision: Option<String>,
    /// When it was read, or found to be the newest, last: in Unix seconds.
    confirmed_at: AtomicU64,
}

/// The facts of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatus {
    /// Who decides, by the name that the configuration has for it.
    pub provider: &'static str,
    /// Where the policy is, for people.
    pub source: String,
    /// Whether there is one in force.
    pub is_loaded: bool,
    /// What a bundle calls itself.
    pub revision: Option<String>,
    /// When the policy was read, or found to be the newest, last; `None` where that is an OPA's
    /// affair.
    pub confirmed_at: Option<UnixTime>,
    /// Why the last attempt failed, or the last question, if it did.
    pub last_error: Option<String>,
}

/// How often policies were loaded, by outcome; outlives configurations.
#[derive(Debug, Default)]
pub struct LoadCounts {
    loaded: AtomicU64,
    unchanged: AtomicU64,
    refused: AtomicU64,
    error: AtomicU64,
}

impl LoadCounts {
    pub(super) fn loaded(&self) {
        self.loaded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unchanged(&self) {
        self.unchanged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn error(&self) {
        self.error.fetch_add(1, Ordering::Relaxed);
    }

    /// The outcomes, by name, and how many there were.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Self { loaded, unchanged, refused, error } = self;
        [("ok", loaded), ("unchanged", unchanged), ("refused", refused), ("error", error)]
            .into_iter()
            .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }
}

impl InForce {
    pub(super) fn new(loaded: Loaded, at: UnixTime) -> Self {
        let Loaded { policy, revision, .. } = loaded;
        Self { policy, revision, confirmed_at: AtomicU64::new(at.0) }
    }
}

impl LivePolicy {
    pub(super) fn of_loaded(loaded: Loaded, now: UnixTime) -> Self {
        let in_force = InForce::new(loaded.clone(), now);
        Self::new(PolicySpec::Loaded(loaded), Some(Arc::new(in_force)))
    }

    /// One that has what the predecessor has, if it is of the same bundle and decides alike.
    pub(super) fn of_bundle(spec: BundleSpec, predecessor: Option<&Self>) -> Self {
        let alike = predecessor.filter(|before| match &before.spec {
            PolicySpec::Bundle(before) => {
                (&before.engine, &before.url, &before.key) == (&spec.engine, &spec.url, &spec.key)
            }
            PolicySpec::Loaded(_) | PolicySpec::Opa(_) => false,
        });
        let in_force = alike.and_then(|before| before.in_force.load_full());
        Self::new(PolicySpec::Bundle(spec), in_force)
    }

    pub(super) fn of_opa(spec: OpaSpec, opa: Opa, now: UnixTime) -> Self {
        let last_error = Arc::clone(opa.last_error());
        let confirmed_at = AtomicU64::new(now.0);
        let in_force = InForce { policy: Arc::new(opa), revision: None, confirmed_at };
        Self { last_error, ..Self::new(PolicySpec::Opa(spec), Some(Arc::new(in_force))) }
    }

    fn new(spec: PolicySpec, in_force: Option<Arc<InForce>>) -> Self {
        Self {
            spec,
            tried: watch::Sender::new(in_force.is_some()),
            in_force: ArcSwapOption::new(in_force),
            last_error: Arc::default(),
            made: Instant::now(),
        }
    }

    /// What this was built from.
    #[must_use]
    pub fn spec(&self) -> &PolicySpec {
        &self.spec
    }

    /// Whether there is a policy, or the first attempt to load one is over or takes long.
    #[must_use]
    pub fn was_tried(&self) -> bool {
        *self.tried.borrow() || self.made.elapsed() >= FIRST_ATTEMPT
    }

    /// Waits until there is a policy, or the first attempt to load one is over.
    pub async fn tried(&self) {
        let _ = self.tried.subscribe().wait_for(|tried| *tried).await;
    }

    /// The facts of this moment.
    #[must_use]
    pub fn status(&self) -> PolicyStatus {
        let in_force = self.in_force.load();
        let confirmed = |it: &Arc<InForce>| UnixTime(it.confirmed_at.load(Ordering::Relaxed));
        let confirmed_at = in_force.as_ref().map(confirmed);
        let (provider, source, confirmed_at) = match &self.spec {
            PolicySpec::Loaded(it) => (it.provider, it.source.clone(), confirmed_at),
            PolicySpec::Bundle(it) => {
                (it.engine.provider(), redact_text(it.url.as_str()), confirmed_at)
            }
            PolicySpec::Opa(it) => ("opa", redact_text(it.url.as_str()), None),
        };
        PolicyStatus {
            provider,
            source,
            is_loaded: in_force.is_some(),
            revision: in_force.as_ref().and_then(|it| it.revision.clone()),
            confirmed_at,
            last_error: self.last_error.load().as_deref().cloned(),
        }
    }

    pub(super) fn has_any(&self) -> bool {
        self.in_force.load().is_some()
    }

    pub(super) fn put_in_force(&self, policy: InForce) {
        self.in_force.store(Some(Arc::new(policy)));
    }

    /// The one in force was found to be the newest.
    pub(super) fn confirm(&self, now: UnixTime) {
        if let Some(in_force) = &*self.in_force.load() {
            in_force.confirmed_at.store(now.0, Ordering::Relaxed);
        }
    }

    /// An attempt is over; whether its error is another than the last one's.
    pub(super) fn finish(&self, error: Option<String>) -> bool {
        let error = error.map(Arc::new);
        let before = self.last_error.swap(error.clone());
        self.tried.send_replace(true);
        before != error
    }
}

impl Policy for LivePolicy {
    fn consult(&self, question: &PolicyQuestion<'_>) -> Consulted {
        match &*self.in_force.load() {
            Some(in_force) => in_force.policy.consult(question),
            None => Consulted::Answered(Err(PolicyFault::NotLoaded)),
        }
    }

    fn reasons(&self, question: &PolicyQuestion<'_>) -> Vec<String> {
        match &*self.in_force.load() {
            Some(in_force) => in_force.policy.reasons(question),
            None => vec![PolicyFault::NotLoaded.to_string()],
        }
    }
}
