//! Settings → issuers, authorizer and service. Made anew for every configuration; keys that
//! are still wanted live on.

use std::num::NonZeroU64;
use std::sync::Arc;

use arc_swap::ArcSwap;
use doorward_core::authorizer::Authorizer;
use doorward_core::clock::Clock;
use doorward_core::issuers::{Issuer, Issuers};
use doorward_core::keys::{KeySet, KeySource, StaticKeys};
use doorward_core::rules::Rules;
use doorward_core::token::UnsignedTokens;
use doorward_core::token_cache::{Counters, TokenCache};
use tokio::task::AbortHandle;

use super::tasks::background;
use super::{StartError, documents};
use crate::config::{IssuerSettings, Settings};
use crate::discovery::{
    IntrospectionSpec, Introspector, IssuerKeys, IssuerMetadata, KeysSpec, MetadataSpec, keys_of,
};
use crate::telemetry::{DecisionLines, Metrics, RecentDenials};
use crate::transport::{CheckService, CheckServiceParts, DenialPages, Watcher};

/// What outlives a configuration.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) metrics: Metrics,
    pub(super) cache_counters: Arc<Counters>,
    /// Where denials are noted, when there is a console to show them.
    pub(super) denials: Option<Arc<RecentDenials>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watcher: Option<Watcher>,
}

/// One configuration at work.
pub(super) struct Assembly {
    service: Arc<ArcSwap<CheckService>>,
    keys: Vec<Keeper<IssuerKeys>>,
    metadata: Option<Keeper<IssuerMetadata>>,
    introspectors: Vec<Arc<Introspector>>,
}

/// Something that a task keeps fresh, for as long as anybody wants it.
struct Keeper<T> {
    kept: Arc<T>,
    task: Arc<Task>,
    /// Whose keys it borrows; `None`: nobody's.
    lender: Option<Arc<IssuerKeys>>,
}

struct Task(AbortHandle);

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
        Self { kept, task: Arc::new(Task(background(task).abort_handle())), lender }
    }

    fn share(&self) -> Self {
        let lender = self.lender.clone();
        Self { kept: Arc::clone(&self.kept), task: Arc::clone(&self.task), lender }
    }
}

impl Assembly {
    /// Puts settings to work: at once when there is a `predecessor`, whose service then
    /// opens to the new authorizer.
    pub(super) fn new(
        settings: Settings,
        shared: &Shared,
        predecessor: Option<&Self>,
    ) -> Result<Self, StartError> {
        let keys = keys(&settings, shared, predecessor.map_or(&[], |before| &before.keys));
        let before = predecessor.and_then(|before| before.metadata.as_ref());
        let metadata = metadata(&settings, shared, before);

        let mut issuers = Issuers::default();
        let mut introspectors = Vec::new();
        let before = predecessor.map_or_else(Vec::new, |before| before.introspectors.clone());
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
        let names = issuers.iter().map(|issuer| issuer.name().to_owned()).collect();
        let cache = settings.cache.clone();
        let counters = Arc::clone(&shared.cache_counters);
        let rules = Rules::new(settings.bypass.clone())
            .with_routes(settings.routes.clone())
            .with_endpoints(settings.endpoints.clone())
            .with_encoded_slashes(settings.encoded_slashes.clone())
            .with_preflights(settings.lets_preflights_pass);
        let mut authorizer = Authorizer::new(issuers, settings.headers.clone())
            .with_rules(rules)
            .with_max_token_bytes(settings.max_token_bytes);
        if let Some(max_entries) = NonZeroU64::new(cache.max_entries) {
            let cache = TokenCache::new(max_entries, cache.max_bytes, counters)?;
            authorizer = authorizer.with_cache(cache);
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
        let service = match predecessor {
            None => Arc::new(ArcSwap::from_pointee(service)),
            Some(before) => {
                before.service.store(Arc::new(service));
                Arc::clone(&before.service)
            }
        };
        Ok(Self { service, keys, metadata, introspectors })
    }

    pub(super) fn service(&self) -> &Arc<ArcSwap<CheckService>> {
        &self.service
    }

    pub(super) fn introspectors(&self) -> &[Arc<Introspector>] {
        &self.introspectors
    }

    pub(super) fn keys(&self) -> Vec<Arc<IssuerKeys>> {
        self.keys.iter().map(|keeper| Arc::clone(&keeper.kept)).collect()
    }
}

/// The keys of every issuer. Those of the predecessor that are wanted unchanged are
/// shared with their task; where only a setting changed, what was obtained is handed on.
fn keys(
    settings: &Settings,
    shared: &Shared,
    before: &[Keeper<IssuerKeys>],
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
        let same_issuer = before.iter().find(|old| old.kept.spec().issuer == spec.issuer);
        let same_lender = |old: &Keeper<IssuerKeys>| match (&old.lender, &lender) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        keepers.push(match same_issuer {
            Some(old) if *old.kept.spec() == spec && same_lender(old) => old.share(),
            other => {
                let predecessor = other.map(|old| old.kept.as_ref());
                let borrowed = lender.clone().map(|lender| lender as Arc<dyn KeySource>);
                let clock = Arc::clone(&shared.clock);
                Keeper::new(keys_of(spec, borrowed, predecessor, clock), lender)
            }
        });
    }
    keepers
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
    before: Option<&Keeper<IssuerMetadata>>,
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
    Some(match before {
        Some(old) if *old.kept.spec() == spec => old.share(),
        other => {
            let predecessor = other.map(|old| old.kept.as_ref());
            Keeper::new(IssuerMetadata::new(spec, predecessor, Arc::clone(&shared.clock)), None)
        }
    })
}
