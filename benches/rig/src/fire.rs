//! Load over gRPC: so many streams at a time on so many connections, each asking again as
//! soon as it has an answer.
//!
//!   --to 127.0.0.1:PORT | unix:PATH    --requests FILE (each with its length in front)
//!   --connections 1  --streams 16 (on each)  --count 10000  --seconds 60 (at most)
//!   --skip 0 (requests of the file to begin after)  --million yes (distinct tokens, no file)

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;

use super::flags::Flags;
use super::spread::{Outcome, Spread};
use super::stream::Stream;
use super::support::{ISSUER, request, signer::Signer, user};

/// Where the next request comes from.
enum Source {
    File {
        requests: Vec<Bytes>,
        skip: usize,
    },
    /// Tokens made while firing: as many as one likes.
    Endless {
        signer: Signer,
        skip: usize,
    },
}

impl Source {
    fn get(&self, number: usize) -> Bytes {
        match self {
            Self::File { requests, skip } => requests[(number + skip) % requests.len()].clone(),
            Self::Endless { signer, skip } => {
                let token = signer.token("EdDSA", &user(ISSUER, number + skip));
                framed(&request::with_token(&token))
            }
        }
    }
}

/// What all streams share.
struct Shot {
    source: Source,
    next: Cell<usize>,
    count: usize,
    until: Instant,
    spread: RefCell<Spread>,
}

pub async fn fire(flags: &Flags) -> String {
    let skip = flags.number("skip", 0);
    let source = match flags.given("million") {
        Some(_) => Source::Endless {
            signer: Signer::ed_from_seed("2026-01-ed-signing-key", &[7; 32]),
            skip,
        },
        None => Source::File { requests: read(flags.text("requests")), skip },
    };
    let shot = Rc::new(Shot {
        source,
        next: Cell::new(0),
        count: flags.number("count", 10_000),
        until: Instant::now() + Duration::from_secs(flags.number("seconds", 60) as u64),
        spread: RefCell::default(),
    });
    let mut clients = Vec::new();
    for _ in 0..flags.number("connections", 1) {
        let stream = Stream::connect(flags.text("to")).await;
        let (client, connection) = h2::client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(1 << 24)
            .handshake::<_, Bytes>(stream)
            .await
            .unwrap();
        tokio::task::spawn_local(connection);
        clients.push(client);
    }
    let started = Instant::now();
    let mut streams = Vec::new();
    for client in &clients {
        for _ in 0..flags.number("streams", 16) {
            streams.push(tokio::task::spawn_local(ask_on(client.clone(), Rc::clone(&shot))));
        }
    }
    for stream in streams {
        stream.await.unwrap();
    }
    let elapsed = started.elapsed();
    shot.spread.take().report(elapsed)
}

async fn ask_on(mut client: SendRequest<Bytes>, shot: Rc<Shot>) {
    loop {
        let number = shot.next.get();
        if number >= shot.count || Instant::now() > shot.until {
            return;
        }
        shot.next.set(number + 1);
        let message = shot.source.get(number);
        let started = Instant::now();
        let outcome = ask(&mut client, message).await.unwrap_or(Outcome::Failed);
        shot.spread.borrow_mut().add(started.elapsed(), outcome);
        if outcome == Outcome::Failed && client.clone().ready().await.is_err() {
            return;
        }
    }
}

async fn ask(client: &mut SendRequest<Bytes>, message: Bytes) -> Result<Outcome, h2::Error> {
    // What Envoy sends besides the message.
    let head = http::Request::post("http://doorward/envoy.service.auth.v3.Authorization/Check")
        .header("te", "trailers")
        .header("grpc-timeout", "1000m")
        .header("content-type", "application/grpc")
        .header("x-envoy-internal", "true")
        .body(())
        .unwrap();
    let (answer, mut body) = client.send_request(head, false)?;
    body.send_data(message, true)?;
    let mut body = answer.await?.into_body();
    let mut reply = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        reply.put(chunk);
    }
    let trailers = body.trailers().await?;
    let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    if status.is_none_or(|status| status != "0") {
        return Ok(Outcome::Failed);
    }
    Ok(judge(&reply))
}

/// An allowing answer has a `status` without a code, and some body; Doorward and the floor
/// put it first.
fn judge(reply: &[u8]) -> Outcome {
    match reply.get(5..) {
        Some([0x0a, 0, _, ..]) => Outcome::Allowed,
        Some([0x0a, _, 0x08, ..]) => Outcome::Denied,
        _ => Outcome::Failed,
    }
}

fn read(file: &str) -> Vec<Bytes> {
    let contents = std::fs::read(file).unwrap();
    let mut rest = contents.as_slice();
    let mut requests = Vec::new();
    while !rest.is_empty() {
        let length = prost::decode_length_delimiter(&mut rest).unwrap();
        let (message, more) = rest.split_at(length);
        requests.push(framed(message));
        rest = more;
    }
    requests
}

/// With gRPC's five bytes in front: not compressed, and how long.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}
