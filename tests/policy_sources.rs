//! Policies that change: files, and bundles at a URL.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::bundles::{Bundles, archive, rego, signed};
use crate::support::check::{Checker, get};
use crate::support::doorward::Doorward;
use crate::support::served::{FREE_PORTS, listening, serve};
use crate::support::signer::{RSA, claims, jwks};
use crate::support::{PATIENCE, eventually, http, tools};

const ISSUER: &str = "https://idp.example";
/// Alice may, and nobody else.
const ALICE: &str =
    "package authz\ndefault allow := false\nallow if input.principal_id == \"alice\"\n";
/// Bob may.
const BOB: &str = "package authz\ndefault allow := false\nallow if input.principal_id == \"bob\"\n";
const BROKEN: &str = "package authz\n\ndefault allow := false\nallow if {\n";

fn config(policy: Value) -> Value {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "policy": policy,
    })
}

fn bundle(bundles: &Bundles, more: Value) -> String {
    let mut bundle = json!({"source": bundles.url(), "poll": "200ms"});
    bundle.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config(json!({"provider": "embedded", "bundle": bundle})).to_string()
}

fn token(subject: &str) -> String {
    RSA.token("RS256", &claims(ISSUER, json!({"sub": subject})))
}

fn loads(outcome: &str) -> String {
    format!("doorward_policy_loads_total{{outcome=\"{outcome}\"}}")
}

