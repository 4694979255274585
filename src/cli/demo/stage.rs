//! Everything the demonstration consists of, brought up in order and taken down again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::door::{Door, Feed, StartDoor};
use super::{DemoArgs, DemoError, DoorFailure, watch as watching, words};
use crate::dev::envoy::{
    EnvoyError, EnvoyPorts, EnvoyProcess, EnvoySearch, Found, SearchError, TemplateError, fetch,
};
use crate::dev::{DevIssuer, DevIssuerError, DevIssuerOptions, Echo, ListenError};

/// How long Doorward may take until it has the issuer's keys.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// All that runs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) scene: Scene,
    envoy: Option<EnvoyProcess>,
    door: Option<Door>,
    /// Dropped: issuer and upstream end.
    _running: watch::Sender<()>,
    servers: JoinSet<()>,
}

/// What there is to see: addresses and names, no handles.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) front: Front,
    pub(super) issuer: DevIssuer,
    pub(super) upstream: SocketAddr,
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    /// A token of alice's.
    pub(super) token: String,
}

/// Where requests come in.
#[derive(Clone, Debug)]
pub(super) enum Front {
    /// Through Envoy, at this address.
    Envoy(SocketAddr),
    /// Straight at Doorward's HTTP front: there is no Envoy.
    Http(SocketAddr),
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
    #[error("port {port} cannot be had (0 stands for any)")]
    Port {
        /// Which.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// `DOORWARD_ENVOY` is wrong.
    #[error(transparent)]
    Search(SearchError),
    /// The Envoy that was found does not run.
    #[error("Envoy did not start (`--no-envoy` does without)")]
    Envoy(#[from] EnvoyError),
    /// `envoy/envoy.yaml` has changed.
    #[error(transparent)]
    Template(#[from] TemplateError),
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

impl Front {
    /// The URL of a path behind the door.
    pub(super) fn url(&self, path: &str) -> String {
        match self {
            Self::Envoy(address) => format!("http://{address}{path}"),
            Self::Http(address) => format!("http://{address}/apis/auth/ext-authz{path}"),
        }
    }
}

impl Stage {
    pub(super) async fn start(
        args: &DemoArgs,
        search: &EnvoySearch,
        start: StartDoor,
        feed: Feed,
    ) -> Result<Self, StageError> {
        let envoy = if args.no_envoy { None } else { find_envoy(search).await? };
        let ports = Ports::choose(args, envoy.is_some())?;
        let (running, over) = watch::channel(());
        let mut servers = JoinSet::new();
        let until_over = || {
            let mut over = over.clone();
            async move { while over.changed().await.is_ok() {} }
        };

        let options = DevIssuerOptions::default();
        let issuer = DevIssuer::bind(ports.issuer, options).await?;
        let serving = issuer.serve(until_over());
        servers.spawn(async move { drop(serving.await) });
        let echo = Echo::bind(ports.upstream)?;
        let upstream = echo.address();
        let serving = echo.serve(until_over());
        servers.spawn(async move { drop(serving.await) });

        let scene = Scene {
            front: match envoy {
                Some(_) => Front::Envoy(ports.door),
                None => Front::Http(ports.http),
            },
            token: issuer.mint("alice", json!({ "scope": "openid email models:read" }))?,
            issuer,
            upstream,
            grpc: ports.grpc,
            http: ports.http,
            admin: ports.admin,
        };
        let yaml = demo_settings(&scene);
        // With Envoy, its access log tells what became of each request.
        let (envoy_feed, door_feed) = match envoy {
            Some(_) => (Some(feed), None),
            None => (None, Some(feed)),
        };
        // On a thread of its own: starting a server with its own threads blocks.
        let door = tokio::task::spawn_blocking(move || start(&yaml, door_feed));
        let door = door.await.map_err(|died| StageError::Door(died.into()))?;
        let door = Some(door.map_err(StageError::Door)?);
        let mut stage = Self { scene, envoy: None, door, _running: running, servers };
        stage.door_is_ready().await?;
        if let Some(binary) = envoy {
            let ports = ports.envoy(upstream);
            let config = ports.fill(include_str!("../../../envoy/envoy.yaml"))?;
            let mut envoy = EnvoyProcess::start(&binary, &config, &ports).await?;
            if let (Some(feed), Some(log)) = (envoy_feed, envoy.take_output()) {
                stage.servers.spawn(watching::follow(log, feed));
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
        let url = format!("http://{}/health/ready", self.scene.admin);
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
async fn find_envoy(search: &EnvoySearch) -> Result<Option<std::path::PathBuf>, StageError> {
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

/// Doorward's configuration: nothing but the issuer and where to listen.
fn demo_settings(scene: &Scene) -> String {
    let Scene { issuer, grpc, http, admin, .. } = scene;
    let (url, audience, client) = (issuer.issuer_url(), issuer.audience(), issuer.client_id());
    format!(
        "auth:\n  oidc:\n    issuer: {url}\n    client_id: {client}\n    audience: {audience}\n\
         server:\n  grpc: {{ listen: '{grpc}' }}\n  http: {{ listen: '{http}' }}\n  \
         admin: {{ listen: '{admin}' }}\n  workers: 1\n\
         rules:\n  bypass: [/public/*]\n\
         log: {{ level: warn, decisions: 'off' }}\n"
    )
}

/// Where everything listens.
#[derive(Clone, Copy, Debug)]
struct Ports {
    door: SocketAddr,
    envoy_admin: SocketAddr,
    issuer: SocketAddr,
    upstream: SocketAddr,
    grpc: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
}

impl Ports {
    /// The ports the documentation uses where they are free, for people; any free ones
    /// for `--once`, which may run beside anything.
    fn choose(args: &DemoArgs, envoy: bool) -> Result<Self, StageError> {
        // Held until all are chosen: no two get the same.
        let mut held = Vec::new();
        let mut choose = |usual: u16, wanted: Option<u16>| {
            let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
            let listener = match wanted {
                Some(port) => bind(port),
                None if args.once => bind(0),
                None => bind(usual).or_else(|_| bind(0)),
            };
            let address = listener.and_then(|listener| {
                let address = listener.local_addr();
                held.push(listener);
                address
            });
            let port = wanted.unwrap_or(0);
            address.map_err(|source| StageError::Port { port, source })
        };
        Ok(Self {
            door: choose(10000, args.port.filter(|_| envoy))?,
            envoy_admin: choose(9901, None)?,
            issuer: choose(9180, None)?,
            upstream: choose(8080, None)?,
            grpc: choose(9191, None)?,
            http: choose(8181, args.port.filter(|_| !envoy))?,
            admin: choose(9192, None)?,
        })
    }

    fn envoy(&self, upstream: SocketAddr) -> EnvoyPorts {
        EnvoyPorts {
            door: self.door.port(),
            admin: self.envoy_admin.port(),
            doorward: self.grpc.port(),
            upstream: upstream.port(),
        }
    }
}
