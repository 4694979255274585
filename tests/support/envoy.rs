//! A real Envoy on free ports, started from the files that people start theirs from.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use super::process::Process;
use super::{eventually, http, tools};

/// Whom an Envoy talks to, by port on loopback.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    pub grpc: u16,
    pub http: u16,
    pub upstream: u16,
}

pub struct Envoy {
    /// Names and addresses, in the order of the configuration.
    listeners: Vec<(String, SocketAddr)>,
    admin: String,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Envoy {
    /// Starts a file of `envoy/`, its ports replaced. `None`: there is no Envoy, and the
    /// test is skipped.
    pub async fn start(file: &str, behind: Behind) -> Option<Self> {
        let binary = tools::tool("envoy").await?;
        let config = fill(&tools::file(&format!("envoy/{file}")), behind);
        Some(Self::run(&binary, "envoy.yaml", &config).await)
    }

    /// Starts an Envoy with this configuration, whose own listeners are on port 0: Envoy
    /// shares ports with whoever has them, so a number picked beforehand could be that
    /// of an Envoy of somebody else's.
    pub async fn run(binary: &Path, name: &str, config: &str) -> Self {
        Self::try_run(binary, name, config).await.unwrap_or_else(|said| panic!("{said}"))
    }

    /// The same, unless Envoy refuses the configuration: then what it said.
    pub async fn try_run(binary: &Path, name: &str, config: &str) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let (file, admin_file) = (dir.path().join(name), dir.path().join("admin"));
        std::fs::write(&file, config).unwrap();
        let mut process = Process::start(
            Command::new(binary)
                .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"])
                .arg("--admin-address-path")
                .arg(&admin_file)
                .arg("-c")
                .arg(&file)
                .env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", super::gateway::module_dir()),
        );
        let client = http();
        let listeners = eventually("Envoy is ready", Duration::from_secs(30), async || {
            if process.has_ended() {
                return Some(Err(process.stderr()));
            }
            let admin = std::fs::read_to_string(&admin_file).ok()?;
            let admin = admin.trim();
            let ready = client.get(format!("http://{admin}/ready")).send().await.ok()?;
            if !ready.text().await.ok()?.contains("LIVE") {
                return None;
            }
            let url = format!("http://{admin}/listeners?format=json");
            let listeners: Value = client.get(url).send().await.ok()?.json().await.ok()?;
            let listeners = listeners["listener_statuses"].as_array()?;
            let listeners: Vec<_> = listeners.iter().filter_map(listener).collect();
            for (_, address) in &listeners {
                // Bound is not yet listening.
                TcpStream::connect(address).await.ok()?;
            }
            (!listeners.is_empty()).then_some(Ok(listeners))
        })
        .await?;
        let admin = std::fs::read_to_string(&admin_file).unwrap().trim().to_owned();
        Ok(Self { listeners, admin, _process: process, _dir: dir })
    }

    /// A page of the admin listener.
    pub fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// Where clients come in.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0].1
    }

    /// The address of a listener by its name.
    pub fn listener(&self, name: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|(have, _)| have == name);
        found.unwrap_or_else(|| panic!("no listener {name}")).1
    }
}

/// Name and address, as the admin listener shows them.
fn listener(status: &Value) -> Option<(String, SocketAddr)> {
    let address = status.pointer("/local_address/socket_address")?;
    let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
    let address = SocketAddr::new(address["address"].as_str()?.parse().ok()?, port);
    Some((status["name"].as_str()?.to_owned(), address))
}

/// Puts ports into a file of `envoy/`, where each stands as `port_value: N`.
pub fn fill(template: &str, behind: Behind) -> String {
    let mut parts = template.split("port_value: ");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let port = match &part[..digits] {
            "10000" | "9901" => 0,
            "9191" => behind.grpc,
            "8181" => behind.http,
            "8080" => behind.upstream,
            "" => {
                filled.push_str(&format!("port_value: {part}")); // a comment
                continue;
            }
            other => panic!("port {other} is none that the files in envoy/ use"),
        };
        filled.push_str(&format!("port_value: {port}{}", &part[digits..]));
    }
    filled
}
