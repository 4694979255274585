//! What the policy of roles costs.

use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::authorizer::{Authorizer, Outcome};
use doorward_core::token_cache::TokenCache;
use serde_json::{Value, json};

use super::{is_allowed, roles};
use crate::support::{Ask, Setup, get};

/// A platform of 1,000 endpoints, 200 roles and 10,000 bindings.
fn large() -> Value {
    let endpoint = |at: usize| {
        let (service, kind) = (at / 25, at % 25);
        let path =
            format!("/apis/service-{service}/v2/workspaces/{{workspace}}/kind-{kind}/{{name}}");
        let permissions = [format!("service-{service}.kind-{kind}.read")];
        (path, json!({"get": {"permissions": permissions, "scopes": ["platform:read"]}}))
    };
    let role = |at: usize| {
        let permissions: Vec<_> =
            (0..25).map(|kind| format!("service-{}.kind-{kind}.read", at % 40)).collect();
        (format!("Role{at}"), json!({"permissions": permissions}))
    };
    let principal = |at: usize| {
        let workspaces: serde_json::Map<_, _> = (0..2)
            .map(|other| {
                (format!("team-{}", at % 500 + other), json!([format!("Role{}", at % 200)]))
            })
            .collect();
        (format!("department-{at}"), json!({"workspaces": workspaces}))
    };
    let object =
        |members: &mut dyn Iterator<Item = (String, Value)>| Value::Object(members.collect());
    json!({
        "endpoints": object(&mut (0..1000).map(endpoint)),
        "roles": object(&mut (0..200).map(role)),
        "principals": object(&mut (0..5000).map(principal)),
    })
}

/// What the policy adds to a request with a remembered token: printed, and not held to anything.
#[test]
#[ignore = "a measurement: cargo test --release -p doorward-core -- --ignored --nocapture figures"]
fn figures() {
    let remembering = || {
        let cache = TokenCache::new(NonZeroU64::new(100).unwrap(), 1 << 20, Arc::default());
        Setup::new().authorizer().with_cache(cache.unwrap())
    };
    let alone = remembering();
    let plain = remembering().with_policy(Arc::new(roles(&large(), &[])));
    let patterns = ["nmp-{workspace}-{role}", "nmp-{workspace}-admins => Role1"];
    let by_name = remembering().with_policy(Arc::new(roles(&large(), &patterns)));
    // The last of ten groups is the one that counts: Role7 has it, in team-7 and team-8.
    let groups: Vec<_> = (0..9).map(|at| format!("department-{}", 1200 + at)).collect();
    let with = |last: &str| {
        let groups: Vec<_> = groups.iter().cloned().chain([last.to_owned()]).collect();
        let claims = json!({"groups": groups, "email": "alice@example.com", "scope": "openid"});
        get("/apis/service-7/v2/workspaces/team-7/kind-11/llama").with_token(claims)
    };
    for (what, authorizer, ask, allowed) in [
        ("allowed by the last of ten groups", &plain, with("department-7"), true),
        ("denied with ten groups", &plain, with("department-8"), false),
        ("allowed by the name of a group", &by_name, with("nmp-team-7-Role47"), true),
    ] {
        assert_eq!(is_allowed(authorizer, &ask), allowed, "{what}");
        let (first, second, ratio) = per_decision(&alone, authorizer, &ask);
        println!("{what}: {first:.0} ns alone, {second:.0} ns with it, ratio {ratio:.2}");
    }
}

/// Nanoseconds of a decision by the first and by the second, in turns, and the median ratio.
fn per_decision(first: &Authorizer, second: &Authorizer, ask: &Ask) -> (f64, f64, f64) {
    let burst = |authorizer: &Authorizer| {
        ask.view(|request, now| {
            let started = Instant::now();
            for _ in 0..100 {
                let outcome = authorizer.decide(black_box(request), now);
                black_box(matches!(outcome, Outcome::Decided(_)));
            }
            started.elapsed().max(Duration::from_nanos(1)).as_secs_f64() * 1e9 / 100.0
        })
    };
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let pairs: Vec<(f64, f64)> = (0..3000).map(|_| (burst(first), burst(second))).collect();
    let ratios = pairs.iter().map(|(first, second)| second / first).collect();
    let (first, second): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    (median(first), median(second), median(ratios))
}
