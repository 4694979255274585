//! Doorward without its sockets: a service with one issuer whose keys never change.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use doorward::config::{DecisionLog, Settings};
use doorward::telemetry::{DecisionLines, Metrics};
use doorward::transport::{CheckService, CheckServiceParts, DenialPages, Documents};
use doorward_core::authorizer::Authorizer;
use doorward_core::clock::SystemClock;
use doorward_core::issuers::Issuers;
use doorward_core::keys::{KeySet, StaticKeys};
use doorward_core::token_cache::TokenCache;
use serde_json::{Value, json};

use super::ISSUER;

/// A service that believes `jwks` and remembers so many tokens, with everything on that is on
/// by default but the decision lines of denials.
pub fn service(jwks: &Value, remembered: u64) -> CheckService {
    let config = json!({
        "auth": {"issuers": [{"issuer": ISSUER, "audience": "nmp", "jwks": jwks}]},
    });
    let settings = Settings::from_yaml("bench", &config.to_string()).unwrap();
    let set = || KeySet::parse(jwks.to_string().as_bytes()).unwrap();
    let mut issuers = Issuers::default();
    for issuer in &settings.issuers {
        let keys = Arc::new(StaticKeys::new(set()));
        issuers.add(issuer.token.clone(), issuer.identity.clone(), keys);
    }
    let mut authorizer = Authorizer::new(issuers, settings.headers);
    if let Some(remembered) = NonZeroU64::new(remembered) {
        let cache = TokenCache::new(remembered, settings.cache.max_bytes, Arc::default());
        authorizer = authorizer.with_cache(cache.unwrap());
    }
    CheckService::new(CheckServiceParts {
        authorizer,
        pages: DenialPages::new(&settings.realm, Vec::new()),
        clock: Arc::new(SystemClock),
        wait: Duration::from_millis(100),
        recorder: Metrics::new().unwrap().recorder(vec![ISSUER.to_owned()]),
        lines: DecisionLines::new(DecisionLog::Off, 1),
        denials: None,
        documents: Documents { discovery: Box::new(String::new), protected_resources: Vec::new() },
        watcher: None,
    })
}

/// The reply to an encoded `CheckRequest`.
pub fn check(service: &CheckService, message: Bytes) -> Bytes {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(service.check_message(message, None)).poll(&mut context) {
        Poll::Ready(reply) => reply,
        Poll::Pending => panic!("nothing in here waits"),
    }
}
