//! HTTP/1.1 by hand: what is sent is what is written here, duplicates, odd names and odd
//! paths included. A client library would mend them.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;

/// A request, written out.
#[derive(Clone, Debug)]
pub struct RawRequest {
    head: Vec<u8>,
    body: Vec<u8>,
}

/// A request with this method and target, and the headers that no request can do
/// without.
pub fn request(method: &str, target: impl AsRef<[u8]>) -> RawRequest {
    let mut head = format!("{method} ").into_bytes();
    head.extend_from_slice(target.as_ref());
    head.extend_from_slice(b" HTTP/1.1\r\nHost: platform.example\r\nConnection: close\r\n");
    RawRequest { head, body: Vec::new() }
}

/// A request whose lines are all written out.
pub fn lines(lines: &[&str]) -> RawRequest {
    let head: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    RawRequest { head: head.into_bytes(), body: Vec::new() }
}

pub fn get(target: impl AsRef<[u8]>) -> RawRequest {
    request("GET", target)
}

/// A request that asks to go on in another protocol.
pub fn upgrade(target: &str, protocol: &str) -> RawRequest {
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: platform.example\r\nConnection: Upgrade, close\r\n\
         Upgrade: {protocol}\r\n"
    );
    RawRequest { head: head.into_bytes(), body: Vec::new() }
}

impl RawRequest {
    /// One more header line, spelled like this.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        self
    }

    /// With these bytes behind the head, whatever it says of them.
    pub fn followed_by(self, bytes: &str) -> Self {
        Self { body: bytes.into(), ..self }
    }

    /// With a body of known length.
    pub fn body(self, body: &str) -> Self {
        let length = body.len().to_string();
        Self { body: body.into(), ..self }.header("Content-Length", &length)
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Sends it and reads the answer to its end.
    pub async fn send(&self, address: SocketAddr) -> Reply {
        let answer = tokio::time::timeout(PATIENCE, async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut answer = Vec::new();
            // A server that refuses a request may reset the connection, after its answer too.
            let _ = stream.write_all(&[&self.head[..], b"\r\n", &self.body].concat()).await;
            let _ = stream.read_to_end(&mut answer).await;
            answer
        });
        Reply::parse(&answer.await.expect("an answer in time"))
    }

    /// Sends it, and `inside` as what follows: in a chunk of its body, or, when it has none, as
    /// it is. The first answer, and what comes after.
    pub async fn tunnel(&self, inside: &Self, address: SocketAddr) -> (String, String) {
        let inside = [&inside.head[..], b"\r\n"].concat();
        let (head, inside) = if self.head.starts_with(b"POST") {
            let chunk = format!("{:x}\r\n", inside.len());
            let head = [&self.head[..], b"Transfer-Encoding: chunked\r\n\r\n"].concat();
            (head, [chunk.as_bytes(), &inside, b"\r\n"].concat())
        } else {
            ([&self.head[..], b"\r\n"].concat(), inside)
        };
        let answers = tokio::time::timeout(PATIENCE, async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&head).await.unwrap();
            let mut opened = vec![0; 4096];
            let length = stream.read(&mut opened).await.unwrap_or_default();
            opened.truncate(length);
            let mut answer = Vec::new();
            // A connection that did not become a tunnel may be gone.
            let _ = stream.write_all(&inside).await;
            let _ = stream.read_to_end(&mut answer).await;
            [opened, answer].map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        });
        answers.await.expect("an answer in time").into()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 0: the connection was closed without an answer.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    fn parse(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Self { status: 0, headers: Vec::new(), body: text };
        };
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let chunked =
            headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The reason code of a denial.
    pub fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
