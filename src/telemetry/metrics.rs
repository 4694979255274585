//! Every metric, in one place.
//!
//! | metric | labels | what |
//! |---|---|---|
//! | `doorward_checks_total` | `decision`, `reason`, `issuer` | decisions |
//! | `doorward_check_duration_seconds` | | time to decide, waiting for keys included |
//! | `doorward_dropped_groups_total`, `doorward_dropped_scopes_total` | `issuer` | left out of newly verified tokens |
//! | `doorward_group_overage_total` | `issuer` | newly verified tokens with more groups than fit |
//! | `doorward_token_questions_total` | `issuer`, `outcome` | questions whether a token is active: `active`, `inactive`, `error`, `held_back` (not asked: too many under way, or too many that nobody signed) |
//! | `doorward_key_set_fetches_total` | `issuer`, `outcome` | fetches of key sets: `ok` (new keys), `unchanged`, `empty` (no usable key, the last ones serve on), `withdrawn` (none, and that is believed), `error` |
//! | `doorward_key_set_keys` | `issuer` | usable keys in force |
//! | `doorward_key_set_age_seconds` | `issuer` | since the issuer last confirmed its keys |
//! | `doorward_key_set_expires_seconds` | `issuer` | until the keys in force are older than `keys.max_stale`; 0 when there are none, negative when they are too old: from 0 down, the issuer's tokens are denied. None for keys that stand in the configuration |
//! | `doorward_token_cache_{hits,misses,evictions}_total` | | the verified-token cache |
//! | `doorward_token_cache_entries` | | tokens in it |
//! | `doorward_connections` | | connections to the gRPC and HTTP ports |
//! | `doorward_connections_closed_total` | `reason` | connections closed by Doorward, or not taken |
//! | `doorward_calls_cut_off_total` | `reason` | calls ended before their decision or answer |
//! | `doorward_tls_handshake_failures_total` | `listener`, `reason` | connections on which client and Doorward did not agree on TLS |
//! | `doorward_unfinished_bytes` | | what unfinished calls hold of what connections share |
//! | `doorward_policy_loads_total` | `outcome` | loads of the policy, reloads of the configuration included: `ok`, `unchanged`, `refused` (a bundle that is no good), `error` |
//! | `doorward_policy_loaded` | `provider` | 1: there is one in force; 0: requests are answered with 503 `policy_unavailable` |
//! | `doorward_policy_age_seconds` | `provider` | since the policy was read, or its bundle found to be the newest; none for an OPA |
//! | `doorward_config_reloads_total` | `outcome` | reloads: `accepted`, `refused` |
//! | `doorward_config_last_reload_timestamp_seconds` | `outcome` | when the configuration was last accepted, the start included, and last refused |
//! | `doorward_config_last_reload_successful` | | 1: the configuration in the files is in force; 0: it was refused |
//! | `doorward_certificate_expires_timestamp_seconds` | `listener` | when the first certificate of the listener's chain runs out |
//! | `doorward_build_info` | `version` | 1 |

use std::sync::OnceLock;
use std::time::Duration;

use doorward_core::VerifiedIdentity;
use doorward_core::decision::{Approval, Basis, Decision, Reason};
use doorward_core::issuers::IssuerId;
use doorward_core::token_cache::Counters;
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, Result, TextEncoder,
};

use super::config::ConfigMetrics;
use super::connections::ConnectionMetrics;
use super::history::{DURATION_BUCKETS, Totals};
use super::policy::PolicyMetrics;
use super::register::{Register, catch_up};

/// The registry and what is counted across configurations.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    checks: IntCounterVec,
    duration: Histogram,
    dropped_groups: IntCounterVec,
    dropped_scopes: IntCounterVec,
    group_overage: IntCounterVec,
    fetches: IntCounterVec,
    questions: IntCounterVec,
    keys: IntGaugeVec,
    age: IntGaugeVec,
    expires: IntGaugeVec,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    cache_evictions: IntCounter,
    cache_entries: IntGauge,
    connections: ConnectionMetrics,
    config: ConfigMetrics,
    policy: PolicyMetrics,
}

