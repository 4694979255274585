//! What the admin port tells of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use doorward_core::clock::UnixTime;

use super::assembly::{Assembly, Shared};
use super::shortage::{Shortage, ShortageLog, expires_in};
use crate::discovery::{FetchCounts, Introspector, IssuerKeys, IssuerStatus, QuestionCounts};
use crate::policy::{LivePolicy, PolicyStatus};
use crate::telemetry::{KeySetFacts, PolicyFacts};
use crate::transport::{AdminView, CheckService, Readiness, Resources};

/// All there is to tell.
pub(super) struct Overview {
    shared: Shared,
    service: Arc<ArcSwap<CheckService>>,
    keys: ArcSwap<Vec<Arc<IssuerKeys>>>,
    introspectors: ArcSwap<Vec<Arc<Introspector>>>,
    policy: ArcSwapOption<LivePolicy>,
    resources: Resources,
    /// Once ready, no issuer changes that.
    was_ready: AtomicBool,
    stopping: AtomicBool,
}

impl Overview {
    pub(super) fn new(
        assembly: &Assembly,
        service: Arc<ArcSwap<CheckService>>,
        shared: Shared,
        resources: Resources,
    ) -> Self {
        Self {
            shared,
            resources,
            service,
            keys: ArcSwap::from_pointee(assembly.keys()),
            introspectors: ArcSwap::from_pointee(assembly.introspectors().to_vec()),
            policy: ArcSwapOption::new(assembly.policy()),
            was_ready: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }

    /// Tells of another configuration from now on.
    pub(super) fn follow(&self, assembly: &Assembly) {
        self.keys.store(Arc::new(assembly.keys()));
        self.introspectors.store(Arc::new(assembly.introspectors().to_vec()));
        self.policy.store(assembly.policy());
    }

    pub(super) fn stop_being_ready(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether requests should be sent here. At the start every issuer is tried once, or so much
    /// time goes by; from then on an IdP that is down takes nobody's denials, bypasses and
    /// stripped headers away, and least of all those of a whole fleet at once.
    pub(super) fn is_ready(&self) -> bool {
        if self.stopping.load(Ordering::Relaxed) {
            return false;
        }
        let ready = self.was_ready.load(Ordering::Relaxed)
            || !self.needs_keys()
            || self.keys.load().iter().all(|keys| keys.was_tried())
                && self.policy.load().as_ref().is_none_or(|policy| policy.was_tried());
        self.was_ready.fetch_or(ready, Ordering::Relaxed);
        ready
    }

    /// Tells of issuers whose tokens cannot be checked, and of those whose can be again.
    pub(super) fn tell_shortages(&self, log: &mut ShortageLog) {
        if self.needs_keys() {
            log.look(&self.keys.load(), self.shared.clock.now());
        }
    }

    /// The issuers, primary first.
    pub(super) fn issuers(&self) -> Arc<Vec<Arc<IssuerKeys>>> {
        self.keys.load_full()
    }

    /// The policy, if there is one.
    pub(super) fn policy(&self) -> Option<PolicyStatus> {
        self.policy.load().as_ref().map(|policy| policy.status())
    }

    /// How the questions about this issuer's tokens ended.
    fn questions(&self, issuer: &str) -> Vec<(&'static str, u64)> {
        let introspectors = self.introspectors.load();
        let of_issuer = introspectors.iter().find(|one| one.spec().issuer == issuer);
        of_issuer.map_or_else(Vec::new, |one| {
            let QuestionCounts { active, inactive, error, held_back } = one.counts();
            vec![
                ("active", active),
                ("inactive", inactive),
                ("error", error),
                ("held_back", held_back),
            ]
        })
    }

    fn needs_keys(&self) -> bool {
        self.service.load().authorizer().is_enabled()
    }
}

impl AdminView for Overview {
    fn readiness(&self) -> Readiness {
        let ready = self.is_ready();
        let mut lines = vec![if ready { "ready" } else { "not ready" }.to_owned()];
        if self.stopping.load(Ordering::Relaxed) {
            lines.push("stopping".to_owned());
        }
        let now = self.shared.clock.now();
        lines.extend(self.keys.load().iter().map(|keys| line(keys, now)));
        lines.extend(self.policy().map(|policy| policy_line(&policy)));
        Readiness { ready, lines }
    }

    fn metrics(&self) -> String {
        let now = self.shared.clock.now();
        let facts: Vec<_> = self
            .keys
            .load()
            .iter()
            .map(|keys| {
                let facts = facts(keys, now);
                KeySetFacts { questions: self.questions(&facts.issuer), ..facts }
            })
            .collect();
        let policy = self.policy().map(|status| PolicyFacts {
            provider: status.provider,
            is_loaded: status.is_loaded,
            age: status.confirmed_at.map(|moment| now.since(moment)),
            loads: self.shared.policy_loads.each().collect(),
        });
        self.shared.metrics.policy().look(policy.as_ref());
        self.resources.take_note();
        let entries = self.service.load().authorizer().remembered_tokens();
        self.shared.metrics.render(&self.shared.cache_counters, entries, &facts)
    }
}

/// What metrics tell of an issuer's keys at `now`.
pub(super) fn facts(issuer_keys: &IssuerKeys, now: UnixTime) -> KeySetFacts {
    let IssuerStatus { issuer, keys, obtained_at, fetches, .. } = issuer_keys.status();
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
        questions: Vec::new(),
        keys,
        age: obtained_at.map(|moment| now.since(moment)),
        expires_in: expires_in(issuer_keys, now),
    }
}

/// One issuer, for people; `degraded` in front when its tokens cannot be checked.
fn line(issuer_keys: &IssuerKeys, now: UnixTime) -> String {
    let IssuerStatus { issuer, keys, borrowing, last_error, .. } = issuer_keys.status();
    let (degraded, state) = match (Shortage::of(issuer_keys, now), keys, borrowing) {
        (Some(Shortage::NeverObtained), ..) if !issuer_keys.was_tried() => {
            ("", "no keys yet".to_owned())
        }
        (Some(why), ..) => ("degraded: ", format!("no usable keys: {why}")),
        (None, 0, true) => ("", "no keys of its own yet, using the primary issuer's".into()),
        (None, count, _) => ("", format!("{count} keys")),
    };
    let failed = last_error.map(|error| format!("; last attempt failed: {error}"));
    format!("{degraded}{issuer}: {state}{}", failed.unwrap_or_default())
}

/// The policy, for people; `degraded` in front when requests cannot be put to it.
fn policy_line(policy: &PolicyStatus) -> String {
    let PolicyStatus { provider, source, is_loaded, revision, last_error, .. } = policy;
    let (degraded, state) =
        if *is_loaded { ("", "in force") } else { ("degraded: ", "none could be loaded yet") };
    let revision = revision.as_ref().map_or(String::new(), |it| format!(", revision {it}"));
    let failed = last_error.as_ref().map_or(String::new(), |it| format!("; last failure: {it}"));
    format!("{degraded}policy ({provider}, {source}): {state}{revision}{failed}")
}
