//! Child processes that do not outlive their test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::eventually;

/// A running child; killed by its own pid when dropped. What it says goes to a file.
pub struct Process {
    child: Child,
    dir: tempfile::TempDir,
}

impl Process {
    /// Starts `command` with its output in files. Its standard input stays open for as
    /// long as this lives: a child that watches it notices a killed test run.
    pub fn start(command: &mut Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = command
            .stdin(Stdio::piped())
            .stdout(File::create(dir.path().join("stdout")).unwrap())
            .stderr(File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, dir }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        read(&self.dir.path().join("stdout"))
    }

    pub fn stderr(&self) -> String {
        read(&self.dir.path().join("stderr"))
    }

    /// Panics with what it said when it has ended.
    pub fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("ended ({status}):\n{}\n{}", self.stdout(), self.stderr());
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal by name (`TERM`, `HUP`).
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(kill.unwrap().success());
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the process ends", Duration::from_secs(20), async || {
            self.child.try_wait().unwrap()
        })
        .await
    }

    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// A port that nobody listens on, for components that cannot say which one they got.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A script of the repository.
pub fn script(path: &Path) -> Command {
    Command::new(super::tools::root().join(path))
}
