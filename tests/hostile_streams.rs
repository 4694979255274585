//! What one client does with its streams takes room and time from no other on the connection that
//! they share (docs/decisions/0014-hostile-clients.md).

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::hostile_calls::{answered, config, good};
use crate::support::check::{Checker, get};
use crate::support::eventually;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, RawConnection, WINDOW_UPDATE, block,
    check, check_block, check_head, field, frame, reset,
};
use crate::support::idp::{Answer, Idp};
use crate::support::served::Served;
use crate::support::signer::{Signer, claims};

const AT_MOST: Duration = Duration::from_secs(25);

/// The DATA of a call of `Check`, without its head.
fn data(stream: u32, message: &[u8]) -> Vec<u8> {
    check(stream, message).split_off(check_head(stream, &[]).len())
}

/// Trailers end the data as an end of the stream does. One such message must not keep its worker,
/// and with it every connection, busy for ever.
#[tokio::test]
async fn trailers_end_a_message() {
    let served = Served::start(&config()).await;
    let message = good();
    let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
    let unended = |stream, length: usize| {
        let mut data = data(stream, &message);
        data.truncate(9 + length);
        let payload = data.split_off(9);
        frame(DATA, 0, stream, &payload)
    };
    let trailers = |stream| {
        let field = field("grpc-trailer", "x");
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &field)
    };
    let cases = [
        (5 + message.len(), "authenticated"),
        (5 + message.len() / 2, "malformed_request"),
        (3, "malformed_request"),
    ];
    let mut stream = 1;
    for (length, expected) in cases {
        let parts = [check_head(stream, &[]), unended(stream, length), trailers(stream)];
        connection.send(parts.concat()).await;
        answered(&connection, stream, expected).await;
        stream += 2;
        for mut part in parts {
            part[5..9].copy_from_slice(&stream.to_be_bytes());
            connection.send(part).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        answered(&connection, stream, expected).await;
        stream += 2;
    }
    connection.send([check_head(stream, &[]), trailers(stream)].concat()).await;
    answered(&connection, stream, "malformed_request").await;

    let mut http = RawConnection::open(&served.at.http, &[]).await;
    let head = frame(HEADERS, END_HEADERS, 1, &block("GET", "/apis/auth/discovery"));
    http.send([head, frame(DATA, 0, 1, b"body"), trailers(1)].concat()).await;
    let seen = http.until("it is answered", |seen| seen.ended.contains(&1)).await;
    assert!(seen.data[&1].starts_with(b"{"));
}

/// Reflection is a conversation, whose other end may be silent; health may be watched for as long
/// as one likes.
#[tokio::test]
async fn silent_conversations_are_reset() {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let served = Served::start(&config()).await;
    let call = |stream, path: &str, message: &[u8]| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let message = [&[0][..], &length, message].concat();
        let head = [block("POST", path), field("content-type", "application/grpc")].concat();
        [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, 0, stream, &message)].concat()
    };
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    // ServerReflectionRequest { list_services: "" }
    let list = call(1, reflection, &[0x3a, 0]);
    let silent = {
        let head = [block("POST", reflection), field("content-type", "application/grpc")].concat();
        frame(HEADERS, END_HEADERS, 1, &head)
    };
    // Its answer may not leave.
    let mut unheard = RawConnection::open(&served.at.grpc, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    unheard.send(&list).await;
    // It has its answer, and says no more.
    let mut heard = RawConnection::open(&served.at.grpc, &[]).await;
    heard.send(&list).await;
    let mut mute = RawConnection::open(&served.at.grpc, &[]).await;
    mute.send(&silent).await;
    let mut watching = RawConnection::open(&served.at.grpc, &[]).await;
    let mut watch = call(1, "/grpc.health.v1.Health/Watch", &[]);
    let flags = watch.len() - 5 - 9 + 4;
    watch[flags] |= END_STREAM;
    watching.send(&watch).await;
    for connection in [&unheard, &heard, &mute] {
        let seen = connection.within(AT_MOST, "it is reset", |seen| !seen.reset.is_empty()).await;
        assert!(!seen.closed && !seen.go_away);
    }
    assert!(!heard.seen().data[&1].is_empty());
    let seen = watching.seen();
    assert!(!seen.data[&1].is_empty() && seen.ended.is_empty() && seen.reset.is_empty());
}

/// The head of a call that comes in pieces needs room; those who have taken it all give some back,
/// not the connection.
#[tokio::test]
async fn a_long_head_finds_room_on_a_full_connection() {
    let served = Served::start(&config()).await;
    let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
    for stream in (1..2000).step_by(2) {
        let prefix = [&[0][..], &16_300_u32.to_be_bytes()].concat();
        let begun = frame(DATA, 0, stream, &[prefix, vec![0; 15_900]].concat());
        connection.send([check_head(stream, &[]), begun].concat()).await;
    }
    eventually("the connection's room is used up", AT_MOST, async || {
        let cut_off = "doorward_calls_cut_off_total{reason=\"over_budget\"}";
        (served.metric(cut_off).await > 100.0).then_some(())
    })
    .await;
    let head = [check_block(), field("tracestate", &format!("a={}", "x".repeat(60_000)))].concat();
    let mut parts = head.chunks(16_000).peekable();
    let mut kind = HEADERS;
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_none() { END_HEADERS } else { 0 };
        connection.send(frame(kind, flags, 2001, part)).await;
        kind = CONTINUATION;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    connection.send(data(2001, &good())).await;
    answered(&connection, 2001, "authenticated").await;
    assert!(!connection.seen().closed);
}

