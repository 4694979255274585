//! A server that answers what a test says, byte by byte, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub struct Scripted {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

impl Scripted {
    /// `answer` makes an answer of a request's head; the connection is closed behind it.
    pub async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (mut server, seen) = (JoinSet::new(), Arc::clone(&asked));
        server.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut head, mut bytes) = (Vec::new(), [0; 4096]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut bytes).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => head.extend_from_slice(&bytes[..read]),
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let _ = stream.write_all(&answer(&head)).await;
                let _ = stream.shutdown().await;
                seen.lock().unwrap().push(head);
            }
        });
        Self { port, asked, _server: server }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The heads of the requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// An answer with this status line, these header lines and this body.
pub fn answer(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}
