//! NeMo Platform's rules (tests/policies/nemo/requests.yaml), by each provider of policies: by roles,
//! by Rego in the process, and by a real OPA. Each through `Check` and through a real Envoy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::support::check::{Ask, get};
use crate::support::cli::Cli;
use crate::support::doorward::Doorward;
use crate::support::gateway::Gateway;
use crate::support::opa::Opa;
use crate::support::raw;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

#[derive(Deserialize)]
struct Table {
    people: BTreeMap<String, Map<String, Value>>,
    requests: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize)]
struct Row {
    r#as: Option<String>,
    #[serde(default = "method")]
    method: String,
    path: String,
    expect: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn method() -> String {
    "GET".to_owned()
}

impl Table {
    fn read() -> Self {
        let text = std::fs::read_to_string(file("requests.yaml")).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }

    fn token(&self, row: &Row) -> Option<String> {
        let person = self.people.get(row.r#as.as_ref()?).expect("a person of the table");
        // What the person does not claim, the token does not.
        let mut all = json!({"scope": null, "groups": null, "email": null});
        all.as_object_mut().unwrap().extend(person.clone());
        let all = claims(ISSUER, all);
        Some(RSA.token("RS256", &all))
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies/nemo").join(name)
}

/// A configuration with this policy; times are long enough for a busy machine.
fn config(mut policy: Value) -> String {
    if policy["provider"] != "roles" {
        policy["timeout"] = json!("5s");
    }
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "keys": {"wait": "5s"},
        "policy": policy,
    })
    .to_string()
}

fn roles() -> Value {
    json!({"provider": "roles", "files": [file("data.json")]})
}

fn embedded() -> Value {
    json!({"provider": "embedded", "files": [file("data.json"), file("authz.rego")]})
}

/// A real OPA with the same policy; `None`: there is no OPA, the test is skipped.
async fn opa() -> Option<Opa> {
    let text = |name| std::fs::read_to_string(file(name)).unwrap();
    let (data, rego) = (text("data.json"), text("authz.rego"));
    Opa::start(&[("data.json", &data), ("authz.rego", &rego)]).await
}

async fn holds_through_check(policy: Value) {
    let table = Table::read();
    let doorward = Doorward::start(&config(policy)).await;
    doorward.ready().await;
    let mut checker = doorward.checker().await;
    let mut wrong = Vec::new();
    for row in &table.requests {
        let ask: Ask = get(&row.path).method(&row.method);
        let ask = match table.token(row) {
            Some(token) => ask.bearer(&token),
            None => ask,
        };
        let outcome = checker.ask(ask).await;
        let is_so = match row.expect.as_str() {
            "allow" => outcome.status == 200,
            "deny" => outcome.status != 200,
            reason => outcome.reason == reason,
        };
        let set = row.headers.iter().all(|(name, value)| {
            outcome.header(&name.to_ascii_lowercase()) == Some(value.as_str())
        });
        if !is_so || !set {
            wrong.push(format!("{row:?}: {} {}", outcome.status, outcome.reason));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(table.requests.len() > 50);
}

#[tokio::test]
async fn by_roles() {
    holds_through_check(roles()).await;
}

#[cfg(feature = "policy")]
#[tokio::test]
async fn by_rego_in_the_process() {
    holds_through_check(embedded()).await;
}

#[tokio::test]
async fn by_an_opa() {
    let Some(opa) = opa().await else { return };
    holds_through_check(json!({"provider": "opa", "opa": {"url": opa.url()}})).await;
}

/// What the upstream sees, by an Envoy over gRPC: the word that it was authorized, and never a forged
/// one.
async fn holds_through_envoy(policy: Value) {
    let Some(gateway) = Gateway::start("envoy.yaml", &config(policy)).await else { return };
    let table = Table::read();
    for row in &table.requests {
        // Envoy refuses or normalizes what can be read in two ways before anybody is asked.
        if row.expect == "malformed_request" || row.expect == "deny" {
            continue;
        }
        let request = raw::request(&row.method, &row.path).header("X-NMP-Authorized", "forged");
        let request = match table.token(row) {
            Some(token) => request.header("Authorization", &format!("Bearer {token}")),
            None => request,
        };
        let reply = gateway.send(&request).await;
        let status = match row.expect.as_str() {
            "allow" => 200,
            "missing_token" => 401,
            _ => 403,
        };
        assert_eq!(reply.status, status, "{row:?}");
    }
}

#[tokio::test]
async fn by_roles_behind_envoy() {
    holds_through_envoy(roles()).await;
}

#[cfg(feature = "policy")]
#[tokio::test]
async fn by_rego_behind_envoy() {
    holds_through_envoy(embedded()).await;
}

#[tokio::test]
async fn by_an_opa_behind_envoy() {
    let Some(opa) = opa().await else { return };
    holds_through_envoy(json!({"provider": "opa", "opa": {"url": opa.url()}})).await;
}

/// The same table by the command line.
#[tokio::test]
async fn policy_test_says_the_same() {
    let (cli, dir) = (Cli::new(), tempfile::tempdir().unwrap());
    let requests = file("requests.yaml");
    let of_rego = cfg!(feature = "policy").then(embedded);
    for policy in [roles()].into_iter().chain(of_rego) {
        let path = dir.path().join("doorward.json");
        std::fs::write(&path, config(policy)).unwrap();
        let (path, requests) = (path.to_str().unwrap(), requests.to_str().unwrap());
        let ended = cli.run(&["policy", "test", "--config", path, requests]).await;
        assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    }
}