/// Tokens with made-up key ids wait for their issuer, with all that came with them. However long
/// they are, they leave room for the messages of others.
#[tokio::test]
async fn made_up_keys_leave_room_on_the_connection() {
    let (known, unknown) = (Signer::ed("known"), Signer::ed("unknown"));
    let idp = Idp::start([&known]).await;
    let served = Served::start(&json!({
        "auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}},
        "keys": {"wait": "10s", "timeout": "60s"},
    }))
    .await;
    let of = |signer: &Signer, bytes: usize| {
        let token = signer.token("EdDSA", &claims(&idp.issuer(), json!({})));
        get(&format!("/{}", "a".repeat(bytes))).bearer(&token)
    };
    let checker = Checker::connect(&served.at.grpc).await;
    eventually("the keys are there", AT_MOST, async || {
        let outcome = checker.clone().ask_within(AT_MOST, of(&known, 1)).await;
        (outcome.reason == "authenticated").then_some(())
    })
    .await;
    idp.answer_keys(Answer::Hang);
    let mut waiting = JoinSet::new();
    for _ in 0..130 {
        let (mut checker, ask) = (checker.clone(), of(&unknown, 60_000));
        waiting.spawn(async move { checker.ask_within(AT_MOST, ask).await.reason });
    }
    let denied = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(denied, "overloaded", "those that find no room are not kept waiting");
    for _ in 0..20 {
        // Longer than a stream's window, so that it comes in parts.
        let outcome = checker.clone().ask_within(AT_MOST, of(&known, 20_000)).await;
        assert_eq!(outcome.reason, "authenticated");
    }
    assert!(!waiting.is_empty());
}

/// The time that a client has for its message is not taken off the time that it has for its
/// answer.
#[tokio::test]
async fn a_slow_message_has_all_the_time_for_its_answer() {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    const PART: Duration = Duration::from_secs(7);
    let served = Served::start(&config()).await;
    let mut connection = RawConnection::open(&served.at.grpc, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let message = good();
    let all = data(1, &message);
    let (first, rest) = all[9..].split_at(100);
    connection.send([check_head(1, &[]), frame(DATA, 0, 1, first)].concat()).await;
    tokio::time::sleep(PART).await;
    connection.send(frame(DATA, END_STREAM, 1, rest)).await;
    tokio::time::sleep(PART).await;
    let window = 60_000_u32.to_be_bytes();
    connection.send(frame(WINDOW_UPDATE, 0, 1, &window)).await;
    answered(&connection, 1, "authenticated").await;
}

/// Who has yet to say something does not keep a server that stops.
#[tokio::test]
async fn silent_connections_do_not_hold_up_a_stop() {
    let mut served = Served::start(&config()).await;
    let silent = TcpStream::connect(&served.at.grpc).await.unwrap();
    let also_silent = TcpStream::connect(&served.at.http).await.unwrap();
    let mut working = RawConnection::open(&served.at.grpc, &[]).await;
    working.send(check(1, &good())).await;
    answered(&working, 1, "authenticated").await;
    drop(working);
    let begun = Instant::now();
    served.process().signal("TERM");
    let status = tokio::time::timeout(AT_MOST, served.process().ended()).await.unwrap();
    assert!(status.success());
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    drop((silent, also_silent));
}

/// All of a turn's calls come whole, and calls that are reset at its very end are no more than
/// the h2 crate keeps.
#[tokio::test]
async fn resets_at_the_end_of_a_turn_are_no_surprise() {
    let served = Served::start(&config()).await;
    let mut connection = RawConnection::open(&served.at.grpc, &[]).await;
    let mut stream = 1;
    for extra in 0..40 {
        // So many that begin in one turn, the last one cut in its head.
        let calls: Vec<u8> = (0..31 + extra % 4)
            .flat_map(|_| {
                stream += 2;
                [check_head(stream, &[]), reset(stream)].concat()
            })
            .collect();
        stream += 2;
        let head = check_head(stream, &[]);
        let (begun, rest) = head.split_at(20);
        connection.send([&calls, begun].concat()).await;
        tokio::task::yield_now().await;
        let more: Vec<u8> = (0..40)
            .flat_map(|_| {
                let call = stream + 2;
                stream = call;
                [check_head(call, &[]), reset(call)].concat()
            })
            .collect();
        let cut = reset(stream - 80);
        connection.send([rest, &cut, &more].concat()).await;
    }
    stream += 2;
    connection.send(check(stream, &good())).await;
    answered(&connection, stream, "authenticated").await;
}
