//! `doorward serve` as a program: what it says of its configuration, how it starts,
//! reloads and ends.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::check::{Checker, get};
use crate::support::idp::{Answer, Idp};
use crate::support::process::Process;
use crate::support::served::{FREE_PORTS, listening, serve};
use crate::support::signer::{RSA, Signer, claims, encode, jwks};
use crate::support::{PATIENCE, eventually, http};

const ISSUER: &str = "https://idp.example";
/// A server with this configuration, and a client of its checks.
async fn serving(file: &Path) -> (Process, Checker) {
    let mut process = serve(&[file], &[]);
    let at = listening(&mut process).await;
    (process, Checker::connect(&at.grpc).await)
}

async fn reloaded(process: &Process) {
    eventually("the configuration is reloaded", PATIENCE, async || {
        process.stderr().contains("configuration reloaded").then_some(())
    })
    .await;
}

fn write(dir: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A configuration with inline keys and these paths bypassed.
fn config(bypass: &str) -> String {
    let keys = jwks([&*RSA]);
    format!(
        "auth:\n  oidc: {{ issuer: '{ISSUER}', client_id: nmp, jwks: {keys} }}\n\
         rules: {{ bypass: ['{bypass}'] }}\n{FREE_PORTS}"
    )
}

#[tokio::test]
async fn three_typos_are_named_all_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(
        dir.path(),
        "doorward.yaml",
        "auth:
  oidc:
    isuer: https://idp.example
    client_id: nmp
    groups_clam: groups
server:
  gprc: { listen: 127.0.0.1:0 }
",
    );
    let mut process = serve(&[&file], &[]);
    assert_eq!(process.ended().await.code(), Some(2));
    let said = process.stderr();
    for (line, key, nearest) in [
        (3, "auth.oidc.isuer", "auth.oidc.issuer"),
        (5, "auth.oidc.groups_clam", "auth.oidc.groups_claim"),
        (7, "server.gprc", "server.grpc"),
    ] {
        let expected =
            format!("{}:{line}: {key}: unknown key; did you mean {nearest}?", file.display());
        assert!(said.contains(&expected), "{expected}\nis not in\n{said}");
    }
    assert_eq!(process.stdout(), "");
}

#[tokio::test]
async fn faults_of_every_layer_are_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let platform = write(dir.path(), "platform.yaml", "auth:\n  oidc: { issuer: 5 }\n");
    let file = write(dir.path(), "doorward.toml", "[keys]\ncool_down = \"soon\"\n");
    let environment = [
        ("NMP_CONFIG_FILE_PATH", platform.to_str().unwrap()),
        ("DOORWARD_AUTH__OIDC__ISUER", "https://idp.example"),
        ("DOORWARD_SERVER__GRPC__LISTEN", "nowhere"),
    ];
    let mut process = serve(&[&file], &environment);
    assert_eq!(process.ended().await.code(), Some(2));
    let said = process.stderr();
    for parts in [
        ["platform.yaml:2", "auth.oidc.issuer"],
        ["doorward.toml:2", "keys.cool_down"],
        ["DOORWARD_AUTH__OIDC__ISUER", "DOORWARD_AUTH__OIDC__ISSUER"],
        ["DOORWARD_SERVER__GRPC__LISTEN", "server.grpc.listen"],
    ] {
        let named = said.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(named, "{parts:?}\nare not in one line of\n{said}");
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    for arguments in [&["serve", "--nonsense"][..], &["frobnicate"], &[]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        let mut process = Process::start(command.env_clear().args(arguments));
        assert_eq!(process.ended().await.code(), Some(2), "{arguments:?}");
        assert!(process.stderr().contains("Usage"), "{}", process.stderr());
    }
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_start_with_a_clear_word() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "doorward.yaml", &config("/health"));
    let mut process = serve(&[&file], &[("DOORWARD_SERVER__ADMIN__LISTEN", &address)]);
    assert_eq!(process.ended().await.code(), Some(1));
    let said = process.stderr();
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
}

