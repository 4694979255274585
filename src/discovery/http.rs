//! The one HTTP client: small documents, short times, few redirects, nothing astray.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_ENCODING, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, Proxy, Response, StatusCode, redirect};
use url::Url;

use super::hop::{self, Astray};
use super::location::Access;

/// Largest document that is read. Real key sets and metadata have a few kilobytes.
pub(super) const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;
/// How many redirects are followed.
const MAX_REDIRECTS: usize = 3;
/// Connections are kept for the second request of a refresh, not for the next refresh:
/// by then a firewall may have forgotten them without a word.
const KEEP_IDLE: Duration = Duration::from_secs(5);

/// Fetches documents on behalf of one issuer.
///
/// Proxies: the issuer's own when configured, whatever the environment says; else what
/// the environment says (`HTTPS_PROXY`, `NO_PROXY` and so on). Loopback is never proxied. TLS trusts the
/// system's authorities and the issuer's `ca_file`.
#[derive(Debug)]
pub struct HttpFetcher {
    proxied: OnceLock<Client>,
    direct: OnceLock<Client>,
    access: Access,
    authorities: Vec<Certificate>,
    pub(super) timeout: Duration,
}

/// A document as it came.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it was found in the end, redirects followed.
    pub url: Url,
    /// The header of the answer.
    pub header: HeaderMap,
    /// At most 1 MiB.
    pub body: Bytes,
}

impl HttpFetcher {
    /// A fetcher that spends at most `timeout` on a document, redirects and body
    /// included.
    ///
    /// # Errors
    /// `access.ca_file` cannot be read or holds no certificate.
    pub async fn new(access: &Access, timeout: Duration) -> Result<Self, SetupError> {
        let authorities = match access.ca_file.clone() {
            Some(path) => authorities(path).await?,
            None => Vec::new(),
        };
        Ok(Self {
            proxied: OnceLock::new(),
            direct: OnceLock::new(),
            access: access.clone(),
            authorities,
            timeout,
        })
    }

    /// Fetches the document at `url`.
    ///
    /// # Errors
    /// See [`FetchErrorKind`].
    pub async fn get(&self, url: &Url) -> Result<Document, FetchError> {
        tokio::time::timeout(self.timeout, self.follow(url))
            .await
            .unwrap_or(Err(FetchErrorKind::TimedOut(self.timeout)))
            .map_err(|kind| FetchError { url: shown(url), kind })
    }

    async fn follow(&self, start: &Url) -> Result<Document, FetchErrorKind> {
        let mut url = start.clone();
        // Redirects are followed by hand: each hop may need another client, and the
        // error should name the hop.
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client_for(&url)?.get(url.clone()).send().await?;
            let status = response.status();
            if status == StatusCode::OK {
                let header = response.headers().clone();
                return Ok(Document { url, header, body: read(response).await? });
            }
            url = match response.headers().get(LOCATION) {
                Some(location) if status.is_redirection() => next_hop(&url, location)?,
                _ => {
                    let retry_after = retry_after(response.headers());
                    return Err(FetchErrorKind::Status { status: status.as_u16(), retry_after });
                }
            };
        }
        Err(FetchErrorKind::TooManyRedirects)
    }

    /// Built when first needed: a machine without system authorities can still reach
    /// issuers that do not need them, and the failure of the others is an error of theirs.
    pub(super) fn client_for(&self, url: &Url) -> Result<&Client, FetchErrorKind> {
        let (cell, loopback) =
            if hop::is_loopback(url) { (&self.direct, true) } else { (&self.proxied, false) };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = self.build(loopback)?;
        Ok(cell.get_or_init(|| client))
    }

    fn build(&self, loopback: bool) -> Result<Client, FetchErrorKind> {
        let mut accept = HeaderMap::new();
        accept.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let mut builder = Client::builder()
            .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
            .default_headers(accept)
            .redirect(redirect::Policy::none())
            .referer(false)
            .pool_idle_timeout(KEEP_IDLE)
            .tls_certs_merge(self.authorities.iter().cloned());
        if loopback {
            builder = builder.no_proxy();
        } else if let Some(proxy) = &self.access.proxy {
            let proxy = Proxy::all(proxy.clone()).map_err(FetchErrorKind::Client)?;
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(FetchErrorKind::Client)
    }
}

