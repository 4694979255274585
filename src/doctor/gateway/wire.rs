//! HTTP/1.1 with requests written by hand: what is sent is what is written, duplicates, odd
//! names and odd paths included, which no client library leaves as they are. hyper reads the
//! answers. Bounded in time and size.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use super::GatewayError;
use crate::discovery::CaFile;

/// One request, connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More of an answer is not read, in bytes.
const MOST_READ: usize = 256 * 1024;
/// Whom to talk to.
pub(super) struct Peer {
    host: String,
    port: u16,
    /// As in the `Host` header.
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Peer {
    pub(super) fn new(url: &Url, ca_file: Option<&Path>) -> Result<Self, GatewayError> {
        let host = url.host_str().ok_or(GatewayError::NotHttp)?.to_owned();
        let port = url.port_or_known_default().ok_or(GatewayError::NotHttp)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let bare = host.trim_matches(['[', ']']).to_owned();
        let tls = match url.scheme() {
            "http" => None,
            "https" => {
                let name = ServerName::try_from(bare.clone()).map_err(|_| GatewayError::NotHttp)?;
                Some((connector(ca_file)?, name))
            }
            _ => return Err(GatewayError::NotHttp),
        };
        Ok(Self { host: bare, port, authority, tls })
    }

    /// As people name it.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// Sends a request and reads the answer.
    pub(super) async fn send(&self, request: &RawRequest) -> io::Result<Reply> {
        let exchange = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            match &self.tls {
                None => self.exchange(stream, request).await,
                Some((connector, name)) => {
                    let stream = connector.connect(name.clone(), stream).await?;
                    self.exchange(stream, request).await
                }
            }
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5s")))
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        request: &RawRequest,
    ) -> io::Result<Reply> {
        let (reader, mut writer) = tokio::io::split(stream);
        // What hyper writes goes nowhere: it has to believe that it has asked, to read what comes.
        let unwritten = TokioIo::new(tokio::io::join(reader, tokio::io::sink()));
        let mut client = http1::Builder::new();
        let handshake = client.max_buf_size(MOST_READ).handshake(unwritten);
        let (mut sender, connection) = handshake.await.map_err(io::Error::other)?;
        let answer = sender.send_request(Request::new(Empty::<Bytes>::new()));
        let drive = async {
            // What is wrong with it, the answer tells.
            let _ = connection.await;
            std::future::pending::<Infallible>().await
        };
        let ask = async {
            // Who refuses a request may answer and close before all of it is sent.
            let _ = writer.write_all(&request.written(&self.authority)).await;
            let _ = writer.flush().await;
            Ok(Reply::read(answer.await.map_err(io::Error::other)?).await)
        };
        // In this order: hyper takes what comes before it has asked for no answer.
        tokio::select! { biased; never = drive => match never {}, reply = ask => reply }
    }
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, GatewayError> {
    let ca_file = ca_file.map(CaFile::read).transpose()?.unwrap_or_default();
    Ok(TlsConnector::from(Arc::new(ca_file.client_config()?)))
}

/// A request, written out.
#[derive(Clone)]
pub(super) struct RawRequest {
    target: String,
    headers: Vec<(String, String)>,
    connection: Option<String>,
}

impl RawRequest {
    pub(super) fn get(target: &str) -> Self {
        Self { target: target.to_owned(), headers: Vec::new(), connection: None }
    }

    /// One more header line, spelled like this.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Lists a header in `Connection`, as one that ends at the next hop.
    pub(super) fn hop_by_hop(mut self, name: &str) -> Self {
        self.connection = Some(name.to_owned());
        self
    }

    fn written(&self, authority: &str) -> Vec<u8> {
        let Self { target, headers, connection } = self;
        let more = connection.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
        let mut text = format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close{more}\r\n\
             User-Agent: doorward-doctor/{}\r\nAccept: */*\r\n",
            env!("CARGO_PKG_VERSION")
        );
        for (name, value) in headers {
            // A line end in a token would be a header of its own.
            let value: String = value.chars().filter(|char| !char.is_control()).collect();
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// What the gateway or the upstream answered.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: String,
}

impl Reply {
    /// What is cut short counts as far as it goes: TLS may end without its closing word, and
    /// nobody needs more of an answer than [`MOST_READ`].
    async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let (mut body, mut bytes) = (Limited::new(body, MOST_READ), Vec::new());
        while let Some(Ok(frame)) = body.frame().await {
            bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: head.status, headers: head.headers, body }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Doorward's reason code, when it is Doorward that answers.
    pub(super) fn reason(&self) -> Option<String> {
        let problem = self.header("content-type")?.starts_with("application/problem+json");
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        Some(body.get("reason").filter(|_| problem)?.as_str()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_cannot_become_a_header() {
        let peer = "h";
        let text = RawRequest::get("/").bearer("a\r\nX-Evil: 1").written(peer);
        assert!(!String::from_utf8(text).unwrap().contains("\r\nX-Evil"));
    }
}
