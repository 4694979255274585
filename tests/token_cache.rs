//! A cached identity never outlives its token or its key. Time is data here, so the
//! authorizer itself is asked.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use doorward::config::Settings;
use doorward_core::authorizer::Authorizer;
use doorward_core::clock::UnixTime;
use doorward_core::decision::{Basis, Decision};
use doorward_core::issuers::Issuers;
use doorward_core::keys::{KeySet, KeySource, Refetch, RefetchCause, Snapshot};
use doorward_core::request::{HeaderView, RequestView, RouteView};
use doorward_core::token_cache::TokenCache;
use serde_json::{Value, json};

use crate::support::doorward::Doorward;
use crate::support::signer::{Curve, RSA, Signer, claims, from_now, jwks};

const ISSUER: &str = "https://idp.example";

/// Keys that the test itself replaces.
struct Handed(ArcSwapOption<Snapshot>);

impl Handed {
    fn hand_over(&self, jwks: &Value, usable_until: UnixTime) {
        let set = Arc::new(KeySet::parse(jwks.to_string().as_bytes()).unwrap());
        let obtained_at = UnixTime::default();
        self.0.store(Some(Arc::new(Snapshot::new(set, obtained_at, usable_until))));
    }
}

impl KeySource for Handed {
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

fn authorizer(keys: &Arc<Handed>) -> Authorizer {
    let config = json!({"auth": {"oidc": {
        "issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA]),
    }}});
    let settings = Settings::from_yaml("test", &config.to_string()).unwrap();
    let mut issuers = Issuers::default();
    for issuer in &settings.issuers {
        issuers.add(issuer.token.clone(), issuer.identity.clone(), keys.clone());
    }
    let cache = TokenCache::new(100.try_into().unwrap(), 1 << 20, Arc::default()).unwrap();
    Authorizer::new(issuers, settings.headers).with_cache(cache)
}

/// `fresh`, `cached`, or the reason of a denial.
fn decide(authorizer: &Authorizer, token: &str, now: UnixTime) -> &'static str {
    let bearer = format!("Bearer {token}");
    let headers = [HeaderView { name: b"authorization", value: bearer.as_bytes() }];
    let request = RequestView {
        method: b"GET",
        path: b"/",
        authority: b"",
        headers: &headers,
        route: RouteView::default(),
    };
    match authorizer.decide(&request, now).or_deny() {
        Decision::Allow(grant) => match grant.basis() {
            Basis::Identified { fresh: true, .. } => "fresh",
            Basis::Identified { fresh: false, .. } => "cached",
            other => other.code(),
        },
        Decision::Deny(denial) => denial.reason().code(),
    }
}

#[test]
fn a_cached_identity_ends_with_its_token() {
    let keys = Arc::new(Handed(ArcSwapOption::empty()));
    keys.hand_over(&jwks([&*RSA]), UnixTime(u64::MAX));
    let authorizer = authorizer(&keys);
    let start = u64::try_from(from_now(0)).unwrap();
    let token = RSA.token("RS256", &claims(ISSUER, json!({"exp": start + 100})));
    let at = |seconds| decide(&authorizer, &token, UnixTime(start + seconds));
    assert_eq!([at(0), at(0), at(99)], ["fresh", "cached", "cached"]);
    // From `exp` on it is verified each time, with the leeway that any token has.
    assert_eq!([at(100), at(101), at(159)], ["fresh", "fresh", "fresh"]);
    assert_eq!([at(160), at(100_000)], ["expired", "expired"]);
}

#[test]
fn a_cached_identity_ends_with_its_key_and_with_trust_in_the_key_set() {
    let keys = Arc::new(Handed(ArcSwapOption::empty()));
    keys.hand_over(&jwks([&*RSA]), UnixTime(u64::MAX));
    let authorizer = authorizer(&keys);
    let now = UnixTime(u64::try_from(from_now(0)).unwrap());
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let decide = || decide(&authorizer, &token, now);
    assert_eq!([decide(), decide()], ["fresh", "cached"]);
    keys.hand_over(&jwks([&Signer::ec("other", Curve::P256)]), UnixTime(u64::MAX));
    assert_eq!(decide(), "unknown_key");
    keys.hand_over(&jwks([&*RSA]), now.plus(Duration::from_secs(1)));
    assert_eq!([decide(), decide()], ["fresh", "cached"]);
    keys.hand_over(&jwks([&*RSA]), now);
    assert_eq!(decide(), "keys_unavailable", "older than max_stale");
}

#[tokio::test]
async fn without_entries_no_token_is_kept() {
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "cache": {"max_entries": 0},
    });
    let doorward = Doorward::start(&config.to_string()).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for _ in 0..3 {
        assert_eq!(doorward.ask_with(&token).await.reason, "authenticated");
    }
    for (name, value) in [("hits_total", 0.0), ("misses_total", 0.0), ("entries", 0.0)] {
        let name = format!("doorward_token_cache_{name}");
        assert_eq!(doorward.metric(&name).await, Some(value), "{name}");
    }
}
