//! Doorward without its sockets: a door with one issuer whose keys never change.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use bytes::Bytes;
use doorward::authorizer::Authorizer;
use doorward::clock::{Clock as _, SystemClock, UnixTime};
use doorward::config::{DecisionLog, Settings};
use doorward::identity::ProtectedHeaders;
use doorward::issuers::Issuers;
use doorward::keys::{KeySet, KeySource, Refetch, RefetchCause, Snapshot};
use doorward::rules::Rules;
use doorward::telemetry::{DecisionLines, Metrics};
use doorward::token::UnsignedTokens;
use doorward::token_cache::TokenCache;
use doorward::transport::{DenialPages, Documents, Door, DoorParts};
use serde_json::{Value, json};

use super::ISSUER;

/// A key set handed over once.
struct StaticKeys(ArcSwapOption<Snapshot>);

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
        Box::pin(std::future::ready(Refetch::NotDue))
    }
}

/// A door that believes `jwks` and remembers so many tokens, with everything on that is on
/// by default but the decision lines of denials.
pub fn door(jwks: &Value, remembered: u64) -> Door {
    let config = json!({
        "auth": {"issuers": [{"issuer": ISSUER, "audience": "nmp", "jwks": jwks}]},
    });
    let settings = Settings::from_yaml("bench", &config.to_string()).unwrap();
    let set = Arc::new(KeySet::parse(jwks.to_string().as_bytes()).unwrap());
    let snapshot = Snapshot::new(set, SystemClock.now(), UnixTime(u64::MAX));
    let mut issuers = Issuers::default();
    for issuer in &settings.issuers {
        let keys = StaticKeys(ArcSwapOption::from_pointee(snapshot.clone()));
        issuers.add(issuer.token.clone(), issuer.identity.clone(), Arc::new(keys));
    }
    let cache = TokenCache::new(remembered, settings.cache.max_bytes, Arc::default()).unwrap();
    let authorizer = Authorizer {
        enabled: true,
        issuers,
        rules: Rules::new(Vec::new()),
        protected: ProtectedHeaders::new(&settings.headers),
        headers: settings.headers,
        max_token_bytes: settings.max_token_bytes,
        unsigned: UnsignedTokens::Refused,
        cache,
    };
    Door::new(DoorParts {
        authorizer,
        pages: DenialPages::new(&settings.realm, Vec::new()),
        clock: Arc::new(SystemClock),
        wait: Duration::from_millis(100),
        recorder: Metrics::new().unwrap().recorder(vec![ISSUER.to_owned()]),
        lines: DecisionLines::new(DecisionLog::Off, 1),
        documents: Documents { discovery: Box::new(String::new), protected_resources: Vec::new() },
        watcher: None,
    })
}

/// The reply to an encoded `CheckRequest`.
pub fn check(door: &Door, message: Bytes) -> Bytes {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(door.check_message(message, None)).poll(&mut context) {
        Poll::Ready(reply) => reply,
        Poll::Pending => panic!("nothing in here waits"),
    }
}
