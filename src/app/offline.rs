//! One decision without a server: the very assembly that `serve` runs, no listener, and
//! the steps by which it came out.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::authorizer::{Authorizer, Outcome};
use doorward_core::clock::{Clock, UnixTime};
use doorward_core::decision::Decision;
use doorward_core::issuers::IssuerId;
use doorward_core::needs::Needs;
use doorward_core::request::RequestView;
use tokio::runtime::Builder;

use super::StartError;
use super::assembly::{Assembly, Shared};
use crate::config::Settings;
use crate::discovery::{EmptySet, IssuerKeys};
use crate::explain::{Asked, Explanation, IssuerFacts, KeyFacts, explain};
use crate::policy::PolicySpec;
use crate::product::Product;
use crate::telemetry::Metrics;
use crate::transport::CheckService;

/// One moment for the whole decision.
struct Fixed(UnixTime);

impl Clock for Fixed {
    fn now(&self) -> UnixTime {
        self.0
    }
}

/// Decides `request` as a server with these settings would at `now`, and tells how. The
/// issuer's keys are fetched for it, and count as obtained at `now`. Looks, never
/// changes: keys that a server keeps on disk are neither read nor written.
///
/// Takes no longer than three times `keys.timeout`.
///
/// # Errors
/// The settings cannot be put to work.
pub fn explain_request(
    mut settings: Settings,
    request: &RequestView<'_>,
    now: UnixTime,
) -> Result<Explanation, StartError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    keep_nothing(&mut settings);
    // A server takes a minute to believe that all keys are withdrawn; told is what it comes to.
    if let EmptySet::Withdraw { reads, over } = &mut settings.fetch.empty_set {
        (*reads, *over) = (1, Duration::ZERO);
    }
    let patience = settings.fetch.timeout;
    let client = settings.platform.client_id.clone();
    runtime.block_on(async {
        let shared = shared_at(now)?;
        let assembly = Assembly::new(settings, &shared, &[])?;
        let service = Arc::clone(assembly.service());
        let keys = assembly.keys();
        if let Some(policy) = assembly.policy() {
            let _ = tokio::time::timeout(patience, policy.tried()).await;
        }
        let decision = decide(service.authorizer(), &keys, request, now, patience).await;
        Ok(told(&service, &keys, &client, request, now, &decision))
    })
}

/// Has neither keys nor a policy kept on disk.
pub(super) fn keep_nothing(settings: &mut Settings) {
    settings.fetch.cache_dir = None;
    if let Some(PolicySpec::Bundle(bundle)) = &mut settings.policy {
        bundle.cache_dir = None;
    }
}

/// What a decision needs that no server makes.
pub(super) fn shared_at(now: UnixTime) -> Result<Shared, StartError> {
    Ok(Shared {
        metrics: Metrics::new()?,
        cache_counters: Arc::default(),
        policy_loads: Arc::default(),
        denials: None,
        clock: Arc::new(Fixed(now)),
        watcher: None,
    })
}

/// The same for a server that runs, with the keys that it has, or gets as it would for a request.
/// Nothing is counted, and nothing of the token remembered.
pub(super) async fn explain_live(
    service: &CheckService,
    keys: &[Arc<IssuerKeys>],
    client: &Option<String>,
    request: &RequestView<'_>,
    now: UnixTime,
) -> Explanation {
    let authorizer = service.authorizer();
    let outcome = authorizer.decide_uncached(request, now);
    let decision = authorizer.settle(outcome, request, now, service.wait(None)).await;
    told(service, keys, client, request, now, &decision)
}

pub(super) fn told(
    service: &CheckService,
    keys: &[Arc<IssuerKeys>],
    client: &Option<String>,
    request: &RequestView<'_>,
    now: UnixTime,
    decision: &Decision,
) -> Explanation {
    let facts = |keys: &Arc<IssuerKeys>| IssuerFacts {
        product: Product::recognise(&keys.spec().issuer, None),
        client: client.clone(),
        keys: Some(KeyFacts {
            location: keys.spec().location.clone(),
            status: keys.status(),
            max_stale: keys.spec().policy.max_stale,
        }),
    };
    let issuers: Vec<_> = keys.iter().map(facts).collect();
    let authorizer = service.authorizer();
    let asked = Asked { authorizer, issuers: &issuers, request, now, decision };
    explain(&asked, service.status(decision))
}

/// A server has had its keys for long when a request comes; here the first attempt is
/// waited for, of the issuer that the token names alone.
async fn decide(
    authorizer: &Authorizer,
    keys: &[Arc<IssuerKeys>],
    request: &RequestView<'_>,
    now: UnixTime,
    patience: Duration,
) -> Decision {
    let outcome = authorizer.decide(request, now);
    if let Outcome::Needs(Needs::Key(missing)) = &outcome {
        // Discovery document and key set: two requests.
        let _ = tokio::time::timeout(patience * 2, tried(keys, missing.issuer().id())).await;
        return authorizer.authorize(request, now, patience).await;
    }
    authorizer.settle(outcome, request, now, patience).await
}

async fn tried(keys: &[Arc<IssuerKeys>], needed: IssuerId) {
    let Some(own) = keys.get(needed.0) else { return };
    own.tried().await;
    if let Some(first) = keys.first().filter(|_| own.status().borrowing) {
        first.tried().await;
    }
}
