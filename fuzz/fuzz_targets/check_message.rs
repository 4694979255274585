//! Any bytes as a `CheckRequest`: always an answer, and never an identity.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use doorward::authorizer::Authorizer;
use doorward::clock::SystemClock;
use doorward::config::{DecisionLog, Settings};
use doorward::identity::ProtectedHeaders;
use doorward::issuers::Issuers;
use doorward::rules::Rules;
use doorward::telemetry::{DecisionLines, Metrics};
use doorward::token::UnsignedTokens;
use doorward::token_cache::TokenCache;
use doorward::transport::{DenialPages, Documents, Door, DoorParts};
use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

static DOOR: LazyLock<Door> = LazyLock::new(|| {
    let settings = Settings::from_yaml("fuzz", "auth: { enabled: false }").expect("sound");
    let authorizer = Authorizer {
        enabled: true,
        issuers: Issuers::default(),
        rules: Rules::new(vec!["/public/*".parse().expect("a rule")]),
        protected: ProtectedHeaders::new(&settings.headers),
        headers: settings.headers,
        max_token_bytes: 16 * 1024,
        unsigned: UnsignedTokens::Refused,
        cache: TokenCache::new(100, 100_000, Arc::default()).expect("randomness"),
    };
    Door::new(DoorParts {
        authorizer,
        pages: DenialPages::new("fuzz", Vec::new()),
        clock: Arc::new(SystemClock),
        wait: Duration::ZERO,
        recorder: Metrics::new().expect("metrics").recorder(Vec::new()),
        lines: DecisionLines::new(DecisionLog::Off, 0),
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
