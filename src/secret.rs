//! Texts that are shown to nobody: tokens, passwords and the secrets of clients.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::redact::{REDACTED, Shown};
use crate::regular_file::read_file;

/// A token, a password or another secret. `Debug` does not show it, and the schema of the
/// configuration marks it `writeOnly`, by which the rest of the program knows not to show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("writeOnly" = true))]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for a request, a key ring, or the standard output that asked.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Where the secret of a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientSecret {
    /// Here.
    Text(Secret),
    /// In a file, with perhaps a line break at its end. It may be replaced at any time.
    File(PathBuf),
}

impl ClientSecret {
    /// The secret as it is now. Reads a file, which may take a moment.
    ///
    /// # Errors
    /// The file cannot be read, or has no secret in it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::File(path) => read(path),
        }
    }
}

fn read(path: &Path) -> Result<Secret, SecretError> {
    /// No secret is longer.
    const MAX_BYTES: usize = 64 * 1024;
    let unreadable = |cause| SecretError::Unreadable { path: shown(path), cause };
    let content = read_file(path, MAX_BYTES).map_err(unreadable)?;
    let text = str::from_utf8(&content).map_err(|_| SecretError::NoSecret(path.into()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(SecretError::NoSecret(path.into())),
        secret => Ok(Secret::new(secret)),
    }
}

/// The path of a file that cannot be read. One that is there, or looks like a path, is shown; anything
/// else may be the secret itself, written in the wrong place.
fn shown(path: &Path) -> Shown {
    let looks_like_one = path.is_absolute() || path.starts_with(".") || path.starts_with("..");
    if looks_like_one || path.exists() { path.into() } else { Shown::new(REDACTED) }
}

/// Why there is no secret. Says nothing of what a file holds.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("`{path}` cannot be read: {cause}")]
    Unreadable {
        /// The file that should have the secret.
        path: Shown,
        /// The system's answer.
        cause: io::Error,
    },
    /// The file is empty, or no text.
    #[error("`{0}` does not contain a secret")]
    NoSecret(Shown),
}
