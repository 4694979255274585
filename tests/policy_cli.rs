//! `doorward policy`: requests that somebody makes up, decided as a server would.

use std::path::Path;

use crate::support::cli::Cli;

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const CONFIG: &str = "
auth:
  oidc: {issuer: https://idp.example, client_id: nmp}
  issuers: [{issuer: https://other.example, audience: other, subject_prefix: 'other:'}]
rules:
  bypass: [/health]
  endpoints:
    /v2/workspaces/{workspace}/models: {get: {scopes: [models:read]}, post: {deny: true}}
";

#[tokio::test]
async fn one_request_is_decided_without_a_login() {
    let (cli, dir) = (Cli::new(), tempfile::tempdir().unwrap());
    let config = write(dir.path(), "doorward.yaml", CONFIG);
    let claims = write(dir.path(), "claims.json", r#"{"sub": "alice", "scope": "models:read"}"#);
    let path = ["--path", "/v2/workspaces/w/models"];
    let eval = ["policy", "eval", "--config", &config];

    let allowed = cli.run(&[&eval[..], &["--claims", &claims, "--json"], &path].concat()).await;
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    let told: serde_json::Value = serde_json::from_str(&allowed.stdout).unwrap();
    assert_eq!(told["reason"], "authenticated");

    let post = [&eval[..], &["--claims", &claims, "--method", "POST"], &path].concat();
    let denied = cli.run(&post).await;
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(denied.stdout.contains("`/v2/workspaces/{workspace}/models` is closed"), "{denied:?}");

    // What is wrong with a token is found by its claims, too.
    let late = r#"{"sub": "alice", "exp": 1}"#;
    let expired = cli.run(&[&eval[..], &["--claims", late], &path].concat()).await;
    assert!(expired.stdout.contains("expired"), "{expired:?}");

    let other = ["--claims", "-", "--issuer", "https://other.example", "--json"];
    let arguments = [&eval[..], &other].concat();
    let of_other = cli.run_with(&arguments, &[], r#"{"sub": "bob"}"#).await;
    assert!(of_other.stdout.contains("other:bob"), "{of_other:?}");

    for (more, said) in [
        (&["--claims", "[]"][..], "--claims []"),
        (&["--claims", "{"], "not a JSON object"),
        (&["--claims", "{}", "--issuer", "https://nobody.example"], "none of the configured"),
    ] {
        let refused = cli.run(&[&eval[..], more].concat()).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
}

#[tokio::test]
async fn a_table_says_what_is_not_as_expected() {
    let (cli, dir) = (Cli::new(), tempfile::tempdir().unwrap());
    let config = write(dir.path(), "doorward.yaml", CONFIG);
    let table = |last: &str| {
        format!(
            "people: {{viewer: {{sub: alice, scope: 'models:read'}}}}\nrequests:\n\
             - {{as: viewer, path: /v2/workspaces/w/models, expect: allow, \
                headers: {{X-NMP-Principal-Id: alice}}}}\n\
             - {{claims: {{sub: bob, scope: 'a:b'}}, path: /v2/workspaces/w/models, expect: insufficient_scope}}\n\
             - {{as: viewer, issuer: 'https://other.example', path: /, expect: allow, \
                headers: {{X-NMP-Principal-Id: 'other:alice'}}}}\n\
             - {{path: /health, expect: bypassed}}\n{last}"
        )
    };
    let test = ["policy", "test", "--config", &config];
    let good = write(dir.path(), "good.yaml", &table(""));
    let passed = cli.run(&[&test[..], &[&good]].concat()).await;
    assert_eq!(passed.code, Some(0), "{passed:?}");
    assert_eq!(passed.stdout.trim(), "4 as expected, 0 not");

    let wrong = table(
        "- {path: /x, expect: allow}\n- {as: viewer, path: /, expect: allow, headers: {X-NMP-Principal-Email: a}}\n",
    );
    let wrong = write(dir.path(), "wrong.yaml", &wrong);
    let failed = cli.run(&[&test[..], &[&good, &wrong]].concat()).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    for said in [
        "wrong.yaml: GET /x as nobody",
        "expected: allow; it is denied, missing_token",
        "expected `X-NMP-Principal-Email: a`, found none",
        "8 as expected, 2 not",
    ] {
        assert!(failed.stdout.contains(said), "{said}: {failed:?}");
    }

    let nothing = write(dir.path(), "nothing.yaml", "requests: []\n");
    let refused = cli.run(&[&test[..], &[&nothing]].concat()).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("nothing to test"), "{refused:?}");

    let broken = write(dir.path(), "broken.yaml", "requests:\n- {path: /, expects: allow}\n");
    let refused = cli.run(&[&test[..], &[&broken]].concat()).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("broken.yaml:2"), "{refused:?}");
}
