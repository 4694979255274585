//! Where logins are kept: one file of contexts, tokens in the desktop's key ring where
//! there is one, else in the same file.
//!
//! | file | holds |
//! |---|---|
//! | `contexts` | what is kept: [`Contexts`], each a [`Login`] under its name |
//! | `file` | reading and replacing the file |
//! | `lock` | one process at a time |
//! | `key_ring` | a key ring that may be absent, locked or hang |
//!
//! Reading takes no lock: the file is replaced in one step, so a reader sees the old or
//! the new one. Whoever changes something holds the lock from reading to writing.

mod contexts;
mod file;
mod key_ring;
mod lock;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use etcetera::BaseStrategy as _;

pub use self::contexts::{Contexts, Kept, Login, Over};
pub use self::key_ring::{KeyRing, KeyRingError, SecretStore};
use self::lock::Lock;
use super::tokens::Secrets;

/// The logins of one person.
pub struct Logins {
    directory: PathBuf,
    key_ring: Option<KeyRing>,
    notices: Mutex<Vec<Notice>>,
}

/// Where new tokens are to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Place {
    /// In the key ring if there is a working one, otherwise in the file
    #[default]
    Auto,
    /// In the file, mode 0600
    File,
    /// In the key ring only
    #[value(name = "key-ring", alias = "keyring")]
    KeyRing,
}

/// Something the person should know, though all went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Others could read the file or enter the directory; they cannot any more.
    Mended(PathBuf),
    /// The key ring did not take the tokens, so the file has them.
    InFile(String),
    /// Tokens that were given up are still in the key ring.
    LeftInKeyRing(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mended(path) => write!(
                f,
                "{} was readable by other users of this machine; that is fixed now. If others may \
                 have read it: doorward auth logout --all",
                path.display()
            ),
            Self::InFile(why) => {
                write!(f, "the tokens are kept in the file, not in the key ring: {why}")
            }
            Self::LeftInKeyRing(why) => write!(f, "old tokens are still in the key ring: {why}"),
        }
    }
}

impl Logins {
    /// The logins in `directory`, which is made when it is first needed.
    #[must_use]
    pub fn in_directory(directory: PathBuf, key_ring: Option<KeyRing>) -> Self {
        Self { directory, key_ring, notices: Mutex::default() }
    }

    /// The logins of whoever runs this: `doorward` in the XDG configuration directory, and
    /// the desktop's key ring.
    ///
    /// # Errors
    /// There is no home directory.
    pub fn of_this_user(key_ring: Option<KeyRing>) -> Result<Self, StoreError> {
        let base = etcetera::choose_base_strategy().map_err(|_| StoreError::NoHome)?;
        Ok(Self::in_directory(base.config_dir().join("doorward"), key_ring))
    }

    /// The file in which the logins are kept, tokens aside.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join("logins.json")
    }

    /// All that is kept; nothing when there is no file yet.
    ///
    /// # Errors
    /// The file cannot be read or is none of ours. It is left as it is.
    pub fn read(&self) -> Result<Contexts, StoreError> {
        let (contexts, mended) = file::read(&self.path())?;
        if mended {
            self.note(Notice::Mended(self.path()));
        }
        Ok(contexts)
    }

    /// The tokens of a login.
    ///
    /// # Errors
    /// They are in a key ring that does not give them.
    pub fn secrets(&self, login: &Login) -> Result<Secrets, StoreError> {
        match &login.kept {
            Kept::File(secrets) => Ok(secrets.clone()),
            Kept::KeyRing(entry) => {
                let ring = self.key_ring.as_ref().ok_or(KeyRingError::SwitchedOff)?;
                let text = ring.read(entry)?.ok_or(KeyRingError::Forgotten)?;
                Ok(serde_json::from_str(&text).map_err(|_| KeyRingError::Forgotten)?)
            }
        }
    }

    /// Waits until no other process changes the logins.
    ///
    /// # Errors
    /// Another one holds on to them for a minute, or the directory cannot be written.
    pub async fn lock(&self) -> Result<Changing<'_>, StoreError> {
        if file::make_directory(&self.directory)? {
            self.note(Notice::Mended(self.directory.clone()));
        }
        let lock = Lock::take(&self.directory.join("logins.lock")).await?;
        Ok(Changing { logins: self, _lock: lock })
    }

    /// What there is to know, once.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, notice: Notice) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }
}

/// The logins while nobody else changes them.
pub struct Changing<'l> {
    logins: &'l Logins,
    _lock: Lock,
}

impl Deref for Changing<'_> {
    type Target = Logins;

    fn deref(&self) -> &Logins {
        self.logins
    }
}

