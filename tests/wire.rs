//! A request is read as Envoy's own types read it, and nothing that comes over the wire makes the
//! reader fall over.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use doorward::transport::CheckMessage;
use doorward_core::request::RouteView;
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
    /// Method, path, host.
    line: [Vec<u8>; 3],
    /// Sorted: a map has no order.
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    mode: Option<Vec<u8>>,
    scopes: Option<Vec<u8>>,
    audience: Option<Vec<u8>>,
    knows_the_route: bool,
}

impl Reading {
    fn new<'a>(
        line: [&[u8]; 3],
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        route: RouteView<'_>,
    ) -> Self {
        let owned = |text: Option<&[u8]>| text.map(<[u8]>::to_vec);
        let mut headers: Vec<_> =
            headers.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        headers.sort_unstable();
        Self {
            line: line.map(<[u8]>::to_vec),
            headers,
            mode: owned(route.mode),
            scopes: owned(route.scopes),
            audience: owned(route.audience),
            knows_the_route: route.unknown.is_none(),
        }
    }
}

/// As `envoy-types` has it.
fn full(message: &CheckRequest) -> Reading {
    let attributes = message.attributes.clone().unwrap_or_default();
    let mut route = RouteView::default();
    for (key, value) in &attributes.context_extensions {
        route.note(key.as_bytes(), value.as_bytes());
    }
    let http = attributes.request.and_then(|request| request.http).unwrap_or_default();
    let plain = http.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let raw = http.header_map.iter().flat_map(|map| &map.headers).map(|header| {
        let HeaderValue { key, value, raw_value } = header;
        (key.as_bytes(), if value.is_empty() { raw_value.as_slice() } else { value.as_bytes() })
    });
    let line = [&http.method, &http.path, &http.host].map(|text| text.as_bytes());
    Reading::new(line, plain.chain(raw), route)
}

/// As Doorward reads it; `None`: it does not, and then nothing is left of the attempt.
fn ours(message: &[u8]) -> Option<Reading> {
    let mut check = CheckMessage::default();
    let read = check.read(message);
    let CheckMessage { method, path, host, headers, route } = check;
    let headers = headers.iter().map(|header| (header.name, header.value));
    let reading = Reading::new([method, path, host], headers, route);
    if read.is_err() {
        assert_eq!(reading, Reading { knows_the_route: true, ..Reading::default() });
    }
    read.ok().map(|()| reading)
}

/// Whether Doorward's reading has all that Envoy's has: a map keeps one value of a name that comes
/// twice, Doorward sees both.
fn holds(ours: &Reading, full: &Reading) -> bool {
    let Reading { line, headers, mode, scopes, audience, knows_the_route } = full;
    headers.iter().all(|header| ours.headers.contains(header))
        && (line, mode, scopes, audience, knows_the_route)
            == (&ours.line, &ours.mode, &ours.scopes, &ours.audience, &ours.knows_the_route)
}

fn extensions() -> impl Strategy<Value = HashMap<String, String>> {
    let key = "doorward\\.(mode|scopes|audience|other)|.{0,12}";
    prop::collection::hash_map(key, ".{0,40}", 0..6)
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
        (context_extensions, labels) in (extensions(), texts()),
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
        prop_assert_eq!(ours(&request.encode_to_vec()), Some(full(&request)));
    }

    /// Protobuf lets a message be sent in two halves, the fields of which are merged.
    #[test]
    fn requests_in_two_halves_are_read_alike(first in check_request(), second in check_request()) {
        let bytes = [first.encode_to_vec(), second.encode_to_vec()].concat();
        let (ours, merged) = (ours(&bytes), CheckRequest::decode(bytes.as_slice()).unwrap());
        prop_assert!(ours.is_some_and(|ours| holds(&ours, &full(&merged))));
    }

    /// Broken in one place: what both can read, they read alike. Text need not be UTF-8 to Doorward,
    /// and what it skips it does not check: it may read more, never something else.
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
        let ours = ours(&bytes);
        if let Ok(request) = CheckRequest::decode(bytes.as_slice()) {
            prop_assert!(ours.is_some_and(|ours| holds(&ours, &full(&request))));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        ours(&bytes);
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
        let reply = request.send(envoy.address()).await;
        assert_ne!(reply.status, 200);
        let bytes = messages.recv().await.unwrap();
        let message = CheckRequest::decode(bytes.as_slice()).unwrap();
        let reading = ours(&bytes).unwrap();
        assert_eq!(reading, full(&message));

        assert_eq!(reading.line[..2], [b"GET".to_vec(), path.into()]);
        let header = |name: &str| {
            let found = reading.headers.iter().find(|(found, _)| found == name.as_bytes());
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        // Facts that the decision stands on.
        assert_eq!(header("authorization").as_deref(), Some("Bearer a,Bearer b"));
        assert_eq!(header("x-nmp-principal-id").as_deref(), Some("service:jobs"));
        assert_eq!(header("x_nmp_principal_id").as_deref(), Some("one,two"));
        assert_eq!(header("x-not-asked-for"), None, "allowed_headers hides the rest");
        assert!(header("x-request-id").is_some());
        assert_eq!(reading.mode.as_deref(), mode.map(str::as_bytes));
    }
}
