//! Many calls at once on few connections: none lost, none of them in another's way, and
//! connections that misbehave hurt themselves alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward::transport::Watcher;
use doorward_core::decision::Decision;
use doorward_core::request::RequestView;
use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use prost::Message as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::PATIENCE;
use crate::support::check::{Checker, get};
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{Signer, claims};

const CONNECTIONS: usize = 10;
const STREAMS: usize = 200;

/// How many wait for the keys of one issuer at most (`discovery::refetch_limiter`).
const WAITING: usize = 256;

#[tokio::test]
async fn of_two_thousand_checks_at_once_few_wait_and_the_next_one_does_not() {
    let (known, new) = (Signer::ed("known"), Signer::ed("new"));
    let idp = Idp::start([&known]).await;
    let wait = Duration::from_secs(8);
    let config = json!({
        "auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}},
        "keys": {"wait": "8s", "timeout": "30s"},
    });
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    idp.answer_keys(Answer::Hang);

    let of = |signer: &Signer| signer.token("EdDSA", &claims(&idp.issuer(), json!({})));
    let (waiting, ready) = (of(&new), of(&known));
    let started = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let checker = doorward.checker().await;
        for _ in 0..STREAMS {
            let (mut checker, ask) = (checker.clone(), get("/").bearer(&waiting));
            calls.spawn(async move { checker.ask(ask).await.reason });
        }
    }
    // Those for whom there is no place are told at once.
    for _ in 0..CONNECTIONS * STREAMS - WAITING {
        assert_eq!(calls.join_next().await.unwrap().unwrap(), "keys_unavailable");
    }
    let early = calls.try_join_next();
    assert!(early.is_none(), "the others wait: {early:?} after {:?}", started.elapsed());
    assert!(started.elapsed() < wait, "{:?}", started.elapsed());

    let asked = Instant::now();
    let mut quick = doorward.checker().await;
    assert_eq!(quick.ask(get("/").bearer(&ready)).await.reason, "authenticated");
    assert!(asked.elapsed() < wait / 4, "a known key waits for nobody: {:?}", asked.elapsed());

    while let Some(reason) = calls.join_next().await {
        assert_eq!(reason.unwrap(), "keys_unavailable");
    }
    assert!(started.elapsed() >= wait, "nobody was turned away before");
    assert!(started.elapsed() < 4 * wait, "they waited together: {:?}", started.elapsed());
    assert_eq!(quick.ask(get("/").bearer(&ready)).await.reason, "authenticated");
}

/// More streams than a connection may have: HTTP/2 says so in SETTINGS, and a client that
/// keeps to it has the others wait their turn.
#[tokio::test]
async fn a_connection_with_more_calls_than_it_may_have_has_all_answered() {
    let known = Signer::ed("known");
    let idp = Idp::start([&known]).await;
    let config = json!({"auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}}});
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    let token = known.token("EdDSA", &claims(&idp.issuer(), json!({})));
    let checker: Checker = doorward.checker().await;
    let mut calls = JoinSet::new();
    for _ in 0..3000 {
        let (mut checker, ask) = (checker.clone(), get("/").bearer(&token));
        calls.spawn(async move { checker.ask(ask).await.reason });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|reason| reason == "authenticated"));
    assert_eq!(answers.len(), 3000);
}

/// A connection is one task: what goes wrong with one call must not end the others.
#[tokio::test]
async fn a_panic_denies_its_own_call_and_no_other() {
    let watcher: Watcher = Arc::new(|request: &RequestView<'_>, _: &Decision| {
        assert_ne!(request.path, b"/panic", "on purpose");
    });
    let doorward = Doorward::start_watched("auth: {enabled: false}", Some(watcher)).await;
    let checker = doorward.checker().await;
    let mut calls = JoinSet::new();
    for number in 0..100 {
        let mut checker = checker.clone();
        calls.spawn(async move {
            let (path, meant) = match number % 10 {
                0 => ("/panic", (503, "internal_error")),
                _ => ("/", (200, "auth_disabled")),
            };
            let outcome = checker.ask(get(path)).await;
            assert_eq!((outcome.status, outcome.reason.as_str()), meant);
        });
    }
    assert_eq!(calls.join_all().await.len(), 100);
}

