//! One process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::StoreError;

/// Another process holds the lock for one request to a provider, or a few in a row.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two attempts. `File::lock` would wait for nothing, but also for ever.
const PAUSE: Duration = Duration::from_millis(20);

/// Held until it is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing it is what unlocks")] File);

impl Lock {
    /// The lock is on a file of its own: the file of logins is replaced, and a lock on one
    /// that was replaced keeps nobody out.
    pub(super) async fn take(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(|cause| StoreError::io(path, cause))?;
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked { path: path.to_owned(), waited: TIMEOUT });
                }
                Err(TryLockError::Error(cause)) => return Err(StoreError::io(path, cause)),
            }
        }
    }
}
