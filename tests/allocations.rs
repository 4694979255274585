//! How often a check allocates: from the received message to the reply, decoding, metrics
//! and encoding included. Fails when that grows; when it shrinks, lower the number here.
//!
//! A binary of its own, because `allocation-counter` brings an allocator that counts. The
//! server is not in here: what hyper and h2 allocate for a stream comes on top.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    dead_code
)]

#[path = "../benches/support/inside.rs"]
mod inside;
#[path = "../benches/support/mod.rs"]
mod support;

use allocation_counter::measure;
use bytes::Bytes;
use doorward::transport::CheckService;
use prost::Message as _;
use serde_json::json;

use self::support::signer::from_now;
use self::support::{ISSUER, Keys, request, user};

/// Allocations of the second of two equal checks, when all that is made once is made.
fn allocations(service: &CheckService, authorization: Option<&str>, more: &[(&str, &str)]) -> u64 {
    let message = Bytes::from(request::check_request(authorization, more).encode_to_vec());
    let first = inside::check(service, message.clone());
    let mut second = Bytes::new();
    let counted = measure(|| second = inside::check(service, message));
    assert_eq!(first, second);
    counted.count_total
}

#[test]
fn checks_allocate_no_more_than_they_did() {
    let keys = Keys::generate();
    let service = inside::service(&keys.jwks(), 1000);
    let forgetful = inside::service(&keys.jwks(), 0);
    let bearer = |claims| format!("Bearer {}", keys.rsa.token("RS256", &claims));
    let claims = |name: &str, value: serde_json::Value| {
        let mut claims = user(ISSUER, 1);
        claims[name] = value;
        claims
    };
    let good = bearer(user(ISSUER, 1));
    let stranger = format!("Bearer {}", keys.stranger.token("RS256", &user(ISSUER, 1)));
    let unknown_issuer = bearer(claims("iss", json!("https://evil.example")));
    let expired = bearer(claims("exp", json!(from_now(-3600))));
    let garbage = format!("Bearer {}", "not-a-token".repeat(100));

    #[allow(clippy::type_complexity, reason = "a table")]
    // A cached token's one allocation, and a simple denial's, is the reply.
    let cases: [(&str, u64, &CheckService, Option<&str>, &[(&str, &str)]); 9] = [
        ("cached token", 1, &service, Some(&good), &[]),
        ("cached token, forged headers", 1, &service, Some(&good), &request::FORGED),
        // One of them makes room for the reply's parts beside the identity.
        ("new token", 13, &forgetful, Some(&good), &[]),
        ("missing token", 1, &service, None, &[]),
        ("malformed header", 1, &service, Some("Basic dXNlcjpwYXNz"), &[]),
        ("malformed token", 1, &service, Some(&garbage), &[]),
        ("unknown issuer", 3, &service, Some(&unknown_issuer), &[]),
        ("unknown key", 3, &service, Some(&stranger), &[]),
        ("expired", 3, &service, Some(&expired), &[]),
    ];
    let mut grown = Vec::new();
    for (name, before, service, authorization, more) in cases {
        let count = allocations(service, authorization, more);
        println!("{name}: {count}");
        if count > before {
            grown.push(format!("{name}: {count} allocations, {before} before"));
        }
    }
    assert!(grown.is_empty(), "{grown:#?}");
}
