//! CORS preflights, which browsers send without a token: refused with a word on it, let through by
//! `rules.cors_preflight`, or answered by Envoy's own filter before Doorward is asked.

use doorward::config::Settings;
use doorward::doctor::Outcome;
use doorward::doctor::envoy::examine;
use serde_json::{Value, json};

use crate::support::check::{Ask, get};
use crate::support::doorward::Doorward;
use crate::support::gateway::{Gateway, NEMO, PLAIN};
use crate::support::raw;
use crate::support::served::Served;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::{PATIENCE, eventually, tools};

const ISSUER: &str = "https://idp.example";

fn config(cors_preflight: &str) -> Value {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {
            "cors_preflight": cors_preflight,
            "endpoints": {"/v1/closed": {"delete": {"deny": true}, "options": {}}},
        },
    })
}

fn preflight(path: &str, method: &str) -> Ask {
    let ask = get(path).method("OPTIONS").header("origin", "https://app.example");
    ask.header("access-control-request-method", method)
}

#[tokio::test]
async fn a_preflight_passes_where_that_is_asked_for_and_is_nobody() {
    let doorward = Doorward::start_explained(&config("allow").to_string()).await;
    let outcome = doorward.ask(preflight("/v1/models", "POST")).await;
    assert_eq!((outcome.status, outcome.reason.as_str()), (200, "bypassed"));
    assert!(outcome.headers.is_empty(), "{outcome:?}");
    let forged = preflight("/v1/models", "POST")
        .header("x_nmp_anything", "root")
        .header("x-nmp-principal-id", "root")
        .header("authorization", "Bearer service:jobs");
    let removed = doorward.ask(forged).await.removed;
    for name in ["x_nmp_anything", "x-nmp-principal-id", "x-nmp-scopes", "authorization"] {
        assert!(removed.iter().any(|it| it == name), "{name}: {removed:?}");
    }
    // What is none, and what a rule keeps closed.
    let options = get("/v1/models").method("OPTIONS");
    for (ask, reason) in [
        (options.clone(), "missing_token"),
        (options.clone().header("origin", "https://app.example"), "missing_token"),
        (options.clone().header("access-control-request-method", "POST"), "missing_token"),
        (preflight("/v1/models", ""), "missing_token"),
        (preflight("/v1/models", "POST").header("origin", ""), "missing_token"),
        (preflight("/v1/models", "POST").method("POST"), "missing_token"),
        (preflight("/v1/models", "GET, POST"), "missing_token"),
        (preflight("/v1/models", "GET;q=1"), "missing_token"),
        (preflight("/v1/models", "GET POST"), "missing_token"),
        (preflight("/v1/models", "G\u{c9}T"), "missing_token"),
        (preflight("/v1/models", "X-PROPRIETARY"), "bypassed"),
        (preflight("/v1/models", "POST").header("origin", "null"), "bypassed"),
        (preflight("/v1/models", "POST").header("origin", "https://a.example,b"), "missing_token"),
        (preflight("/v1/models", "POST").header("origin", "https://a.example b"), "missing_token"),
        (preflight("/v1/closed", "DELETE"), "policy_denied"),
        (preflight("/v1/closed/", "delete"), "policy_denied"),
        (preflight("/v1/closed", "GET"), "bypassed"),
        (preflight("/v1/%2e%2e/closed", "GET"), "missing_token"),
        (preflight("/v1/models", "POST").route("doorward.mode", "required"), "missing_token"),
    ] {
        assert_eq!(doorward.ask(ask.clone()).await.reason, reason, "{ask:?}");
    }
}

