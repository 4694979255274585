//! The lean request messages and Envoy's full ones read the same thing, and nothing that
//! comes over the wire makes either fall over.

use std::collections::{BTreeMap, HashMap};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use doorward::transport::lean;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap as FullHeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use proptest::prelude::*;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::check::Outcome;
use crate::support::doorward::Doorward;
use crate::support::echo::Echo;
use crate::support::envoy::{Behind, Envoy};
use crate::support::raw::get;
use crate::support::signer::{RSA, jwks};

/// What a decision is made on, of either reading.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    method: Vec<u8>,
    path: Vec<u8>,
    headers: BTreeMap<Vec<u8>, Vec<u8>>,
    header_map: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    route: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn full(message: &CheckRequest) -> Reading {
    let Some(attributes) = &message.attributes else { return Reading::default() };
    let map = |map: &HashMap<String, String>| {
        map.iter().map(|(key, value)| (key.clone().into(), value.clone().into())).collect()
    };
    let route = map(&attributes.context_extensions);
    let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
    let Some(http) = http else { return Reading { route, ..Reading::default() } };
    let header_map = http.header_map.iter().flat_map(|map| &map.headers);
    Reading {
        method: http.method.clone().into(),
        path: http.path.clone().into(),
        headers: map(&http.headers),
        header_map: header_map
            .map(|header| {
                (header.key.clone().into(), header.value.clone().into(), header.raw_value.clone())
            })
            .collect(),
        route,
    }
}

fn lean(message: &lean::CheckRequest) -> Reading {
    let Some(attributes) = &message.attributes else { return Reading::default() };
    let map = |entries: &[lean::Entry]| {
        entries.iter().map(|entry| (entry.key.to_vec(), entry.value.to_vec())).collect()
    };
    let route = map(&attributes.context_extensions);
    let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
    let Some(http) = http else { return Reading { route, ..Reading::default() } };
    let header_map = http.header_map.iter().flat_map(|map| &map.headers);
    Reading {
        method: http.method.to_vec(),
        path: http.path.to_vec(),
        headers: map(&http.headers),
        header_map: header_map
            .map(|header| (header.key.to_vec(), header.value.to_vec(), header.raw_value.to_vec()))
            .collect(),
        route,
    }
}

fn texts() -> impl Strategy<Value = HashMap<String, String>> {
    prop::collection::hash_map(".{0,12}", ".{0,40}", 0..12)
}

prop_compose! {
    fn http_request()(
        method in "[A-Z]{0,7}|.{0,4}",
        path in "/.{0,40}|.{0,8}",
        headers in texts(),
        raw in prop::option::of(prop::collection::vec(
            (".{0,12}", ".{0,8}", prop::collection::vec(any::<u8>(), 0..20)), 0..8)),
        (id, host, scheme, body) in (".{0,8}", ".{0,8}", ".{0,8}", ".{0,30}"),
        (size, raw_body) in (any::<i64>(), prop::collection::vec(any::<u8>(), 0..40)),
    ) -> HttpRequest {
        let header_map = raw.map(|headers| FullHeaderMap {
            headers: headers
                .into_iter()
                .map(|(key, value, raw_value)| HeaderValue { key, value, raw_value })
                .collect(),
        });
        HttpRequest {
            id, method, headers, header_map, path, host, scheme, size, body, raw_body,
            protocol: "HTTP/2".into(), ..HttpRequest::default()
        }
    }
}

prop_compose! {
    fn check_request()(
        http in prop::option::of(http_request()),
        (with_attributes, with_request) in (any::<bool>(), any::<bool>()),
        (context_extensions, labels) in (texts(), texts()),
        principal in ".{0,20}",
    ) -> CheckRequest {
        let request = with_request.then(|| Request { http, ..Request::default() });
        let source = Some(Peer { principal, labels, ..Peer::default() });
        let attributes = AttributeContext {
            request, context_extensions, source, ..AttributeContext::default()
        };
        CheckRequest { attributes: with_attributes.then_some(attributes) }
    }
}

