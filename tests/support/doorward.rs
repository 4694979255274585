//! A whole Doorward on free ports of this machine, and what one asks of it.

use std::net::SocketAddr;
use std::sync::Arc;

use doorward::app::{self, Running, StartError};
use doorward::config::{ListenAddress, Settings};
use doorward::explain::{Answer, Explanation};
use doorward::transport::Watcher;
use doorward_core::clock::{Clock as _, SystemClock};

use super::check::{Ask, Checker, Outcome, get};
use super::{PATIENCE, eventually, http};

pub struct Doorward {
    running: Arc<Running>,
    /// What `explain` goes by, when it is asked beside every `Check`.
    explained: Option<String>,
}

impl Doorward {
    /// Starts a server with this configuration (YAML or JSON), its listeners on free
    /// ports.
    pub async fn start(config: &str) -> Self {
        Self::start_watched(config, None).await
    }

    /// The same; `watcher` is told of every decision.
    pub async fn start_watched(config: &str, watcher: Option<Watcher>) -> Self {
        Self::start_with(settings(config), watcher).await
    }

    /// The same with settings that no configuration can give.
    pub async fn start_with(mut settings: Settings, watcher: Option<Watcher>) -> Self {
        let server = &mut settings.server;
        let always = [&mut server.grpc, &mut server.http, &mut server.admin];
        for listener in always.into_iter().chain(&mut server.console) {
            if let ListenAddress::Tcp(address) = &mut listener.listen {
                address.set_port(0);
            }
        }
        server.workers = 1;
        // Clients of the test live on the thread that waits for the end.
        server.drain = std::time::Duration::from_millis(100);
        let running = tokio::task::spawn_blocking(|| app::start(settings, watcher)).await.unwrap();
        Self { running: Arc::new(running.unwrap()), explained: None }
    }

    /// The same, and every [`ask`](Self::ask) is also put to `explain`, which must agree.
    pub async fn start_explained(config: &str) -> Self {
        let mut doorward = Self::start(config).await;
        doorward.explained = Some(config.to_owned());
        doorward
    }

    /// Decides by another configuration from now on.
    pub async fn reload(&self, config: &str) {
        self.try_reload(config).await.unwrap();
    }

    /// The same, if it can be put to work.
    pub async fn try_reload(&self, config: &str) -> Result<(), StartError> {
        let (running, settings) = (Arc::clone(&self.running), settings(config));
        tokio::task::spawn_blocking(move || running.reload(settings)).await.unwrap()
    }

    /// Waits until every issuer was asked for its keys.
    pub async fn ready(&self) {
        let (client, url) = (http(), self.admin("/health/ready"));
        eventually("Doorward is ready", PATIENCE, async || {
            let answer = client.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// The value of a metric, its labels written out as in the text format.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }

    /// All metrics.
    pub async fn metrics(&self) -> String {
        http().get(self.admin("/metrics")).send().await.unwrap().text().await.unwrap()
    }

    pub fn grpc(&self) -> String {
        self.running.grpc().to_string()
    }

    pub fn grpc_address(&self) -> SocketAddr {
        tcp(self.running.grpc())
    }

    pub fn http_address(&self) -> SocketAddr {
        tcp(self.running.http())
    }

    pub fn admin_address(&self) -> SocketAddr {
        tcp(self.running.admin())
    }

    pub fn console_address(&self) -> SocketAddr {
        tcp(self.running.console().expect("the console is on"))
    }

    pub fn console(&self, path: &str) -> String {
        format!("http://{}{path}", self.console_address())
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.http())
    }

    pub fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.admin())
    }

    pub async fn checker(&self) -> Checker {
        Checker::connect(&self.grpc()).await
    }

    /// One `Check` on a connection of its own.
    pub async fn ask(&self, ask: Ask) -> Outcome {
        let outcome = self.checker().await.ask(ask.clone()).await;
        if let Some(config) = &self.explained {
            let settings = settings(config);
            let explanation = tokio::task::spawn_blocking({
                let ask = ask.clone();
                move || explained(settings, &ask)
            });
            assert_agree(&explanation.await.unwrap(), &outcome, &ask);
        }
        outcome
    }
}

impl Doorward {
    /// What becomes of a request with this token, on a connection of its own.
    pub async fn ask_with(&self, token: &str) -> Outcome {
        self.ask(get("/v1/models").bearer(token)).await
    }

    /// Asks until that comes to `reason`.
    pub async fn eventually_is(&self, token: &str, reason: &str) {
        eventually(reason, PATIENCE, async || {
            (self.ask_with(token).await.reason == reason).then_some(())
        })
        .await;
    }
}

fn explained(settings: Settings, ask: &Ask) -> Explanation {
    ask.view(|request| app::explain_request(settings, request, SystemClock.now()).unwrap())
}

/// Allow or reason, status, and every header set and removed.
fn assert_agree(explanation: &Explanation, outcome: &Outcome, ask: &Ask) {
    let of_check = (outcome.status, outcome.reason.as_str());
    let of_explain = (i32::from(explanation.status), explanation.reason);
    assert_eq!(of_check, of_explain, "{ask:?}: {explanation:#?}");
    assert_eq!(explanation.decision == Answer::Allow, outcome.status == 200, "{ask:?}");
    let failed = explanation.failed();
    assert_eq!(failed.is_some(), outcome.status != 200, "{ask:?}: {explanation:#?}");
    if let Some(failed) = failed {
        let told = !failed.expected.is_empty() && !failed.found.is_empty();
        assert!(told && failed.remedy.is_some(), "{ask:?}: {failed:?}");
    }
    for step in &explanation.steps {
        let texts = [&step.expected, &step.found, step.remedy.as_ref().unwrap_or(&step.found)];
        assert!(!texts.iter().any(|text| text.contains(char::is_control)), "{step:?}");
    }
    let Some(changes) = &explanation.headers else { return };
    let set: Vec<_> = outcome.headers.clone().into_iter().collect();
    let (mut told, mut removed) = (changes.set.clone(), changes.remove.clone());
    told.sort();
    assert_eq!(told, set, "{ask:?}");
    removed.sort();
    let mut expected = outcome.removed.clone();
    expected.sort();
    assert_eq!(removed, expected, "{ask:?}");
}

pub fn settings(config: &str) -> Settings {
    Settings::from_yaml("test", config).unwrap_or_else(|faults| panic!("{faults}"))
}

fn tcp(address: &ListenAddress) -> SocketAddr {
    match address {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(path) => panic!("{} is no TCP address", path.display()),
    }
}
