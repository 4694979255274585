//! Why a document was not fetched, in words that name the URL and the innermost cause.

use std::time::Duration;

use tokio_rustls::rustls;

use super::bearer::BearerError;
use super::carrier::CarrierFault;
use super::url_policy::{MAX_REDIRECTS, RefusedUrl};

/// Why no document came from a URL. Its text says which URL, what happened and the
/// cause of that.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {kind}")]
pub struct FetchError {
    /// The URL that was to be fetched, without secrets.
    pub url: String,
    /// What came in the way.
    pub kind: FetchErrorKind,
}

/// What happened instead of a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// The client could not be made: an impossible proxy.
    #[error("cannot create an HTTP client: {}", Causes(.0))]
    Client(reqwest::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(rustls::Error),
    /// There is no token to show.
    #[error("{0}")]
    Bearer(#[from] BearerError),
    /// It wants credentials, and is not among those who are shown the token.
    #[error("it answered with status {status}; key_bearer_file is sent to {shown_to} only")]
    BearerWithheld {
        /// The HTTP status: 401 or 403.
        status: u16,
        /// Scheme, host and port of those the configuration names.
        shown_to: String,
    },
    /// Name not found, connection refused, TLS failed, connection lost…
    #[error("{}", Causes(.0))]
    Exchange(reqwest::Error),
    /// The cluster did not bring it.
    #[error("the cluster {name} of Envoy's: {fault}")]
    Cluster {
        /// Its name.
        name: String,
        /// What came in the way.
        fault: CarrierFault,
    },
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
    /// It says that plain http was sent to a port for TLS.
    #[error("it answered with status {0}: plain http was sent to a port for TLS")]
    WantsTls(u16),
    /// More bytes than may be.
    #[error("the document is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// Compressed, though nobody asked for that.
    #[error("the document is compressed, although no compression was requested")]
    Encoded,
    /// More than three.
    #[error("it redirects more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
    /// `Location` is not a URL.
    #[error("it redirects to something that is not a URL")]
    BadRedirect,
    /// A redirect that is not followed.
    #[error("it redirects to {to}, which is not followed: {reason}")]
    RefusedRedirect {
        /// The URL that the answer leads to.
        to: String,
        /// The rule that it breaks.
        reason: RefusedUrl,
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
