//! Files that are written whole: who reads one finds what was there before or all that came after,
//! whatever goes wrong between.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It makes way.
    Replaced,
    /// It stays, and writing fails with [`io::ErrorKind::AlreadyExists`].
    Kept,
}

/// Writes a file with this mode, in one step.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32, existing: Existing) -> io::Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = Permissions::from_mode(mode);
    // Gone again if anything below fails.
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(directory)?;
    file.write_all(content)?;
    // Else a crash could leave the new name on an empty file.
    file.as_file().sync_all()?;
    match existing {
        Existing::Replaced => file.persist(path),
        Existing::Kept => file.persist_noclobber(path),
    }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_where_that_is_meant() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write(&path, b"one", 0o600, Existing::Kept).unwrap();
        let error = write(&path, b"two", 0o600, Existing::Kept).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write(&path, b"two", 0o600, Existing::Replaced).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // Nothing is left beside it, whether it worked or not.
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }
}