#[tokio::test]
async fn nemos_own_file_works_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let keys = write(dir.path(), "keys.json", &jwks([&*RSA]).to_string());
    let text = format!(
        "platform:
  base_url: http://nmp.example
  runtime: kubernetes
auth:
  enabled: true
  admin_email: admin@example.com
  policy_decision_point_provider: embedded
  oidc:
    enabled: true
    issuer: {ISSUER}
    client_id: nmp
    audience: nmp
    scope_prefix: 'api://nmp/'
    workload_client_id: other
entity_store:
  database: {{ host: db }}
"
    );
    let file = write(dir.path(), "nmp.yaml", &text);
    let environment = [
        ("NMP_CONFIG_FILE_PATH", file.to_str().unwrap()),
        ("NMP_AUTH_OIDC__DEFAULT_SCOPES", "openid nmp"),
        ("DOORWARD_AUTH__OIDC__JWKS_FILE", keys.to_str().unwrap()),
        ("DOORWARD_SERVER__GRPC__LISTEN", "127.0.0.1:0"),
        ("DOORWARD_SERVER__HTTP__LISTEN", "127.0.0.1:0"),
        ("DOORWARD_SERVER__ADMIN__LISTEN", "127.0.0.1:0"),
        ("DOORWARD_SERVER__CONSOLE__LISTEN", "127.0.0.1:0"),
    ];
    let mut process = serve(&[], &environment);
    let at = listening(&mut process).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({"scope": "api://nmp/models:read"})));
    let outcome = Checker::connect(&at.grpc).await.ask(get("/").bearer(&token)).await;
    assert_eq!(outcome.header("x-nmp-scopes"), Some("models:read"), "{outcome:?}");
    let url = format!("http://{}/apis/auth/discovery", at.http);
    let document: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["oidc"]["default_scopes"], "openid nmp");
    // What means nothing here is named, once.
    let said = process.stderr();
    let ignored: Vec<_> = said.lines().filter(|line| line.contains("admin_email")).collect();
    assert_eq!(ignored.len(), 1, "{said}");
    assert!(ignored[0].contains("policy_decision_point_provider"), "{said}");
    assert!(!said.contains(&token), "no token in the log");
}

#[tokio::test]
async fn sighup_reloads_and_a_bad_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "doorward.yaml", &config("/one"));
    let (mut process, mut checker) = serving(&file).await;
    let mut reason = async |path: &str| checker.ask(get(path)).await.reason;
    assert_eq!(reason("/one").await, "bypassed");
    assert_eq!(reason("/two").await, "missing_token");

    // No file has changed: it is the signal that does it.
    process.signal("HUP");
    reloaded(&process).await;
    write(dir.path(), "doorward.yaml", &config("/two"));
    process.signal("HUP");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while reason("/two").await != "bypassed" {
        assert!(tokio::time::Instant::now() < deadline, "{}", process.stderr());
        tokio::task::yield_now().await;
    }
    assert_eq!(reason("/one").await, "missing_token");

    write(dir.path(), "doorward.yaml", "auth:\n  oidc: { isuer: x }\n");
    process.signal("HUP");
    eventually("the refusal is logged", PATIENCE, async || {
        process.assert_alive();
        process.stderr().contains("doorward.yaml:2: auth.oidc.isuer: unknown key").then_some(())
    })
    .await;
    assert_eq!(reason("/two").await, "bypassed");
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), Some(0));
}

/// Sockets stay what they were at the start, and what is safe is judged by them.
#[tokio::test]
async fn a_reload_says_what_it_cannot_change_and_refuses_what_is_unsafe_on_what_is_bound() {
    let open_to_all =
        FREE_PORTS.replace("grpc: { listen: 127.0.0.1:0 }", "grpc: { listen: 0.0.0.0:0 }");
    let sound = config("/one").replace(FREE_PORTS, &open_to_all);
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "doorward.yaml", &sound);
    let mut process = serve(&[&file], &[]);
    let at = listening(&mut process).await;
    let mut checker = Checker::connect(&at.grpc.replace("0.0.0.0", "127.0.0.1")).await;
    let encoded = |text: &str| encode(text.as_bytes());
    let claims = claims(ISSUER, json!({"sub": "root"})).to_string();
    let unsigned = format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(&claims));
    let ask = || get("/").bearer(&unsigned);
    assert_eq!(checker.ask(ask()).await.reason, "unsupported_token");

    // On loopback this would do; but that is not where the socket is.
    let unsafe_there = config("/two").replace("auth:\n", "auth:\n  allow_unsigned_jwt: true\n");
    let unsafe_there = unsafe_there.replace(ISSUER, "http://127.0.0.1:1");
    write(dir.path(), "doorward.yaml", &unsafe_there);
    process.signal("HUP");
    let said = eventually("the refusal is logged", PATIENCE, async || {
        process.assert_alive();
        let said = process.stderr();
        said.contains("the old configuration stays in use").then_some(said)
    })
    .await;
    assert!(said.contains("auth.allow_unsigned_jwt"), "{said}");
    assert!(said.contains("server.grpc listens on 0.0.0.0:"), "{said}");
    assert!(!said.contains("configuration reloaded"), "{said}");
    assert_eq!(checker.ask(ask()).await.reason, "unsupported_token");
    assert_eq!(checker.ask(get("/two")).await.reason, "missing_token", "all of it or nothing");

    let elsewhere = config("/two").replace("server:\n", "server:\n  workers: 7\n");
    let elsewhere = format!("{elsewhere}log: {{ level: 'info,doorward=debug' }}\n");
    write(dir.path(), "doorward.yaml", &elsewhere);
    process.signal("HUP");
    reloaded(&process).await;
    assert_eq!(checker.ask(get("/two")).await.reason, "bypassed", "the rest of it counts");
    let said = process.stderr();
    let line = said.lines().find(|line| line.contains("take effect after a restart only")).unwrap();
    for key in ["server.grpc.listen", "server.workers", "log.level"] {
        assert!(line.contains(key), "{key}: {line}");
    }
    assert!(!line.contains("server.http.listen"), "{line}");
}

