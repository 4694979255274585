//! A key ring that may be absent, locked, or hang.
//!
//! Key rings are other programs, reached over a bus; some answer a request with a dialog
//! that nobody sees. So every request runs on a thread of its own and has an end.

use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long a key ring may take: a person may have to type its password.
#[cfg(feature = "keyring")]
const TIMEOUT: Duration = Duration::from_secs(20);

/// What keeps secrets by name. Its calls may block.
pub trait SecretStore: Send + Sync {
    /// Keeps `secret` under `name`, in place of what was there.
    ///
    /// # Errors
    /// It is not kept.
    fn write(&self, name: &str, secret: &str) -> Result<(), KeyRingError>;

    /// What is kept under `name`.
    ///
    /// # Errors
    /// It could not be asked.
    fn read(&self, name: &str) -> Result<Option<String>, KeyRingError>;

    /// Forgets what is kept under `name`, if anything is.
    ///
    /// # Errors
    /// It may still be there.
    fn forget(&self, name: &str) -> Result<(), KeyRingError>;
}

/// A store that answers in time, or counts as failed.
#[derive(Clone)]
pub struct KeyRing {
    store: Arc<dyn SecretStore>,
    timeout: Duration,
}

impl KeyRing {
    /// The key ring of this desktop; `None` when this program was built without.
    #[must_use]
    pub fn of_this_desktop() -> Option<Self> {
        #[cfg(feature = "keyring")]
        return Some(Self::new(Arc::new(desktop::Desktop), TIMEOUT));
        #[cfg(not(feature = "keyring"))]
        return None;
    }

    /// Any store of secrets, with at most `timeout` a request.
    #[must_use]
    pub fn new(store: Arc<dyn SecretStore>, timeout: Duration) -> Self {
        Self { store, timeout }
    }

    /// Kept only when it can be read back: a key ring that lives as long as a session, or
    /// drops what it takes, would lose the login.
    pub(super) fn write(&self, name: &str, secret: &str) -> Result<(), KeyRingError> {
        let (name, secret) = (name.to_owned(), secret.to_owned());
        self.ask(move |store| {
            store.write(&name, &secret)?;
            match store.read(&name)? {
                Some(read) if read == secret => Ok(()),
                Some(_) | None => Err(KeyRingError::Forgotten),
            }
        })
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<String>, KeyRingError> {
        let name = name.to_owned();
        self.ask(move |store| store.read(&name))
    }

    pub(super) fn forget(&self, name: &str) -> Result<(), KeyRingError> {
        let name = name.to_owned();
        self.ask(move |store| store.forget(&name))
    }

    fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(&dyn SecretStore) -> Result<T, KeyRingError> + Send + 'static,
    ) -> Result<T, KeyRingError> {
        let (answer, answered) = mpsc::channel();
        let store = Arc::clone(&self.store);
        // Left behind when it hangs; it ends with the process.
        let asked = std::thread::Builder::new().name("key-ring".into()).spawn(move || {
            // Nobody listens any more when it took too long.
            let _ = answer.send(request(&*store));
        });
        asked.map_err(|error| KeyRingError::Failed(Box::new(error)))?;
        answered.recv_timeout(self.timeout).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => KeyRingError::NoAnswer(self.timeout),
            mpsc::RecvTimeoutError::Disconnected => KeyRingError::Forgotten,
        })?
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Why a key ring does not give or take tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// There is none on this machine.
    #[error("there is no key ring")]
    None(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// This run is not to use it, or this program was built without.
    #[error("the key ring is not used: `--store file`, or a doorward that was built without it")]
    SwitchedOff,
    /// It hangs, or waits for somebody to unlock it.
    #[error("the key ring did not answer within {0:?}")]
    NoAnswer(Duration),
    /// It does not have what it was given.
    #[error("the key ring no longer has the tokens")]
    Forgotten,
    /// The key ring answered, and would not do it.
    #[error("the key ring refused")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(feature = "keyring")]
mod desktop {
    //! Secret Service on Linux, Keychain on macOS.

    use keyring::{Entry, Error};

    use super::{KeyRingError, SecretStore};

    const SERVICE: &str = "doorward";

    pub(super) struct Desktop;

    impl SecretStore for Desktop {
        fn write(&self, name: &str, secret: &str) -> Result<(), KeyRingError> {
            entry(name)?.set_password(secret).map_err(failed)
        }

        fn read(&self, name: &str) -> Result<Option<String>, KeyRingError> {
            match entry(name)?.get_password() {
                Ok(secret) => Ok(Some(secret)),
                Err(Error::NoEntry) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        }

        fn forget(&self, name: &str) -> Result<(), KeyRingError> {
            match entry(name)?.delete_credential() {
                Ok(()) | Err(Error::NoEntry) => Ok(()),
                Err(error) => Err(failed(error)),
            }
        }
    }

    fn entry(name: &str) -> Result<Entry, KeyRingError> {
        if let Err(error) = Entry::store_status() {
            return Err(KeyRingError::None(error.to_string().into()));
        }
        Entry::new(SERVICE, name).map_err(failed)
    }

    fn failed(error: Error) -> KeyRingError {
        KeyRingError::Failed(Box::new(error))
    }
}
