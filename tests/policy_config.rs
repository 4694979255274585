//! What of `policy` can be meant, and what `config check` and the module say of the rest.

use doorward::config::{self, Sources};
use serde_json::{Value, json};

use crate::support::cli::Cli;
use crate::support::module::Module;

const SOUND: &str = "auth: {oidc: {issuer: 'https://idp.example', client_id: nmp}}\n";
const ROLES: &str = "
endpoints:
  /v2/workspaces/{workspace}/models:
    get: { permissions: [models.list] }
roles:
  Viewer: { permissions: [models.list] }
";

/// The faults of a configuration with this policy, and its warnings.
fn check(policy: &Value) -> (Vec<String>, Vec<String>) {
    let policy = json!({"policy": policy}).to_string();
    let sources = Sources::none().inline_yaml("a.yaml", SOUND).inline_yaml("b.yaml", &policy);
    match config::load(&sources) {
        Ok(loaded) => (Vec::new(), loaded.warnings.iter().map(ToString::to_string).collect()),
        Err(faults) => (faults.faults().iter().map(ToString::to_string).collect(), Vec::new()),
    }
}

fn faults(policy: Value) -> Vec<String> {
    check(&policy).0
}

#[test]
fn no_policy_is_the_default_and_what_is_sound_passes() {
    let dir = tempfile::tempdir().unwrap();
    let roles = dir.path().join("roles.yaml");
    std::fs::write(&roles, ROLES).unwrap();
    for policy in [
        json!({}),
        json!({"provider": "none"}),
        json!({"provider": "opa", "opa": {"url": "http://127.0.0.1:8282"}}),
        json!({"provider": "opa", "query": "data[\"my-rules\"].allow", "timeout": "50ms",
            "opa": {"url": "https://opa.example/base/"}}),
        json!({"provider": "roles", "files": roles, "group_roles": ["nmp-{workspace}-{role}"]}),
        json!({"provider": "embedded", "bundle": {"source": "https://bundles.example/b.tar.gz"}}),
        json!({"provider": "roles", "bundle": {"source": "http://127.0.0.1:1/b.tar.gz"}}),
    ] {
        assert_eq!(check(&policy), (vec![], vec![]), "{policy}");
    }
}

#[test]
fn what_cannot_be_meant_is_a_fault_of_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let roles = path("roles.yaml", ROLES);
    let token = path("token", "a.b.c\n");
    let opa = |more: Value| {
        let mut opa = json!({"url": "http://127.0.0.1:8282"});
        opa.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"provider": "opa", "opa": opa})
    };
    let bundle = |more: Value| {
        let mut bundle = json!({"source": "https://bundles.example/b.tar.gz"});
        bundle.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"provider": "embedded", "bundle": bundle})
    };
    for (policy, key, part) in [
        (json!({"provider": "cedar"}), "policy.provider", "none or roles or embedded or opa"),
        (json!({"query": "data.a.b"}), "policy.query", "for policy.provider embedded or opa"),
        (json!({"files": ["a.rego"]}), "policy.files", "for policy.provider embedded or roles"),
        (json!({"opa": {}}), "policy.opa", "for policy.provider opa"),
        (
            json!({"provider": "roles", "files": roles, "timeout": "1s"}),
            "policy.timeout",
            "for policy.provider embedded or opa",
        ),
        (
            json!({"provider": "embedded", "files": "/x", "bundle": {"source": "/y"}}),
            "policy.files",
            "policy.bundle is set as well",
        ),
        (json!({"provider": "embedded"}), "policy.files", "missing"),
        (json!({"provider": "roles"}), "policy.files", "missing"),
        (json!({"provider": "roles", "files": ["a.json", "b.json"]}), "policy.files", "one file"),
        (json!({"provider": "roles", "files": "/no/such.json"}), "policy.files", "cannot be read"),
        (
            json!({"provider": "roles", "files": roles, "group_roles": ["{"]}),
            "policy.group_roles.0",
            "`{`: ",
        ),
        (json!({"provider": "opa"}), "policy.opa.url", "missing"),
        (
            opa(json!({"url": "http://127.0.0.1:8181/"})),
            "policy.opa.url",
            "Doorward's own server.http",
        ),
        (opa(json!({"url": "http://opa.example:8181"})), "policy.opa.url", "must be an https URL"),
        (opa(json!({"url": "https://opa.example/?a=b"})), "policy.opa.url", "query"),
        (opa(json!({"bearer_file": "/no/such"})), "policy.opa.bearer_file", "cannot be read"),
        (
            opa(json!({"url": "http://opa.example", "allow_http": true, "bearer_file": token})),
            "policy.opa.bearer_file",
            "in cleartext",
        ),
        (
            opa(json!({"client_cert": token})),
            "policy.opa.client_key",
            "missing: client_cert is set",
        ),
        (
            opa(json!({"client_cert": token, "client_key": token})),
            "policy.opa.client_cert",
            "CERTIFICATE",
        ),
        (bundle(json!({"source": null})), "policy.bundle.source", "missing"),
        (
            bundle(json!({"source": "http://b.example/b"})),
            "policy.bundle.source",
            "a bundle decides access",
        ),
        (
            bundle(json!({"source": "http://b.example/b", "allow_http": true})),
            "policy.bundle.source",
            "a bundle decides access",
        ),
        (bundle(json!({"source": "/no/such.tar.gz"})), "policy.bundle.source", "cannot be read"),
        (bundle(json!({"poll": "1ms"})), "policy.bundle.poll", "out of range"),
        (bundle(json!({"cache_dir": token})), "policy.bundle.cache_dir", "not a directory"),
        (
            bundle(json!({"public_key": token})),
            "policy.bundle.public_key",
            "no key that signs bundles",
        ),
    ] {
        let found = faults(policy.clone());
        let about = |fault: &&String| fault.contains(&format!("{key}: ")) && fault.contains(part);
        assert!(found.iter().any(|fault| about(&fault)), "{policy}: {found:#?}");
        assert_eq!(found.len(), 1, "{policy}: {found:#?}");
    }
    for query in ["", "allow", "data", "data.a-b", "data.a.b; true"] {
        let mut policy = opa(json!({}));
        policy["query"] = query.into();
        let found = faults(policy);
        assert!(
            found[0].contains("policy.query: ") && found[0].contains("data.authz.allow"),
            "{found:?}"
        );
    }
    // All at once.
    let found = faults(json!({
        "provider": "opa", "query": "x", "timeout": "1h", "files": "a", "opa": {"url": "ftp://a"},
    }));
    for key in ["policy.query", "policy.timeout", "policy.files", "policy.opa.url"] {
        assert!(found.iter().any(|fault| fault.contains(&format!("{key}: "))), "{key}: {found:#?}");
    }
}