/// What one issuer's key set looks like at the time of a scrape.
#[derive(Clone, Debug, Default)]
pub struct KeySetFacts {
    /// The issuer's name.
    pub issuer: String,
    /// Fetches so far, by outcome.
    pub fetches: Vec<(&'static str, u64)>,
    /// Questions about its tokens so far, by outcome.
    pub questions: Vec<(&'static str, u64)>,
    /// Usable keys in force.
    pub keys: usize,
    /// Since the issuer last confirmed them.
    pub age: Option<Duration>,
    /// Seconds until they are too old: 0 when there are none, negative when they are too old.
    /// `None`: they never are.
    pub expires_in: Option<i64>,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// Two have the same name: a mistake in this file.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let register = Register(&registry);
        let of_issuers = |name, help| register.counters(name, help, &["issuer"]);
        let gauges = |name, help| register.gauges(name, help, &["issuer"]);
        let cache =
            |name, help| register.counter(&format!("doorward_token_cache_{name}_total"), help);
        let build = register.gauges("doorward_build_info", "The running version.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let duration =
            HistogramOpts::new("doorward_check_duration_seconds", "Time taken by a decision.");
        Ok(Self {
            checks: register.counters(
                "doorward_checks_total",
                "Decisions.",
                &["decision", "reason", "issuer"],
            )?,
            duration: register
                .add(Histogram::with_opts(duration.buckets(DURATION_BUCKETS.to_vec())))?,
            dropped_groups: of_issuers(
                "doorward_dropped_groups_total",
                "Groups dropped from newly verified tokens.",
            )?,
            dropped_scopes: of_issuers(
                "doorward_dropped_scopes_total",
                "Scopes dropped from newly verified tokens.",
            )?,
            group_overage: of_issuers(
                "doorward_group_overage_total",
                "Newly verified tokens with too many groups to list (overage).",
            )?,
            questions: register.counters(
                "doorward_token_questions_total",
                "Questions whether tokens are active.",
                &["issuer", "outcome"],
            )?,
            fetches: register.counters(
                "doorward_key_set_fetches_total",
                "Fetches of key sets.",
                &["issuer", "outcome"],
            )?,
            keys: gauges("doorward_key_set_keys", "Usable keys.")?,
            age: gauges(
                "doorward_key_set_age_seconds",
                "Seconds since the issuer last confirmed its keys.",
            )?,
            expires: gauges(
                "doorward_key_set_expires_seconds",
                "Seconds until the current keys are too old; 0 or less: the issuer's tokens are \
                 denied.",
            )?,
            cache_hits: cache("hits", "Tokens found in the cache.")?,
            cache_misses: cache("misses", "Tokens not found in the cache.")?,
            cache_evictions: cache("evictions", "Tokens evicted from the cache.")?,
            cache_entries: register
                .gauge("doorward_token_cache_entries", "Tokens in the cache.")?,
            connections: ConnectionMetrics::new(register)?,
            config: ConfigMetrics::new(register)?,
            policy: PolicyMetrics::new(register)?,
            registry,
        })
    }

    /// The recorder for a configuration with these issuers, by [`IssuerId`].
    #[must_use]
    pub fn recorder(&self, issuers: Vec<String>) -> Recorder {
        let rows = (0..=issuers.len()).map(|_| Row::default()).collect();
        Recorder { metrics: self.clone(), issuers, rows }
    }

    /// What is counted of the configuration.
    #[must_use]
    pub fn config(&self) -> &ConfigMetrics {
        &self.config
    }

    /// What is counted of the policy.
    #[must_use]
    pub fn policy(&self) -> &PolicyMetrics {
        &self.policy
    }

    /// What is counted of connections.
    #[must_use]
    pub fn connections(&self) -> &ConnectionMetrics {
        &self.connections
    }

    /// All decisions so far, their durations and the look-ups of the cache.
    #[must_use]
    pub fn totals(&self, cache: &Counters) -> Totals {
        use std::sync::atomic::Ordering::Relaxed;
        let mut totals = Totals::default();
        for metric in self.checks.collect().iter().flat_map(|family| family.get_metric()) {
            let reason = metric.get_label().iter().find(|label| label.name() == "reason");
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it counts decisions"
            )]
            let count = metric.get_counter().get_value() as u64;
            totals.add_decisions(reason.map_or("", |label| label.value()), count);
        }
        for metric in self.duration.collect().iter().flat_map(|family| family.get_metric()) {
            let histogram = metric.get_histogram();
            let buckets = histogram.get_bucket().iter().map(|bucket| bucket.cumulative_count());
            totals.set_durations(buckets, histogram.get_sample_count());
        }
        totals.set_cache(cache.hits.load(Relaxed), cache.misses.load(Relaxed));
        totals
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self, cache: &Counters, entries: u64, key_sets: &[KeySetFacts]) -> String {
        self.look(cache, entries, key_sets);
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8(text).unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "metrics could not be rendered");
                String::new()
            }
        }
    }

    /// All metrics as values.
    #[must_use]
    pub fn gather(
        &self,
        cache: &Counters,
        entries: u64,
        key_sets: &[KeySetFacts],
    ) -> Vec<MetricFamily> {
        self.look(cache, entries, key_sets);
        self.registry.gather()
    }

    /// Brings up to date what is counted elsewhere.
    fn look(&self, cache: &Counters, entries: u64, key_sets: &[KeySetFacts]) {
        use std::sync::atomic::Ordering::Relaxed;
        catch_up(&self.cache_hits, cache.hits.load(Relaxed));
        catch_up(&self.cache_misses, cache.misses.load(Relaxed));
        catch_up(&self.cache_evictions, cache.evictions.load(Relaxed));
        self.cache_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.keys.reset();
        self.age.reset();
        self.expires.reset();
        for facts in key_sets {
            let issuer = facts.issuer.as_str();
            for (outcome, count) in &facts.fetches {
                catch_up(&self.fetches.with_label_values(&[issuer, *outcome]), *count);
            }
            for (outcome, count) in &facts.questions {
                catch_up(&self.questions.with_label_values(&[issuer, *outcome]), *count);
            }
            let keys = i64::try_from(facts.keys).unwrap_or(i64::MAX);
            self.keys.with_label_values(&[issuer]).set(keys);
            if let Some(age) = facts.age {
                let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                self.age.with_label_values(&[issuer]).set(seconds);
            }
            if let Some(seconds) = facts.expires_in {
                self.expires.with_label_values(&[issuer]).set(seconds);
            }
        }
    }
}

