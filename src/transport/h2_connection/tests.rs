//! Connections that nobody uses.

use std::time::Duration;

use ::http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::watch;

use super::*;
use crate::transport::frames::PREFACE;

const LIMITS: Limits = Limits { patience: Duration::from_secs(1), idle: Duration::from_secs(2) };
/// What the clock of connections adds, and a slow machine.
const AT_MOST: Duration = Duration::from_secs(20);

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A server that answers every call with nothing.
async fn serve_all(io: DuplexStream) -> Result<(), ConnectionError> {
    let (_go_on, stop) = watch::channel(false);
    let session = Session::of_test(LIMITS, stop).await;
    let begin = |(_, mut respond): Arrived, _: &Account, _: &mut Context<'_>| {
        respond.send_response(Response::new(()), true).unwrap();
        None
    };
    serve(Intake::http2(io), session, begin).await
}

/// GOAWAY that names no call, and when the client has seen that, one that names the last: no
/// call that crosses the first is lost.
#[tokio::test]
async fn an_idle_connection_is_closed_in_two_steps() {
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let (ours, mut theirs) = duplex(64 * 1024);
    let server = serve_all(ours);
    let client = async {
        // :method GET, :scheme http, :path /.
        let call = [0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84];
        theirs.write_all(&[PREFACE, &SETTINGS, &call].concat()).await.unwrap();
        let mut last_calls = Vec::new();
        while let Ok((kind, flags, payload)) = frame(&mut theirs).await {
            match kind {
                GOAWAY => last_calls.push(payload[..4].to_vec()),
                PING if flags == 0 => {
                    let pong = [&[0, 0, 8, PING, 1, 0, 0, 0, 0], &payload[..]].concat();
                    theirs.write_all(&pong).await.unwrap();
                }
                _ => {}
            }
        }
        assert_eq!(last_calls, [[0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 1]]);
    };
    let both = async { tokio::join!(server, client) };
    let (end, ()) = tokio::time::timeout(AT_MOST, both).await.unwrap();
    end.unwrap();
}

async fn frame(io: &mut DuplexStream) -> std::io::Result<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    io.read_exact(&mut head).await?;
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    io.read_exact(&mut payload).await?;
    Ok((head[3], head[4], payload))
}

/// Nor does it wait for the word of a client that says none.
#[tokio::test]
async fn an_idle_connection_of_a_client_that_is_gone_ends() {
    let (ours, mut theirs) = duplex(64 * 1024);
    theirs.write_all(&[PREFACE, &SETTINGS].concat()).await.unwrap();
    let end = tokio::time::timeout(AT_MOST, serve_all(ours)).await.unwrap();
    assert_eq!(end.unwrap_err().to_string(), Closed::Idle.to_string());
}
