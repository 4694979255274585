//! What stood between us and a document, by kind: one classification for everybody who tells a
//! person what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

use tokio_rustls::rustls::{self, CertificateError, InvalidMessage};

use super::fetch_error::{FetchError, FetchErrorKind};
use super::trust::NO_AUTHORITIES;

/// Why the other side was not reached, or not in the way that the URL names. Its text says so of
/// "it", the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// DNS has no address for the name.
    UnknownHost,
    /// Nothing listens at that address and port.
    Refused,
    /// The network has no way there.
    NoRoute,
    /// No complete answer came in time.
    TimedOut,
    /// The connection ended before the answer did.
    Broken,
    /// The proxy does not make a connection, or cannot be used at all.
    Proxy,
    /// The proxy wants a name and a password.
    ProxyCredentials,
    /// Plain http was sent, and what came back is no HTTP: mostly a port for TLS.
    NotPlain,
    /// TLS was begun, and what came back is no TLS: mostly a port for plain http.
    NotTls,
    /// Both speak TLS and do not come to terms.
    Handshake,
    /// Its certificate is of an authority that is not trusted here, or its own.
    Untrusted,
    /// No authority is trusted here at all.
    NoAuthorities,
    /// Its certificate has run out.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is for another host.
    OtherHost,
    /// Its certificate does not say which host it is for.
    Nameless,
}

impl Obstacle {
    /// Whether TLS is what failed.
    #[must_use]
    pub fn is_of_tls(self) -> bool {
        match self {
            Self::NotTls
            | Self::Handshake
            | Self::Untrusted
            | Self::NoAuthorities
            | Self::Expired
            | Self::NotYetValid
            | Self::OtherHost
            | Self::Nameless => true,
            Self::UnknownHost
            | Self::Refused
            | Self::NoRoute
            | Self::TimedOut
            | Self::Broken
            | Self::Proxy
            | Self::ProxyCredentials
            | Self::NotPlain => false,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownHost => "its name does not resolve (DNS)",
            Self::Refused => "connection refused",
            Self::NoRoute => "this network has no route to it",
            Self::TimedOut => "it did not answer in time",
            Self::Broken => "the connection broke off",
            Self::Proxy => "the proxy does not connect to it",
            Self::ProxyCredentials => "the proxy wants a name and a password",
            Self::NotPlain => "it does not answer plain http",
            Self::NotTls => "it does not speak TLS",
            Self::Handshake => "TLS could not be agreed on",
            Self::Untrusted => "its certificate is not trusted here",
            Self::NoAuthorities => "no certificate authorities are installed here",
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::OtherHost => "its certificate is for another host",
            Self::Nameless => "its certificate does not say which host it is for",
        })
    }
}

impl FetchError {
    /// What stood in the way; `None` when there was an answer, and it is that which is at fault.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        match &self.kind {
            FetchErrorKind::Client(_) => Some(Obstacle::Proxy),
            FetchErrorKind::TimedOut(_) => Some(Obstacle::TimedOut),
            FetchErrorKind::Status { status: 407, .. } => Some(Obstacle::ProxyCredentials),
            FetchErrorKind::WantsTls(_) => Some(Obstacle::NotPlain),
            FetchErrorKind::Exchange(error) => Some(of_exchange(error, self.is_plain())),
            FetchErrorKind::Cluster { .. }
            | FetchErrorKind::Tls(_)
            | FetchErrorKind::Bearer(_)
            | FetchErrorKind::BearerWithheld { .. }
            | FetchErrorKind::Status { .. }
            | FetchErrorKind::TooLarge(_)
            | FetchErrorKind::Encoded
            | FetchErrorKind::TooManyRedirects
            | FetchErrorKind::BadRedirect
            | FetchErrorKind::RefusedRedirect { .. } => None,
        }
    }

    /// Host and port as the URL has them.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    fn is_plain(&self) -> bool {
        self.url.starts_with("http://")
    }
}

