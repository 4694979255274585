//! A real OPA on a free port.

use std::process::Command;

use super::process::{Process, free_port};
use super::{PATIENCE, eventually, http, tools};

pub struct Opa {
    process: Process,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Opa {
    /// Serves these files, names and texts. `None`: there is no OPA, and the test is skipped.
    pub async fn start(files: &[(&str, &str)]) -> Option<Self> {
        Self::start_at(free_port(), files).await
    }

    /// The same on this port.
    pub async fn start_at(port: u16, files: &[(&str, &str)]) -> Option<Self> {
        let binary = tools::tool("opa").await?;
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut command = Command::new(binary);
        command.args(["run", "--server", "--skip-version-check", "--log-level", "error"]);
        command.args(["--shutdown-grace-period", "0", "--addr"]);
        command.arg(format!("127.0.0.1:{port}")).arg(dir.path());
        let mut process = Process::start(&mut command);
        let url = format!("http://127.0.0.1:{port}/health");
        eventually("OPA is ready", 3 * PATIENCE, async || {
            process.assert_alive();
            http().get(&url).send().await.ok()?.status().is_success().then_some(())
        })
        .await;
        Some(Self { process, port, _dir: dir })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Puts another policy in the place of the one of this name, by OPA's own API.
    pub async fn put_policy(&self, name: &str, text: &str) {
        let url = format!("{}/v1/policies/{name}", self.url());
        let answer = http().put(url).body(text.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it where it is (`STOP`), or lets it go on (`CONT`).
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }
}