/// Counts decisions, without a lock and without looking a label up twice.
pub struct Recorder {
    metrics: Metrics,
    issuers: Vec<String>,
    /// By issuer, and one more for decisions without.
    rows: Vec<Row>,
}

#[derive(Default)]
struct Row {
    grants: [OnceLock<IntCounter>; 4],
    denials: [OnceLock<IntCounter>; Reason::ALL.len()],
}

impl Recorder {
    /// Takes note of how long a decision took.
    pub fn record_duration(&self, span: Duration) {
        self.metrics.duration.observe(span.as_secs_f64());
    }

    /// Takes note of a decision.
    pub fn record(&self, decision: &Decision) {
        if let Some(counter) = self.counter(decision) {
            counter.inc();
        }
        if let Decision::Allow(approval) = decision
            && let Basis::Identified { identity, fresh: true } = approval.basis()
        {
            self.record_losses(identity);
        }
    }

    /// The configured name of an issuer.
    #[must_use]
    pub fn issuer_name(&self, issuer: Option<IssuerId>) -> &str {
        issuer.and_then(|id| self.issuers.get(id.0)).map_or("", String::as_str)
    }

    fn counter(&self, decision: &Decision) -> Option<&IntCounter> {
        let (issuer, decided, reason) = match decision {
            Decision::Allow(approval) => {
                (approval.identity().map(VerifiedIdentity::issuer), "allow", approval.code())
            }
            Decision::Deny(denial) => (denial.issuer, "deny", denial.reason().code()),
        };
        let row = self.rows.get(issuer.map_or(self.issuers.len(), |id| id.0))?;
        let cell = match decision {
            Decision::Allow(approval) => row.grants.get(approval_index(approval)),
            Decision::Deny(denial) => row.denials.get(denial.reason() as usize),
        }?;
        Some(cell.get_or_init(|| {
            let issuer = self.issuer_name(issuer);
            self.metrics.checks.with_label_values(&[decided, reason, issuer])
        }))
    }

    fn record_losses(&self, verified: &VerifiedIdentity) {
        let losses = verified.identity().losses;
        let issuer = [self.issuer_name(Some(verified.issuer()))];
        if losses.groups > 0 {
            let counter = self.metrics.dropped_groups.with_label_values(&issuer);
            counter.inc_by(losses.groups.into());
        }
        if losses.scopes > 0 {
            let counter = self.metrics.dropped_scopes.with_label_values(&issuer);
            counter.inc_by(losses.scopes.into());
        }
        if losses.group_overage {
            self.metrics.group_overage.with_label_values(&issuer).inc();
        }
    }
}

fn approval_index(approval: &Approval) -> usize {
    match approval.basis() {
        Basis::Identified { .. } => 0,
        Basis::Anonymous => 1,
        Basis::Bypassed => 2,
        Basis::AuthDisabled => 3,
    }
}
