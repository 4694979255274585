//! An upstream that answers with what it was sent, so that tests and people see exactly
//! what got through the door.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};

use axum::Json;
use axum::Router;
use axum::extract::Request;
use serde::{Deserialize, Serialize};

use super::loopback::{ListenError, listen};

/// The echo upstream, bound but not yet serving.
#[derive(Debug)]
pub struct Echo {
    listener: TcpListener,
    address: SocketAddr,
}

/// What a request looked like when it arrived: the answer's body, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echoed {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Every header as `[name, value]`, names in lower case, repeats kept. A repeat
    /// stands beside the first header of its name; otherwise the order is the sender's.
    pub headers: Vec<(String, String)>,
}

impl Echo {
    /// Binds `address`. Port 0: one that is free.
    ///
    /// # Errors
    /// When the address is not loopback or cannot be had.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let (listener, address) = listen(address)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `shutdown` resolves.
    ///
    /// # Errors
    /// When the listener cannot be driven by the runtime this runs on.
    pub async fn serve(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        axum::serve(listener, router()).with_graceful_shutdown(shutdown).await
    }
}

impl Echoed {
    /// Every value of the header `name` (lower case), in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

fn router() -> Router {
    Router::new().fallback(async |request: Request| Json(echo(&request)))
}

fn echo(request: &Request) -> Echoed {
    let headers = request.headers().iter().map(|(name, value)| {
        // Bytes beyond UTF-8 are shown as replacement characters: seen, not hidden.
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Echoed {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: headers.collect(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn repeated_headers_are_all_shown() {
        let echo = Echo::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = echo.address();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(echo.serve(std::future::pending()));

        // Written by hand: no client library may merge or reorder what is sent.
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = "POST /a//b?c=%2f HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nX-One: 0\r\nx-two: 2\r\n\
                       X_Odd: y\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let echoed: Echoed = serde_json::from_str(body).unwrap();

        assert_eq!(echoed.method, "POST");
        assert_eq!(echoed.path, "/a//b?c=%2f");
        assert_eq!(echoed.values("x-two").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(echoed.values("x_odd").collect::<Vec<_>>(), ["y"]);
        assert_eq!(echoed.headers.first().unwrap().0, "host");
    }

    #[test]
    fn listens_on_loopback_only() {
        let refused = Echo::bind(([0, 0, 0, 0], 0).into()).unwrap_err();
        assert!(matches!(refused, ListenError::NotLoopback(_)), "{refused}");
    }
}