async fn at_least(doorward: &Doorward, outcome: &str, count: f64) {
    eventually(outcome, PATIENCE, async || {
        (doorward.metric(&loads(outcome)).await? >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_newer_bundle_counts_and_a_bad_one_does_not() {
    let bundles = Bundles::start().await;
    bundles.serve(Some((&rego("one", ALICE), Some("1"))));
    let doorward = Doorward::start(&bundle(&bundles, json!({}))).await;
    let (alice, bob) = (token("alice"), token("bob"));
    doorward.eventually_is(&alice, "authenticated").await;
    assert_eq!(doorward.ask_with(&bob).await.reason, "policy_denied");
    // Unchanged, it is not sent again.
    at_least(&doorward, "unchanged", 2.0).await;
    let asked = bundles.asked();
    assert_eq!((asked[0].if_none_match.clone(), asked[0].status), (None, 200));
    assert!(asked[1..].iter().all(|asked| asked.status == 304), "{asked:?}");

    bundles.serve(Some((&rego("two", BOB), Some("2"))));
    doorward.eventually_is(&bob, "authenticated").await;
    assert_eq!(doorward.ask_with(&alice).await.reason, "policy_denied");
    let ready = async || {
        http().get(doorward.admin("/health/ready")).send().await.unwrap().text().await.unwrap()
    };
    assert!(ready().await.contains("in force, revision two"), "{}", ready().await);

    bundles.asked();
    bundles.serve(Some((&rego("three", BROKEN), Some("3"))));
    at_least(&doorward, "refused", 3.0).await;
    let asked = bundles.asked();
    let fetched = asked.iter().filter(|asked| asked.status == 200).count();
    assert!(fetched == 1, "what is refused is not fetched again: {asked:?}");
    let said = ready().await;
    assert!(said.contains("in force, revision two; last failure: "), "{said}");
    assert!(said.contains("authz.rego:"), "{said}");
    for odd in [&b"not a bundle"[..], &archive(&[("other.txt", "")]), b""] {
        bundles.serve(Some((odd, None)));
        let refused = doorward.metric(&loads("refused")).await.unwrap();
        at_least(&doorward, "refused", refused + 2.0).await;
        assert_eq!(doorward.ask_with(&bob).await.status, 200);
    }
    bundles.serve(None);
    at_least(&doorward, "error", 1.0).await;
    assert_eq!(doorward.ask_with(&bob).await.status, 200);
    assert_eq!(doorward.metric("doorward_policy_loaded{provider=\"embedded\"}").await, Some(1.0));

    bundles.serve(Some((&rego("four", ALICE), None)));
    doorward.eventually_is(&alice, "authenticated").await;
    assert!(!ready().await.contains("last failure"), "{}", ready().await);
}

#[tokio::test]
async fn without_a_policy_nobody_passes_and_the_server_is_ready() {
    let bundles = Bundles::start().await;
    let doorward = Doorward::start(&bundle(&bundles, json!({}))).await;
    doorward.ready().await;
    let outcome = doorward.ask_with(&token("alice")).await;
    assert_eq!((outcome.status, outcome.reason.as_str()), (503, "policy_unavailable"));
    assert_eq!(doorward.metric("doorward_policy_loaded{provider=\"embedded\"}").await, Some(0.0));
    bundles.serve(Some((&rego("one", ALICE), Some("1"))));
    doorward.eventually_is(&token("alice"), "authenticated").await;
}

#[tokio::test]
async fn the_last_good_bundle_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let bundles = Bundles::start().await;
    let text = bundle(&bundles, json!({"cache_dir": kept}));
    bundles.serve(Some((&rego("one", ALICE), Some("1"))));
    let doorward = Doorward::start(&text).await;
    doorward.eventually_is(&token("alice"), "authenticated").await;
    bundles.serve(Some((&rego("bad", BROKEN), Some("2"))));
    at_least(&doorward, "refused", 1.0).await;
    let file = eventually("it is kept", PATIENCE, async || {
        std::fs::read_dir(&kept).ok()?.next()?.ok().map(|entry| entry.path())
    })
    .await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(doorward);

    // Its server is in trouble, and the last good one is what counts.
    bundles.serve(None);
    let restarted = async || {
        let doorward = Doorward::start(&text).await;
        doorward.ready().await;
        doorward.ask_with(&token("alice")).await.reason
    };
    assert_eq!(restarted().await, "authenticated");
    let whole = std::fs::read(&file).unwrap();
    // Cut short, of another, or anybody's: it is as if there were none.
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(restarted().await, "policy_unavailable");
    let changed =
        String::from_utf8(whole.clone()).unwrap().replace("bundle.tar.gz", "other.tar.gz");
    std::fs::write(&file, changed).unwrap();
    assert_eq!(restarted().await, "policy_unavailable");
    std::fs::write(&file, &whole).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(restarted().await, "policy_unavailable");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(restarted().await, "authenticated");
}

/// Who signs decides; where it comes from does not, and neither does what lies on a disk.
#[tokio::test]
async fn a_signed_bundle_is_believed_by_its_key() {
    let Some(opa) = tools::tool("opa").await else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (Keys::new(dir.path(), "ours"), Keys::new(dir.path(), "other"));
    let bundles = Bundles::start().await;
    let kept = dir.path().join("kept");
    let text = bundle(&bundles, json!({"public_key": ours.public, "cache_dir": kept}));
    let doorward = Doorward::start(&text).await;
    for (refused, bad) in
        [rego("one", ALICE), signed(&opa, &other.private, ALICE)].iter().enumerate()
    {
        bundles.serve(Some((bad, None)));
        at_least(&doorward, "refused", refused as f64 + 1.0).await;
        assert_eq!(doorward.ask_with(&token("alice")).await.reason, "policy_unavailable");
    }
    bundles.serve(Some((&signed(&opa, &ours.private, ALICE), None)));
    doorward.eventually_is(&token("alice"), "authenticated").await;
    drop(doorward);
    bundles.serve(None);
    let doorward = Doorward::start(&text).await;
    doorward.eventually_is(&token("alice"), "authenticated").await;
    drop(doorward);
    // The same on disk, and another key to be signed with.
    let text = bundle(&bundles, json!({"public_key": other.public, "cache_dir": kept}));
    let doorward = Doorward::start(&text).await;
    doorward.ready().await;
    assert_eq!(doorward.ask_with(&token("alice")).await.reason, "policy_unavailable");
}

struct Keys {
    private: String,
    public: std::path::PathBuf,
}

impl Keys {
    fn new(dir: &Path, name: &str) -> Self {
        let (private, public) = (dir.join(format!("{name}.key")), dir.join(format!("{name}.pub")));
        let run = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        run(&["genrsa", "-traditional", "-out", &path(&private), "2048"]);
        run(&["rsa", "-in", &path(&private), "-pubout", "-out", &path(&public)]);
        Self { private: std::fs::read_to_string(&private).unwrap(), public }
    }
}

#[tokio::test]
async fn the_bearer_token_is_shown_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let bundles = Bundles::start().await;
    bundles.serve(Some((&rego("one", ALICE), None)));
    let doorward = Doorward::start(&bundle(&bundles, json!({"bearer_file": file}))).await;
    doorward.eventually_is(&token("alice"), "authenticated").await;
    assert_eq!(bundles.asked()[0].authorization.as_deref(), Some("Bearer first"));
    std::fs::write(&file, "second\n").unwrap();
    eventually("the other token is shown", PATIENCE, async || {
        let asked = bundles.asked();
        asked.iter().any(|it| it.authorization.as_deref() == Some("Bearer second")).then_some(())
    })
    .await;
}

/// No answer is wrong and none is lost, whatever changes: bundle, configuration, both.
#[tokio::test]
async fn reloads_and_new_bundles_under_load() {
    let bundles = Bundles::start().await;
    bundles.serve(Some((&rego("0", ALICE), Some("0"))));
    let with = |poll: u32, bypass: &str| {
        let text = bundle(&bundles, json!({"poll": format!("{poll}ms")}));
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["rules"] = json!({"bypass": [bypass]});
        config.to_string()
    };
    let doorward = Doorward::start(&with(100, "/a")).await;
    let (alice, nobody) = (token("alice"), token("nobody"));
    doorward.eventually_is(&alice, "authenticated").await;
    let checker = doorward.checker().await;
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (mut checker, alice, nobody) = (checker.clone(), alice.clone(), nobody.clone());
            tokio::spawn(async move {
                for _ in 0..300 {
                    let outcome = checker.ask(get("/v1").bearer(&alice)).await;
                    assert_eq!(outcome.reason, "authenticated");
                    assert_eq!(outcome.header("x-nmp-authorized"), Some("true"));
                    let outcome = checker.ask(get("/v1").bearer(&nobody)).await;
                    assert_eq!(outcome.reason, "policy_denied");
                }
            })
        })
        .collect();
    for round in 0..10_u32 {
        let etag = round.to_string();
        let bad = rego("bad", BROKEN);
        let good = rego(&etag, ALICE);
        bundles.serve(Some((if round % 3 == 1 { &bad } else { &good }, Some(&etag))));
        doorward.reload(&with(100 + round % 2 * 50, &format!("/a{round}"))).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for task in asking {
        task.await.unwrap();
    }
}

/// A cached identity is rendered with what a policy allowed, and never without one.
#[tokio::test]
async fn whether_a_policy_is_asked_is_never_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let roles = dir.path().join("roles.json");
    std::fs::write(&roles, roles_of("alice")).unwrap();
    let with = config(json!({"provider": "roles", "files": roles})).to_string();
    let without = config(json!({})).to_string();
    let doorward = Doorward::start(&without).await;
    let ask = async || {
        let outcome = doorward.ask(get("/v1/models").bearer(&token("alice"))).await;
        (outcome.status, outcome.header("x-nmp-authorized").map(str::to_owned))
    };
    for _ in 0..2 {
        assert_eq!(ask().await, (200, None));
        doorward.reload(&with).await;
        assert_eq!(ask().await, (200, Some("true".to_owned())));
        doorward.reload(&without).await;
    }
}

