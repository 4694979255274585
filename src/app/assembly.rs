//! Settings → issuers, authorizer and service. Made anew for every configuration; keys that
//! are still wanted live on.

use std::num::NonZeroU64;
use std::sync::Arc;

use doorward_core::authorizer::Authorizer;
use doorward_core::clock::Clock;
use doorward_core::identity::HeaderRules;
use doorward_core::issuers::{Issuer, Issuers};
use doorward_core::keys::{KeySet, KeySource, StaticKeys};
use doorward_core::rules::Rules;
use doorward_core::token::UnsignedTokens;
use doorward_core::token_cache::{Counters, TokenCache};
use tokio::task::{AbortHandle, JoinHandle};

use super::tasks::background;
use super::{StartError, documents};
use crate::config::raw::Cache;
use crate::config::{IssuerSettings, Settings, UnsignedSettings};
use crate::discovery::{
    IntrospectionSpec, Introspector, IssuerKeys, IssuerMetadata, KeysSpec, MetadataSpec, keys_of,
};
use crate::policy::{LivePolicy, LoadCounts, Work, put_to_work};
use crate::telemetry::{DecisionLines, Metrics, RecentDenials};
use crate::transport::{CheckService, CheckServiceParts, DenialPages, Watcher};

/// What outlives a configuration.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) metrics: Metrics,
    pub(super) cache_counters: Arc<Counters>,
    pub(super) policy_loads: Arc<LoadCounts>,
    /// Where denials are noted, when there is a console to show them.
    pub(super) denials: Option<Arc<RecentDenials>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watcher: Option<Watcher>,
}

/// One configuration at work.
pub(super) struct Assembly {
    service: Arc<CheckService>,
    keys: Vec<Keeper<IssuerKeys>>,
    metadata: Option<Keeper<IssuerMetadata>>,
    introspectors: Vec<Arc<Introspector>>,
    policy: Option<PolicyAtWork>,
    verification: Verification,
    tokens: Option<Arc<TokenCache>>,
}

/// What verified tokens depend on: where all of it is equal, they can be shared
/// ([`Authorizer::with_cache`]).
#[derive(PartialEq)]
struct Verification {
    issuers: Vec<IssuerSettings>,
    unsigned: Option<UnsignedSettings>,
    allow_unsigned_jwt: bool,
    headers: HeaderRules,
    cache: Cache,
    /// Whether a policy is asked: what fronts keep of an identity says that one has allowed it.
    judged: bool,
}

impl Verification {
    fn of(settings: &Settings) -> Self {
        let Settings { issuers, unsigned, allow_unsigned_jwt, headers, cache, policy, .. } =
            settings;
        Self {
            issuers: issuers.clone(),
            unsigned: unsigned.clone(),
            allow_unsigned_jwt: *allow_unsigned_jwt,
            headers: headers.clone(),
            cache: cache.clone(),
            judged: policy.is_some(),
        }
    }
}

/// Something that a task keeps fresh, for as long as anybody wants it.
struct Keeper<T> {
    kept: Arc<T>,
    task: Arc<Task>,
    /// Whose keys it borrows; `None`: nobody's.
    lender: Option<Arc<IssuerKeys>>,
}

/// A policy, and the task that keeps it fresh for as long as anybody wants it.
#[derive(Clone)]
struct PolicyAtWork {
    live: Arc<LivePolicy>,
    _task: Option<Arc<Task>>,
}

/// Ends when it is dropped.
pub(super) struct Task(AbortHandle);