/// What HTTP/2 itself has to answer may wait for the answers to calls, but never for calls.
#[tokio::test]
async fn pings_are_answered_with_calls_and_without() {
    let doorward = Doorward::start("auth: {enabled: false}").await;
    let mut client = RawClient::connect(&doorward).await;
    for _ in 0..3 {
        client.ping().await;
        let (answer, mut body) = client.call();
        body.send_data(EMPTY_MESSAGE.into(), true).unwrap();
        client.ping().await;
        assert!(allowed(answer).await);
    }
}

#[tokio::test]
async fn a_message_may_come_in_pieces() {
    let doorward = Doorward::start("auth: {enabled: false}").await;
    let mut client = RawClient::connect(&doorward).await;
    let (answer, mut body) = client.call();
    for byte in EMPTY_MESSAGE {
        // The pong says that all before it has arrived.
        client.ping().await;
        body.send_data(Bytes::copy_from_slice(&[*byte]), false).unwrap();
    }
    client.ping().await;
    body.send_data(Bytes::new(), true).unwrap();
    assert!(allowed(answer).await);
    // One that ends before it is whole is denied, as every unreadable one is.
    let idp = Idp::start([&Signer::ed("known")]).await;
    let config = json!({"auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}}});
    let doorward = Doorward::start(&config.to_string()).await;
    let mut client = RawClient::connect(&doorward).await;
    let (answer, mut body) = client.call();
    client.ping().await;
    body.send_data(Bytes::from_static(&[0, 0]), true).unwrap();
    assert!(!allowed(answer).await);
}

/// A `CheckRequest` without content, and the prefix of gRPC in front.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// An HTTP/2 client that does as it is told, frame by frame.
struct RawClient {
    calls: h2::client::SendRequest<Bytes>,
    pings: h2::PingPong,
}

impl RawClient {
    async fn connect(doorward: &Doorward) -> Self {
        let stream = TcpStream::connect(doorward.grpc_address()).await.unwrap();
        let (calls, mut connection) = h2::client::handshake(stream).await.unwrap();
        let pings = connection.ping_pong().unwrap();
        tokio::spawn(connection);
        Self { calls, pings }
    }

    async fn ping(&mut self) {
        let pong = self.pings.ping(h2::Ping::opaque());
        tokio::time::timeout(PATIENCE, pong).await.expect("a pong").unwrap();
    }

    fn call(&mut self) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let check = "http://doorward/envoy.service.auth.v3.Authorization/Check";
        let request = http::Request::post(check).header("te", "trailers").body(()).unwrap();
        self.calls.send_request(request, false).unwrap()
    }
}

async fn allowed(answer: h2::client::ResponseFuture) -> bool {
    let answer = async {
        let mut body = answer.await.unwrap().into_body();
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            bytes.extend_from_slice(&data.unwrap());
        }
        let trailers = body.trailers().await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        CheckResponse::decode(&bytes[5..]).unwrap().status.unwrap().code == 0
    };
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer")
}

/// What is no HTTP/2, or stops in the middle, ends its own connection and nothing else.
#[tokio::test]
async fn broken_connections_are_closed() {
    let doorward = Doorward::start("auth: {enabled: false}").await;
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // DATA on a stream that was never opened (RFC 9113 §5.1: a connection error).
    let stray_data: &[u8] = &[0, 0, 1, 0, 0, 0, 0, 0, 9, 0];
    // HEADERS that claim more than the largest frame (RFC 9113 §4.2).
    let too_large: &[u8] = &[0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1];
    // HEADERS whose block is no HPACK.
    let no_hpack: &[u8] = &[0, 0, 2, 1, 4, 0, 0, 0, 1, 0xff, 0xff];
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        [preface, settings, stray_data].concat(),
        [preface, settings, too_large].concat(),
        [preface, settings, no_hpack].concat(),
    ] {
        let mut connection = TcpStream::connect(doorward.grpc_address()).await.unwrap();
        connection.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut rest)).await;
        // A reset is an end too.
        assert!(closed.is_ok(), "still open after {bytes:?}");
    }
    assert_eq!(doorward.ask(get("/")).await.reason, "auth_disabled");
}
