//! Everything the demonstration consists of, brought up in order and taken down again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward_dev::envoy::{EnvoyProcess, EnvoySearch, Found, SearchError, fetch};
use doorward_dev::{DevIssuer, DevIssuerOptions, Echo};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ports::Ports;
use super::ports::believe;
use super::server::{Feed, Server, StartServer};
use super::setup::{Front, Setup};
use super::{DemoArgs, DemoError, find_module, watch as watching, words};

/// How long Doorward may take until it has the issuer's keys.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(10);
/// Decisions are shown here and not in a log; and where no Envoy has routes, the rules
/// say what needs no token.
const EMBEDDED: &str = "rules: { bypass: [/public/*] }\nlog: { level: warn, decisions: 'off' }\n";

/// All that runs.
#[derive(Debug)]
pub(super) struct Demo {
    pub(super) setup: Setup,
    envoy: Option<EnvoyProcess>,
    server: Option<Server>,
    echo: Option<Echo>,
    follower: JoinSet<()>,
}

impl Demo {
    pub(super) async fn start(
        args: &DemoArgs,
        search: &EnvoySearch,
        start: StartServer,
        feed: Feed,
    ) -> Result<Self, DemoError> {
        // Who writes its configuration is told how to start one.
        let without = args.no_envoy || (args.issuer_only && args.write.is_none());
        let module = match args.inside {
            true => Some(find_module().ok_or(DemoError::NoModule)?),
            false => None,
        };
        let envoy = if without { None } else { find_envoy(search).await? };
        if module.is_some() && envoy.is_none() {
            return Err(DemoError::NoEnvoy);
        }
        let ports = Ports::choose(args, envoy.is_some())?;
        let issuer = DevIssuer::start(ports.issuer, DevIssuerOptions::default()).await?;
        let setup = Setup {
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
            module,
        };
        if let Some(dir) = &setup.written {
            ports.write(dir, &setup.issuer, &setup.upstream)?;
        }
        let mut demo =
            Self { setup, envoy: None, server: None, echo: None, follower: JoinSet::new() };
        let Some(front) = demo.setup.front else { return Ok(demo) };
        if demo.setup.echoes {
            demo.echo = Some(Echo::start(ports.upstream).await?);
        }
        if demo.setup.module.is_none() {
            demo.start_server(start, &feed).await?;
        }
        if let (Front::Envoy, Some(binary)) = (front, &demo.setup.envoy) {
            let addresses = ports.envoy(&demo.setup.upstream);
            let (entrance, admin) = (addresses.listener_address(), addresses.admin_address());
            let modules = demo.setup.module.as_deref().and_then(Path::parent);
            let configuration = match modules {
                Some(_) => addresses.with_module(&inside(&demo.setup.issuer)),
                None => addresses.configuration(),
            };
            let mut envoy =
                EnvoyProcess::start(binary, &configuration, entrance, admin, modules).await?;
            if let Some(log) = envoy.take_output() {
                demo.follower.spawn(watching::follow(log, feed));
            }
            demo.envoy = Some(envoy);
        }
        Ok(demo)
    }

    /// Starts the server beside Envoy, or without one.
    async fn start_server(&mut self, start: StartServer, feed: &Feed) -> Result<(), DemoError> {
        let yaml = self.setup.ports.doorward(&self.setup.issuer) + EMBEDDED;
        // With Envoy, its access log tells what became of each request.
        let server_feed = (self.setup.front == Some(Front::Http)).then(|| feed.clone());
        // On a thread of its own: starting a server with its own threads blocks.
        let server = tokio::task::spawn_blocking(move || start(&yaml, server_feed));
        let server = server.await.map_err(|died| DemoError::Server(died.into()))?;
        self.server = Some(server.map_err(DemoError::Server)?);
        self.server_is_ready().await
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
        let server = self.server.take();
        drop(tokio::task::spawn_blocking(move || drop(server)).await);
    }

    async fn server_is_ready(&self) -> Result<(), DemoError> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(1)).build()?;
        let url = format!("http://{}/health/ready", self.setup.ports.admin);
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            let answer = http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(DemoError::NotReady)
    }
}

/// What the module reads: the issuer, and that clients learn of it at the gateway.
fn inside(issuer: &DevIssuer) -> String {
    believe(issuer) + "module: { documents: true }\nlog: { decisions: 'off' }\n"
}

/// An Envoy, fetched when there is none; `None` when that fails, which is said.
async fn find_envoy(search: &EnvoySearch) -> Result<Option<PathBuf>, DemoError> {
    let dir = match search.find() {
        Ok(Found::Binary(binary)) => return Ok(Some(binary)),
        Ok(Found::Nothing { fetch_into }) => fetch_into,
        Err(wrong @ SearchError::NamedIsMissing(_)) => return Err(DemoError::Search(wrong)),
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