#[tokio::test]
async fn a_preflight_is_refused_otherwise_and_the_log_says_why() {
    let mut config = config("deny");
    config["log"] = json!({"decisions": "denials"});
    let mut served = Served::start(&config).await;
    let mut checker = crate::support::check::Checker::connect(&served.at.grpc).await;
    let outcome = checker.ask(preflight("/v1/models", "POST")).await;
    assert_eq!((outcome.status, outcome.reason.as_str()), (401, "missing_token"));
    eventually("the log says so", PATIENCE, async || {
        let said = served.process().stderr();
        let line = said.lines().find(|line| line.contains("doorward::decision"))?;
        for part in ["CORS preflight", "`rules.cors_preflight: allow`", "`origin`"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        Some(())
    })
    .await;
    let settings = Settings::from_yaml("test", &config.to_string()).unwrap();
    let explain = move || {
        let now = doorward_core::clock::Clock::now(&doorward_core::clock::SystemClock);
        preflight("/v1/models", "POST")
            .view(|request| doorward::app::explain_request(settings, request, now).unwrap())
    };
    let explanation = tokio::task::spawn_blocking(explain).await.unwrap();
    let failed = explanation.failed().unwrap();
    let remedy = failed.remedy.as_deref().unwrap();
    assert!(remedy.contains("rules.cors_preflight: allow") && remedy.contains("docs/cors.md"));
}

/// As a browser sends it.
fn of_browser(path: &str) -> raw::RawRequest {
    raw::request("OPTIONS", path)
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization")
}

#[tokio::test]
async fn by_the_rule_a_preflight_reaches_the_upstream_through_envoy() {
    for file in [PLAIN, NEMO].concat() {
        let Some(mut gateway) = Gateway::start(file, &config("allow").to_string()).await else {
            return;
        };
        let forged = of_browser("/v1/models").header("x_nmp_principal_id", "root");
        assert_eq!(gateway.send(&forged).await.status, 200, "{file}");
        let seen = gateway.echo().take().remove(0);
        assert_eq!(seen.method, "OPTIONS");
        assert_eq!(seen.trusted(), [("", ""); 0], "{file}");
        let closed = of_browser("/v1/closed");
        assert_eq!(gateway.send(&closed).await.status, 200, "POST is not what is closed");
        gateway.echo().take();
        let closed = raw::request("OPTIONS", "/v1/closed")
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", "DELETE");
        assert_eq!(gateway.send(&closed).await.reason(), "policy_denied", "{file}");
        let other = raw::request("OPTIONS", "/v1/models").header("Origin", "https://app.example");
        assert_eq!(gateway.send(&other).await.status, 401, "{file}");
        assert!(gateway.echo().take().is_empty());
        gateway.reload(&config("deny").to_string()).await;
        assert_eq!(gateway.send(&of_browser("/v1/models")).await.status, 401, "{file}");
        assert!(gateway.echo().take().is_empty());
    }
}

const OURS: &str = "                  # Before every filter that believes the identity headers.\n";
const HOST: &str = "                      domains: [\"*\"]\n";

/// The second way of docs/cors.md, whose YAML this is.
#[tokio::test]
async fn envoys_own_filter_answers_before_doorward_is_asked() {
    let guide = tools::file("docs/cors.md");
    let mut blocks = guide.split("```yaml\n").skip(1).map(|it| it.split("```").next().unwrap());
    let mut indented = |spaces: usize| {
        let lines = blocks.next().unwrap().lines();
        lines.map(|line| format!("{}{line}\n", " ".repeat(spaces))).collect::<String>()
    };
    let (filter, policy) = (indented(18), indented(22));
    let filter = format!("{filter}{OURS}");
    let policy = format!("{HOST}{policy}");
    let changes = [(OURS, filter.as_str()), (HOST, policy.as_str())];
    let file = tools::file("envoy/envoy.yaml").replace(OURS, &filter).replace(HOST, &policy);
    assert_eq!(crate::support::doctor_envoy::faults(&file), [], "doctor takes it");

    let Some(gateway) =
        Gateway::start_changed("envoy.yaml", changes, &config("deny").to_string()).await
    else {
        return;
    };
    let reply = gateway.send(&of_browser("/v1/models")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(reply.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert!(gateway.echo().take().is_empty(), "nobody behind Envoy sees it");
    let count = "doorward_check_duration_seconds_count";
    assert_eq!(gateway.doorward().metric(count).await, Some(0.0), "nor does Doorward");
    // A page from elsewhere, and a request that is none.
    let elsewhere = raw::request("OPTIONS", "/v1/models")
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "POST");
    assert_eq!(gateway.send(&elsewhere).await.status, 401);
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let asked = raw::get("/v1/models").header("Origin", "https://app.example").bearer(&token);
    let reply = gateway.send(&asked).await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, Some("https://app.example"))
    );
    // A script can read why it was denied.
    let denied =
        gateway.send(&raw::get("/v1/models").header("Origin", "https://app.example")).await;
    assert_eq!(
        (denied.status, denied.header("access-control-allow-origin")),
        (401, Some("https://app.example"))
    );
}

/// With the rule on, what hides a preflight from Doorward is a fault of the gateway's file.
#[test]
fn doctor_says_what_the_gateway_has_to_show() {
    let said = |file: &str, text: &str| {
        let settings = Settings::from_yaml("test", &config("allow").to_string()).unwrap();
        let sections = examine(file, text, &settings.headers, &settings).unwrap();
        let findings = sections.into_iter().flat_map(|section| section.findings);
        let odd =
            findings.filter(|it| it.check == "allowed_headers" && it.outcome != Outcome::Pass);
        odd.map(|it| (it.outcome, it.found, it.remedy.unwrap())).collect::<Vec<_>>()
    };
    for file in
        ["envoy.yaml", "envoy-http.yaml", "envoy-tls.yaml", "nemo-grpc.yaml", "nemo-http.yaml"]
    {
        let sound = tools::file(&format!("envoy/{file}"));
        assert_eq!(said(file, &sound), [], "{file}");
        for name in ["origin", "access-control-request-method"] {
            let hidden = sound.replace(&format!("- exact: {name}\n"), "- exact: x-other\n");
            let found = said(file, &hidden);
            assert_eq!((found.len(), found[0].0), (1, Outcome::Fail), "{file}: {found:?}");
            assert!(found[0].1.contains(name), "{file}: {found:?}");
            assert!(found[0].2.contains("{exact: origin}"), "{file}: {found:?}");
        }
    }
    // Both meshes ask over gRPC and show every header.
    for file in ["istio/mesh.yaml", "envoy-gateway/gateway.yaml"] {
        assert_eq!(said(file, &tools::file(&format!("envoy/{file}"))), [], "{file}");
    }
}
