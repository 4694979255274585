//! What Envoy shows of the module: statistics, log lines, documents.

use serde_json::{Value, json};

use crate::support::{Around, Envoy, eventually, http, listener, module, with};

/// The server's names and labels, told within a second or two, and kept over an update.
#[tokio::test]
async fn statistics_are_the_servers_metrics() {
    let Some(around) = Around::start().await else { return };
    let config = with(around.config(), json!({"log": {"decisions": "all"}}));
    let envoy = Envoy::start(&around, &[listener("main", module(config), &[])]).await;
    let url = format!("http://{}/a?secret=1", envoy.address("main").await);
    let token = around.token();
    for _ in 0..3 {
        assert_eq!(http().get(&url).bearer_auth(&token).send().await.unwrap().status(), 200);
    }
    assert_eq!(http().get(&url).send().await.unwrap().status(), 401);
    let issuer = format!("issuer=\"{}\"", around.issuer.issuer_url());
    let expected: [(&str, &[&str], u64); 5] = [
        ("doorward_checks_total", &["decision=\"allow\"", "reason=\"authenticated\"", &issuer], 3),
        ("doorward_checks_total", &["decision=\"deny\"", "reason=\"missing_token\""], 1),
        ("doorward_token_cache_hits_total", &[], 2),
        ("doorward_key_set_fetches_total", &["outcome=\"ok\"", &issuer], 1),
        ("doorward_key_set_keys", &[&issuer], 1),
    ];
    let all = async |envoy: &Envoy| {
        for (name, labels, value) in &expected {
            if envoy.statistic(name, labels).await != Some(*value) {
                return None;
            }
        }
        Some(())
    };
    eventually("all statistics", async || all(&envoy).await).await;

    // Other rules: another configuration, the same counters.
    let other = with(around.config(), json!({"rules": {"bypass": ["/open"]}}));
    envoy.update(1, &[listener("main", module(other), &[])]);
    let open = format!("http://{}/open", envoy.address("main").await);
    eventually("the update is in force", async || {
        (http().get(&open).send().await.ok()?.status() == 200).then_some(())
    })
    .await;
    eventually("the new one tells too", async || {
        envoy.statistic("doorward_checks_total", &["reason=\"bypassed\""]).await
    })
    .await;
    all(&envoy).await.expect("what was counted before the update is still there");

    let log = envoy.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("doorward::decision")).collect();
    assert!(lines.len() >= 4, "{log}");
    let allowed = lines.first().unwrap();
    assert!(allowed.contains("[info][dynamic_modules]"), "{allowed}");
    assert!(allowed.contains("decision=\"allow\" reason=\"authenticated\""), "{allowed}");
    assert!(!log.contains("secret=1"), "{log}");
}

/// Answered when asked for, and left to the upstream otherwise.
#[tokio::test]
async fn documents_are_answered_when_asked_for() {
    let Some(around) = Around::start().await else { return };
    let resource = json!({"resource": "https://api.example/mcp"});
    let asked_for = with(
        around.config(),
        json!({"module": {"documents": true}, "protected_resource": resource}),
    );
    let with_documents = listener("documents", module(asked_for), &[]);
    let without = listener("none", module(around.config()), &[]);
    let envoy = Envoy::start(&around, &[with_documents, without]).await;
    let (here, none) = (envoy.address("documents").await, envoy.address("none").await);
    let get = async |address, path: &str, token: Option<&str>| {
        let request = http().get(format!("http://{address}{path}"));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let (status, discovery) = get(here, "/apis/auth/discovery", None).await;
    assert_eq!((status, &discovery["oidc"]["issuer"]), (200, &json!(around.issuer.issuer_url())));
    let (status, metadata) = get(here, "/.well-known/oauth-protected-resource/mcp", None).await;
    assert_eq!((status, &metadata["resource"]), (200, &json!("https://api.example/mcp")));
    let token = around.token();
    let (status, who) = get(here, "/apis/auth/authenticate", Some(&token)).await;
    assert_eq!((status, &who["principal"]), (200, &json!("alice")));
    assert_eq!(get(here, "/apis/auth/authenticate", None).await.0, 401);
    assert_eq!(get(none, "/apis/auth/discovery", None).await.0, 401);
}