impl Changing<'_> {
    /// Keeps `contexts` in place of what was there.
    ///
    /// # Errors
    /// The file cannot be written; the old one is still there.
    pub fn write(&self, contexts: &Contexts) -> Result<(), StoreError> {
        file::write(&self.logins.path(), contexts)
    }

    /// Finds a place for new tokens. A key ring that refuses or hangs costs no login: they
    /// go to the file then, unless the key ring was asked for by name.
    ///
    /// # Errors
    /// The key ring was asked for by name and does not take them.
    pub fn keep(&self, name: &str, secrets: &Secrets, place: Place) -> Result<Kept, StoreError> {
        let in_file = || Ok(Kept::File(secrets.clone()));
        let ring = match (place, &self.logins.key_ring) {
            (Place::File, _) | (Place::Auto, None) => return in_file(),
            (Place::KeyRing, None) => return Err(KeyRingError::SwitchedOff.into()),
            (Place::Auto | Place::KeyRing, Some(ring)) => ring,
        };
        let entry = format!("{name} {:08x}", fastrand::u32(..));
        match ring.write(&entry, &text(secrets)) {
            Ok(()) => Ok(Kept::KeyRing(entry)),
            Err(error) if place == Place::KeyRing => Err(error.into()),
            // That there is none is no news.
            Err(KeyRingError::None(_)) => in_file(),
            Err(error) => {
                self.logins.note(Notice::InFile(error.to_string()));
                in_file()
            }
        }
    }

    /// Keeps the tokens that replace those of `login`, where those were. A refresh token
    /// may have been used up to get them: they go to the file rather than be lost.
    pub fn keep_again(&self, kept: &Kept, secrets: &Secrets) -> Kept {
        let written = match (kept, &self.logins.key_ring) {
            (Kept::KeyRing(entry), Some(ring)) => {
                ring.write(entry, &text(secrets)).map(|()| Kept::KeyRing(entry.clone()))
            }
            (Kept::KeyRing(_), None) => Err(KeyRingError::SwitchedOff),
            (Kept::File(_), _) => Ok(Kept::File(secrets.clone())),
        };
        written.unwrap_or_else(|error| {
            self.logins.note(Notice::InFile(error.to_string()));
            Kept::File(secrets.clone())
        })
    }

    /// Forgets tokens that are in the key ring.
    pub fn forget(&self, kept: &Kept) {
        let Kept::KeyRing(entry) = kept else { return };
        let ring = self.logins.key_ring.as_ref().ok_or(KeyRingError::SwitchedOff);
        if let Err(error) = ring.and_then(|ring| ring.forget(entry)) {
            self.logins.note(Notice::LeftInKeyRing(error.to_string()));
        }
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("directory", &self.directory).finish_non_exhaustive()
    }
}

fn text(secrets: &Secrets) -> String {
    // Strings under three names: there is nothing to fail.
    serde_json::to_string(secrets).unwrap_or_default()
}

/// Why logins cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no place for configuration.
    #[error("there is no home directory to keep logins in")]
    NoHome,
    /// The disk said no.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not as it was written.
    #[error("{} is not a logins file", path.display())]
    Broken {
        /// The file, which is left as it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// The file is of a later version.
    #[error("{} has version {version}, but this doorward supports version 1", path.display())]
    TooNew {
        /// The file, which is left as it is.
        path: PathBuf,
        /// The version that the file says it has.
        version: u64,
    },
    /// Another process does not let go.
    #[error("another doorward process has locked {} for {waited:?}", path.display())]
    Locked {
        /// The file that is locked.
        path: PathBuf,
        /// How long this one waited.
        waited: std::time::Duration,
    },
    /// The key ring does not give or take tokens.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
}

impl StoreError {
    pub(super) fn io(path: &Path, cause: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), cause }
    }

    pub(super) fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NoHome => "set HOME or XDG_CONFIG_HOME".into(),
            Self::Io { path, .. } => {
                format!("make sure that only you can read and write {}", path.display())
            }
            Self::Broken { path, .. } => format!(
                "nothing was changed: repair the file, or remove {} and log in again",
                path.display()
            ),
            Self::TooNew { .. } => "use the newer doorward".into(),
            Self::Locked { .. } => "end that process, and try again".into(),
            Self::KeyRing(KeyRingError::SwitchedOff) => {
                "leave out `--store file` (DOORWARD_CLI_STORE), or log in again with it".into()
            }
            Self::KeyRing(_) => "unlock the key ring, or log in again with --store file".into(),
        })
    }
}
