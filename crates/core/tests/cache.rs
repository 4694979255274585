//! Tokens that were verified before: when that counts, and when it does not.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use doorward_core::authorizer::Authorizer;
use doorward_core::bearer::BearerToken;
use doorward_core::decision::{Basis, Decision, Fault};
use doorward_core::token::TokenFault;
use doorward_core::token_cache::{Counters, TokenCache};
use serde_json::json;

use crate::support::{Setup, Source, from_now, get, signer, snapshot, token};

const MIB: u64 = 1024 * 1024;

fn remembering(entries: u64, bytes: u64) -> (Arc<Source>, Arc<Counters>, Authorizer) {
    let (source, counters) = (Source::of([&signer()]), Arc::new(Counters::default()));
    let entries = entries.try_into().unwrap();
    let cache = TokenCache::new(entries, bytes, Arc::clone(&counters)).unwrap();
    let authorizer = Setup::new().with_keys(Arc::clone(&source) as _).with_cache(cache);
    (source, counters, authorizer)
}

/// Hits and misses so far.
fn counted(counters: &Counters) -> (u64, u64) {
    (counters.hits.load(Ordering::Relaxed), counters.misses.load(Ordering::Relaxed))
}

#[test]
fn the_second_request_costs_no_signature() {
    let (_, counters, authorizer) = remembering(100, MIB);
    let (ask, other) = (get("/").with_token(json!({})), get("/").with_token(json!({"jti": "2"})));
    assert!(ask.allowed(&authorizer).fresh);
    assert_eq!(counted(&counters), (0, 1));
    let again = ask.allowed(&authorizer);
    assert!(!again.fresh);
    assert_eq!((again.code, again.principal()), ("authenticated", "alice"));
    assert_eq!(counted(&counters), (1, 1));
    assert!(other.allowed(&authorizer).fresh, "another token is another one");
    assert_eq!(counted(&counters), (1, 2));
    // What is not accepted is not remembered.
    let expired = get("/").with_token(json!({"exp": 1}));
    for misses in [3, 4] {
        assert_eq!(expired.fault(&authorizer), Fault::Token(TokenFault::Expired));
        assert_eq!(counted(&counters), (1, misses));
    }
}

/// Whoever explains a decision leaves no trace of it, and sees every check.
#[test]
fn an_uncached_decision_neither_asks_the_cache_nor_fills_it() {
    let (_, counters, authorizer) = remembering(100, MIB);
    let ask = get("/").with_token(json!({}));
    let is_fresh = || {
        ask.view(|request, now| match authorizer.decide_uncached(request, now).or_deny() {
            Decision::Allow(approval) => {
                matches!(approval.basis(), Basis::Identified { fresh: true, .. })
            }
            Decision::Deny(denial) => panic!("{}", denial.fault),
        })
    };
    assert!(is_fresh() && is_fresh());
    assert_eq!((counted(&counters), authorizer.remembered_tokens()), ((0, 0), 0));
    assert!(ask.allowed(&authorizer).fresh);
    assert!(is_fresh());
    assert_eq!(counted(&counters), (0, 1));
}

/// Within its leeway an old token is still good, but verified each time.
#[test]
fn nothing_is_remembered_beyond_its_expiry() {
    let (_, _, authorizer) = remembering(100, MIB);
    let ask = get("/").with_token(json!({"exp": from_now(10)}));
    assert!(ask.allowed(&authorizer).fresh);
    assert!(!ask.clone().at(9).allowed(&authorizer).fresh);
    assert!(ask.clone().at(10).allowed(&authorizer).fresh);
    assert!(ask.clone().at(69).allowed(&authorizer).fresh);
    assert_eq!(ask.at(70).fault(&authorizer), Fault::Token(TokenFault::Expired));
}

/// A token of withdrawn keys is out, and so is one whose keys are too old.
#[test]
fn what_other_keys_verified_does_not_count() {
    let (source, counters, authorizer) = remembering(100, MIB);
    let ask = get("/").with_token(json!({"exp": from_now(9999)}));
    assert!(ask.allowed(&authorizer).fresh);
    source.publish(snapshot([&signer()]));
    assert!(ask.allowed(&authorizer).fresh, "the same key in another set");
    assert!(!ask.allowed(&authorizer).fresh);
    assert!(matches!(ask.clone().at(3600).fault(&authorizer), Fault::Keys(_)));
    // What no longer holds is dropped, not kept for later.
    assert!(ask.allowed(&authorizer).fresh);
    source.publish(snapshot([]));
    assert_eq!(ask.fault(&authorizer), Fault::Token(TokenFault::NoSuchKey));
    assert_eq!(counted(&counters), (1, 5));
}

#[test]
fn without_a_cache_nothing_is_remembered() {
    let authorizer = Setup::new().with_keys(Source::of([&signer()]) as _);
    let ask = get("/").with_token(json!({}));
    for _ in 0..3 {
        assert!(ask.allowed(&authorizer).fresh);
    }
    assert_eq!(authorizer.remembered_tokens(), 0);
}