/// A request waits for nothing longer than `keys.wait`.
#[test]
fn no_decision_takes_longer_than_requests_wait() {
    let with = |policy: &str| {
        let text = format!("{SOUND}keys: {{wait: 50ms}}\npolicy: {policy}\n");
        config::load(&Sources::none().inline_yaml("a.yaml", &text))
    };
    let opa = "opa: {url: 'http://127.0.0.1:8282'}, provider: opa";
    assert!(with(&format!("{{{opa}}}")).is_ok());
    let faults = with(&format!("{{{opa}, timeout: 60ms}}")).unwrap_err().to_string();
    assert!(faults.contains("policy.timeout: 60ms is longer than keys.wait (50ms)"), "{faults}");
}

#[test]
fn plain_http_to_an_opa_elsewhere_is_warned_of() {
    let policy = json!({"provider": "opa", "opa": {"url": "http://opa:8181", "allow_http": true}});
    let (faults, warnings) = check(&policy);
    assert_eq!(faults, [""; 0]);
    assert!(warnings[0].contains("policy.opa.allow_http is true: http://opa:8181"), "{warnings:?}");
}

/// Each fault of a file of roles has its line.
#[tokio::test]
async fn config_check_reads_the_roles_and_names_the_lines() {
    let dir = tempfile::tempdir().unwrap();
    let roles = dir.path().join("roles.yaml");
    let config = dir.path().join("doorward.yaml");
    let path = roles.to_str().unwrap();
    std::fs::write(&config, format!("{SOUND}policy: {{provider: roles, files: {path}}}\n"))
        .unwrap();
    let check = async |text: &str| {
        std::fs::write(&roles, text).unwrap();
        Cli::new().run(&["config", "check", "--config", config.to_str().unwrap()]).await
    };
    assert_eq!(check(ROLES).await.code, Some(0));
    assert_eq!(check(&format!("authz:\n{}", ROLES.replace('\n', "\n  "))).await.code, Some(0));
    let broken = ROLES.replace("Viewer: { permissions", "Viewer: { include: [], permissions");
    for (text, line) in [
        (broken.clone(), 6),
        (format!("authz:\n{}", broken.replace('\n', "\n  ")), 7),
        (format!("{ROLES}  :"), 7),
    ] {
        let ended = check(&text).await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("policy.files: {path}:{line}: ")),
            "{}",
            ended.stderr
        );
    }
}

/// What it does not serve is no silence.
#[tokio::test]
async fn the_module_has_no_policy() {
    let config = json!({
        "auth": {"oidc": {"issuer": "https://idp.example", "client_id": "nmp"}},
        "policy": {"provider": "none"},
    });
    let refusal = Module::refusal(&config.to_string()).await;
    assert!(refusal.contains("policy: is a setting of the server"), "{refusal}");
}
