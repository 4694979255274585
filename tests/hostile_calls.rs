//! Whoever reaches the gRPC port may send what no gateway would: each costs at most itself,
//! and what it makes Doorward hold is bounded (docs/decisions/0014-hostile-clients.md).

use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::check::{Checker, Outcome, get};
use crate::support::eventually;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RawConnection, SETTINGS,
    Seen, WINDOW_UPDATE, block, check, check_block, check_head, connect_narrow, empty_check, field,
    frame, reset,
};
use crate::support::idp::{Answer, Idp};
use crate::support::served::Served;
use crate::support::signer::{RSA, Signer, claims, jwks};

const ISSUER: &str = "https://idp.example";
/// Doorward's own limit for what a client may take its time with, and what a slow machine adds.
const LIMIT: Duration = Duration::from_secs(10);
const AT_MOST: Duration = Duration::from_secs(25);
const MB: u64 = 1_000_000;

pub fn config() -> Value {
    json!({"auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}}})
}

/// What Envoy asks about a request with a good token.
pub fn good() -> Vec<u8> {
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    get("/").bearer(&token).message().encode_to_vec()
}

/// The reason in the answer to a call, when it has come.
pub fn reason(seen: &Seen, stream: u32) -> Option<String> {
    let data = seen.data.get(&stream).filter(|_| seen.ended.contains(&stream))?;
    Some(Outcome::of(&CheckResponse::decode(&data[5..]).unwrap()).reason)
}

pub async fn answered(connection: &RawConnection, stream: u32, expected: &str) {
    let what = format!("{stream} is answered");
    let seen = connection.until(&what, |seen| seen.ended.contains(&stream) || seen.closed).await;
    let told = (seen.closed, seen.ended.len(), seen.reset.len(), seen.data.len());
    assert_eq!(reason(&seen, stream).as_deref(), Some(expected), "{stream}: {told:?}");
    assert!(!seen.go_away);
}

/// Envoy turns each client's reset or disconnect into a reset on the one connection that all of
/// them share (and CVE-2023-44487, rapid reset, sends nothing else).
#[tokio::test]
async fn no_number_of_resets_ends_a_connection_or_costs_a_check() {
    let (known, unknown) = (Signer::ed("known"), Signer::ed("unknown"));
    let idp = Idp::start([&known]).await;
    let config = json!({
        "auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}},
        "keys": {"wait": "10s", "timeout": "60s"},
    });
    let served = Served::start(&config).await;
    let of = |signer: &Signer| {
        let token = signer.token("EdDSA", &claims(&idp.issuer(), json!({})));
        get("/").bearer(&token).message()
    };
    let mut checker = Checker::connect(&served.at.grpc).await;
    eventually("the keys are there", AT_MOST, async || {
        (checker.send(of(&known)).await.reason == "authenticated").then_some(())
    })
    .await;
    // Whoever needs another key waits.
    idp.answer_keys(Answer::Hang);
    let good = of(&known).encode_to_vec();
    let waiting = of(&unknown).encode_to_vec();
    let before = served.peak();
    let malformed = field("connection", "close");
    type Nuisance<'n> = (&'static str, &'n dyn Fn(u32) -> Vec<u8>);
    let nuisances: [Nuisance<'_>; 4] = [
        ("reset at once", &|stream| [check_head(stream, &[]), reset(stream)].concat()),
        ("reset after its message", &|stream| [empty_check(stream), reset(stream)].concat()),
        ("reset while it waits", &|stream| [check(stream, &waiting), reset(stream)].concat()),
        // RFC 9113 §8.2.2: this one is Doorward's to reset.
        ("malformed", &|stream| check_head(stream, &malformed)),
    ];
    for (name, nuisance) in nuisances {
        let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
        let mut stream = 1;
        for _ in 0..20 {
            let mut bytes = Vec::new();
            for _ in 0..500 {
                bytes.extend(nuisance(stream));
                stream += 2;
            }
            bytes.extend(check(stream, &good));
            connection.send(bytes).await;
            answered(&connection, stream, "authenticated").await;
            stream += 2;
        }
        let held = served.peak().saturating_sub(before);
        println!("{name}: 10,000 of them, {} MB more", held / MB);
        assert!(held < 16 * MB, "{name}: {held}");
    }
    assert_eq!(checker.send(of(&known)).await.reason, "authenticated");
}

/// One byte stands for a whole header here (RFC 7541 §6.1). A call's head is not kept, and a
/// head that does not end is kept as it was sent.
#[tokio::test]
async fn header_bombs_are_not_kept() {
    let served = Served::start(&config()).await;
    let before = served.peak();
    // The first of them goes into the table, as number 62.
    let bomb = |fields: usize| {
        let first = [0x40, 1, b'a', 0];
        [&check_block()[..], &first, &vec![0x80 | 62; fields]].concat()
    };
    let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
    let mut stream = 1;
    for fields in [3000, 10_000] {
        for _ in 0..200 {
            let head = frame(HEADERS, END_HEADERS, stream, &bomb(fields));
            let data = frame(DATA, END_STREAM, stream, &[0; 5]);
            connection.send([head, data].concat()).await;
            stream += 2;
        }
        connection.send(check(stream, &good())).await;
        answered(&connection, stream, "authenticated").await;
        stream += 2;
    }
    let whole = served.peak().saturating_sub(before);

    // Never ended: what is sent is all that is kept, and not for long.
    let rest = frame(CONTINUATION, 0, 1, &vec![0x80 | 62; 16_000]);
    let begun = [frame(HEADERS, 0, 1, &bomb(16_000)), rest.repeat(6)].concat();
    let mut unfinished = Vec::new();
    for _ in 0..100 {
        let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
        connection.send(&begun).await;
        unfinished.push(connection);
    }
    // The answer to a ping says that all before it was read; here nothing more is.
    connection.send(check(stream, &good())).await;
    answered(&connection, stream, "authenticated").await;
    tokio::time::sleep(LIMIT / 5).await;
    let held = served.peak().saturating_sub(before);
    println!("400 bombs: {} MB more; 100 that do not end: {} MB more", whole / MB, held / MB);
    assert!(whole < 16 * MB, "{whole}");
    assert!(held < 48 * MB, "{held}");
    for connection in unfinished {
        connection.within(AT_MOST, "it is closed", |seen| seen.closed).await;
    }
    let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
    connection.send([&begun[..], &rest, &rest].concat()).await;
    connection.until("more than is kept ends it", |seen| seen.closed).await;
}

/// What Envoy copies to a call from its client, with tracing on: more than one frame.
#[tokio::test]
async fn long_heads_are_no_bombs() {
    let served = Served::start(&config()).await;
    let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
    let head = [check_block(), field("tracestate", &format!("a={}", "x".repeat(95_000)))].concat();
    let mut frames: Vec<_> = head
        .chunks(16_384)
        .enumerate()
        .map(|(at, part)| frame(if at == 0 { HEADERS } else { CONTINUATION }, 0, 1, part))
        .collect();
    frames.last_mut().unwrap()[4] |= END_HEADERS;
    let message = check(1, &good());
    let data = &message[check_head(1, &[]).len()..];
    for part in frames.concat().chunks(10_000) {
        connection.send(part).await;
        tokio::task::yield_now().await;
    }
    connection.send(data).await;
    answered(&connection, 1, "authenticated").await;
}

/// Messages whose end does not come share a budget, and have ten seconds.
#[tokio::test]
async fn messages_that_never_end_are_denied_one_by_one() {
    let served = Served::start(&config()).await;
    let before = served.peak();
    let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
    let begun = |stream| {
        // Says that two megabytes come, and sends what a stream's window lets out.
        let prefix = [&[0][..], &2_000_000u32.to_be_bytes()].concat();
        let data = frame(DATA, 0, stream, &[prefix, vec![0; 16_000]].concat());
        [check_head(stream, &[]), data].concat()
    };
    let streams: Vec<u32> = (0..1000).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        connection.send(begun(*stream)).await;
    }
    connection.send(check(2001, &good())).await;
    answered(&connection, 2001, "authenticated").await;
    let seen = connection.seen();
    let overloaded = streams.iter().filter(|stream| reason(&seen, **stream).is_some()).count();
    let let_on = streams.iter().filter(|stream| seen.window_updates.contains(stream)).count();
    let held = served.peak().saturating_sub(before);
    println!("1,000 messages that do not end: {} MB more", held / MB);
    assert!(held < 16 * MB, "{held}");
    assert!(overloaded > 500, "{overloaded}: there is no room for so many");
    assert!(let_on <= 2, "{let_on} may grow at once");

    let seen = connection
        .within(AT_MOST, "all end", |seen| streams.iter().all(|stream| seen.ended.contains(stream)))
        .await;
    for stream in &streams {
        let reason = reason(&seen, *stream).unwrap();
        assert!(["overloaded", "malformed_request"].contains(&reason.as_str()), "{reason}");
    }
    connection.send(check(2003, &good())).await;
    answered(&connection, 2003, "authenticated").await;
    let late = served.metric("doorward_calls_cut_off_total{reason=\"late\"}").await;
    assert_eq!(late as usize, streams.len() - overloaded);
    let over = served.metric("doorward_calls_cut_off_total{reason=\"over_budget\"}").await;
    assert_eq!(over as usize, overloaded);
    assert_eq!(served.metric("doorward_unfinished_bytes").await, 0.0, "all was given back");
}

/// Larger than ever needed, or compressed: denied when the first five bytes say so.
#[tokio::test]
async fn messages_that_cannot_be_read_are_denied_at_once() {
    let served = Served::start(&config()).await;
    let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
    for (stream, prefix) in [(1, [0, 1, 0, 0, 0]), (3, [1, 0, 0, 0, 9])] {
        let begun = frame(DATA, 0, stream, &prefix);
        connection.send([check_head(stream, &[]), begun].concat()).await;
        answered(&connection, stream, "malformed_request").await;
    }
}

/// A client that opens no window for answers has them wait for ten seconds, so many at a time.
#[tokio::test]
async fn answers_that_no_window_lets_out_do_not_pile_up() {
    let served = Served::start(&config()).await;
    let before = served.peak();
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let mut connection = RawConnection::open(&served.at.grpc, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let streams: Vec<u32> = (0..1000).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        connection.send(empty_check(*stream)).await;
    }
    let window = frame(WINDOW_UPDATE, 0, 2001, &60_000u32.to_be_bytes());
    connection.send([check(2001, &good()), window].concat()).await;
    answered(&connection, 2001, "authenticated").await;
    let seen = connection
        .within(AT_MOST, "all are reset", |seen| streams.iter().all(|s| seen.reset.contains(s)))
        .await;
    assert!(!seen.go_away && !seen.closed);
    let held = served.peak().saturating_sub(before);
    println!("1,000 answers that may not leave: {} MB more", held / MB);
    assert!(held < 16 * MB, "{held}");
}

/// Nothing more is read from a client that reads nothing, and after ten seconds it is let go.
#[tokio::test]
async fn who_takes_no_answers_is_asked_for_no_more_calls() {
    let served = Served::start(&config()).await;
    let before = served.peak();
    let kinds: [fn(u32) -> Vec<u8>; 3] = [
        empty_check,
        // Malformed: each makes Doorward send a reset.
        |stream| check_head(stream, &field("connection", "close")),
        |_| frame(PING, 0, 0, &[7; 8]),
    ];
    let mut clients = JoinSet::new();
    for kind in kinds {
        let at = served.at.grpc.clone();
        clients.spawn(async move {
            let (mut write, _read) = connect_narrow(&at).await;
            for batch in 0.. {
                let numbers = 1000 * batch..1000 * (batch + 1);
                let bytes: Vec<u8> = numbers.flat_map(|number| kind(2 * number + 1)).collect();
                if write.write_all(&bytes).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    eventually("they are let go", 3 * AT_MOST, async || {
        let stalled = served.metric("doorward_connections_closed_total{reason=\"stalled\"}").await;
        (stalled >= 3.0).then_some(())
    })
    .await;
    let held = served.peak().saturating_sub(before);
    println!("three clients that read nothing: {} MB more", held / MB);
    assert!(held < 16 * MB, "{held}");
}

/// Requests over HTTP/2 are calls like any other.
#[tokio::test]
async fn resets_on_the_http_port_cost_nobody_a_request() {
    let served = Served::start(&config()).await;
    let mut connection = RawConnection::open(&served.at.http, &[]).await;
    let get = |stream| {
        let head = block("GET", "/apis/auth/discovery");
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)
    };
    for round in 0..10 {
        let first = round * 2002 + 1;
        let bytes: Vec<u8> = (0..1000)
            .map(|number| first + 2 * number)
            .flat_map(|stream| [get(stream), reset(stream)].concat())
            .collect();
        let last = first + 2000;
        connection.send([bytes, get(last)].concat()).await;
        let seen = connection.until("it is answered", |seen| seen.ended.contains(&last)).await;
        assert!(seen.data[&last].starts_with(b"{") && !seen.go_away);
    }
}

/// A client may send all that it has to say before it hears anything.
#[tokio::test]
async fn everything_may_come_at_once() {
    let served = Served::start(&config()).await;
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block("GET", "/health/live"));
    for (at, call) in [(&served.at.grpc, empty_check(1)), (&served.at.admin, request)] {
        let mut connection = TcpStream::connect(at).await.unwrap();
        let first = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &call].concat();
        connection.write_all(&first).await.unwrap();
        let mut came = Vec::new();
        // SETTINGS, their acknowledgement, WINDOW_UPDATE, and an answer.
        eventually("there is an answer", LIMIT, async || {
            let mut part = [0; 1024];
            let count = connection.read(&mut part).await.unwrap();
            came.extend_from_slice(&part[..count]);
            let text = String::from_utf8_lossy(&came);
            (text.contains("malformed_request") || text.contains("live\n")).then_some(())
        })
        .await;
    }
}