proptest! {
    #[test]
    fn random_requests_are_read_alike(request in check_request()) {
        let bytes = request.encode_to_vec();
        let read = lean::CheckRequest::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(lean(&read), full(&request));
    }

    /// Broken in one place: when both can read it, they read the same.
    #[test]
    fn damaged_requests_are_read_alike_or_refused(
        request in check_request(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = request.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let lean_read = lean::CheckRequest::decode(bytes.as_slice());
        // Lean text need not be UTF-8, and what it skips it does not check: it may read
        // more, never something else.
        if let Ok(request) = CheckRequest::decode(bytes.as_slice()) {
            prop_assert_eq!(lean(&lean_read.unwrap()), full(&request));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = lean::CheckRequest::decode(bytes.as_slice());
    }
}

/// Whatever is wrong with a message, the answer is a denial: a gRPC error is none to an
/// Envoy with `failure_mode_allow`.
#[tokio::test]
async fn what_cannot_be_read_is_denied_and_is_no_grpc_error() {
    let config = r#"{"auth": {"oidc": {"issuer": "https://idp.example", "client_id": "nmp",
        "jwks": KEYS}}, "rules": {"bypass": ["/*"]}}"#;
    let config = config.replace("KEYS", &jwks([&*RSA]).to_string());
    let doorward = Doorward::start(&config).await;
    let url = format!("http://{}/envoy.service.auth.v3.Authorization/Check", doorward.grpc());
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let wrapped = |flag: u8, length: usize, message: &[u8]| {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        [&[flag], &length[..], message].concat()
    };
    let good = get_root().encode_to_vec();
    let huge = vec![b' '; 3 * 1024 * 1024];
    for (case, body, reason) in [
        ("good", wrapped(0, good.len(), &good), ""),
        ("cut off", wrapped(0, good.len() + 1, &good), "malformed_request"),
        ("with a tail", wrapped(0, good.len() - 1, &good), "malformed_request"),
        ("compressed", wrapped(1, good.len(), &good), "malformed_request"),
        ("no message", Vec::new(), "malformed_request"),
        ("an empty message", wrapped(0, 0, b""), "malformed_request"),
        ("no protobuf", wrapped(0, 3, b"\xff\xff\xff"), "malformed_request"),
        ("too long", wrapped(0, huge.len(), &huge), "malformed_request"),
    ] {
        let request = client
            .post(&url)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body);
        let answer = request.send().await.unwrap_or_else(|error| panic!("{case}: {error:?}"));
        assert_eq!(answer.status(), 200, "{case}");
        // In the header it would be an error without an answer.
        assert!(answer.headers().get("grpc-status").is_none(), "{case}: {answer:?}");
        let reply = answer.bytes().await.unwrap();
        let reply = CheckResponse::decode(&reply[5..]).unwrap();
        let outcome = Outcome::of(&reply);
        if reason.is_empty() {
            assert_eq!(outcome.reason, "bypassed", "{case}");
        } else {
            assert_eq!((outcome.status, outcome.reason.as_str()), (400, reason), "{case}");
        }
    }
}

fn get_root() -> CheckRequest {
    crate::support::check::get("/").message()
}

/// Keeps what Envoy sends and answers nothing that a client could mistake for leave to
/// pass.
async fn capture(State(captured): State<mpsc::UnboundedSender<Vec<u8>>>, body: Bytes) -> HeaderMap {
    // gRPC: a flag, four bytes of length, the message.
    captured.send(body[5..].to_vec()).unwrap();
    let mut header = HeaderMap::new();
    header.insert("content-type", "application/grpc".parse().unwrap());
    header.insert("grpc-status", "7".parse().unwrap());
    header
}

#[tokio::test]
async fn what_the_real_envoy_sends_is_read_alike() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let grpc = listener.local_addr().unwrap().port();
    let (captured, mut messages) = mpsc::unbounded_channel();
    let mut server = tokio::task::JoinSet::new();
    let router = Router::new().fallback(capture).with_state(captured);
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });

    let echo = Echo::start().await;
    let behind = Behind { grpc, http: grpc, upstream: echo.port() };
    let Some(envoy) = Envoy::start("envoy.yaml", behind).await else { return };
    for (path, mode) in [("/v1/models?a=b%20c", None), ("/optional/x", Some("optional"))] {
        let request = get(path)
            .header("Authorization", "Bearer a")
            .header("authorization", "Bearer b")
            .header("X-NMP-Principal-Id", "service:jobs")
            .header("x_nmp_principal_id", "one")
            .header("X_NMP_Principal_Id", "two")
            .header("X-Not-Asked-For", "hidden");
        let reply = request.send(envoy.door()).await;
        assert_ne!(reply.status, 200);
        let bytes = messages.recv().await.unwrap();
        let message = CheckRequest::decode(bytes.as_slice()).unwrap();
        let reading = lean(&lean::CheckRequest::decode(bytes.as_slice()).unwrap());
        assert_eq!(reading, full(&message));

        assert_eq!(
            (reading.method.as_slice(), reading.path.as_slice()),
            (&b"GET"[..], path.as_bytes())
        );
        let header = |name: &str| {
            reading
                .headers
                .get(name.as_bytes())
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        // Facts that the decision stands on.
        assert_eq!(header("authorization").as_deref(), Some("Bearer a,Bearer b"));
        assert_eq!(header("x-nmp-principal-id").as_deref(), Some("service:jobs"));
        assert_eq!(header("x_nmp_principal_id").as_deref(), Some("one,two"));
        assert_eq!(header("x-not-asked-for"), None, "allowed_headers hides the rest");
        assert!(header("x-request-id").is_some());
        assert!(reading.header_map.is_empty());
        let route = reading.route.get(&b"doorward.mode"[..]).map(Vec::as_slice);
        assert_eq!(route, mode.map(str::as_bytes));
    }
}
