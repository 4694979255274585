//! Load over HTTP/1.1, on an Envoy: so many connections, one request at a time on each.
//!
//!   --to 127.0.0.1:PORT  --tokens FILE (one a line)  --connections 16
//!   --count 10000  --seconds 60 (at most)

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::flags::Flags;
use super::spread::{Outcome, Spread};
use super::stream::Stream;
use super::support::request;

pub async fn fire(flags: &Flags) -> String {
    let tokens = std::fs::read_to_string(flags.text("tokens")).unwrap();
    let requests: Rc<Vec<_>> = Rc::new(tokens.lines().map(request::as_http).collect());
    let count = flags.number("count", 10_000);
    let until = Instant::now() + Duration::from_secs(flags.number("seconds", 60) as u64);
    let next = Rc::new(Cell::new(0));
    let spread = Rc::new(RefCell::new(Spread::default()));
    let mut connections = Vec::new();
    for _ in 0..flags.number("connections", 16) {
        connections.push(Stream::connect(flags.text("to")).await);
    }
    let started = Instant::now();
    let mut tasks = Vec::new();
    for mut connection in connections {
        let (requests, next) = (Rc::clone(&requests), Rc::clone(&next));
        let spread = Rc::clone(&spread);
        tasks.push(tokio::task::spawn_local(async move {
            let mut buffer = Vec::with_capacity(16 * 1024);
            while next.get() < count && Instant::now() < until {
                let number = next.replace(next.get() + 1);
                let started = Instant::now();
                connection.write_all(&requests[number % requests.len()]).await.unwrap();
                let outcome = read_answer(&mut connection, &mut buffer).await;
                spread.borrow_mut().add(started.elapsed(), outcome);
                if outcome == Outcome::Failed {
                    return;
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let elapsed = started.elapsed();
    spread.take().report(elapsed)
}

/// Reads one answer with a `content-length`.
async fn read_answer(connection: &mut Stream, buffer: &mut Vec<u8>) -> Outcome {
    buffer.clear();
    loop {
        if connection.read_buf(buffer).await.unwrap_or(0) == 0 {
            return Outcome::Failed;
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse::<usize>().ok());
        let Some(length) = length else { return Outcome::Failed };
        while buffer.len() < end + 4 + length {
            if connection.read_buf(buffer).await.unwrap_or(0) == 0 {
                return Outcome::Failed;
            }
        }
        return match head.split(' ').nth(1) {
            Some("200") => Outcome::Allowed,
            Some("400" | "401" | "403") => Outcome::Denied,
            _ => Outcome::Failed,
        };
    }
}