#[tokio::test]
async fn a_changed_file_reloads_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "doorward.yaml", &config("/one"));
    let (process, mut checker) = serving(&file).await;
    let mut reason = async |path: &str| checker.ask(get(path)).await.reason;
    assert_eq!(reason("/two").await, "missing_token");
    write(dir.path(), "doorward.yaml", "auth:\n  oidc: { isuer: x }\n");
    eventually("the refusal is logged", PATIENCE, async || {
        process.stderr().contains("auth.oidc.isuer").then_some(())
    })
    .await;
    assert_eq!(reason("/one").await, "bypassed", "the old one serves on");
    write(dir.path(), "doorward.yaml", &config("/two"));
    reloaded(&process).await;
    assert_eq!(reason("/two").await, "bypassed");
}

#[tokio::test]
async fn a_changed_table_of_endpoints_is_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let table = |scope: &str| {
        write(dir.path(), "table.yaml", &format!("/v2/models: {{get: {{scopes: ['{scope}']}}}}\n"))
    };
    let rules = format!("rules: {{ endpoints_file: '{}' }}\n", table("a:read").display());
    let keys = jwks([&*RSA]);
    let auth = format!("auth: {{oidc: {{issuer: '{ISSUER}', client_id: nmp, jwks: {keys}}}}}\n");
    let file = write(dir.path(), "doorward.yaml", &format!("{auth}{rules}{FREE_PORTS}"));
    let (process, mut checker) = serving(&file).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({"scope": "a:read"})));
    let mut reason = async || checker.ask(get("/v2/models").bearer(&token)).await.reason;
    assert_eq!(reason().await, "authenticated");
    table("b:read");
    reloaded(&process).await;
    assert_eq!(reason().await, "insufficient_scope");
}

/// A request that waits for keys when the signal comes is answered all the same.
#[tokio::test]
async fn sigterm_answers_what_is_under_way_and_ends_with_0() {
    let (known, unknown) = (Signer::ed("known"), Signer::ed("unknown"));
    let idp = Idp::start([&known]).await;
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "auth:\n  oidc: {{ issuer: '{}', client_id: nmp }}\n\
         keys: {{ wait: 1s, timeout: 30s }}\n{FREE_PORTS}",
        idp.issuer()
    );
    let file = write(dir.path(), "doorward.yaml", &text);
    let mut process = serve(&[&file], &[]);
    let at = listening(&mut process).await;
    let ready = format!("http://{}/health/ready", at.admin);
    eventually("it is ready", PATIENCE, async || {
        http().get(&ready).send().await.ok()?.status().is_success().then_some(())
    })
    .await;
    idp.answer_keys(Answer::Hang);
    let mut checker = Checker::connect(&at.grpc).await;
    let mut idle = Checker::connect(&at.grpc).await;
    let token = unknown.token("EdDSA", &claims(&idp.issuer(), json!({})));
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { checker.ask(get("/").bearer(&token)).await });
    eventually("the request waits", PATIENCE, async || (idp.key_requests() == 2).then_some(()))
        .await;
    process.signal("TERM");
    let outcome = waiting.join_next().await.unwrap().unwrap();
    assert_eq!((outcome.status, outcome.reason.as_str()), (503, "keys_unavailable"));
    assert_eq!(process.ended().await.code(), Some(0), "{}", process.stderr());
    // An idle connection holds nothing up, and nothing new is let in.
    assert!(tokio::net::TcpStream::connect(&at.grpc).await.is_err());
    assert!(idle.try_ask(get("/")).await.is_none());
}
