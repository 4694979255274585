//! The real `doorward` command, with a configuration directory of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::process::Process;

/// How long one command may take, a hanging provider included.
const PATIENCE: Duration = Duration::from_secs(60);

/// One person's command line.
pub struct Cli {
    home: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Cli {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// Where its logins are kept.
    pub fn logins(&self) -> PathBuf {
        self.home.path().join("doorward/logins.json")
    }

    /// Runs a command, with nothing on its standard input.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[], "").await
    }

    /// Runs a command with these variables and this standard input.
    pub async fn run_with(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        stdin: &str,
    ) -> Ended {
        let mut command = tokio::process::Command::from(self.command(arguments, environment));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        // A command that does not read has closed its end.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes()).await;
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{arguments:?} does not end")).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Starts a command that waits for something.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_with(arguments, &[])
    }

    /// The same with these variables.
    pub fn start_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        Process::start(&mut self.command(arguments, environment))
    }

    /// What `auth status --json` says, whatever its exit code.
    pub async fn status(&self) -> Value {
        let ended = self.run(&["auth", "status", "--json"]).await;
        serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
    }

    /// Where it lives: its `HOME` and configuration directory.
    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_doorward"));
        command
            .env_clear()
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("HOME", self.home.path())
            .env("DOORWARD_CLI_STORE", "file")
            .envs(environment.iter().copied())
            .args(arguments);
        command
    }
}

impl Ended {
    /// Panics with all there is when it did not end like this.
    #[track_caller]
    pub fn assert(&self, code: i32, stderr_parts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in stderr_parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {self:?}");
        }
        self
    }
}
