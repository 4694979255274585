//! One issuer's last good document on disk, so that a restart does not need the issuer.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use doorward_core::clock::UnixTime;
use serde::{Deserialize, Serialize};

use super::http::MAX_DOCUMENT_BYTES;
use crate::regular_file::{self, Links, is_ours_alone};
use crate::whole_file::{self, Existing};

/// Largest cache file that is read: a document may grow by its escapes.
const MAX_FILE_BYTES: usize = 4 * MAX_DOCUMENT_BYTES;

/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where one document of one issuer is kept.
///
/// Whoever can write the file can choose the keys. So a directory or a file that belongs to
/// another user, or that others may write to, is not believed, and neither is what a
/// symbolic link in its place leads to.
#[derive(Clone, Debug)]
pub(crate) struct CacheFile {
    directory: PathBuf,
    path: PathBuf,
    subject: Subject,
    most_bytes: usize,
}

/// What the document is: part of the file, since a file name is too little to trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    kind: String,
    issuer: String,
    location: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    subject: Subject,
    obtained_at: u64,
    document: String,
}

/// A document that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) document: String,
    pub(crate) obtained_at: UnixTime,
}

impl CacheFile {
    pub(crate) fn new(directory: &Path, kind: &str, issuer: &str, location: &str) -> Self {
        let name = digest::digest(&digest::SHA256, [kind, issuer, location].join("\0").as_bytes());
        let name: String = name.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            directory: directory.to_owned(),
            path: directory.join(format!("{name}.json")),
            subject: Subject {
                kind: kind.to_owned(),
                issuer: issuer.to_owned(),
                location: location.to_owned(),
            },
            most_bytes: MAX_FILE_BYTES,
        }
    }

    /// The same for a file of another size, in bytes.
    pub(crate) fn up_to(self, most_bytes: usize) -> Self {
        Self { most_bytes, ..self }
    }

    /// What was kept last; `None` when nothing was.
    pub(crate) async fn load(&self) -> Result<Option<Kept>, CacheError> {
        let this = self.clone();
        off_the_runtime(move || this.load_blocking()).await
    }

    /// Keeps a document in place of the last one, in one step.
    pub(crate) async fn store(
        &self,
        document: &[u8],
        obtained_at: UnixTime,
    ) -> Result<(), CacheError> {
        let document = String::from_utf8(document.to_vec()).map_err(|_| CacheError::NotText)?;
        let this = self.clone();
        let entry = Entry { subject: self.subject.clone(), obtained_at: obtained_at.0, document };
        off_the_runtime(move || this.store_blocking(&entry)).await
    }

    fn load_blocking(&self) -> Result<Option<Kept>, CacheError> {
        let content = match self.content() {
            Err(CacheError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            content => content?,
        };
        let entry: Entry = serde_json::from_slice(&content)
            .map_err(|cause| CacheError::Broken { path: self.path.clone(), cause })?;
        if entry.subject != self.subject {
            return Err(CacheError::OtherSubject(self.path.clone()));
        }
        Ok(Some(Kept { document: entry.document, obtained_at: UnixTime(entry.obtained_at) }))
    }

    fn content(&self) -> Result<Vec<u8>, CacheError> {
        let io = |cause| self.io(cause);
        let directory = self.open_directory()?;
        let name = self.path.file_name().map(Path::new).unwrap_or(&self.path);
        let file = regular_file::open_in(&directory, name, Links::Refused).map_err(io)?;
        if !is_ours_alone(&file.metadata().map_err(io)?) {
            return Err(CacheError::NotOurs(self.path.clone()));
        }
        regular_file::read(file, self.most_bytes).map_err(io)
    }

    /// The directory, when nobody else can put a file there.
    fn open_directory(&self) -> Result<File, CacheError> {
        let directory = regular_file::open_directory(&self.directory).map_err(|it| self.io(it))?;
        if is_ours_alone(&directory.metadata().map_err(|cause| self.io(cause))?) {
            Ok(directory)
        } else {
            Err(CacheError::NotOurs(self.directory.clone()))
        }
    }

    fn store_blocking(&self, entry: &Entry) -> Result<(), CacheError> {
        let mut make = DirBuilder::new();
        make.recursive(true).mode(0o700);
        make.create(&self.directory).map_err(|cause| self.io(cause))?;
        // What is kept where it is not believed, nobody finds again.
        self.open_directory()?;
        let write = || {
            whole_file::write(&self.path, &serde_json::to_vec(entry)?, 0o600, Existing::Replaced)
        };
        write().map_err(|cause: io::Error| self.io(cause))
    }

    fn io(&self, cause: io::Error) -> CacheError {
        CacheError::Io { path: self.path.clone(), cause }
    }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CacheError> {
    // A dead mount must not keep the issuer from being asked.
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work))
        .await
        .map_err(|_| CacheError::TimedOut)?
        .map_err(|_| CacheError::Stopped)?
}

