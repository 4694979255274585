//! Everything the demonstration consists of, brought up in order and taken down again.

use std::path::PathBuf;
use std::time::Duration;

use doorward_dev::envoy::{EnvoyError, EnvoyProcess, EnvoySearch, Found, SearchError, fetch};
use doorward_dev::{DevIssuer, DevIssuerError, DevIssuerOptions, Echo, ListenError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::door::{Door, Feed, StartDoor};
use super::places::{PortError, Ports, WriteError};
use super::scene::{Front, Scene};
use super::{DemoArgs, DemoError, DoorFailure, watch as watching, words};

/// How long Doorward may take until it has the issuer's keys.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Decisions are shown here and not in a log; and where no Envoy has routes, the rules
/// say what needs no token.
const EMBEDDED: &str = "rules: { bypass: [/public/*] }\nlog: { level: warn, decisions: 'off' }\n";

/// All that runs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) scene: Scene,
    envoy: Option<EnvoyProcess>,
    door: Option<Door>,
    echo: Option<Echo>,
    follower: JoinSet<()>,
}

/// Why not everything came up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The issuer.
    #[error("the development issuer did not start")]
    Issuer(#[from] DevIssuerError),
    /// The upstream.
    #[error("the upstream did not start")]
    Upstream(#[from] ListenError),
    /// No port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// `--write`.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// `DOORWARD_ENVOY` is wrong.
    #[error(transparent)]
    Search(SearchError),
    /// The Envoy that was found does not run.
    #[error("Envoy did not start (`--no-envoy` runs without it)")]
    Envoy(#[from] EnvoyError),
    /// Doorward.
    #[error("the server did not start")]
    Door(#[source] DoorFailure),
    /// Doorward runs, but is not ready.
    #[error("the server was not ready within {} s", READY_WITHIN.as_secs())]
    NotReady,
    /// No HTTP client.
    #[error("cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
}

impl Stage {
    pub(super) async fn start(
        args: &DemoArgs,
        search: &EnvoySearch,
        start: StartDoor,
        feed: Feed,
    ) -> Result<Self, StageError> {
        // Who writes its configuration is told how to start one.
        let without = args.no_envoy || (args.issuer_only && args.write.is_none());
        let envoy = if without { None } else { find_envoy(search).await? };
        let ports = Ports::choose(args, envoy.is_some())?;
        let issuer = DevIssuer::start(ports.issuer, DevIssuerOptions::default()).await?;
        let scene = Scene {
            front: match envoy {
                _ if args.issuer_only => None,
                Some(_) => Some(Front::Envoy),
                None => Some(Front::Http),
            },
            upstream: args.upstream.clone().unwrap_or_else(|| ports.upstream.into()),
            echoes: args.upstream.is_none(),
            written: args.write.clone(),
            issuer,
            ports,
            envoy,
        };
        if let Some(dir) = &scene.written {
            ports.write(dir, &scene.issuer, &scene.upstream)?;
        }
        let mut stage =
            Self { scene, envoy: None, door: None, echo: None, follower: JoinSet::new() };
        let Some(front) = stage.scene.front else { return Ok(stage) };
        if stage.scene.echoes {
            stage.echo = Some(Echo::start(ports.upstream).await?);
        }
        let yaml = ports.doorward(&stage.scene.issuer) + EMBEDDED;
        // With Envoy, its access log tells what became of each request.
        let door_feed = (front == Front::Http).then(|| feed.clone());
        // On a thread of its own: starting a server with its own threads blocks.
        let door = tokio::task::spawn_blocking(move || start(&yaml, door_feed));
        let door = door.await.map_err(|died| StageError::Door(died.into()))?;
        stage.door = Some(door.map_err(StageError::Door)?);
        stage.door_is_ready().await?;
        if let (Front::Envoy, Some(binary)) = (front, &stage.scene.envoy) {
            let addresses = ports.envoy(&stage.scene.upstream);
            let (entrance, admin) = (addresses.door_address(), addresses.admin_address());
            let mut envoy =
                EnvoyProcess::start(binary, &addresses.configuration(), entrance, admin).await?;
            if let Some(log) = envoy.take_output() {
                stage.follower.spawn(watching::follow(log, feed));
            }
            stage.envoy = Some(envoy);
        }
        Ok(stage)
    }

    /// Resolves when something ends that should not.
    pub(super) async fn ended(&mut self) -> DemoError {
        match &mut self.envoy {
            Some(envoy) => {
                drop(envoy.ended().await);
                DemoError::EnvoyEnded
            }
            None => std::future::pending().await,
        }
    }

    /// Stops everything, from the outside in: nobody is turned away by a server that is
    /// already gone.
    pub(super) async fn stop(mut self) {
        if let Some(envoy) = self.envoy.take() {
            envoy.stop().await;
        }
        let door = self.door.take();
        drop(tokio::task::spawn_blocking(move || drop(door)).await);
    }

    async fn door_is_ready(&self) -> Result<(), StageError> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(1)).build()?;
        let url = format!("http://{}/health/ready", self.scene.ports.admin);
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            let answer = http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(StageError::NotReady)
    }
}

/// An Envoy, fetched when there is none; `None` when that fails, which is said.
async fn find_envoy(search: &EnvoySearch) -> Result<Option<PathBuf>, StageError> {
    let dir = match search.find() {
        Ok(Found::Binary(binary)) => return Ok(Some(binary)),
        Ok(Found::Nothing { fetch_into }) => fetch_into,
        Err(wrong @ SearchError::NamedIsMissing(_)) => return Err(StageError::Search(wrong)),
        Err(none) => {
            words::without_envoy(&none);
            return Ok(None);
        }
    };
    words::fetching(&dir);
    match fetch(&dir).await {
        Ok(binary) => Ok(Some(binary)),
        Err(failure) => {
            words::without_envoy(&failure);
            Ok(None)
        }
    }
}
