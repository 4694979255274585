//! The one HTTP client: small documents, short times, few redirects, none that the URL policy refuses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION,
    RETRY_AFTER, USER_AGENT,
};
use reqwest::{Client, Proxy, Response, StatusCode, redirect};
use tokio_rustls::rustls;
use url::Url;

use super::fetch_error::{FetchError, FetchErrorKind};
use super::location::Access;
use super::no_proxy::NoProxy;
use super::obtain_error::ObtainError;
use super::trust::{CaFile, ClientCert, SetupError};
use super::url_policy;
use crate::loopback::is_loopback;
use crate::redact::redact_text;

/// Largest document that is read. Real key sets and metadata have a few kilobytes.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;
const ACCEPTED: &str = "application/json, */*;q=0.5";
const OURSELVES: &str = concat!("doorward/", env!("CARGO_PKG_VERSION"));
/// Connections are kept for the second request of a refresh, not for the next refresh:
/// by then a firewall may have forgotten them without a word.
const KEEP_IDLE: Duration = Duration::from_secs(5);

/// Fetches documents on behalf of one issuer.
///
/// Proxies: the issuer's own when configured, whatever the environment says; else what
/// the environment says (`HTTPS_PROXY`, `NO_PROXY` and so on), where that is ours. Loopback is never proxied,
/// nor is a resolver asked for it. TLS trusts the system's authorities and the issuer's
/// `ca_file`. The issuer's `key_bearer_file` is shown to those the operator named.
#[derive(Debug)]
pub struct HttpFetcher {
    proxied: OnceLock<Client>,
    direct: OnceLock<Client>,
    loopback: OnceLock<Client>,
    no_proxy: NoProxy,
    access: Access,
    ca_file: CaFile,
    client_cert: Option<ClientCert>,
    pub(super) timeout: Duration,
    pub(super) most_bytes: usize,
}

/// A document as it came.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it was found in the end, redirects followed.
    pub url: Url,
    /// The header of the answer.
    pub header: HeaderMap,
    /// At most 1 MiB, or what the fetcher takes, without a byte order mark.
    pub body: Bytes,
}

impl HttpFetcher {
    /// A fetcher that spends at most `timeout` on a document, redirects and body
    /// included.
    ///
    /// # Errors
    /// A file that `access` names cannot be read or is not what it should be.
    pub async fn new(access: &Access, timeout: Duration) -> Result<Self, SetupError> {
        let ca_file = match access.ca_file.clone() {
            Some(path) => CaFile::read_apart(path).await?,
            None => CaFile::default(),
        };
        let client_cert = match access.client_cert.clone() {
            Some(files) => Some(ClientCert::read_apart(files).await?),
            None => None,
        };
        Ok(Self {
            proxied: OnceLock::new(),
            direct: OnceLock::new(),
            loopback: OnceLock::new(),
            no_proxy: NoProxy::from_process(),
            access: access.clone(),
            ca_file,
            client_cert,
            timeout,
            most_bytes: MAX_DOCUMENT_BYTES,
        })
    }

    /// The same for documents of another size, in bytes.
    #[must_use]
    pub fn up_to(self, most_bytes: usize) -> Self {
        Self { most_bytes, ..self }
    }

    /// Fetches the document at `url`.
    ///
    /// # Errors
    /// See [`FetchErrorKind`].
    pub async fn get(&self, url: &Url) -> Result<Document, FetchError> {
        let not_modified = StatusCode::NOT_MODIFIED.as_u16();
        let nothing = || FetchErrorKind::Status { status: not_modified, retry_after: None };
        let document = self.get_newer(url, None).await?;
        document.ok_or_else(|| FetchError { url: shown(url), kind: nothing() })
    }

    /// The same, unless it is still the one that had this `ETag`: then `None`.
    ///
    /// # Errors
    /// See [`FetchErrorKind`].
    pub async fn get_newer(
        &self,
        url: &Url,
        etag: Option<&HeaderValue>,
    ) -> Result<Option<Document>, FetchError> {
        tokio::time::timeout(self.timeout, self.follow(url, etag))
            .await
            .unwrap_or(Err(FetchErrorKind::TimedOut(self.timeout)))
            .map_err(|kind| FetchError { url: shown(url), kind })
    }

