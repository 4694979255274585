//! One attempt to obtain an issuer's keys, from wherever they are.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_core::keys::{KeySet, KeySetError, UnusableKey};
use url::Url;

use super::fetch_error::FetchError;
use super::freshness::Freshness;
use super::http::{HttpFetcher, MAX_DOCUMENT_BYTES};
use super::location::{KeyLocation, KeysSpec};
use super::metadata::{Metadata, MetadataError};
use super::regular_file::read_file_apart;
use super::trust::SetupError;

/// Obtains the key set of one issuer, time after time.
#[derive(Debug)]
pub(super) struct Origin {
    spec: KeysSpec,
    http: Option<HttpFetcher>,
    discovered: Option<Discovered>,
}

/// Why the issuer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It was due.
    Scheduled,
    /// A request asked for it, and may be waiting.
    AskedFor,
}

/// What discovery said, so that what a request asks for costs one request and not two.
#[derive(Debug)]
struct Discovered {
    jwks_uri: Url,
    at: Instant,
}

/// A key set as it came.
#[derive(Debug)]
pub(super) struct Obtained {
    pub(super) document: Bytes,
    pub(super) set: KeySet,
    pub(super) freshness: Freshness,
}

impl Origin {
    pub(super) fn new(spec: KeysSpec) -> Self {
        Self { spec, http: None, discovered: None }
    }

    /// Goes and gets them. There may be no usable one among them.
    pub(super) async fn obtain(&mut self, read: Read) -> Result<Obtained, ObtainError> {
        let (document, freshness) = match &self.spec.location {
            KeyLocation::Inline(document) => (Bytes::from(document.clone()), Freshness::Unstated),
            KeyLocation::File(path) => {
                (file(path.clone(), self.spec.policy.timeout).await?, Freshness::Unstated)
            }
            KeyLocation::JwksUri(_) | KeyLocation::Discovery(_) | KeyLocation::Borrowed => {
                match self.published(read).await {
                    Ok(published) => published,
                    Err(error) => {
                        // Whatever was remembered may be the reason: the CA file may
                        // have been renewed, or the key set have moved.
                        self.http = None;
                        self.discovered = None;
                        return Err(error);
                    }
                }
            }
        };
        Ok(Obtained { set: KeySet::parse(&document)?, document, freshness })
    }

    async fn published(&mut self, read: Read) -> Result<(Bytes, Freshness), ObtainError> {
        let http = match self.http.take() {
            Some(http) => http,
            None => HttpFetcher::new(&self.spec.access, self.spec.policy.timeout).await?,
        };
        let http = self.http.insert(http);
        let jwks_uri = match &self.spec.location {
            KeyLocation::Discovery(url) => {
                // Requests wait for no more than the key set. A move is noticed at the next
                // scheduled refresh, or when nothing is found at the old place.
                let still_good = |known: &Discovered| {
                    read == Read::AskedFor || known.at.elapsed() < self.spec.policy.refresh_min
                };
                match &self.discovered {
                    Some(known) if still_good(known) => known.jwks_uri.clone(),
                    Some(_) | None => {
                        let metadata = discover(http, url, &self.spec.issuer).await?;
                        let jwks_uri = metadata.jwks_uri.clone();
                        self.discovered = Some(Discovered { jwks_uri, at: Instant::now() });
                        metadata.jwks_uri
                    }
                }
            }
            KeyLocation::JwksUri(url) => url.clone(),
            KeyLocation::File(_) | KeyLocation::Inline(_) | KeyLocation::Borrowed => {
                return Err(ObtainError::NotByHttp);
            }
        };
        let answer = http.get(&jwks_uri).await?;
        Ok((answer.body, Freshness::of(&answer.header)))
    }
}

/// Fetches and checks the discovery document of `issuer` at `url`.
///
/// # Errors
/// It cannot be fetched or is not that of the issuer.
pub async fn discover(
    http: &HttpFetcher,
    url: &Url,
    issuer: &str,
) -> Result<Metadata, ObtainError> {
    let answer = http.get(url).await?;
    // Judged by the configured URL: a redirect can add TLS, never take it away.
    Ok(Metadata::parse(&answer.body, issuer, url)?)
}

/// A key set with at least one usable key.
pub(super) fn usable_key_set(document: &[u8]) -> Result<KeySet, ObtainError> {
    let set = KeySet::parse(document)?;
    if set.keys().is_empty() { Err(ObtainError::no_usable_key(&set)) } else { Ok(set) }
}

/// Reads a key file, in bounds of size and time: it might be a pipe or on a dead mount.
async fn file(path: PathBuf, timeout: Duration) -> Result<Bytes, ObtainError> {
    let read = read_file_apart(path.clone(), MAX_DOCUMENT_BYTES);
    match tokio::time::timeout(timeout, read).await {
        Err(_) => Err(ObtainError::FileTimedOut { path, within: timeout }),
        Ok(Err(cause)) => Err(ObtainError::File { path, cause }),
        Ok(Ok(document)) => Ok(document.into()),
    }
}

/// Why no key set was obtained. The text holds the causes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObtainError {
    /// The way there cannot be set up.
    #[error("{0}")]
    Setup(SetupError),
    /// A document cannot be fetched.
    #[error("{0}")]
    Fetch(FetchError),
    /// The discovery document is no good.
    #[error("{0}")]
    Metadata(MetadataError),
    /// The key set is no key set.
    #[error("the key set cannot be read: {}", with_cause(.0))]
    KeySet(KeySetError),
    /// The key set holds nothing to verify with.
    #[error("the key set has no usable key ({left_out} left out{})", first(.reason.as_ref()))]
    NoUsableKey {
        /// How many keys there are that must not be used.
        left_out: usize,
        /// What is wrong with the first of them.
        reason: Option<UnusableKey>,
    },
    /// The key file cannot be read.
    #[error("key file {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Reading the key file takes too long.
    #[error("key file {}: not read within {within:?}", path.display())]
    FileTimedOut {
        /// The file.
        path: PathBuf,
        /// The time it had.
        within: Duration,
    },
    /// The location is not reached by HTTP.
    #[error("this key set is not published by HTTP")]
    NotByHttp,
}

impl ObtainError {
    pub(super) fn no_usable_key(set: &KeySet) -> Self {
        let reason = set.left_out().first().map(|left_out| left_out.reason.clone());
        Self::NoUsableKey { left_out: set.left_out().len(), reason }
    }

    /// Whether the issuer answered with a well-formed key set that has nothing to verify with.
    #[must_use]
    pub fn is_of_empty_set(&self) -> bool {
        matches!(self, Self::NoUsableKey { .. })
    }

    /// How long the issuer asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Fetch(error) = self { error.retry_after() } else { None }
    }
}

impl From<SetupError> for ObtainError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<FetchError> for ObtainError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<MetadataError> for ObtainError {
    fn from(error: MetadataError) -> Self {
        Self::Metadata(error)
    }
}

impl From<KeySetError> for ObtainError {
    fn from(error: KeySetError) -> Self {
        Self::KeySet(error)
    }
}

fn with_cause(error: &KeySetError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn first(reason: Option<&UnusableKey>) -> String {
    reason.map(|reason| format!("; the first: {reason}")).unwrap_or_default()
}
