//! Any bytes as a `CheckRequest`: always an answer, and never an identity.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use doorward::config::{DecisionLog, Settings};
use doorward::telemetry::{DecisionLines, Metrics};
use doorward::transport::{CheckService, CheckServiceParts, DenialPages, Documents};
use doorward_core::authorizer::Authorizer;
use doorward_core::clock::SystemClock;
use doorward_core::issuers::Issuers;
use doorward_core::rules::Rules;
use doorward_core::token_cache::TokenCache;
use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

static DOOR: LazyLock<CheckService> = LazyLock::new(|| {
    let settings = Settings::from_yaml("fuzz", "auth: { enabled: false }").expect("sound");
    let rules = Rules::new(vec!["/public/*".parse().expect("a rule")]);
    let room = 100.try_into().expect("not zero");
    let cache = TokenCache::new(room, 100_000, Arc::default()).expect("randomness");
    let authorizer =
        Authorizer::new(Issuers::default(), settings.headers).with_rules(rules).with_cache(cache);
    CheckService::new(CheckServiceParts {
        authorizer,
        pages: DenialPages::new("fuzz", Vec::new()),
        clock: Arc::new(SystemClock),
        wait: Duration::ZERO,
        recorder: Metrics::new().expect("metrics").recorder(Vec::new()),
        lines: DecisionLines::new(DecisionLog::Off, 0),
        denials: None,
        documents: Documents { discovery: Box::new(String::new), protected_resources: Vec::new() },
        watcher: None,
    })
});

fuzz_target!(|message: &[u8]| {
    let answer = DOOR.check_message(bytes::Bytes::copy_from_slice(message), None);
    let mut answer = std::pin::pin!(answer);
    // Without issuers there is nothing to wait for.
    let Poll::Ready(reply) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits");
    };
    let reply = CheckResponse::decode(&reply[5..]).expect("a CheckResponse");
    let denied = reply.status.as_ref().is_some_and(|status| status.code != 0);
    match reply.http_response.expect("an answer") {
        HttpResponse::DeniedResponse(_) => assert!(denied),
        HttpResponse::OkResponse(ok) => {
            assert!(!denied && ok.headers.is_empty(), "an identity out of nothing");
        }
        HttpResponse::ErrorResponse(_) => panic!("an error"),
    }
});
