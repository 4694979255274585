//! A thousand hostile connections at once: what they can make Doorward hold in all, and what a
//! good client notices of them. A binary of its own, since what it measures is spoilt by tests
//! beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    unused_macros
)]

mod support;

use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::check::{Checker, get};
use crate::support::eventually;
use crate::support::frames::{
    CONTINUATION, DATA, HEADERS, RawConnection, check_block, check_head, empty_check, frame, reset,
};
use crate::support::served::Served;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";
const CONNECTIONS: usize = 1000;
/// What they may hold in all, Doorward itself included.
const AT_MOST_BYTES: u64 = 256_000_000;
const RUNS: usize = 5;
const CHECKS: usize = 200;

/// Takes all that it can get, in one of six ways. When that is cut off, it takes some again:
/// how much work a crowd makes is a matter of its bandwidth, and not measured here.
async fn be_hostile(number: usize, grpc: String, http: String) {
    let kind = number % 6;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let settings: &[_] = if kind == 3 { &[(INITIAL_WINDOW_SIZE, 0)] } else { &[] };
    if kind == 0 {
        // Says nothing, or half of a head.
        let mut connection = TcpStream::connect(http).await.unwrap();
        let head = [b"GET / HTTP/1.1\r\nx: ", &[b'x'; 90_000][..]].concat();
        let _ = connection.write_all(&head).await;
        return std::future::pending().await;
    }
    let mut connection = RawConnection::open(&grpc, settings).await;
    let mut stream = 1;
    // More than a connection has to itself, and its share of the rest.
    let mut count = if kind == 1 { 12 } else { 40 };
    loop {
        let mut bytes = Vec::new();
        for _ in 0..count {
            bytes.extend(match kind {
                // Messages that do not end.
                1 => {
                    let prefix = [&[0][..], &2_000_000u32.to_be_bytes()].concat();
                    let part = frame(DATA, 0, stream, &[prefix, vec![0; 16_000]].concat());
                    [check_head(stream, &[]), part].concat()
                }
                // Calls of which there is no more than the head.
                2 => check_head(stream, &[]),
                // Answers that may not leave.
                3 => empty_check(stream),
                // A header block of one-byte fields that does not end.
                4 if stream == 1 => {
                    let block = [&check_block()[..], &[0x40, 1, b'a', 0]].concat();
                    let rest = frame(CONTINUATION, 0, 1, &[0x80 | 62; 16_000]);
                    [frame(HEADERS, 0, 1, &block), rest.repeat(7)].concat()
                }
                4 => Vec::new(),
                _ => [check_head(stream, &[]), reset(stream)].concat(),
            });
            stream += 2;
        }
        connection.send(bytes).await;
        count = 4;
        let pause = Duration::from_secs(10) + Duration::from_millis(10) * (number as u32);
        tokio::time::sleep(pause).await;
        if connection.seen().closed {
            connection = RawConnection::open(&grpc, settings).await;
            stream = 1;
        }
    }
}

/// The slowest one in a hundred. Panics when one is lost.
async fn p99(checker: &mut Checker, ask: &CheckRequest) -> Duration {
    let mut times = Vec::new();
    for _ in 0..CHECKS {
        let asked = Instant::now();
        assert_eq!(checker.send(ask.clone()).await.reason, "authenticated");
        times.push(asked.elapsed());
    }
    times.sort();
    times[CHECKS * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hostile_connections_are_bounded_and_slow_nobody_down() {
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "log": {"decisions": "off"},
    });
    let (calm, attacked) = (Served::start(&config).await, Served::start(&config).await);
    let ask = get("/").bearer(&RSA.token("RS256", &claims(ISSUER, json!({})))).message();
    let mut with_calm = Checker::connect(&calm.at.grpc).await;
    let mut with_attacked = Checker::connect(&attacked.at.grpc).await;
    p99(&mut with_calm, &ask).await;
    p99(&mut with_attacked, &ask).await;
    let before = attacked.resident();

    let mut hostile = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (grpc, http) = (attacked.at.grpc.clone(), attacked.at.http.clone());
        hostile.spawn(be_hostile(number, grpc, http));
        if number % 100 == 0 {
            // New connections are answered as well.
            let mut new = Checker::connect(&attacked.at.grpc).await;
            assert_eq!(new.send(ask.clone()).await.reason, "authenticated");
        }
    }
    eventually("they are all there", Duration::from_secs(60), async || {
        let there = attacked.metric("doorward_connections").await;
        (there >= 0.95 * CONNECTIONS as f64).then_some(())
    })
    .await;
    let mut pairs = Vec::new();
    for _ in 0..RUNS {
        let alone = p99(&mut with_calm, &ask).await;
        pairs.push((alone, p99(&mut with_attacked, &ask).await));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // How much slower than it may be, in the middle one of the runs.
    let allowed = |calm: Duration| (2 * calm).max(calm + Duration::from_millis(5));
    let mut over: Vec<_> = pairs
        .iter()
        .map(|(calm, busy)| busy.as_secs_f64() - allowed(*calm).as_secs_f64())
        .collect();
    over.sort_by(f64::total_cmp);
    let peak = attacked.peak();
    println!(
        "{CONNECTIONS} hostile connections: {} MB in all, {} MB before them",
        peak / 1_000_000,
        before / 1_000_000
    );
    for (calm, busy) in &pairs {
        println!("a good client's p99: calm {calm:?}, meanwhile {busy:?}");
    }
    assert!(peak < AT_MOST_BYTES, "{peak}");
    assert!(over[RUNS / 2] <= 0.0, "{pairs:?}");
}
