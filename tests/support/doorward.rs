//! A whole Doorward on free ports of this machine, and what one asks of it.

use std::net::SocketAddr;
use std::sync::Arc;

use doorward::app::{self, Running, StartError};
use doorward::config::{ListenAddress, Settings};
use doorward::explain::{Answer, Explanation};
use doorward::transport::Watcher;
use doorward_core::clock::{Clock as _, SystemClock};

use super::check::{Ask, Checker, Outcome, get};
use super::module::{Module, assert_same};
use super::{PATIENCE, eventually, http};

pub struct Doorward {
    runs: Runs,
    /// Who else is asked beside every `Check`, and must agree.
    beside: Option<Beside>,
}

/// Where decisions are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// In a server of its own, which Envoy calls by gRPC.
    Grpc,
    /// In the module inside Envoy.
    Module,
}

enum Runs {
    Server(Arc<Running>),
    /// With the issuers that it obtains keys of.
    Inside(Module, Vec<String>),
}

struct Beside {
    /// What `explain` goes by.
    config: String,
    /// `None`: it does not serve this configuration.
    module: Option<Module>,
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
        Self { runs: Runs::Server(Arc::new(running.unwrap())), beside: None }
    }

    /// The same, and every [`ask`](Self::ask) is also put to `explain` and to the module inside Envoy,
    /// which must agree.
    pub async fn start_explained(config: &str) -> Self {
        let module = Some(Module::start(config).await);
        let mut doorward = Self::start(config).await;
        doorward.beside = Some(Beside { config: config.to_owned(), module });
        doorward
    }

    /// The same with a configuration that the module does not serve, for this key of it, as it says:
    /// every [`ask`](Self::ask) is also put to `explain`.
    pub async fn start_explained_outside(config: &str, key: &str) -> Self {
        let refusal = Module::refusal(config).await;
        assert!(refusal.contains(key), "{key} is not in {refusal}");
        let mut doorward = Self::start(config).await;
        doorward.beside = Some(Beside { config: config.to_owned(), module: None });
        doorward
    }

    /// Starts this front of it.
    pub async fn start_at(front: Front, config: &str) -> Self {
        match front {
            Front::Grpc => Self::start(config).await,
            Front::Module => {
                let issuers = settings(config).issuers;
                let fetched = issuers.iter().map(|one| one.token.issuer.to_string()).collect();
                let module = Module::start(config).await;
                Self { runs: Runs::Inside(module, fetched), beside: None }
            }
        }
    }

    fn server(&self) -> &Arc<Running> {
        match &self.runs {
            Runs::Server(running) => running,
            Runs::Inside(..) => panic!("there is no server"),
        }
    }

    /// Decides by another configuration from now on.
    pub async fn reload(&self, config: &str) {
        self.try_reload(config).await.unwrap();
    }

    /// The same, if it can be put to work.
    pub async fn try_reload(&self, config: &str) -> Result<(), StartError> {
        if let Runs::Inside(module, _) = &self.runs {
            module.try_update(config).await.unwrap_or_else(|refused| panic!("{refused:?}"));
            return Ok(());
        }
        let (running, settings) = (Arc::clone(self.server()), settings(config));
        tokio::task::spawn_blocking(move || running.reload(settings)).await.unwrap()
    }

    /// Waits until every issuer was asked for its keys.
    pub async fn ready(&self) {
        if let Runs::Inside(_, issuers) = &self.runs {
            return Module::ready(issuers).await;
        }
        let (client, url) = (http(), self.admin("/health/ready"));
        eventually("Doorward is ready", PATIENCE, async || {
            let answer = client.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// The value of a metric, its labels written out as in the text format.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        if let Runs::Inside(module, _) = &self.runs {
            module.told().await;
            return Some(Module::statistic(name).unwrap_or_default() as f64);
        }
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }

    /// All metrics.
    pub async fn metrics(&self) -> String {
        http().get(self.admin("/metrics")).send().await.unwrap().text().await.unwrap()
    }

    pub fn grpc(&self) -> String {
        self.server().grpc().to_string()
    }

    pub fn grpc_address(&self) -> SocketAddr {
        tcp(self.server().grpc())
    }

    pub fn http_address(&self) -> SocketAddr {
        tcp(self.server().http())
    }

    pub fn admin_address(&self) -> SocketAddr {
        tcp(self.server().admin())
    }

    pub fn console_address(&self) -> SocketAddr {
        tcp(self.server().console().expect("the console is on"))
    }

    pub fn console(&self, path: &str) -> String {
        format!("http://{}{path}", self.console_address())
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.server().http())
    }

    pub fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.server().admin())
    }

    pub async fn checker(&self) -> Checker {
        match &self.runs {
            Runs::Server(_) => Checker::connect(&self.grpc()).await,
            Runs::Inside(module, _) => Checker::Module(module.clone()),
        }
    }

    /// One `Check` on a connection of its own.
    pub async fn ask(&self, ask: Ask) -> Outcome {
        let outcome = self.checker().await.ask(ask.clone()).await;
        let Some(Beside { config, module }) = &self.beside else { return outcome };
        let settings = settings(config);
        let explanation = tokio::task::spawn_blocking({
            let ask = ask.clone();
            move || explained(settings, &ask)
        });
        assert_agree(&explanation.await.unwrap(), &outcome, &ask);
        if let Some(module) = module {
            match module.try_ask(ask.clone()).await {
                Some(inside) => assert_same(&inside, &outcome, &ask),
                // Envoy refuses such a route; a server learns of it by the first request.
                None => assert_eq!(outcome.reason, "policy_unavailable", "{ask:?}"),
            }
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

/// One test a front of each of these functions, which take it.
macro_rules! each_front {
    ($($test:ident),* $(,)?) => {
        mod over_grpc {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::support::doorward::Front::Grpc).await;
            })*
        }

        mod inside_envoy {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::support::doorward::Front::Module).await;
            })*
        }
    };
}
pub(crate) use each_front;

pub fn settings(config: &str) -> Settings {
    Settings::from_yaml("test", config).unwrap_or_else(|faults| panic!("{faults}"))
}

fn tcp(address: &ListenAddress) -> SocketAddr {
    match address {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(path) => panic!("{} is no TCP address", path.display()),
    }
}
