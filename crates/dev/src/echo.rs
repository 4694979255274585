//! An upstream that answers with what it was sent, so that people see what reached it: who it is
//! first, and a token by its beginning.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;

use crate::server::{ListenError, Server};

/// What the names of the headers that say who it is begin with.
const IDENTITY: &str = "x-nmp-";
/// How much of the value of `Authorization` is shown.
const MAX_CREDENTIAL_CHARS: usize = 16;

/// The echo upstream. It ends with its handle.
#[derive(Debug)]
pub struct Echo(Server);

/// What a request looked like when it arrived: the answer's body, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Echoed {
    /// The method of the request.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Every header as `[name, value]`, names in lower case, repeats kept; those of the
    /// identity first. The value of `authorization` is cut short.
    pub headers: Vec<(String, String)>,
}

impl Echo {
    /// Listens on `address`. Port 0: one that is free.
    ///
    /// # Errors
    /// When the address is not loopback or cannot be had.
    pub async fn start(address: SocketAddr) -> Result<Self, ListenError> {
        let answer =
            async |request: Request| ([(CONTENT_TYPE, "application/json")], echo(&request));
        Server::start(address, |_| Router::new().fallback(answer)).await.map(Self)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

/// An [`Echoed`], a header a line.
fn echo(request: &Request) -> String {
    let mut headers: Vec<_> = request.headers().iter().collect();
    headers.sort_by_key(|(name, _)| !name.as_str().starts_with(IDENTITY));
    let headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| {
            // Bytes beyond UTF-8 are shown as replacement characters: seen, not hidden.
            let value = String::from_utf8_lossy(value.as_bytes());
            let shown = match value.char_indices().nth(MAX_CREDENTIAL_CHARS) {
                Some((end, _)) if name == AUTHORIZATION => {
                    format!("{}… ({} characters)", &value[..end], value.chars().count())
                }
                _ => value.into_owned(),
            };
            format!("    {}", json!([name.as_str(), shown]))
        })
        .collect();
    let (method, path) = (json!(request.method().as_str()), json!(request.uri().to_string()));
    let headers = headers.join(",\n");
    format!(
        "{{\n  \"method\": {method},\n  \"path\": {path},\n  \"headers\": [\n{headers}\n  ]\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn all_headers_are_shown_the_identity_first_and_the_token_by_its_beginning() {
        let echo = Echo::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        // Written by hand: no client library may merge or reorder what is sent.
        let mut stream = tokio::net::TcpStream::connect(echo.address()).await.unwrap();
        let request = "POST /a//b?c=%2f HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nX-One: 0\r\nx-two: 2\r\n\
                       X_Odd: y\r\nAuthorization: Bearer 0123456789abcdef\r\n\
                       X-NMP-Principal-Id: alice\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let echoed: Echoed = serde_json::from_str(body).unwrap();

        assert_eq!(echoed.method, "POST");
        assert_eq!(echoed.path, "/a//b?c=%2f");
        let values = |name| {
            let of_name = echoed.headers.iter().filter(move |(have, _)| have == name);
            of_name.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(values("x-two"), ["1", "2"]);
        assert_eq!(values("x_odd"), ["y"]);
        assert_eq!(values("authorization"), ["Bearer 012345678… (23 characters)"]);
        assert_eq!(echoed.headers.first().unwrap().0, "x-nmp-principal-id");
        assert!(body.contains("\n    [\"x-nmp-principal-id\",\"alice\"],\n"), "{body}");
    }

    #[tokio::test]
    async fn listens_on_loopback_only() {
        let refused = Echo::start(([0, 0, 0, 0], 0).into()).await.unwrap_err();
        assert!(matches!(refused, ListenError::NotLoopback(_)), "{refused}");
    }
}
