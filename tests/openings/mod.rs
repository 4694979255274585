//! Everything in an Envoy configuration that could let a request past Doorward, or change what
//! it answered: each row is a small change to a file of `envoy/`, tried in a real Envoy and
//! examined by `doctor --envoy`, and both must say the same.
//!
//! | file | rows about |
//! |---|---|
//! | `filter` | the ext_authz filter's own fields, and what surrounds it |
//! | `neighbours` | other HTTP filters, in front of it and behind |
//! | `routes` | route tables, virtual hosts, routes, weighted clusters |
//! | `entrances` | other listeners, upgrades, clusters, the bootstrap |
//! | `patch`, `probes` | how a row is applied, and what is asked of its Envoy |

mod entrances;
mod filter;
mod neighbours;
mod patch;
mod probes;
mod routes;

use std::fmt::Write as _;

use doorward::doctor::Outcome;
use serde_json::json;

use self::patch::patched;
use self::probes::{Probe, Scene, Verdict};
use crate::support::doctor_envoy::faults;
use crate::support::doorward::Doorward;
use crate::support::echo::Echo;
use crate::support::envoy::{Behind, Envoy, fill};
use crate::support::gateway::behind;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::tools;

const ISSUER: &str = "https://idp.example";

/// A change, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Row {
    name: &'static str,
    file: &'static str,
    /// Lines of the file to replace, before it is read.
    lines: Vec<(&'static str, &'static str)>,
    /// Where, and what is merged or put in there (see `patch`).
    changes: Vec<(&'static str, &'static str)>,
    probe: Probe,
    envoy: Verdict,
    doctor: Vec<(&'static str, Outcome)>,
}

fn row(name: &'static str, at: &'static str, change: &'static str, envoy: Verdict) -> Row {
    let changes = if change.is_empty() { Vec::new() } else { vec![(at, change)] };
    let (file, probe) = ("envoy.yaml", Probe::Requests);
    Row { name, file, lines: Vec::new(), changes, probe, envoy, doctor: Vec::new() }
}

/// A forged or unauthenticated request reaches the upstream, and the check `check` fails.
fn opens(name: &'static str, at: &'static str, change: &'static str, check: &'static str) -> Row {
    row(name, at, change, Verdict::Opens).fails(check)
}

/// What Doorward answered is changed on the way, and the check `check` fails.
fn alters(name: &'static str, at: &'static str, change: &'static str, check: &'static str) -> Row {
    row(name, at, change, Verdict::Alters).fails(check)
}

/// Nothing passes that should not, and the doctor has no remark.
fn holds(name: &'static str, at: &'static str, change: &'static str) -> Row {
    row(name, at, change, Verdict::Holds)
}

impl Row {
    /// A change to `envoy-http.yaml`.
    fn http(self) -> Self {
        Self { file: "envoy-http.yaml", ..self }
    }

    fn and(mut self, at: &'static str, change: &'static str) -> Self {
        self.changes.push((at, change));
        self
    }

    fn line(mut self, line: &'static str, changed: &'static str) -> Self {
        self.lines.push((line, changed));
        self
    }

    fn probed(self, probe: Probe) -> Self {
        Self { probe, ..self }
    }

    fn fails(mut self, check: &'static str) -> Self {
        self.doctor.push((check, Outcome::Fail));
        self
    }

    /// Instead of failing: where only the operator can tell.
    fn warns(mut self) -> Self {
        self.doctor.iter_mut().for_each(|(_, outcome)| *outcome = Outcome::Warn);
        self
    }

    fn warned(mut self, check: &'static str) -> Self {
        self.doctor.push((check, Outcome::Warn));
        self
    }
}

/// Tries every row, and panics with all that came out otherwise.
async fn table(rows: Vec<Row>) {
    let Some(binary) = tools::tool("envoy").await else { return };
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"bypass": ["/public/*"]},
    });
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let (doorward, echo) = (Doorward::start(&config.to_string()).await, Echo::start().await);
    doorward.ready().await;
    let mut wrong = String::new();
    for row in rows {
        let Behind { grpc, http, upstream } = behind(&doorward, &echo);
        // Port 1: nobody is there.
        let away = matches!(row.probe, Probe::DoorwardAway);
        let ports = if away { Behind { grpc: 1, http: 1, upstream } } else { Behind { grpc, http, upstream } };
        let mut text = fill(&tools::file(&format!("envoy/{}", row.file)), ports);
        for (line, changed) in &row.lines {
            assert_eq!(text.matches(line).count(), 1, "{}: {line}", row.file);
            text = text.replace(line, changed);
        }
        if !row.changes.is_empty() {
            text = patched(&text, &row.changes, &token, upstream, &jwks([&*RSA]).to_string()).to_string();
        }
        let name = if row.changes.is_empty() { "envoy.yaml" } else { "envoy.json" };
        let found = match Envoy::try_run(&binary, name, &text).await {
            Err(said) => (Verdict::Refused, said),
            Ok(envoy) => {
                let scene = Scene { envoy: &envoy, echo: &echo, token: &token };
                scene.verdict(&row.probe).await
            }
        };
        let mut said: Vec<_> =
            faults(&text).into_iter().map(|(check, outcome, _)| (check, outcome)).collect();
        let mut expected = row.doctor.clone();
        said.sort_unstable();
        expected.sort_unstable();
        if found.0 != row.envoy || said != expected {
            let _ = writeln!(wrong, "{}:\n  Envoy {:?}: {}\n  doctor {said:?}", row.name, found.0, found.1.replace('\n', "\n    "));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test]
async fn fields_of_the_filter() {
    table(filter::rows()).await;
}

#[tokio::test]
async fn filters_around_it() {
    table(neighbours::rows()).await;
}

#[tokio::test]
async fn routes_at_every_level() {
    table(routes::rows()).await;
}

#[tokio::test]
async fn other_ways_to_the_upstream() {
    table(entrances::rows()).await;
}
