//! Files that make the server read its configuration again when they change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often the files are looked at. Asking beats being told: a Kubernetes volume changes
/// by a symbolic link two directories up, and network file systems tell nobody anything.
const INTERVAL: Duration = Duration::from_secs(1);

/// Files, and what they looked like last.
pub(super) struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Look>,
    interval: Duration,
}

/// What tells one state of a file from another; `None` where there is no file.
type Look = Option<(SystemTime, u64, u64)>;

impl Watched {
    /// Watches these from now on.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let seen = look(&files);
        Self { files, seen, interval: INTERVAL }
    }

    /// Watches these instead. Those watched already are not looked at anew: a change that
    /// nobody was told of yet still counts.
    pub(super) fn follow(&mut self, files: Vec<PathBuf>) {
        let seen = files.iter().map(|file| {
            let known = self.files.iter().position(|old| old == file);
            known.and_then(|at| self.seen.get(at).copied()).unwrap_or_else(|| look_at(file))
        });
        self.seen = seen.collect();
        self.files = files;
    }

    /// Resolves when a file has changed and two looks in a row found the same: whoever is
    /// still writing is waited for.
    pub(super) async fn changed(&mut self) {
        let mut before = self.seen.clone();
        loop {
            tokio::time::sleep(self.interval).await;
            let now = look(&self.files);
            if now != self.seen && now == before {
                self.seen = now;
                return;
            }
            before = now;
        }
    }
}

fn look(files: &[PathBuf]) -> Vec<Look> {
    files.iter().map(|file| look_at(file)).collect()
}

fn look_at(file: &Path) -> Look {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_counts_once_and_only_when_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "one").unwrap();
        let mut watched = Watched::new(vec![file.clone(), dir.path().join("absent")]);
        watched.interval = Duration::from_millis(5);
        let mut within = async |time| tokio::time::timeout(time, watched.changed()).await.is_ok();
        let (short, long) = (Duration::from_millis(100), Duration::from_secs(10));
        assert!(!within(short).await, "nothing has changed");
        fs::write(&file, "longer").unwrap();
        assert!(within(long).await);
        assert!(!within(short).await, "told once");
        // As Kubernetes does it: another file behind the same name, of the same length.
        let other = dir.path().join("other");
        fs::write(&other, "shorte").unwrap();
        fs::rename(&other, &file).unwrap();
        assert!(within(long).await);
        fs::remove_file(&file).unwrap();
        assert!(within(long).await);
    }

    #[test]
    fn what_is_watched_already_keeps_its_last_look() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::write(&one, "1").unwrap();
        let mut watched = Watched::new(vec![one.clone()]);
        fs::write(&one, "longer").unwrap();
        fs::write(&two, "2").unwrap();
        watched.follow(vec![two.clone(), one.clone()]);
        assert_eq!(watched.seen[0], look_at(&two));
        assert_ne!(watched.seen[1], look_at(&one));
    }
}
