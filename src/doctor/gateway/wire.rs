//! HTTP/1.1 by hand: what is sent is what is written, duplicates, odd names and odd paths
//! included. Bounded in time and size.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use super::GatewayError;
use crate::discovery::CaFile;

/// One request, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);
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
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5s")))
    }

    async fn exchange(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        request: &RawRequest,
    ) -> io::Result<Reply> {
        stream.write_all(&request.written(&self.authority)).await?;
        stream.flush().await?;
        let (mut answer, mut chunk) = (Vec::new(), [0; 8 * 1024]);
        // Who refuses a request may reset the connection behind its answer; TLS may end
        // without its closing word. What has arrived counts. Envoy keeps a connection open
        // for a second after its answer: not waited for.
        while answer.len() < MOST_READ && !is_whole(&answer) {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(read) => answer.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            }
        }
        Ok(Reply::read(&answer))
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

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// 0: the connection was closed without one.
    pub(super) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Reply {
    fn read(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Self { status: 0, headers: Vec::new(), body: String::new() };
        };
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let chunked = headers.iter().any(|(name, value)| {
            name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked")
        });
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Self { status: status.unwrap_or(0), headers, body }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Whether the upstream was reached and did what was asked.
    pub(super) fn got_through(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Whether all of an answer is there, as far as it says how long it is (RFC 9112 §6.3).
fn is_whole(answer: &[u8]) -> bool {
    const GAP: &[u8] = b"\r\n\r\n";
    let Some(end) = answer.windows(GAP.len()).position(|window| window == GAP) else {
        return false;
    };
    let (head, rest) = answer.split_at_checked(end + GAP.len()).unwrap_or((answer, &[]));
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = |name: &str| {
        let line = head.lines().find(|line| line.starts_with(name))?;
        Some(line.get(name.len()..)?.trim())
    };
    match value("content-length:").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => rest.len() >= length,
        None => value("transfer-encoding:") == Some("chunked") && rest.ends_with(b"0\r\n\r\n"),
    }
}

/// RFC 9112 §7.1; what is cut short is taken as far as it goes.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size @ 1..) = usize::from_str_radix(size.trim(), 16) else { break };
        whole.push_str(rest.get(..size).unwrap_or(rest));
        body = rest.get(size..).unwrap_or_default().trim_start_matches("\r\n");
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_however_they_end() {
        let reply = Reply::read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        assert_eq!((reply.status, reply.body.as_str()), (200, "abcde"));
        assert_eq!(Reply::read(b"").status, 0);
        assert_eq!(Reply::read(b"nonsense\r\n\r\n").status, 0);
        assert_eq!(
            Reply::read(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\n\r\n")
                .header("www-authenticate"),
            Some("Bearer")
        );
    }

    #[test]
    fn an_answer_is_whole_when_it_says_so() {
        for (answer, whole) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\nab", false),
            ("HTTP/1.1 400", false),
        ] {
            assert_eq!(is_whole(answer.as_bytes()), whole, "{answer}");
        }
    }

    #[test]
    fn a_token_cannot_become_a_header() {
        let peer = "h";
        let text = RawRequest::get("/").bearer("a\r\nX-Evil: 1").written(peer);
        assert!(!String::from_utf8(text).unwrap().contains("\r\nX-Evil"));
    }
}
