//! One running Envoy, ours: known by its configuration file, ended with its handle.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long an Envoy may take to be ready; it takes a quarter of a second.
const READY_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// How long an Envoy may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(3);
/// How much of what Envoy said goes into an error.
const TAIL_LINES: usize = 12;

/// A running Envoy. Dropping it kills the process; [`stop`](Self::stop) asks first.
#[derive(Debug)]
pub struct EnvoyProcess {
    child: Child,
    admin: SocketAddr,
    http: reqwest::Client,
    // After `child`, so that it is removed when nobody reads from it any more.
    _scratch: TempDir,
}

/// Why no Envoy runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvoyError {
    /// Two Envoys can share a port without noticing; requests would reach either.
    #[error("port {port} is already in use")]
    PortTaken {
        /// The port that somebody else has.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// Its configuration cannot be written.
    #[error("cannot prepare a directory for Envoy")]
    Prepare(#[source] io::Error),
    /// It does not even start.
    #[error("cannot run {}", binary.display())]
    Run {
        /// What was run.
        binary: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("Envoy ended ({status}):\n{log}")]
    Ended {
        /// How the process ended.
        status: ExitStatus,
        /// The end of what it said.
        log: String,
    },
    /// It runs, but takes no requests.
    #[error("Envoy was not ready within {} s:\n{log}", READY_WITHIN.as_secs())]
    NotReady {
        /// The end of what it said.
        log: String,
    },
    /// No HTTP client to ask it with.
    #[error("cannot ask Envoy whether it is ready")]
    Client(#[source] reqwest::Error),
}

impl EnvoyProcess {
    /// Runs `binary` with a configuration that listens on `entrance` and `admin`, and waits until it
    /// takes requests. It looks for dynamic modules in `modules`.
    ///
    /// # Errors
    /// When it does not get there; the end of Envoy's own log is in the error.
    pub async fn start(
        binary: &Path,
        configuration: &str,
        entrance: SocketAddr,
        admin: SocketAddr,
        modules: Option<&Path>,
    ) -> Result<Self, EnvoyError> {
        for address in [entrance, admin] {
            refuse_taken(address)?;
        }
        let scratch = TempDir::with_prefix("doorward-envoy.").map_err(EnvoyError::Prepare)?;
        let config_path = scratch.path().join("envoy.yaml");
        let log_path = scratch.path().join("envoy.log");
        fs::write(&config_path, configuration).map_err(EnvoyError::Prepare)?;
        let log = File::create(&log_path).map_err(EnvoyError::Prepare)?;
        let mut command = Command::new(binary);
        if let Some(directory) = modules {
            command.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", directory);
        }
        let child = command
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"])
            // The access log on standard output is for people who watch: not 10 s later.
            .args(["--file-flush-interval-msec", "50"])
            .arg("-c")
            .arg(&config_path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| EnvoyError::Run { binary: binary.to_owned(), source })?;
        // No proxy from the environment: this is a talk with a child of ours.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(1)).build();
        let http = http.map_err(EnvoyError::Client)?;
        let mut envoy = Self { child, admin, http, _scratch: scratch };
        envoy.ready(&config_path, &log_path).await?;
        Ok(envoy)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// What Envoy writes on standard output: the access log of the files in `envoy/`,
    /// one JSON object a line. Once; whoever takes it has to read it.
    pub fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Resolves when the process ends by itself.
    ///
    /// # Errors
    /// When the system cannot say how it ended.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end, and kills it when it does not within three seconds.
    pub async fn stop(mut self) {
        let url = format!("http://{}/quitquitquit", self.admin);
        // Whatever comes of the request, what counts is that the process ends.
        let _ = self.http.post(url).send().await;
        if timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    async fn ready(&mut self, config: &Path, log: &Path) -> Result<(), EnvoyError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait().map_err(EnvoyError::Prepare)? {
                return Err(EnvoyError::Ended { status, log: tail(log) });
            }
            if self.is_live().await && self.is_ours(config).await {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(EnvoyError::NotReady { log: tail(log) });
            }
            sleep(POLL).await;
        }
    }

    async fn is_live(&self) -> bool {
        let answer = self.http.get(format!("http://{}/ready", self.admin)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Whether who answers was started with our file: a forgotten Envoy on the same port
    /// would answer as readily.
    async fn is_ours(&self, config: &Path) -> bool {
        let url = format!("http://{}/server_info", self.admin);
        let Ok(answer) = self.http.get(url).send().await else { return false };
        let Ok(info) = answer.json::<Value>().await else { return false };
        info.pointer("/command_line_options/config_path").and_then(Value::as_str) == config.to_str()
    }
}

/// Envoy shares ports (`SO_REUSEPORT`); a plain bind does not, so it notices.
fn refuse_taken(address: SocketAddr) -> Result<(), EnvoyError> {
    let bound = TcpListener::bind(address);
    bound.map(drop).map_err(|source| EnvoyError::PortTaken { port: address.port(), source })
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn free() -> SocketAddr {
        TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn says_what_envoy_said_when_it_ends_early() {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("envoy");
        fs::write(&binary, "#!/bin/sh\necho 'no such field: frobnicate' >&2\nexit 3\n").unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let failed = EnvoyProcess::start(&binary, "", free(), free(), None).await.unwrap_err();
        assert!(matches!(failed, EnvoyError::Ended { .. }), "{failed}");
        assert!(failed.to_string().contains("frobnicate"), "{failed}");
    }

    #[tokio::test]
    async fn a_taken_port_is_not_shared() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let entrance = taken.local_addr().unwrap();
        let failed = EnvoyProcess::start(Path::new("/bin/false"), "", entrance, free(), None).await;
        assert!(
            matches!(failed, Err(EnvoyError::PortTaken { port, .. }) if port == entrance.port())
        );
    }
}
