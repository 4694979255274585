//! A real OPA on a free port.

use std::path::Path;
use std::process::Command;

use tokio::net::TcpStream;

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
        let opa = Self::run(port, files, &[]).await?;
        let url = format!("{}/health", opa.url());
        eventually("OPA is ready", 3 * PATIENCE, async || {
            http().get(&url).send().await.ok()?.status().is_success().then_some(())
        })
        .await;
        Some(opa)
    }

    /// Behind TLS, with the certificates of [`tls::certificates`](super::tls::certificates): who shows
    /// none of that authority is not answered.
    pub async fn start_behind_tls(certificates: &Path, files: &[(&str, &str)]) -> Option<Self> {
        let path = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
        let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(path);
        let tls = ["--tls-cert-file", &cert, "--tls-private-key-file", &key];
        let clients = ["--tls-ca-cert-file", &ca, "--authentication", "tls"];
        Self::run(free_port(), files, &[tls, clients].concat()).await
    }

    async fn run(port: u16, files: &[(&str, &str)], further: &[&str]) -> Option<Self> {
        let binary = tools::tool("opa").await?;
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut command = Command::new(binary);
        command.args(["run", "--server", "--skip-version-check", "--log-level", "error"]);
        command.args(["--shutdown-grace-period", "0", "--addr"]);
        command.arg(format!("127.0.0.1:{port}")).args(further).arg(dir.path());
        let mut process = Process::start(&mut command);
        eventually("OPA listens", 3 * PATIENCE, async || {
            process.assert_alive();
            TcpStream::connect(("127.0.0.1", port)).await.ok()
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
