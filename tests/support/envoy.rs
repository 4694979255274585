//! A real Envoy on free ports, started from the files that people start theirs from.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

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
    door: SocketAddr,
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
        let dir = tempfile::tempdir().unwrap();
        let (file, admin_file) = (dir.path().join(name), dir.path().join("admin"));
        std::fs::write(&file, config).unwrap();
        let mut process = Process::start(
            Command::new(binary)
                .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"])
                .arg("--admin-address-path")
                .arg(&admin_file)
                .arg("-c")
                .arg(&file),
        );
        let client = http();
        let door = eventually("Envoy is ready", Duration::from_secs(30), async || {
            process.assert_alive();
            let admin = std::fs::read_to_string(&admin_file).ok()?;
            let admin = admin.trim();
            let ready = client.get(format!("http://{admin}/ready")).send().await.ok()?;
            if !ready.text().await.ok()?.contains("LIVE") {
                return None;
            }
            let url = format!("http://{admin}/listeners?format=json");
            let listeners: Value = client.get(url).send().await.ok()?.json().await.ok()?;
            let address =
                listeners.pointer("/listener_statuses/0/local_address/socket_address")?.clone();
            Some(SocketAddr::new(
                address["address"].as_str()?.parse().ok()?,
                u16::try_from(address["port_value"].as_u64()?).ok()?,
            ))
        })
        .await;
        let admin = std::fs::read_to_string(&admin_file).unwrap().trim().to_owned();
        Self { door, admin, _process: process, _dir: dir }
    }

    /// A page of the admin listener.
    pub fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// Where clients come in.
    pub fn door(&self) -> SocketAddr {
        self.door
    }
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