async fn authorities(path: PathBuf) -> Result<Vec<Certificate>, SetupError> {
    let pem = match tokio::fs::read(&path).await {
        Ok(pem) => pem,
        Err(cause) => return Err(SetupError::CaFile { path, cause }),
    };
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(SetupError::NoCertificate(path)),
    }
}

/// Reads the body piece by piece, so that neither a wrong `Content-Length` nor a
/// chunked body without end takes more memory than a document may have.
pub(super) async fn read(mut response: Response) -> Result<Bytes, FetchErrorKind> {
    // None is asked for: a few kilobytes could unfold to gigabytes.
    if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(FetchErrorKind::Encoded);
    }
    if response.content_length().is_some_and(|length| length > MAX_DOCUMENT_BYTES as u64) {
        return Err(FetchErrorKind::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_DOCUMENT_BYTES {
            return Err(FetchErrorKind::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn next_hop(from: &Url, location: &HeaderValue) -> Result<Url, FetchErrorKind> {
    let to = location.to_str().ok().and_then(|location| from.join(location).ok());
    let to = to.ok_or(FetchErrorKind::BadRedirect)?;
    match hop::redirect(from, &to) {
        Ok(()) => Ok(to),
        Err(reason) => Err(FetchErrorKind::Astray { to: shown(&to), reason }),
    }
}

/// `Retry-After` in seconds; the form with a date is rare, and needs a clock that agrees.
fn retry_after(header: &HeaderMap) -> Option<Duration> {
    let seconds = header.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The URL as it may stand in a log: without user and password.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have them in the first place.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Why no document came from a URL. Its text says which URL, what happened and the
/// cause of that.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {kind}")]
pub struct FetchError {
    /// The URL that was to be fetched, without user and password.
    pub url: String,
    /// What happened.
    pub kind: FetchErrorKind,
}

/// What happened instead of a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// The client could not be made: no system authorities, an impossible proxy.
    #[error("no HTTP client: {}", Causes(.0))]
    Client(reqwest::Error),
    /// Name not found, connection refused, TLS failed, connection lost…
    #[error("{}", Causes(.0))]
    Exchange(reqwest::Error),
    /// All of it took longer than allowed.
    #[error("no complete answer within {0:?}")]
    TimedOut(Duration),
    /// Another status than 200.
    #[error("it answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Over 1 MiB.
    #[error("the document is larger than 1 MiB")]
    TooLarge,
    /// Compressed, though nobody asked for that.
    #[error("the document is compressed, which was not asked for")]
    Encoded,
    /// More than three.
    #[error("it redirects more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
    /// `Location` is not a URL.
    #[error("it redirects to something that is not a URL")]
    BadRedirect,
    /// A redirect that is not followed.
    #[error("it redirects to {to}, which is not followed: {reason}")]
    Astray {
        /// Where to.
        to: String,
        /// Why not.
        reason: Astray,
    },
}

impl FetchError {
    /// How long the other side asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let FetchErrorKind::Status { retry_after, .. } = &self.kind {
            *retry_after
        } else {
            None
        }
    }
}

impl From<reqwest::Error> for FetchErrorKind {
    fn from(error: reqwest::Error) -> Self {
        // The URL is said once, by FetchError.
        Self::Exchange(error.without_url())
    }
}

/// Why an issuer's own way of access cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The file of certificate authorities cannot be read.
    #[error("CA file {}: {cause}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file holds nothing usable.
    #[error("CA file {}: no PEM certificate in it", .0.display())]
    NoCertificate(PathBuf),
}

/// An error and all its causes in one line: with HTTP the cause that helps ("connection
/// refused", "UnknownIssuer") is the innermost one.
struct Causes<'e>(&'e reqwest::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = std::error::Error::source(self.0);
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
