//! Connections that say nothing, or not enough, do not stay, and never keep others out.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::check::{Checker, get};
use crate::support::frames::PREFACE;
use crate::support::served::Served;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::{PATIENCE, eventually, http};

const ISSUER: &str = "https://idp.example";
const LIMIT: Duration = Duration::from_secs(10);

fn config() -> Value {
    json!({"auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}}})
}

/// What a connection says first and then no more, at every port.
#[tokio::test]
async fn who_says_nothing_is_let_go_after_ten_seconds() {
    let served = Served::start(&config()).await;
    let half_a_preface = &PREFACE[..12];
    let half_a_head = b"GET /health/live HTTP/1.1\r\nHost: x\r\n";
    let mut connections = JoinSet::new();
    for (port, at) in
        [("gRPC", &served.at.grpc), ("HTTP", &served.at.http), ("admin", &served.at.admin)]
    {
        for first in [&b""[..], b"PRI", half_a_preface, half_a_head] {
            // To the gRPC port, that is an error at once.
            if port == "gRPC" && first == half_a_head {
                continue;
            }
            let mut connection = TcpStream::connect(at).await.unwrap();
            connection.write_all(first).await.unwrap();
            let what = format!("{port}: {:?}", String::from_utf8_lossy(first));
            connections.spawn(async move {
                let started = Instant::now();
                let mut rest = Vec::new();
                let end = connection.read_to_end(&mut rest);
                // A reset is an end too.
                let _ =
                    tokio::time::timeout(3 * LIMIT, end).await.unwrap_or_else(|_| panic!("{what}"));
                let took = started.elapsed();
                assert!(took > LIMIT * 8 / 10, "{what}: {took:?} is too soon");
            });
        }
    }
    // Between two requests a connection may rest for longer.
    let mut resting = TcpStream::connect(&served.at.http).await.unwrap();
    let request = b"GET /apis/auth/discovery HTTP/1.1\r\nHost: x\r\n\r\n";
    resting.write_all(request).await.unwrap();
    connections.join_all().await;
    tokio::time::sleep(LIMIT / 3).await;
    resting.write_all(request).await.unwrap();
    let mut answers = String::new();
    eventually("both are answered", LIMIT, async || {
        let mut part = [0; 4096];
        let count = resting.read(&mut part).await.unwrap();
        assert_ne!(count, 0, "closed: {answers}");
        answers.push_str(&String::from_utf8_lossy(&part[..count]));
        (answers.matches("HTTP/1.1 200").count() == 2).then_some(())
    })
    .await;
    // But what it begins it has to end.
    resting.write_all(half_a_head).await.unwrap();
    let mut rest = Vec::new();
    let end = resting.read_to_end(&mut rest);
    let _ = tokio::time::timeout(3 * LIMIT, end).await.expect("it is let go");
    let silent = served.metric("doorward_connections_closed_total{reason=\"silent\"}").await;
    assert_eq!(silent, 12.0);
}

/// With 1,024 files, 1,224 silent connections: new checks, the checks on connections that were
/// there, the probe of life and key fetches go on, and the log does not fill.
#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let mut served = Served::start_with_files(&config(), Some(1024)).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let mut before = Checker::connect(&served.at.grpc).await;
    assert_eq!(before.ask(get("/").bearer(&token)).await.reason, "authenticated");

    let mut silent = Vec::new();
    for number in 0..1224 {
        let at = if number % 2 == 0 { &served.at.grpc } else { &served.at.http };
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    for _ in 0..80 {
        silent.push(TcpStream::connect(&served.at.admin).await.unwrap());
    }
    let live = format!("http://{}/health/live", served.at.admin);
    let asked = Instant::now();
    assert_eq!(http().get(live).send().await.unwrap().status(), 200);
    let mut new = Checker::connect(&served.at.grpc).await;
    assert_eq!(new.ask(get("/").bearer(&token)).await.reason, "authenticated");
    assert_eq!(before.ask(get("/").bearer(&token)).await.reason, "authenticated");
    assert!(asked.elapsed() < LIMIT / 2, "{:?}", asked.elapsed());
    assert!(served.metric("doorward_connections").await <= 800.0);
    // Those that the system has connected may still wait to be taken up.
    eventually("they make room", PATIENCE, async || {
        let made_room = "doorward_connections_closed_total{reason=\"made_room\"}";
        (served.metric(made_room).await >= 400.0).then_some(())
    })
    .await;
    let said = served.process().stderr();
    assert!(said.lines().count() < 30, "{said}");
}