    async fn follow(
        &self,
        start: &Url,
        etag: Option<&HeaderValue>,
    ) -> Result<Option<Document>, FetchErrorKind> {
        let mut url = start.clone();
        // Redirects are followed by hand: each may need another client, and the
        // error should name it.
        for _ in 0..=url_policy::MAX_REDIRECTS {
            let bearer = match &self.access.key_bearer {
                Some(bearer) => bearer.for_request(&url).await?,
                None => None,
            };
            let is_shown = bearer.is_some();
            let response = self.send(&url, bearer, etag).await?;
            let status = response.status();
            if status == StatusCode::OK {
                let header = response.headers().clone();
                let body = read(response, self.most_bytes).await?;
                return Ok(Some(Document { url, header, body }));
            }
            if status == StatusCode::NOT_MODIFIED && etag.is_some() {
                return Ok(None);
            }
            url = match response.headers().get(LOCATION) {
                Some(location) if status.is_redirection() => redirect_target(&url, location)?,
                _ if status == StatusCode::BAD_REQUEST && url.scheme() == "http" => {
                    return Err(bad_request(response).await);
                }
                _ => {
                    let retry_after = retry_after(response.headers());
                    return Err(self.refused(status.as_u16(), retry_after, is_shown));
                }
            };
        }
        Err(FetchErrorKind::TooManyRedirects)
    }

    async fn send(
        &self,
        url: &Url,
        bearer: Option<HeaderValue>,
        etag: Option<&HeaderValue>,
    ) -> Result<Response, FetchErrorKind> {
        let bearer = bearer.map(|bearer| (AUTHORIZATION, bearer));
        let etag = etag.map(|etag| (IF_NONE_MATCH, etag.clone()));
        let mut headers: HeaderMap = bearer.into_iter().chain(etag).collect();
        let Some(cluster) = &self.access.cluster else {
            let request = self.client_for(url)?.get(url.clone());
            return Ok(request.headers(headers).send().await?);
        };
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        headers.insert(USER_AGENT, HeaderValue::from_static(OURSELVES));
        let answer = cluster
            .get(url, headers, self.timeout)
            .await
            .map_err(|fault| FetchErrorKind::Cluster { name: cluster.name().to_owned(), fault })?;
        Ok(answer.into())
    }

    fn refused(
        &self,
        status: u16,
        retry_after: Option<Duration>,
        is_shown: bool,
    ) -> FetchErrorKind {
        match &self.access.key_bearer {
            Some(bearer) if !is_shown && matches!(status, 401 | 403) => {
                FetchErrorKind::BearerWithheld { status, shown_to: bearer.to_string() }
            }
            Some(_) | None => FetchErrorKind::Status { status, retry_after },
        }
    }

    /// Has what requests to `url` need ready before the first one.
    ///
    /// # Errors
    /// The client cannot be made.
    pub(crate) fn prepare(&self, url: &Url) -> Result<(), FetchError> {
        self.client_for(url).map(drop).map_err(|kind| FetchError { url: shown(url), kind })
    }