fn of_exchange(error: &reqwest::Error, plain: bool) -> Obstacle {
    let causes =
        || std::iter::successors(Some(error as &(dyn Error + 'static)), |error| inner(*error));
    if let Some(error) = causes().find_map(|error| error.downcast_ref()) {
        return of_tls(error);
    }
    // What a resolver and a proxy say has no type that one could ask for.
    let says = |words: &str| causes().any(|error| error.to_string().starts_with(words));
    if says("dns error") {
        return Obstacle::UnknownHost;
    }
    if says("tunnel error: proxy authorization required") {
        return Obstacle::ProxyCredentials;
    }
    if says("tunnel error") {
        return Obstacle::Proxy;
    }
    let io = causes().filter_map(|error| error.downcast_ref::<io::Error>()).last();
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => Obstacle::Refused,
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            Obstacle::NoRoute
        }
        Some(io::ErrorKind::TimedOut) => Obstacle::TimedOut,
        // The connection was there, and ended while TLS was being agreed on.
        Some(_) if error.is_connect() && !plain => Obstacle::Handshake,
        Some(_) | None if error.is_timeout() => Obstacle::TimedOut,
        // A port for TLS says something that is no HTTP, or hangs up.
        Some(_) | None if plain && error.is_request() && !error.is_connect() => Obstacle::NotPlain,
        Some(_) | None => Obstacle::Broken,
    }
}

/// The cause of an error. An [`io::Error`] hides what it was made of behind the cause of that.
fn inner<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn of_tls(error: &rustls::Error) -> Obstacle {
    if let rustls::Error::InvalidCertificate(fault) = error {
        return of_certificate(fault);
    }
    if matches!(error, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) {
        return Obstacle::NotTls;
    }
    if matches!(error, rustls::Error::General(text) if text == NO_AUTHORITIES) {
        return Obstacle::NoAuthorities;
    }
    Obstacle::Handshake
}

fn of_certificate(fault: &CertificateError) -> Obstacle {
    use CertificateError as C;
    if let C::Other(other) = fault {
        return match other.0.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => Obstacle::Untrusted,
            Some(webpki::Error::UnsupportedCertVersion) => Obstacle::Nameless,
            Some(_) | None => Obstacle::Handshake,
        };
    }
    if let C::NotValidForNameContext { presented, .. } = fault {
        return if presented.is_empty() { Obstacle::Nameless } else { Obstacle::OtherHost };
    }
    let kinds = [
        (matches!(fault, C::UnknownIssuer), Obstacle::Untrusted),
        (matches!(fault, C::Expired | C::ExpiredContext { .. }), Obstacle::Expired),
        (matches!(fault, C::NotValidYet | C::NotValidYetContext { .. }), Obstacle::NotYetValid),
        (matches!(fault, C::NotValidForName), Obstacle::OtherHost),
    ];
    let kind = kinds.into_iter().find_map(|(is_this, kind)| is_this.then_some(kind));
    kind.unwrap_or(Obstacle::Handshake)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::discovery::{Access, HttpFetcher};

    /// What stands in the way of a server that answers the first bytes of a client like this.
    async fn before(scheme: &str, answer: &'static [u8]) -> Option<Obstacle> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}/x", listener.local_addr().unwrap()).parse().unwrap();
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        let http = HttpFetcher::new(&Access::default(), Duration::from_secs(5)).await.unwrap();
        let error = http.get(&url).await.unwrap_err();
        assert_eq!(format!("{}://{}/x", scheme, error.host()), url.as_str());
        error.obstacle()
    }

    #[tokio::test]
    async fn tls_and_plain_http_are_told_apart_by_what_comes_back() {
        let alert = b"\x15\x03\x03\x00\x02\x02\x32";
        let page = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        let wants = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 40\r\n\r\n\
                      The plain request was sent to HTTPS port";
        for (scheme, answer, obstacle) in [
            ("http", &alert[..], Some(Obstacle::NotPlain)),
            ("http", b"", Some(Obstacle::NotPlain)),
            ("http", wants, Some(Obstacle::NotPlain)),
            ("http", page, None),
            ("https", page, Some(Obstacle::NotTls)),
            ("https", alert, Some(Obstacle::Handshake)),
            ("https", b"", Some(Obstacle::Handshake)),
            ("http", b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\nx", Some(Obstacle::Broken)),
        ] {
            assert_eq!(before(scheme, answer).await, obstacle, "{scheme} {answer:?}");
        }
    }
}
