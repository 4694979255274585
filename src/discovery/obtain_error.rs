//! Why what an issuer publishes was not obtained.

use std::path::PathBuf;
use std::time::Duration;

use doorward_core::keys::{KeySet, KeySetError, UnusableKey};

use super::fetch_error::FetchError;
use super::metadata::MetadataError;
use super::trust::SetupError;

/// Why no key set or discovery document was obtained. The text holds the causes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObtainError {
    /// The way there cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A document cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The discovery document is no good.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
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
        /// The file that was to be read.
        path: PathBuf,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// Reading the key file takes too long.
    #[error("key file {}: not read within {within:?}", path.display())]
    FileTimedOut {
        /// The file that was to be read.
        path: PathBuf,
        /// The time it had.
        within: Duration,
    },
    /// There is no place to obtain it from.
    #[error("this key set is not published anywhere")]
    NotPublished,
    /// What was kept on disk.
    #[error("it is older than keys.max_stale, or from the future")]
    TooOld,
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
