//! `cargo bench`: what a decision costs without the socket: reading the request, deciding,
//! encoding the reply, and all of it from the received bytes to the reply.

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

#[path = "support/inside.rs"]
mod inside;
mod support;

use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use doorward::transport::{CheckMessage, CheckService, Resource};
use doorward_core::authorizer::Outcome;
use doorward_core::bearer::BearerToken;
use doorward_core::decision::{Decision, Denial, Fault};
use doorward_core::request::{HeaderView, RequestView, RouteView};
use doorward_core::rules::{EndpointRule, Endpoints, Match};
use doorward_core::token_cache::TokenCache;
use prost::Message as _;
use serde_json::{Value, json};

use self::support::signer::from_now;
use self::support::{ISSUER, Keys, request, user};

/// One request, and what is to become of it.
struct Case {
    name: &'static str,
    authorization: Option<String>,
    /// The reason code, or `authenticated`.
    outcome: &'static str,
    /// Whether its token may be remembered.
    remembered: bool,
}

fn cases(keys: &Keys) -> Vec<Case> {
    let with = |more: Value| {
        let mut claims = user(ISSUER, 1);
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let rs256 = |claims: &Value| bearer(keys.rsa.token("RS256", claims));
    let case = |name, authorization, outcome, remembered| Case {
        name,
        authorization,
        outcome,
        remembered,
    };
    let good = with(json!({}));
    vec![
        case("cached", rs256(&good), "authenticated", true),
        case("new RS256", rs256(&good), "authenticated", false),
        case("new ES256", bearer(keys.ec.token("ES256", &good)), "authenticated", false),
        case("new EdDSA", bearer(keys.ed.token("EdDSA", &good)), "authenticated", false),
        case("missing token", None, "missing_token", true),
        case("malformed header", Some("Basic dXNlcjpwYXNz".into()), "malformed_header", true),
        case("malformed token", bearer("not-a-token".repeat(100)), "malformed_token", true),
        case(
            "unknown issuer",
            rs256(&with(json!({"iss": "https://evil.example"}))),
            "unknown_issuer",
            true,
        ),
        case("unknown kid", bearer(keys.stranger.token("RS256", &good)), "unknown_key", true),
        case("expired", rs256(&with(json!({"exp": from_now(-3600)}))), "expired", true),
    ]
}

fn benches(criterion: &mut Criterion) {
    let keys = Keys::generate();
    let jwks = keys.jwks();
    let (remembers, forgets) = (inside::service(&jwks, 1000), inside::service(&jwks, 0));
    let cases = cases(&keys);

    let mut group = criterion.benchmark_group("view to decision");
    for case in &cases {
        let service = if case.remembered { &remembers } else { &forgets };
        decide(&mut group, service, case);
    }
    group.finish();

    decode_and_encode(criterion, &remembers, &forgets, &cases);
    find_an_endpoint(criterion);

    let mut group = criterion.benchmark_group("bytes to reply");
    for case in &cases {
        let service = if case.remembered { &remembers } else { &forgets };
        let message = request::check_request(case.authorization.as_deref(), &[]).encode_to_vec();
        check(&mut group, case.name, service, message.into());
    }
    let token = cases[0].authorization.as_deref();
    let forged = request::check_request(token, &request::FORGED).encode_to_vec();
    check(&mut group, "cached, 3 forged headers", &remembers, forged.into());
    group.finish();
}

fn decide(group: &mut BenchmarkGroup<'_, WallTime>, service: &CheckService, case: &Case) {
    let message = request::check_request(case.authorization.as_deref(), &[]);
    let http = message.attributes.unwrap().request.unwrap().http.unwrap();
    let headers: Vec<_> = http
        .headers
        .iter()
        .map(|(name, value)| HeaderView { name: name.as_bytes(), value: value.as_bytes() })
        .collect();
    let view = RequestView {
        method: http.method.as_bytes(),
        path: http.path.as_bytes(),
        authority: b"",
        headers: &headers,
        route: RouteView::default(),
    };
    let now = service.now();
    let outcome = match service.authorizer().decide(&view, now).or_deny() {
        Decision::Allow(approval) => approval.code(),
        Decision::Deny(denial) => denial.reason().code(),
    };
    assert_eq!(outcome, case.outcome, "{}", case.name);
    group.bench_function(case.name, |bencher| {
        bencher.iter(|| match service.authorizer().decide(black_box(&view), now) {
            Outcome::Decided(decision) => Some(decision),
            Outcome::Needs(_) => None,
        });
    });
}

/// The two ends of a check alone. The reply to a token is encoded for the first time, which
/// is what a new token costs, or again, as for a cached one.
fn decode_and_encode(
    criterion: &mut Criterion,
    service: &CheckService,
    forgetful: &CheckService,
    cases: &[Case],
) {
    let message =
        |case: &Case| request::check_request(case.authorization.as_deref(), &[]).encode_to_vec();
    let token = message(&cases[0]);
    criterion.bench_function("decode a request", |bencher| {
        bencher.iter(|| {
            let mut check = CheckMessage::default();
            check.read(black_box(&token)).unwrap();
            check.headers.len()
        });
    });
    let mut check = CheckMessage::default();
    check.read(&token).unwrap();
    let authorization = cases[0].authorization.as_deref().unwrap();
    let bearer = BearerToken::new(authorization.strip_prefix("Bearer ").unwrap().as_bytes());
    let cache = TokenCache::new(NonZeroU64::MIN, 1024, Arc::default()).unwrap();
    criterion.bench_function("hash a token", |bencher| {
        bencher.iter(|| cache.hash(black_box(bearer)));
    });
    let mut group = criterion.benchmark_group("encode a reply");
    let allow = service.authorizer().decide(&check.view(), service.now()).or_deny();
    group.bench_function("cached", |bencher| {
        bencher.iter(|| service.encode(black_box(&allow), &check.headers, |_| Resource::FIRST));
    });
    group.bench_function("new", |bencher| {
        bencher.iter_batched(
            || forgetful.authorizer().decide(&check.view(), forgetful.now()).or_deny(),
            |fresh| service.encode(black_box(&fresh), &check.headers, |_| Resource::FIRST),
            BatchSize::SmallInput,
        );
    });
    let deny = Decision::Deny(Denial::from(Fault::NoCredentials));
    group.bench_function("denial", |bencher| {
        bencher.iter(|| service.encode(black_box(&deny), &check.headers, |_| Resource::FIRST));
    });
    group.finish();
}

/// In a table of about the size of NeMo's.
fn find_an_endpoint(criterion: &mut Criterion) {
    let mut table = Endpoints::default();
    for service in 0..40 {
        for kind in ["jobs", "models", "jobs/{name}", "models/{name}", "models/{name}/versions"] {
            let pattern = format!("/apis/service-{service}/v2/workspaces/{{workspace}}/{kind}");
            let rule = EndpointRule {
                pattern: pattern.as_str().into(),
                scopes: "platform:read".into(),
                closed: false,
            };
            table.add(&pattern.parse().unwrap(), "get".parse().unwrap(), rule).unwrap();
        }
    }
    let path = b"/apis/service-21/v2/workspaces/team/models/llama/versions";
    assert!(matches!(table.find(b"GET", path), Match::Rule(_)));
    criterion.bench_function("find one of 200 endpoints", |bencher| {
        bencher.iter(|| table.find(black_box(b"GET"), black_box(path)));
    });
}

fn check(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    service: &CheckService,
    message: Bytes,
) {
    group.bench_function(name, |bencher| {
        bencher.iter(|| inside::check(service, black_box(message.clone())));
    });
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = benches
}
criterion_main!(all);