fn roles_of(principal: &str) -> String {
    json!({
        "endpoints": {"/v1/models": {"get": {"permissions": ["models.list"]}}},
        "roles": {"Viewer": {"permissions": ["models.list"]}},
        "principals": {principal: {"workspaces": {"system": ["Viewer"]}}},
    })
    .to_string()
}

/// `serve` looks at the files, those of a directory and those that are new in it.
#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let (policy, main) = (dir.path().join("policy"), dir.path().join("doorward.yaml"));
    std::fs::create_dir(&policy).unwrap();
    for (provider, files) in [("roles", policy.join("roles.json")), ("embedded", policy.clone())] {
        let is_roles = provider == "roles";
        let write = |subject: &str| match is_roles {
            true => std::fs::write(policy.join("roles.json"), roles_of(subject)).unwrap(),
            false => {
                let _ = std::fs::remove_file(policy.join("roles.json"));
                let text = ALICE.replace("alice", subject);
                std::fs::write(policy.join("authz.rego"), text).unwrap();
            }
        };
        write("alice");
        let keys = jwks([&*RSA]);
        let text = format!(
            "auth:\n  oidc: {{ issuer: {ISSUER}, client_id: nmp, jwks: {keys} }}\n{FREE_PORTS}\n\
             policy: {{provider: {provider}, files: {}}}\n",
            files.display()
        );
        std::fs::write(&main, text).unwrap();
        let mut process = serve(&[&main], &[]);
        let at = listening(&mut process).await;
        let mut checker = Checker::connect(&at.grpc).await;
        let ask = async |checker: &mut Checker, subject: &str| {
            checker.ask(get("/v1/models").bearer(&token(subject))).await.reason
        };
        assert_eq!(ask(&mut checker, "alice").await, "authenticated", "{}", process.stderr());
        assert_eq!(ask(&mut checker, "bob").await, "policy_denied");
        write("bob");
        eventually("the file is read", PATIENCE, async || {
            (ask(&mut checker, "bob").await == "authenticated").then_some(())
        })
        .await;
        // What is broken is refused with its place, and the last one serves on.
        let broken = if is_roles { "roles.json" } else { "broken.rego" };
        std::fs::write(policy.join(broken), "package authz\nallow if {\n").unwrap();
        let line = eventually("it is refused", PATIENCE, async || {
            let said = process.stderr();
            let line = said.lines().find(|line| line.contains("the old one stays in use"))?;
            Some(line.to_owned())
        })
        .await;
        assert!(line.contains(&format!("{broken}:")), "{line}");
        assert_eq!(ask(&mut checker, "bob").await, "authenticated");
        std::fs::remove_file(policy.join(broken)).unwrap();
        write("carol");
        eventually("it is good again", PATIENCE, async || {
            (ask(&mut checker, "carol").await == "authenticated").then_some(())
        })
        .await;
    }
}

