//! `doorward serve` as a program of its own, and what it takes of the machine.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::process::Process;
use super::{PATIENCE, eventually, http};

pub const FREE_PORTS: &str = "
server:
  grpc: { listen: 127.0.0.1:0 }
  http: { listen: 127.0.0.1:0 }
  admin: { listen: 127.0.0.1:0 }
  console: { listen: 127.0.0.1:0 }
";

/// `doorward serve`, with nothing of this process's environment.
pub fn serve(arguments: &[&Path], environment: &[(&str, &str)]) -> Process {
    let mut command = Command::new(DOORWARD);
    command.env_clear().arg("serve").envs(environment.iter().copied());
    for file in arguments {
        command.arg("--config").arg(file);
    }
    Process::start(&mut command)
}

const DOORWARD: &str = env!("CARGO_BIN_EXE_doorward");

/// Where a server says that it listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub grpc: String,
    pub http: String,
    pub admin: String,
    pub console: Option<String>,
}

pub async fn listening(process: &mut Process) -> Addresses {
    eventually("it listens", PATIENCE, async || {
        process.assert_alive();
        let said = process.stderr();
        let line = said.lines().find(|line| line.contains("\"listening\""))?;
        let line: Value = serde_json::from_str(line).ok()?;
        let at = |name: &str| line[name].as_str().unwrap().to_owned();
        let console = line["console"].as_str().map(str::to_owned);
        Some(Addresses { grpc: at("grpc"), http: at("http"), admin: at("admin"), console })
    })
    .await
}

/// A Doorward in a process of its own, with one thread for checks: what a test's clients hold
/// does not count as its.
pub struct Served {
    process: Process,
    pub at: Addresses,
    _dir: tempfile::TempDir,
}

impl Served {
    /// With `config` (JSON), which names no ports.
    pub async fn start(config: &Value) -> Self {
        Self::start_with_files(config, None).await
    }

    /// With at most so many open files.
    pub async fn start_with_files(config: &Value, files: Option<u32>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("doorward.json");
        let mut config = config.clone();
        for port in ["grpc", "http", "admin", "console"] {
            config["server"][port]["listen"] = "127.0.0.1:0".into();
        }
        config["server"]["workers"] = 1.into();
        std::fs::write(&file, config.to_string()).unwrap();
        let limit = files.map_or_else(String::new, |files| format!("ulimit -n {files};"));
        let mut command = Command::new("sh");
        command.env_clear().arg("-c").arg(format!("{limit} exec \"$@\"")).arg("sh");
        command.arg(DOORWARD).arg("serve").arg("--config").arg(file);
        let mut process = Process::start(&mut command);
        let at = listening(&mut process).await;
        Self { process, at, _dir: dir }
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The most memory it ever had, in bytes.
    #[allow(dead_code, reason = "for hostile_crowd, a binary of its own")]
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// What it has now, in bytes.
    #[allow(dead_code, reason = "for hostile_crowd, a binary of its own")]
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    /// The value of a metric, its labels written out as in the text format.
    pub async fn metric(&self, name: &str) -> f64 {
        let url = format!("http://{}/metrics", self.at.admin);
        let text = http().get(url).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }
}
