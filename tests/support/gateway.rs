//! The whole way: a client, a real Envoy, Doorward beside or inside it, and the upstream behind.

use std::path::{Path, PathBuf};

use doorward::discovery::KeyLocation;
use serde_json::{Value, json};

use super::check::{Ask, Outcome};
use super::doorward::{Doorward, Front, settings};
use super::echo::Echo;
use super::envoy::{Behind, Envoy, fill};
use super::raw::{RawRequest, Reply};
use super::{PATIENCE, eventually, http, tools};

/// The plain set-ups of `envoy/` that decide alike.
pub const PLAIN: [&str; 3] = ["envoy.yaml", "envoy-http.yaml", "module.yaml"];
/// And NeMo's.
pub const NEMO: [&str; 3] = ["nemo-grpc.yaml", "nemo-http.yaml", "nemo-module.yaml"];

pub struct Gateway {
    envoy: Envoy,
    decides: Decides,
    echo: Echo,
}

enum Decides {
    /// A server beside Envoy; `None`: it is stopped.
    Server(Option<Doorward>),
    /// The module inside it.
    Inside(Inside),
}

/// An Envoy that can be given another configuration of the module.
struct Inside {
    binary: PathBuf,
    name: String,
    /// Its own configuration, filled in.
    envoy: String,
    /// What the module reads.
    config: Value,
    dir: tempfile::TempDir,
}

/// Whether Doorward runs inside the Envoy of this file.
pub fn is_inside(file: &str) -> bool {
    file.ends_with("module.yaml")
}

impl Gateway {
    /// Starts all of it, Envoy with this file of `envoy/`. `None`: no Envoy, the test is
    /// skipped.
    pub async fn start(file: &str, config: &str) -> Option<Self> {
        Self::start_changed(file, [], config).await
    }

    /// [`start`](Self::start) with lines of the file changed, each of which must be in it.
    pub async fn start_changed<const N: usize>(
        file: &str,
        changes: [(&str, &str); N],
        config: &str,
    ) -> Option<Self> {
        let binary = tools::tool("envoy").await?;
        let mut envoy = tools::file(&format!("envoy/{file}"));
        for (line, changed) in changes {
            // Envoy takes the last of two equal keys without a word: replaced, not added.
            assert_eq!(envoy.matches(line).count(), 1, "{file}: {line}");
            envoy = envoy.replace(line, changed);
        }
        let echo = Echo::start().await;
        if is_inside(file) {
            let upstream = echo.port();
            let envoy = fill(&envoy, Behind { grpc: 0, http: 0, upstream });
            let inside = Inside::new(binary, file, &envoy, config);
            let envoy = inside.start().await.unwrap_or_else(|said| panic!("{said}"));
            let gateway = Self { envoy, decides: Decides::Inside(inside), echo };
            gateway.has_keys().await;
            return Some(gateway);
        }
        let doorward = Doorward::start(config).await;
        doorward.ready().await;
        let envoy = Envoy::run(&binary, file, &fill(&envoy, behind(&doorward, &echo))).await;
        Some(Self::of(envoy, doorward, echo))
    }

    /// Of parts that run already.
    pub fn of(envoy: Envoy, doorward: Doorward, echo: Echo) -> Self {
        Self { envoy, decides: Decides::Server(Some(doorward)), echo }
    }

    /// The server.
    pub fn doorward(&self) -> &Doorward {
        match &self.decides {
            Decides::Server(Some(doorward)) => doorward,
            Decides::Server(None) => panic!("it is stopped"),
            Decides::Inside(_) => panic!("there is no server"),
        }
    }

    pub fn echo(&self) -> &Echo {
        &self.echo
    }

    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Stops Doorward; Envoy and the upstream stay.
    pub fn stop_doorward(&mut self) {
        self.decides = Decides::Server(None);
    }

    /// Decides by another configuration from now on.
    pub async fn reload(&mut self, config: &str) {
        match &mut self.decides {
            Decides::Inside(inside) => {
                inside.write(config);
                self.envoy = inside.start().await.unwrap_or_else(|said| panic!("{said}"));
                self.has_keys().await;
            }
            Decides::Server(_) => self.doorward().reload(config).await,
        }
    }

    /// What Doorward itself says of a request, by whichever way this Envoy asks it.
    pub async fn meant(&self, ask: Ask) -> Outcome {
        match &self.decides {
            Decides::Inside(inside) => {
                Doorward::start_at(Front::Module, &inside.settings()).await.ask(ask).await
            }
            Decides::Server(_) => self.doorward().ask(ask).await,
        }
    }

    /// A counter without labels, once it is at least this.
    pub async fn counted(&self, name: &str, least: f64) -> f64 {
        eventually(name, PATIENCE, async || {
            let count = match &self.decides {
                Decides::Inside(_) => self.statistic(name).await,
                Decides::Server(_) => self.doorward().metric(name).await?,
            };
            (count >= least).then_some(count)
        })
        .await
    }

    /// The sum of what Envoy shows of a statistic of the module's.
    async fn statistic(&self, name: &str) -> f64 {
        let url = self.envoy.admin("/stats/prometheus");
        let all = http().get(url).send().await.unwrap().text().await.unwrap();
        let named = all.lines().filter(|line| !line.starts_with('#') && line.contains(name));
        named.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until the module has asked every issuer for its keys.
    async fn has_keys(&self) {
        let Decides::Inside(inside) = &self.decides else { return };
        let issuers = settings(&inside.settings()).issuers;
        let asked = issuers.iter().filter(|issuer| {
            matches!(issuer.keys, KeyLocation::Discovery(_) | KeyLocation::JwksUri(_))
        });
        let asked = f64::from(u32::try_from(asked.count()).unwrap());
        self.counted("key_set_fetches_total", asked).await;
    }

    /// Sends a request through the door.
    pub async fn send(&self, request: &RawRequest) -> Reply {
        request.send(self.envoy.address()).await
    }
}

impl Inside {
    fn new(binary: PathBuf, file: &str, envoy: &str, config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (before, after) = envoy.split_once("value: ./").unwrap();
        let (_, after) = after.split_once('\n').unwrap();
        let path = dir.path().join("doorward.yaml");
        let envoy = format!("{before}value: {}\n{after}", path.display());
        let name = file.to_owned();
        let mut inside = Self { binary, name, envoy, config: Value::Null, dir };
        inside.write(config);
        inside
    }

    /// Writes what the module reads at its next start.
    fn write(&mut self, config: &str) {
        self.config = serde_json::from_str(config).unwrap();
        // A server has them on a port of its own.
        self.config["module"] = json!({"documents": true});
        std::fs::write(self.dir.path().join("doorward.yaml"), self.config.to_string()).unwrap();
    }

    async fn start(&self) -> Result<Envoy, String> {
        Envoy::try_run(&self.binary, &self.name, &self.envoy).await
    }

    /// The same without the section that a server has no use for.
    fn settings(&self) -> String {
        let mut config = self.config.clone();
        config.as_object_mut().unwrap().remove("module");
        config.to_string()
    }
}

/// Where `libdoorward_envoy.so` is: cargo builds it for these tests, as it does the library that the
/// host of `crates/envoy-host` links.
pub fn module_dir() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let dir = test.parent().unwrap();
    assert!(dir.join("libdoorward_envoy.so").is_file(), "{}", dir.display());
    Path::new(dir).to_owned()
}

/// The ports that an Envoy in front of these needs to know.
pub fn behind(doorward: &Doorward, echo: &Echo) -> Behind {
    let (grpc, http) = (doorward.grpc_address().port(), doorward.http_address().port());
    Behind { grpc, http, upstream: echo.port() }
}
