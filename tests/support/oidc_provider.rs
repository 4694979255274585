//! panva's oidc-provider as an issuer of RS256 and ES256 tokens of type `at+jwt`.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::Process;
use super::{eventually, http, tools};

pub struct OidcProvider {
    issuer: String,
    process: Process,
}

/// The audience of its tokens.
pub const RESOURCE: &str = "urn:doorward:test";

impl OidcProvider {
    /// `None`: there is none, and the test is skipped.
    pub async fn start() -> Option<Self> {
        let modules = tools::tool("oidc-provider").await?;
        let mut process = Process::start(
            Command::new("node")
                .env("DOORWARD_OIDC_PROVIDER", modules)
                .arg(tools::root().join("tests/support/oidc-provider/server.mjs"))
                .args(["0", "--until-eof"]),
        );
        let line = eventually("oidc-provider is ready", Duration::from_secs(60), async || {
            process.assert_alive();
            let said = process.stdout();
            said.split_once('\n').map(|(line, _)| line.to_owned())
        })
        .await;
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["resource"], RESOURCE);
        Some(Self { issuer: ready["issuer"].as_str().unwrap().to_owned(), process })
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The token of a machine: `nmp-job` gets RS256, `nmp-job-es256` ES256.
    pub async fn token(&self, client: &str) -> String {
        let request = http()
            .post(format!("{}/token", self.issuer))
            .basic_auth(client, Some("nmp-job-secret"))
            .form(&[("grant_type", "client_credentials"), ("scope", "platform:read")]);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Ends the process.
    pub fn stop(&mut self) {
        self.process.kill();
    }
}