impl Task {
    pub(super) fn new<T>(task: JoinHandle<T>) -> Self {
        Self(task.abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Keeper<T> {
    fn new(
        (kept, task): (Arc<T>, impl Future<Output = ()> + Send + 'static),
        lender: Option<Arc<IssuerKeys>>,
    ) -> Self {
        Self { kept, task: Arc::new(Task::new(background(task))), lender }
    }

    fn share(&self) -> Self {
        let lender = self.lender.clone();
        Self { kept: Arc::clone(&self.kept), task: Arc::clone(&self.task), lender }
    }
}

impl Assembly {
    /// Puts settings to work. What others at work obtained or keep fresh, and these settings
    /// want too, is shared with them: `others` are asked in turn.
    pub(super) fn new(
        settings: Settings,
        shared: &Shared,
        others: &[&Self],
    ) -> Result<Self, StartError> {
        let of_others = others.iter().flat_map(|other| &other.keys).collect::<Vec<_>>();
        let keys = keys(&settings, shared, &of_others);
        let of_others = others.iter().filter_map(|other| other.metadata.as_ref());
        let metadata = metadata(&settings, shared, &of_others.collect::<Vec<_>>());

        let mut issuers = Issuers::default();
        let mut introspectors = Vec::new();
        let of_others = others.iter().flat_map(|other| &other.introspectors).cloned();
        let before: Vec<_> = of_others.collect();
        for (issuer, keeper) in settings.issuers.iter().zip(&keys) {
            let source: Arc<dyn KeySource> = keeper.kept.clone();
            let (rules, identity) = (issuer.token.clone(), issuer.identity.clone());
            let mut made = Issuer::new(rules, identity, source);
            if let Some(rules) = &issuer.access_keys {
                made = made.with_access_keys(rules.clone());
            }
            if let Some(prefix) = &issuer.opaque_prefix {
                made = made.with_opaque_tokens(prefix.clone());
            }
            if let Some(spec) = &issuer.introspection {
                let asks = introspector(spec, shared, &before)?;
                made = made.with_status(asks.clone());
                introspectors.push(asks);
            }
            issuers.push(made);
        }
        if let Some(unsigned) = &settings.unsigned {
            // Nobody signs these.
            let keys = Arc::new(StaticKeys::new(KeySet::default()));
            let (rules, identity) = (unsigned.token.clone(), unsigned.identity.clone());
            issuers.push(Issuer::new(rules, identity, keys).for_unsigned_tokens());
        }
        let policy = policy(&settings, shared, others);
        let names = issuers.iter().map(|issuer| issuer.name().to_owned()).collect();
        let verification = Verification::of(&settings);
        let tokens = tokens(&verification, shared, others)?;
        let rules = Rules::new(settings.bypass.clone())
            .with_routes(settings.routes.clone())
            .with_endpoints(settings.endpoints.clone())
            .with_encoded_slashes(settings.encoded_slashes.clone())
            .with_preflights(settings.lets_preflights_pass);
        let mut authorizer = Authorizer::new(issuers, settings.headers.clone())
            .with_rules(rules)
            .with_max_token_bytes(settings.max_token_bytes);
        if let Some(tokens) = &tokens {
            authorizer = authorizer.with_cache(Arc::clone(tokens));
        }
        if let Some(policy) = &policy {
            authorizer = authorizer.with_policy(policy.live.clone());
        }
        if settings.allow_unsigned_jwt {
            authorizer = authorizer.with_unsigned(UnsignedTokens::Accepted);
        }
        if !settings.auth_enabled {
            authorizer = authorizer.without_authentication();
        }
        let service = CheckService::new(CheckServiceParts {
            authorizer,
            pages: DenialPages::new(&settings.realm, settings.protected_resources.clone()),
            clock: Arc::clone(&shared.clock),
            wait: settings.fetch.wait,
            recorder: shared.metrics.recorder(names),
            denials: shared.denials.clone(),
            lines: DecisionLines::new(settings.log.decisions, settings.log.decisions_per_second),
            documents: documents::documents(
                &settings,
                metadata.as_ref().map(|keeper| Arc::clone(&keeper.kept)),
            ),
            watcher: shared.watcher.clone(),
        });
        let service = Arc::new(service);
        Ok(Self { service, keys, metadata, introspectors, policy, verification, tokens })
    }

    pub(super) fn service(&self) -> &Arc<CheckService> {
        &self.service
    }

    pub(super) fn introspectors(&self) -> &[Arc<Introspector>] {
        &self.introspectors
    }

    /// The verified tokens, where they are remembered: a number that names the cache, and how many
    /// there are.
    pub(super) fn remembered(&self) -> Option<(usize, u64)> {
        self.tokens.as_ref().map(|tokens| (Arc::as_ptr(tokens).addr(), tokens.len()))
    }

    /// The policy that is asked, if there is one.
    pub(super) fn policy(&self) -> Option<Arc<LivePolicy>> {
        self.policy.as_ref().map(|policy| Arc::clone(&policy.live))
    }

    pub(super) fn keys(&self) -> Vec<Arc<IssuerKeys>> {
        self.keys.iter().map(|keeper| Arc::clone(&keeper.kept)).collect()
    }
}

/// The verified tokens: those of one of the others that verifies alike.
fn tokens(
    verification: &Verification,
    shared: &Shared,
    others: &[&Assembly],
) -> Result<Option<Arc<TokenCache>>, StartError> {
    if let Some(alike) = others.iter().find(|other| other.verification == *verification) {
        return Ok(alike.tokens.clone());
    }
    let Cache { max_entries, max_bytes } = verification.cache;
    let Some(max_entries) = NonZeroU64::new(max_entries) else { return Ok(None) };
    let counters = Arc::clone(&shared.cache_counters);
    Ok(Some(Arc::new(TokenCache::new(max_entries, max_bytes, counters)?)))
}

/// The keys of every issuer. Those of others that are wanted unchanged are shared with their
/// task; where only a setting changed, what was obtained is handed on.
fn keys(
    settings: &Settings,
    shared: &Shared,
    others: &[&Keeper<IssuerKeys>],
) -> Vec<Keeper<IssuerKeys>> {
    let mut keepers: Vec<Keeper<IssuerKeys>> = Vec::with_capacity(settings.issuers.len());
    for issuer in &settings.issuers {
        let spec = KeysSpec {
            issuer: issuer.token.issuer.clone(),
            location: issuer.keys.clone(),
            access: issuer.access.clone(),
            policy: settings.fetch.clone(),
        };
        let lender = keepers
            .first()
            .filter(|_| issuer.borrows_from_primary)
            .map(|primary| Arc::clone(&primary.kept));
        let same_lender = |old: &Keeper<IssuerKeys>| match (&old.lender, &lender) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let same = others.iter().find(|old| *old.kept.spec() == spec && same_lender(old));
        keepers.push(match same {
            Some(same) => same.share(),
            None => {
                let same_issuer = others.iter().find(|old| old.kept.spec().issuer == spec.issuer);
                let predecessor = same_issuer.map(|old| old.kept.as_ref());
                let borrowed = lender.clone().map(|lender| lender as Arc<dyn KeySource>);
                let clock = Arc::clone(&shared.clock);
                Keeper::new(keys_of(spec, borrowed, predecessor, clock), lender)
            }
        });
    }
    keepers
}

/// The policy: that of one of the others where it is the same.
fn policy(settings: &Settings, shared: &Shared, others: &[&Assembly]) -> Option<PolicyAtWork> {
    let spec = settings.policy.clone()?;
    let mut of_others = others.iter().filter_map(|other| other.policy.as_ref());
    if let Some(same) = of_others.clone().find(|other| *other.live.spec() == spec) {
        return Some(same.clone());
    }
    let predecessor = of_others.next().map(|other| other.live.as_ref());
    let clock = Arc::clone(&shared.clock);
    let (live, work) = put_to_work(spec, predecessor, &shared.policy_loads, clock);
    let task = match work {
        Work::KeepFresh(work) => Some(Arc::new(Task::new(background(work)))),
        // It ends when nobody can ask any more.
        Work::Ask(work) => {
            drop(background(work));
            None
        }
        Work::None => None,
    };
    Some(PolicyAtWork { live, _task: task })
}

/// Who is asked about tokens. One of the predecessor's that asks alike goes on, with what it knows.
fn introspector(
    spec: &IntrospectionSpec,
    shared: &Shared,
    before: &[Arc<Introspector>],
) -> Result<Arc<Introspector>, StartError> {
    if let Some(same) = before.iter().find(|old| old.spec() == spec) {
        return Ok(Arc::clone(same));
    }
    let same_issuer = before.iter().find(|old| old.spec().issuer == spec.issuer);
    let predecessor = same_issuer.map(Arc::as_ref);
    let clock = Arc::clone(&shared.clock);
    let (introspector, task) = Introspector::new(spec.clone(), predecessor, clock)?;
    // It ends when nobody can ask any more.
    drop(background(task));
    Ok(introspector)
}

/// The primary issuer's discovery document, for whoever logs people in.
fn metadata(
    settings: &Settings,
    shared: &Shared,
    others: &[&Keeper<IssuerMetadata>],
) -> Option<Keeper<IssuerMetadata>> {
    let IssuerSettings { token, access, .. } = settings.issuers.first()?;
    let url = settings.platform.discovery_url.clone()?;
    let spec = MetadataSpec {
        issuer: token.issuer.clone(),
        url,
        access: access.clone(),
        timeout: settings.fetch.timeout,
        ttl: settings.platform.discovery_cache_ttl,
        cache_dir: settings.fetch.cache_dir.clone(),
    };
    let same = others.iter().find(|old| *old.kept.spec() == spec);
    Some(match same {
        Some(same) => same.share(),
        None => {
            let predecessor = others.first().map(|old| old.kept.as_ref());
            Keeper::new(IssuerMetadata::new(spec, predecessor, Arc::clone(&shared.clock)), None)
        }
    })
}