/// What a token is called in one cache says nothing in another.
#[test]
fn a_name_belongs_to_a_token_and_to_a_cache() {
    let cache = || TokenCache::new(NonZeroU64::MIN, MIB, Arc::default()).unwrap();
    let (one, other) = (cache(), cache());
    let hash = |token: &[u8]| one.hash(BearerToken::new(token)).unwrap();
    assert_eq!(hash(b"a"), hash(b"a"));
    assert_ne!(hash(b"a"), hash(b"b"));
    assert_ne!(Some(hash(b"a")), other.hash(BearerToken::new(b"a")));
    assert!(one.find(hash(b"a"), |_| true).is_none() && one.is_empty());
    let authorizer = Setup::new().with_keys(Source::of([&signer()]) as _);
    let ask = get("/").with_token(json!({}));
    let approval = match ask.decision(&authorizer) {
        Decision::Allow(approval) => approval,
        Decision::Deny(denial) => panic!("{}", denial.fault),
    };
    let Basis::Identified { identity, .. } = approval.basis() else { panic!("{approval:?}") };
    one.keep(hash(b"a"), identity);
    assert!((0..5000).any(|_| one.find(hash(b"a"), |_| true).is_some() && !one.is_empty()));
    assert_eq!(one.len(), 1);
}

/// A token that is refused unread is not hashed either.
#[test]
fn a_long_token_is_not_looked_up() {
    let (_, counters, authorizer) = remembering(100, MIB);
    let token = token(json!({}));
    let authorizer = authorizer.with_max_token_bytes(token.len());
    assert!(get("/").bearer(&token).allowed(&authorizer).fresh);
    assert_eq!(counted(&counters), (0, 1));
    let longer = get("/").bearer(token + "A");
    assert_eq!(longer.fault(&authorizer), Fault::Token(TokenFault::TooLong));
    assert_eq!(counted(&counters), (0, 1));
}

/// However many tokens there are, those remembered are bounded in number, and what they take in
/// bytes.
#[test]
fn the_oldest_make_room() {
    for (entries, bytes, at_most) in [(10, 1000 * MIB, 10), (1000, 20 * 1024, 30)] {
        let (_, counters, authorizer) = remembering(entries, bytes);
        for id in 0..300 {
            let ask = get("/").with_token(json!({"jti": id.to_string()}));
            assert!(ask.allowed(&authorizer).fresh);
        }
        // The cache sweeps up when it is used.
        let remembered = (0..5000).find_map(|_| {
            let ask = get("/").with_token(json!({"jti": "0"}));
            ask.allowed(&authorizer);
            let evicted = counters.evictions.load(Ordering::Relaxed);
            Some(authorizer.remembered_tokens()).filter(|left| *left <= at_most && evicted > 250)
        });
        assert!(remembered.is_some_and(|left| left > 0), "{entries} {bytes}: {remembered:?}");
    }
}

/// Long tokens take more room than short ones.
#[test]
fn each_takes_the_room_of_its_texts() {
    let remembered = |more: serde_json::Value| {
        let (_, _, authorizer) = remembering(10_000, 60 * 1024);
        (0..200).for_each(|id| {
            let mut claims = more.clone();
            claims["jti"] = json!(id.to_string());
            get("/").with_token(claims).allowed(&authorizer);
        });
        (0..300).for_each(|_| drop(get("/").with_token(json!({})).allowed(&authorizer)));
        authorizer.remembered_tokens()
    };
    let short = remembered(json!({}));
    assert!((60..=95).contains(&short), "{short}");
    // Each text stands there twice, and an audience takes a place of its own.
    let groups: Vec<_> = (0..10).map(|n| format!("{n:0250}")).collect();
    let long = remembered(json!({ "groups": groups }));
    assert!((6..=13).contains(&long), "{long}");
    let audiences: Vec<_> = (0..100).map(|n| format!("audience-{n}")).collect();
    let audiences: Vec<_> = audiences.into_iter().chain(["my-api".to_owned()]).collect();
    let long = remembered(json!({ "aud": audiences }));
    assert!((4..=10).contains(&long), "{long}");
}

#[test]
fn tokens_of_tenants_are_remembered_too() {
    let mut setup = Setup::new();
    setup.tokens.issuer = "https://login.example/a/long/name/of/an/issuer/{tenantid}/v2.0".into();
    let cache = TokenCache::new(100.try_into().unwrap(), MIB, Arc::default()).unwrap();
    let authorizer = setup.authorizer().with_cache(cache);
    let tenant = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";
    let issuer = format!("https://login.example/a/long/name/of/an/issuer/{tenant}/v2.0");
    let ask = get("/").with_token(json!({"iss": issuer, "tid": tenant}));
    assert!(ask.allowed(&authorizer).fresh);
    assert!(!ask.allowed(&authorizer).fresh);
}
