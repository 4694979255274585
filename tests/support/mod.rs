//! What the tests stand on.

pub mod browser;
pub mod bundles;
pub mod check;
pub mod cli;
pub mod console;
pub mod doctor;
pub mod doctor_envoy;
pub mod doorward;
pub mod echo;
pub mod entra;
pub mod envoy;
pub mod explain;
pub mod frames;
pub mod gateway;
pub mod idp;
pub mod keycloak;
pub mod module;
pub mod oauth;
pub mod oidc_provider;
pub mod opa;
pub mod pages;
pub mod process;
pub mod raw;
pub mod registry;
pub mod scripted;
pub mod served;
pub mod signer;
pub mod tls;
pub mod tools;

use std::time::Duration;

/// How long anything on this machine may take that does not start a program.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks until there is an answer. Panics after `patience`.
pub async fn eventually<T>(
    what: &str,
    patience: Duration,
    mut answer: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        if let Some(answer) = answer().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A client for talks with children of ours: no proxy from the environment, no
/// redirects.
pub fn http() -> reqwest::Client {
    http_within(PATIENCE)
}

/// The same; an answer may take so long.
pub fn http_within(patience: Duration) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(patience)
        .build()
        .unwrap()
}
