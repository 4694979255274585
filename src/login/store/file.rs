//! The file of logins: read whole, replaced in one step, its owner's alone.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::contexts::Contexts;
use crate::whole_file::{self, Existing};

const VERSION: u64 = 1;
/// A login has a few kilobytes; this is for hundreds.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// All but the owner.
const OTHERS: u32 = 0o077;

/// As it stands in the file.
#[derive(Serialize)]
struct Written<'c> {
    version: u64,
    #[serde(flatten)]
    contexts: &'c Contexts,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// What the file holds, and whether it had to be closed to other users.
pub(super) fn read(path: &Path) -> Result<(Contexts, bool), StoreError> {
    let failed = |cause| StoreError::io(path, cause);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Contexts::default(), false));
        }
        Err(cause) => return Err(failed(cause)),
    };
    let mended = close_to_others(&file, 0o600).map_err(failed)?;
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(failed)?;
    let broken = |cause| StoreError::Broken { path: path.to_owned(), cause };
    let Version { version } = serde_json::from_slice(&text).map_err(broken)?;
    if version != VERSION {
        return Err(StoreError::TooNew { path: path.to_owned(), version });
    }
    let contexts = serde_json::from_slice(&text).map_err(broken)?;
    Ok((contexts, mended))
}

/// Replaces the file. Whatever goes wrong, the old one or the new one is there, whole.
pub(super) fn write(path: &Path, contexts: &Contexts) -> Result<(), StoreError> {
    let replace = || {
        let mut text = serde_json::to_vec_pretty(&Written { version: VERSION, contexts })?;
        text.push(b'\n');
        whole_file::write(path, &text, 0o600, Existing::Replaced)
    };
    replace().map_err(|cause| StoreError::io(path, cause))
}

/// Makes the directory, mode 0700. Says whether it was open to others before.
pub(super) fn make_directory(path: &Path) -> Result<bool, StoreError> {
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        close_to_others(&File::open(path)?, 0o700)
    };
    make().map_err(|cause| StoreError::io(path, cause))
}

fn close_to_others(file: &File, mode: u32) -> io::Result<bool> {
    let open = file.metadata()?.permissions().mode() & OTHERS != 0;
    if open {
        // Fails for a file of somebody else, which is not to be believed anyway.
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(open)
}