/// Why a document was not kept or not found again. Never more than a warning.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("{}: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("{}: not a cache file: {cause}", path.display())]
    Broken { path: PathBuf, cause: serde_json::Error },
    #[error("{}: it belongs to another user, or others can write to it", .0.display())]
    NotOurs(PathBuf),
    #[error("{}: is about another issuer or location", .0.display())]
    OtherSubject(PathBuf),
    #[error("the document is not UTF-8")]
    NotText,
    #[error("the disk did not answer within {PATIENCE:?}")]
    TimedOut,
    #[error("the runtime is stopping")]
    Stopped,
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn cache(directory: &Path, issuer: &str) -> CacheFile {
        CacheFile::new(directory, "keys", issuer, "jwks_uri https://idp/k")
    }

    #[tokio::test]
    async fn what_is_kept_is_found_again_and_nobody_else_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("made/on/demand");
        let file = cache(&below, "https://idp");
        assert_eq!(file.load().await.unwrap(), None);
        file.store(b"{\"keys\": []}", UnixTime(7)).await.unwrap();
        let kept = file.load().await.unwrap().unwrap();
        assert_eq!(kept, Kept { document: "{\"keys\": []}".into(), obtained_at: UnixTime(7) });
        assert_eq!(fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&below).unwrap().count(), 1, "no temporary file is left");
        assert_eq!(cache(&below, "https://other").load().await.unwrap(), None);
    }

    #[tokio::test]
    async fn broken_foreign_and_open_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let ours = cache(directory.path(), "https://idp");
        let other = cache(directory.path(), "https://other");
        ours.store(b"{}", UnixTime(7)).await.unwrap();
        fs::copy(&ours.path, &other.path).unwrap();
        assert!(matches!(other.load().await, Err(CacheError::OtherSubject(_))));
        let not_ours = async |path: &Path, mode| {
            let before = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let loaded = ours.load().await;
            fs::set_permissions(path, before).unwrap();
            matches!(loaded, Err(CacheError::NotOurs(named)) if named == path)
        };
        for open in [0o666, 0o660, 0o620, 0o602] {
            assert!(not_ours(&ours.path, open).await, "{open:o}");
        }
        // Who may write to the directory may put another file in the place of this one.
        for open in [0o777, 0o770, 0o1777] {
            assert!(not_ours(directory.path(), open).await, "{open:o}");
        }
        assert!(ours.load().await.unwrap().is_some());
        fs::write(&ours.path, b"{\"issuer\":").unwrap();
        assert!(matches!(ours.load().await, Err(CacheError::Broken { .. })));
    }

    /// A write that ended half way, or that somebody put there to be swallowed.
    #[tokio::test]
    async fn cut_short_or_huge_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let ours = cache(directory.path(), "https://idp");
        ours.store(b"{\"keys\": []}", UnixTime(7)).await.unwrap();
        let whole = fs::read(&ours.path).unwrap();
        for length in 0..whole.len() {
            fs::write(&ours.path, &whole[..length]).unwrap();
            let loaded = ours.load().await;
            assert!(matches!(loaded, Err(CacheError::Broken { .. })), "{length}: {loaded:?}");
        }
        // No block of it is on the disk.
        let huge = fs::File::create(&ours.path).unwrap();
        huge.set_len(1 << 40).unwrap();
        let refused = ours.load().await.unwrap_err().to_string();
        assert!(refused.contains("it is larger than"), "{refused}");
        ours.store(b"{}", UnixTime(8)).await.unwrap();
        assert_eq!(ours.load().await.unwrap().unwrap().obtained_at, UnixTime(8));
    }

    /// Only root can give files away; elsewhere this says nothing.
    #[tokio::test]
    async fn what_belongs_to_another_user_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("keys");
        let ours = cache(&below, "https://idp");
        ours.store(b"{}", UnixTime(7)).await.unwrap();
        for given in [&ours.path, &below] {
            if std::os::unix::fs::chown(given, Some(65534), None).is_err() {
                return;
            }
            let refused = ours.load().await.unwrap_err();
            assert!(matches!(&refused, CacheError::NotOurs(path) if path == given), "{refused}");
            std::os::unix::fs::chown(given, Some(0), None).unwrap();
        }
        assert!(ours.load().await.unwrap().is_some());
    }

    /// Who may write to the directory above can put another in the place of ours: one of theirs
    /// is not believed, and nothing is written there.
    #[tokio::test]
    async fn a_directory_that_others_may_write_to_is_not_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let (below, theirs) = (directory.path().join("keys"), directory.path().join("theirs"));
        let ours = cache(&below, "https://idp");
        ours.store(b"{}", UnixTime(7)).await.unwrap();
        fs::rename(&below, &theirs).unwrap();
        fs::set_permissions(&theirs, Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink(&theirs, &below).unwrap();
        assert!(matches!(ours.load().await, Err(CacheError::NotOurs(_))));
        let before = fs::read(theirs.join(ours.path.file_name().unwrap())).unwrap();
        let stored = ours.store(b"{\"keys\": []}", UnixTime(8)).await;
        assert!(matches!(&stored, Err(CacheError::NotOurs(path)) if *path == below), "{stored:?}");
        assert_eq!(fs::read(theirs.join(ours.path.file_name().unwrap())).unwrap(), before);
    }

    #[tokio::test]
    async fn what_is_no_regular_file_is_neither_waited_for_nor_followed() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let ours = cache(directory.path(), "https://idp");
        ours.store(b"{}", UnixTime(7)).await.unwrap();
        let good = elsewhere.path().join("good");
        fs::rename(&ours.path, &good).unwrap();
        let in_its_place: [&dyn Fn(&Path); 3] = [
            &|path| {
                let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
                rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
            },
            &|path| std::os::unix::fs::symlink(&good, path).unwrap(),
            &|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        ];
        for put in in_its_place {
            put(&ours.path);
            assert!(matches!(ours.load().await, Err(CacheError::Io { .. })));
            // What is kept next takes its place.
            ours.store(b"{}", UnixTime(8)).await.unwrap();
            assert_eq!(ours.load().await.unwrap().unwrap().obtained_at, UnixTime(8));
            fs::remove_file(&ours.path).unwrap();
        }
    }
}
