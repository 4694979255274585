//! A directory that is gone when its owner is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A new, empty directory; removed with all it holds when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// In the system's place for such things.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        Self::in_dir(&std::env::temp_dir(), name)
    }

    /// Inside `parent`, so that it can be renamed to a neighbour.
    pub(super) fn in_dir(parent: &Path, name: &str) -> io::Result<Self> {
        let path = parent.join(format!("{name}.{:012x}", fastrand::u64(..1 << 48)));
        // `create_dir` fails on a name that is taken: nobody else's directory is used.
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it, under another name.
    pub(super) fn rename_to(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)
        // Dropping finds nothing to remove once it is renamed.
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = fs::remove_dir_all(&self.path);
    }
}
