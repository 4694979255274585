//! The files that a policy is read from, to be looked at for changes.

use std::fs;
use std::path::{Path, PathBuf};

/// More than this is not watched: no policy has as many files.
const MOST: usize = 10_000;

/// A file, or a directory and all that is below it.
#[must_use]
pub fn all_below(path: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![path.to_owned()]);
    while let Some(path) = left.pop() {
        // A directory that a link leads to may hold that very link.
        let is_linked = path.is_symlink() && !found.is_empty();
        if !is_linked && let Ok(entries) = fs::read_dir(&path) {
            let entries = entries.flatten().map(|entry| entry.path());
            left.extend(entries.take(MOST.saturating_sub(left.len())));
        }
        found.push(path);
        if found.len() >= MOST {
            break;
        }
    }
    found
}
