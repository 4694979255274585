//! A real Envoy with the module, and what it stands between.

mod envoy;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use doorward_dev::{DevIssuer, Echo};
use serde_json::{Value, json};

pub use self::envoy::{Envoy, listener, module, per_route, validate};

/// How long anything on this machine may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until there is an answer. Panics when there is none.
pub async fn eventually<T>(what: &str, mut answer: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = answer().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A client without proxies.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// The Envoy that `scripts/fetch` has. `None`, with a line that says so, where a test has to do
/// without.
pub fn envoy_binary() -> Option<PathBuf> {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let skip = std::env::var("DOORWARD_SKIP").unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fetch = Command::new(root.join("scripts/fetch")).arg("envoy").output().unwrap();
    if !skip.split_whitespace().any(|skipped| skipped == "envoy") && fetch.status.success() {
        return Some(String::from_utf8(fetch.stdout).unwrap().trim_end().into());
    }
    let said = String::from_utf8_lossy(&fetch.stderr);
    assert!(std::env::var("CI").is_err(), "{said}");
    let _ = writeln!(std::io::stderr(), "skipped for want of envoy: {test}");
    None
}

/// The module as it was built for this test.
pub fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.with_file_name("libdoorward_envoy.so");
    assert!(library.is_file(), "{}: cargo builds it beside the tests", library.display());
    library
}

/// An issuer, and an upstream that answers with what it was sent.
pub struct Around {
    pub issuer: DevIssuer,
    pub upstream: Echo,
    pub envoy: PathBuf,
    /// Where Envoy looks for modules.
    pub modules: PathBuf,
    /// A server of ours, for what is held against it.
    pub server: Option<SocketAddr>,
}

impl Around {
    /// `None`: there is no Envoy, and the test is skipped.
    pub async fn start() -> Option<Self> {
        let envoy = envoy_binary()?;
        let issuer = DevIssuer::start_with_faults().await.unwrap();
        let upstream = Echo::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let modules = library().parent().unwrap().to_owned();
        Some(Self { issuer, upstream, envoy, modules, server: None })
    }

    /// A configuration that believes the issuer's tokens.
    pub fn config(&self) -> Value {
        let (issuer, audience) = (self.issuer.issuer_url(), self.issuer.audience());
        json!({"auth": {"oidc": {"issuer": issuer, "audience": audience}}})
    }

    /// The usual token.
    pub fn token(&self) -> String {
        self.issuer.mint("alice", json!({})).unwrap()
    }
}

/// Puts the members of one object over those of another.
pub fn with(mut config: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}
