//! Files that are read again and again while Doorward runs: bounded in size, and never a
//! pipe, which would hold its reader, and with it the end of the process, for ever.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// All of a regular file, when it has at most `most_bytes`. Symbolic links are followed, as
/// those of a mounted ConfigMap or token have to be.
///
/// # Errors
/// It cannot be opened or read, is a pipe, a device or a directory, or is larger.
pub fn read_file(path: &Path, most_bytes: usize) -> io::Result<Vec<u8>> {
    read(open(path, Links::Followed)?, most_bytes)
}

/// The same away from the runtime's thread, which a dead mount must not hold up.
pub(crate) async fn read_file_apart(path: PathBuf, most_bytes: usize) -> io::Result<Vec<u8>> {
    tokio::task::spawn_blocking(move || read_file(&path, most_bytes))
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the runtime is stopping")))
}

/// Whether a file or directory is this user's, and nobody else may write to it.
#[must_use]
pub fn is_ours_alone(about: &Metadata) -> bool {
    about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o022 == 0
}

/// What to do with a symbolic link in the place of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Followed,
    Refused,
}

pub(crate) fn open(path: &Path, links: Links) -> io::Result<File> {
    open_in(rustix::fs::CWD, path, links)
}

/// The same in a directory that is open: nobody can put another in its place meanwhile.
pub(crate) fn open_in(directory: impl AsFd, path: &Path, links: Links) -> io::Result<File> {
    // Without NONBLOCK, opening a pipe waits for somebody who writes into it.
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if links == Links::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    let file = File::from(rustix::fs::openat(directory, path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// A directory, for what is in it.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

pub(crate) fn read(file: File, most_bytes: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(most_bytes as u64 + 1).read_to_end(&mut content)?;
    if content.len() > most_bytes {
        let text = format!("it is larger than {most_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("file"), "12345678").unwrap();
        symlink(path("file"), path("link")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), mode).unwrap();
        assert_eq!(read_file(&path("link"), 8).unwrap(), b"12345678");
        for (refused, kind) in [
            (path("pipe"), io::ErrorKind::InvalidInput),
            (dir.path().to_owned(), io::ErrorKind::InvalidInput),
            ("/dev/null".into(), io::ErrorKind::InvalidInput),
            (path("none"), io::ErrorKind::NotFound),
        ] {
            assert_eq!(read_file(&refused, 8).unwrap_err().kind(), kind, "{}", refused.display());
        }
        let large = read_file(&path("file"), 7).unwrap_err();
        assert_eq!(large.to_string(), "it is larger than 7 bytes");
        let link = open(&path("link"), Links::Refused).unwrap_err();
        assert_eq!(link.raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()));
    }
}
