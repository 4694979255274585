//! Everything in an Envoy configuration that could let a request past Doorward, or change what
//! it answered: each row of the tables is a small change to a file of `envoy/`, tried in a real
//! Envoy and examined by `doctor --envoy`, and both must say the same.
//!
//! | file | what |
//! |---|---|
//! | `filter.yaml`, `neighbours.yaml`, `routes.yaml`, `entrances.yaml`, `module.yaml` | the rows |
//! | `row`, `patch` | how a row is read, and applied |
//! | `probes` | what is asked of its Envoy |

mod patch;
mod probes;
mod row;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::doctor::Outcome;
use serde_json::json;

use self::patch::patched;
use self::probes::{Probe, Scene, Verdict};
use self::row::{Row, rows};
use crate::support::doctor_envoy::faults;
use crate::support::doorward::Doorward;
use crate::support::echo::Echo;
use crate::support::envoy::{Behind, Envoy, fill};
use crate::support::gateway::{behind, module_dir};
use crate::support::signer::{RSA, claims, jwks};
use crate::support::tools;

const ISSUER: &str = "https://idp.example";

/// Tries every row of a table, and panics with all that came out otherwise. `ONLY` in the
/// environment is a part of the name of those to try.
async fn table(file: &str) {
    let Some(binary) = tools::tool("envoy").await else { return };
    let keys = jwks([&*RSA]);
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": keys}},
        "rules": {"bypass": ["/public/*"]},
    });
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let (doorward, echo) = (Doorward::start(&config.to_string()).await, Echo::start().await);
    doorward.ready().await;
    let ports = behind(&doorward, &echo);
    // What the module reads, where that is not in Envoy's own file.
    let dir = tempfile::tempdir().unwrap();
    let keys_of_module = dir.path().join("doorward.yaml");
    std::fs::write(&keys_of_module, config.to_string()).unwrap();
    let keys_of_module = keys_of_module.to_str().unwrap();
    let text = tools::file(&format!("tests/openings/{file}"))
        .replace("IN_BASE64", &STANDARD.encode(format!("Bearer {token}")))
        .replace("TOKEN", &token)
        .replace("UPSTREAM_PORT", &ports.upstream.to_string())
        .replace("MODULE_SO", module_dir().join("libdoorward_envoy.so").to_str().unwrap())
        .replace("JWKS", &keys.to_string());
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut wrong = String::new();
    for row in rows(&text).iter().filter(|row| row.name.contains(&only)) {
        let config = configuration(row, ports).replace("./doorward.yaml", keys_of_module);
        let (envoy, shown) = match Envoy::try_run(&binary, "envoy.yaml", &config).await {
            Err(said) => (Verdict::Refused, said),
            Ok(envoy) => {
                Scene { envoy: &envoy, echo: &echo, token: &token }.verdict(&row.probe).await
            }
        };
        let said =
            faults(&config).into_iter().map(|(check, outcome, _)| (check.to_owned(), outcome));
        let mut doctor: Vec<(String, Outcome)> = said.collect();
        doctor.sort_unstable();
        // A row may not expect the doctor to be content with what opens.
        let blind = row.envoy == Verdict::Opens && row.doctor.is_empty();
        if envoy != row.envoy || doctor != row.doctor || blind {
            let Row { name, .. } = row;
            let _ = writeln!(wrong, "{name}: Envoy {envoy:?}, doctor {doctor:?}{shown}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What Envoy and the doctor get.
fn configuration(row: &Row, ports: Behind) -> String {
    // Port 1: nobody is there.
    let away = Behind { grpc: 1, http: 1, ..ports };
    let ports = if matches!(row.probe, Probe::Away) { away } else { ports };
    let mut text = fill(&tools::file(&format!("envoy/{}", row.file)), ports);
    for (line, changed) in &row.replace {
        assert_eq!(text.matches(line).count(), 1, "{}: {line}", row.file);
        text = text.replace(line, changed);
    }
    // As it stands: in what is read and written again, `yes` would be a text.
    if row.changes.is_empty() { text } else { patched(&text, &row.changes).to_string() }
}

#[tokio::test]
async fn fields_of_the_filter() {
    table("filter.yaml").await;
}

#[tokio::test]
async fn filters_around_it() {
    table("neighbours.yaml").await;
}

#[tokio::test]
async fn routes_at_every_level() {
    table("routes.yaml").await;
}

#[tokio::test]
async fn inside_envoy() {
    table("module.yaml").await;
}

#[tokio::test]
async fn other_ways_to_the_upstream() {
    table("entrances.yaml").await;
}
