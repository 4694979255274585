//! The token that some issuers want to see before they show their keys, as Kubernetes' API
//! server does: read anew for each request, since projected tokens rotate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use url::{Origin, Url};

use crate::loopback::is_loopback;
use crate::regular_file::{read_file, read_file_apart};

/// Kubernetes' tokens have one to two kilobytes.
const MAX_BYTES: usize = 64 * 1024;

/// A bearer token in a file, and who is shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBearer {
    file: PathBuf,
    /// Those the operator named. What a redirect or a document names is somebody else's word,
    /// and a token that was sent there could not be called back.
    origins: Vec<Origin>,
}

impl KeyBearer {
    /// The token in `file`, for the scheme, host and port of these URLs alone.
    pub fn new<'u>(file: PathBuf, urls: impl IntoIterator<Item = &'u Url>) -> Self {
        let mut origins: Vec<_> = urls.into_iter().map(Url::origin).collect();
        origins.dedup();
        Self { file, origins }
    }

    /// Whether there is a token in `file` now.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn check(file: &Path) -> Result<(), BearerError> {
        credentials(file, read_file(file, MAX_BYTES)).map(drop)
    }

    /// What `Authorization` is for a request to `url`; `None` where the token is not sent.
    pub(crate) async fn for_request(&self, url: &Url) -> Result<Option<HeaderValue>, BearerError> {
        let is_private = url.scheme() == "https" || is_loopback(url);
        if !is_private || !self.origins.contains(&url.origin()) {
            return Ok(None);
        }
        let content = read_file_apart(self.file.clone(), MAX_BYTES).await;
        credentials(&self.file, content).map(Some)
    }
}

impl fmt::Display for KeyBearer {
    /// Who is shown the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins: Vec<_> = self.origins.iter().map(Origin::ascii_serialization).collect();
        f.write_str(&origins.join(" and "))
    }
}

fn credentials(file: &Path, content: io::Result<Vec<u8>>) -> Result<HeaderValue, BearerError> {
    let content =
        content.map_err(|cause| BearerError::Unreadable { path: file.to_owned(), cause })?;
    let token = content.trim_ascii();
    // `b64token` (RFC 6750 §2.1).
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.is_empty() || !token.iter().all(is_token) {
        return Err(BearerError::NoToken(file.to_owned()));
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
        .map_err(|_| BearerError::NoToken(file.to_owned()))?;
    // No log line of any crate shows it.
    value.set_sensitive(true);
    Ok(value)
}

/// Why there is no token to show. Says nothing of what the file holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BearerError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file with the token.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// The file is empty, or holds something else.
    #[error("`{}` does not contain exactly one bearer token", .0.display())]
    NoToken(PathBuf),
}