    /// Built when first needed: reading the system's authorities takes a few milliseconds.
    pub(super) fn client_for(&self, url: &Url) -> Result<&Client, FetchErrorKind> {
        let (cell, way) = if is_loopback(url) {
            (&self.loopback, Way::Loopback)
        } else if self.access.proxy.is_none()
            && (self.access.ignores_environment || self.no_proxy.covers(url))
        {
            (&self.direct, Way::Direct)
        } else {
            (&self.proxied, Way::Proxied)
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = self.build(way)?;
        Ok(cell.get_or_init(|| client))
    }

    fn tls_config(&self) -> Result<rustls::ClientConfig, rustls::Error> {
        match &self.client_cert {
            Some(cert) => self.ca_file.client_config_with(cert),
            None => self.ca_file.client_config(),
        }
    }

    fn build(&self, way: Way) -> Result<Client, FetchErrorKind> {
        let mut accept = HeaderMap::new();
        accept.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let mut tls = self.tls_config().map_err(FetchErrorKind::Tls)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut builder = Client::builder()
            .user_agent(OURSELVES)
            .default_headers(accept)
            .redirect(redirect::Policy::none())
            .referer(false)
            .pool_idle_timeout(KEEP_IDLE)
            .tls_backend_preconfigured(tls);
        builder = match (way, &self.access.proxy) {
            (Way::Loopback, _) => builder.no_proxy().dns_resolver(Loopback),
            (Way::Direct, _) => builder.no_proxy(),
            (Way::Proxied, Some(proxy)) => {
                builder.proxy(Proxy::all(proxy.clone()).map_err(FetchErrorKind::Client)?)
            }
            (Way::Proxied, None) => builder,
        };
        builder.build().map_err(FetchErrorKind::Client)
    }
}

/// How a host is reached.
#[derive(Clone, Copy)]
enum Way {
    /// Never by a proxy, and without asking anybody for its address.
    Loopback,
    /// Not by the proxy that the environment names.
    Direct,
    /// By the issuer's proxy, or by what the HTTP client finds in the environment.
    Proxied,
}

/// Says of every name that it is this machine's: the client that has it is for no others
/// (RFC 6761 §6.3, point 3).
#[derive(Debug)]
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let addresses = addresses.map(|address| SocketAddr::new(address, 0));
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

/// Reads the body piece by piece, so that neither a wrong `Content-Length` nor a
/// chunked body without end takes more memory than a document may have.
pub(super) async fn read(
    mut response: Response,
    most_bytes: usize,
) -> Result<Bytes, FetchErrorKind> {
    // None is asked for: a few kilobytes could unfold to gigabytes.
    if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(FetchErrorKind::Encoded);
    }
    if response.content_length().is_some_and(|length| length > most_bytes as u64) {
        return Err(FetchErrorKind::TooLarge(most_bytes));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most_bytes {
            return Err(FetchErrorKind::TooLarge(most_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    // RFC 8259 §8.1: whoever reads JSON may ignore a byte order mark.
    if body.starts_with("\u{feff}".as_bytes()) {
        body.advance(3);
    }
    Ok(body.freeze())
}

/// nginx, Apache and Go say so in a page when plain http comes to a port for TLS.
async fn bad_request(response: Response) -> FetchErrorKind {
    let status = response.status().as_u16();
    match read(response, MAX_DOCUMENT_BYTES).await {
        Ok(page) if page.windows(5).any(|word| word == b"HTTPS") => {
            FetchErrorKind::WantsTls(status)
        }
        Ok(_) | Err(_) => FetchErrorKind::Status { status, retry_after: None },
    }
}

fn redirect_target(from: &Url, location: &HeaderValue) -> Result<Url, FetchErrorKind> {
    let to = location.to_str().ok().and_then(|location| from.join(location).ok());
    let to = to.ok_or(FetchErrorKind::BadRedirect)?;
    match url_policy::may_lead(from, &to) {
        Ok(()) => Ok(to),
        Err(reason) => Err(FetchErrorKind::RefusedRedirect { to: shown(&to), reason }),
    }
}

/// A fetcher that is made anew after each failure: the CA file may have been renewed.
pub(super) struct RenewedFetcher {
    access: Access,
    timeout: Duration,
    http: Option<HttpFetcher>,
}

impl RenewedFetcher {
    pub(super) fn new(access: Access, timeout: Duration) -> Self {
        Self { access, timeout, http: None }
    }

    pub(super) async fn get(&mut self, url: &Url) -> Result<Document, ObtainError> {
        let http = match self.http.take() {
            Some(http) => http,
            None => HttpFetcher::new(&self.access, self.timeout).await?,
        };
        let document = http.get(url).await?;
        self.http = Some(http);
        Ok(document)
    }
}

/// `Retry-After` in seconds; the form with a date is rare, and needs a clock that agrees.
pub(super) fn retry_after(header: &HeaderMap) -> Option<Duration> {
    let seconds = header.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The URL as it may stand in a log.
pub(crate) fn shown(url: &Url) -> String {
    redact_text(url.as_str())
}

/// The URL as it tells documents apart: without user and password.
pub(crate) fn bare(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have them in the first place.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