/// A policy that cannot be read does not start.
#[tokio::test]
async fn what_is_broken_at_the_start_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("authz.rego");
    std::fs::write(&file, BROKEN).unwrap();
    let main = dir.path().join("doorward.json");
    std::fs::write(&main, config(json!({"provider": "embedded", "files": [file]})).to_string())
        .unwrap();
    let mut process = serve(&[&main], &[]);
    assert_eq!(process.ended().await.code(), Some(2));
    let said = process.stderr();
    assert!(said.contains("policy.files: ") && said.contains("authz.rego:"), "{said}");
    std::fs::write(&file, ALICE).unwrap();
    let policy = json!({"provider": "embedded", "files": [file], "query": "data.authz.allowed"});
    let text = config(policy).to_string();
    let faults = doorward::config::Settings::from_yaml("test", &text).unwrap_err().to_string();
    assert!(faults.contains("policy.query: "), "{faults}");
    assert!(!faults.contains("policy.files: "), "{faults}");
}

/// NeMo's data in a bundle, decided by roles: no Rego is looked at.
#[tokio::test]
async fn roles_of_a_bundle() {
    let bundles = Bundles::start().await;
    let data = |principal: &str| archive(&[("data.json", &roles_of(principal))]);
    let source = json!({"source": bundles.url(), "poll": "200ms"});
    let config = config(json!({
        "provider": "roles", "bundle": source, "group_roles": ["admins => Viewer in system"],
    }));
    bundles.serve(Some((&data("alice"), Some("1"))));
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.eventually_is(&token("alice"), "authenticated").await;
    assert_eq!(doorward.ask_with(&token("bob")).await.reason, "policy_denied");
    let admin = RSA.token("RS256", &claims(ISSUER, json!({"sub": "bob", "groups": ["admins"]})));
    assert_eq!(doorward.ask_with(&admin).await.status, 200);
    bundles.serve(Some((&data("bob"), Some("2"))));
    doorward.eventually_is(&token("bob"), "authenticated").await;
    bundles.serve(Some((&archive(&[("data.json", "{\"roles\": 1}")]), Some("3"))));
    at_least(&doorward, "refused", 1.0).await;
    assert_eq!(doorward.ask_with(&token("bob")).await.status, 200);
}

/// A bundle at a path is read as files are: at the start, with its faults.
#[tokio::test]
async fn a_bundle_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bundle.tar.gz");
    std::fs::write(&file, rego("one", ALICE)).unwrap();
    let config = config(json!({"provider": "embedded", "bundle": {"source": file}})).to_string();
    let doorward = Doorward::start_explained_outside(&config, "policy").await;
    assert_eq!(doorward.ask_with(&token("alice")).await.status, 200);
    assert_eq!(doorward.ask_with(&token("bob")).await.reason, "policy_denied");
    std::fs::write(&file, rego("two", BROKEN)).unwrap();
    let faults = doorward::config::Settings::from_yaml("test", &config).unwrap_err().to_string();
    assert!(
        faults.contains("policy.bundle.source: ") && faults.contains("authz.rego:"),
        "{faults}"
    );
}

/// What the console and `explain` tell of it.
#[tokio::test]
async fn a_bundle_is_explained_and_shown() {
    let bundles = Bundles::start().await;
    bundles.serve(Some((&rego("one", ALICE), None)));
    let text = bundle(&bundles, json!({}));
    let doorward = Doorward::start_explained_outside(&text, "policy").await;
    doorward.ready().await;
    assert_eq!(doorward.ask_with(&token("alice")).await.status, 200);
    assert_eq!(doorward.ask_with(&token("bob")).await.reason, "policy_denied");
    let state: Value =
        http().get(doorward.console("/api/state")).send().await.unwrap().json().await.unwrap();
    let policy = &state["policy"];
    let shown = (&policy["provider"], &policy["state"], &policy["revision"]);
    assert_eq!(shown, (&json!("embedded"), &json!("ok"), &json!("one")), "{policy}");
    assert!(policy["source"].as_str().unwrap().contains("/bundle.tar.gz"), "{policy}");
    assert!(policy["confirmed_at"].as_u64() > Some(1_700_000_000), "{policy}");
}
