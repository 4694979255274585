//! Real components: where they are, or why a test does without.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
pub fn file(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path of a tool that `scripts/fetch` knows, fetched when it is not there. `None`,
/// with a line that says so, when the test has to do without it.
/// Runs off the test's own thread, which a download would hold up for minutes.
pub async fn tool(name: &'static str) -> Option<PathBuf> {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    tokio::task::spawn_blocking(move || find(name, &test)).await.unwrap()
}

fn find(name: &str, test: &str) -> Option<PathBuf> {
    let skip = std::env::var("DOORWARD_SKIP").unwrap_or_default();
    if skip.split_whitespace().any(|skipped| skipped == name) {
        return skipped(name, test, "DOORWARD_SKIP");
    }
    // It prints what DOORWARD_<TOOL> names, when that is set.
    let fetch = Command::new(root().join("scripts/fetch")).arg(name).output().unwrap();
    if fetch.status.success() {
        let path = String::from_utf8(fetch.stdout).unwrap();
        return Some(PathBuf::from(path.trim_end()));
    }
    let said = String::from_utf8_lossy(&fetch.stderr);
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    if fetch.status.code() == Some(3) && !in_ci {
        return skipped(name, test, said.trim_end());
    }
    panic!("{said}to do without it: DOORWARD_SKIP={name}");
}

fn skipped(name: &str, test: &str, why: &str) -> Option<PathBuf> {
    // Not `eprintln!`, which is not shown for a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped for want of {name}: {test} ({why})");
    None
}
