//! Requests put to an OPA: a real one, one that is gone, slow or says odd things.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::support::check::{Outcome, get};
use crate::support::doorward::Doorward;
use crate::support::gateway::Gateway;
use crate::support::opa::Opa;
use crate::support::raw;
use crate::support::registry::{Behaviour, Registry};
use crate::support::served::Served;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::{PATIENCE, eventually, tls};

const ISSUER: &str = "https://idp.example";
/// In NeMo's words and in those of OPA's plugin for Envoy.
const AUTHZ: &str = r#"
package authz

default allow := false

allow if {
    input.principal_id == "alice"
    input.path == "/v1/models"
    input.method == "GET"
    "models:read" in input.scopes
}

allow if {
    input.attributes.request.http.headers["x-pass"] == "yes"
    input.parsed_path == ["v1", "files"]
    input.parsed_query.name == ["a b"]
    startswith(input.attributes.request.http.headers.authorization, "Bearer ")
}

allow if "admins" in input.principal_groups
"#;

fn config(url: &str, more: Value) -> String {
    let mut policy = json!({"provider": "opa", "timeout": "900ms", "opa": {"url": url}});
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "policy": policy,
        "rules": {"bypass": ["/health"]},
    })
    .to_string()
}

fn token(more: Value) -> String {
    RSA.token("RS256", &claims(ISSUER, more))
}

fn told(outcome: &Outcome) -> (i32, &str) {
    (outcome.status, &outcome.reason)
}

#[tokio::test]
async fn a_real_opa_decides() {
    let Some(opa) = Opa::start(&[("authz.rego", AUTHZ)]).await else { return };
    let doorward =
        Doorward::start_explained_outside(&config(&opa.url(), json!({})), "policy").await;
    let (alice, other) = (token(json!({"scope": "models:read"})), token(json!({"sub": "bob"})));
    let admin = token(json!({"sub": "carol", "groups": ["admins"]}));
    for (ask, status) in [
        (get("/v1/models").bearer(&alice), 200),
        (get("/v1/models?x=1").bearer(&alice), 200),
        (get("/v1/models").bearer(&alice).method("POST"), 403),
        (get("/v1/models").bearer(&other), 403),
        (get("/v1/files?name=a+b").bearer(&other).header("x-pass", "yes"), 200),
        (get("/v1/files?name=a").bearer(&other).header("x-pass", "yes"), 403),
        (get("/anything").bearer(&admin), 200),
        // Read in two ways, and one of them is not allowed; in a third, nobody knows.
        (get("/v1/models;v=1").bearer(&alice), 403),
        (get("/anything;v=1").bearer(&admin), 200),
        (get("/v1//models").bearer(&admin), 400),
    ] {
        let outcome = doorward.ask(ask.clone()).await;
        assert_eq!(outcome.status, status, "{ask:?}: {outcome:?}");
        match status {
            200 => assert_eq!(outcome.header("x-nmp-authorized"), Some("true"), "{ask:?}"),
            403 => assert_eq!(outcome.reason, "policy_denied", "{ask:?}"),
            _ => {}
        }
    }
    assert_eq!(doorward.ask(get("/v1/models")).await.reason, "missing_token");
    assert_eq!(doorward.ask(get("/health")).await.status, 200, "nobody is asked");
}

/// A policy in the process is told the very same as an OPA.
#[tokio::test]
async fn the_input_is_the_same_in_the_process() {
    let echo = r#"
        package authz
        allow := {"allowed": true, "headers": {"x-input": base64.encode(json.marshal(input))}}
    "#;
    let Some(opa) = Opa::start(&[("authz.rego", echo)]).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("authz.rego");
    std::fs::write(&file, echo).unwrap();
    let mut embedded: Value = serde_json::from_str(&config("", json!({}))).unwrap();
    embedded["policy"] = json!({"provider": "embedded", "files": [file]});
    let mut both = Vec::new();
    for mut text in [serde_json::from_str(&config(&opa.url(), json!({}))).unwrap(), embedded] {
        text["rules"] = json!({
            "encoded_slashes": ["/hf/"], "routes": [{"path": "/free/*", "mode": "optional"}],
        });
        both.push(Doorward::start(&text.to_string()).await);
    }
    let full =
        token(json!({"email": "a@b.example", "groups": ["g1", "g2"], "scope": "a:b openid"}));
    let bare = token(json!({"email": null, "groups": null, "scope": null}));
    for ask in [
        get("/").bearer(&full),
        get("/v1/a%20b/?x=1&x=2%2B&y&z=a+b&odd=%zz&q;r=1&%e9=%ff&=v#f").bearer(&full),
        get("/v1/models?").bearer(&bare).method("DELETE").host("Api.Example:8443"),
        get("/v1/a;v=1/b").bearer(&full).header("x-a", "1").raw_header("X-A", b"\xff\xfe2"),
        get("/hf/a%2Fb").bearer(&full).header(":path", "/other").header(":method", "PUT"),
        get("/free/x?a=%3Cb%3E&c=%26").header("cookie", "a=b; c=d"),
        get("/free/%F0%9F%98%80").header("x-empty", ""),
    ] {
        let mut told = Vec::new();
        for doorward in &both {
            let outcome = doorward.ask(ask.clone()).await;
            assert_eq!(outcome.status, 200, "{ask:?}: {outcome:?}");
            let input = BASE64.decode(outcome.header("x-input").unwrap()).unwrap();
            told.push(serde_json::from_slice::<Value>(&input).unwrap());
        }
        assert_eq!(told[0], told[1], "{ask:?}");
        assert!(told[0]["attributes"]["request"]["http"]["headers"].is_object(), "{told:?}");
    }
}

/// Of OPA's plugin for Envoy: an object, whose words reach the upstream or the client.
#[tokio::test]
async fn what_a_policy_says_besides_is_heard() {
    let rule = r#"
        package istio.authz
        default allow := {"allowed": false, "http_status": 302, "body": "go there",
            "headers": {"location": "https://login.example/", "x-nmp-principal-id": "x"}}
        allow := {"allowed": true, "headers": {"x-plan": "gold", "X-NMP-Principal-Id": "root",
            "X-NMP-Authorized": "no"}, "request_headers_to_remove": ["x-debug"],
            "dynamic_metadata": {"plan": "gold"}, "http_status": 200, "body": "ok"} if {
            input.principal_id == "alice"
        }
    "#;
    let Some(opa) = Opa::start(&[("a.rego", rule)]).await else { return };
    let config = config(&opa.url(), json!({"query": "data.istio.authz.allow"}));
    let doorward = Doorward::start_explained_outside(&config, "policy").await;
    let outcome = doorward.ask(get("/").bearer(&token(json!({}))).header("x-debug", "1")).await;
    assert_eq!(told(&outcome), (200, "authenticated"));
    assert_eq!(outcome.header("x-plan"), Some("gold"));
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("alice"), "a policy has no say in that");
    assert_eq!(outcome.header("x-nmp-authorized"), Some("true"));
    assert!(outcome.removed.iter().any(|name| name == "x-debug"), "{outcome:?}");
    assert_eq!(outcome.metadata["plan"], "gold");
    let outcome = doorward.ask(get("/").bearer(&token(json!({"sub": "bob"})))).await;
    assert_eq!(told(&outcome), (302, "policy_denied"));
    assert_eq!(outcome.header("location"), Some("https://login.example/"));
    assert_eq!(outcome.body, "go there");
}

#[tokio::test]
async fn an_opa_that_is_gone_slow_or_without_the_rule_opens_no_door() {
    let Some(mut opa) = Opa::start(&[("authz.rego", AUTHZ)]).await else { return };
    let doorward = Doorward::start(&config(&opa.url(), json!({"timeout": "400ms"}))).await;
    let admin = token(json!({"sub": "carol", "groups": ["admins"]}));
    assert_eq!(doorward.ask_with(&admin).await.status, 200);

    // Stopped, it holds connections and says nothing.
    opa.signal("STOP");
    let started = Instant::now();
    let outcome = doorward.ask_with(&admin).await;
    assert_eq!(told(&outcome), (503, "policy_unavailable"));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(350) && took < Duration::from_secs(3), "{took:?}");
    assert_eq!(doorward.ask(get("/health")).await.status, 200);
    // Envoy's own patience is shorter.
    let mut checker = doorward.checker().await;
    let started = Instant::now();
    let outcome = checker.ask_within(Duration::from_millis(200), get("/").bearer(&admin)).await;
    assert_eq!(told(&outcome), (503, "policy_unavailable"));
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
    opa.signal("CONT");
    doorward.eventually_is(&admin, "authenticated").await;

    opa.kill();
    let started = Instant::now();
    assert_eq!(told(&doorward.ask_with(&admin).await), (503, "policy_unavailable"));
    assert!(started.elapsed() < Duration::from_millis(300), "nobody to wait for");
    // Another one in its place, and what its predecessor's connections were is no harm.
    let opa = Opa::start_at(opa.port(), &[]).await.unwrap();
    opa.put_policy("authz.rego", AUTHZ).await;
    assert_eq!(doorward.ask_with(&admin).await.status, 200);
    for (rule, reason) in [
        ("package authz\nallow := true", "authenticated"),
        ("package authz\nallow := false", "policy_denied"),
        ("package authz\nallow if input.never", "policy_unavailable"),
        ("package other\nallow := true", "policy_unavailable"),
        ("package authz\nallow := \"true\"", "policy_unavailable"),
        ("package authz\nallow := {\"allowed\": \"yes\"}", "policy_unavailable"),
        (
            "package authz\nallow := {\"allowed\": true, \"headers\": {\"host\": \"x\"}}",
            "policy_unavailable",
        ),
        (
            "package authz\nallow := 1 if { input.path }\nallow := 2 if { input.path }",
            "policy_unavailable",
        ),
    ] {
        opa.put_policy("authz.rego", rule).await;
        let outcome = doorward.ask_with(&admin).await;
        let expected = match reason {
            "authenticated" => 200,
            "policy_denied" => 403,
            _ => 503,
        };
        assert_eq!(told(&outcome), (expected, reason), "{rule}");
    }
}

/// Who sits in OPA's place and says what OPA never would.
#[tokio::test]
async fn no_sense_in_an_answer_is_no_leave() {
    let registry = Registry::start().await;
    let config = config(&registry.url(""), json!({"timeout": "300ms", "query": "data.allow"}));
    let mut served = Served::start(&serde_json::from_str(&config).unwrap()).await;
    let mut checker = crate::support::check::Checker::connect(&served.at.grpc).await;
    let token = token(json!({"sub": "of-a-secret"}));
    for behaviour in [
        Behaviour::Says(200, ""),
        Behaviour::Says(200, "true"),
        Behaviour::Says(200, "{}"),
        Behaviour::Says(200, "{\"result\": null}"),
        Behaviour::Says(200, "{\"result\": {\"allowed\": 1}}"),
        Behaviour::Says(200, "{\"result\": [true]}"),
        Behaviour::Says(200, "<html>true</html>"),
        Behaviour::Says(201, "{\"result\": true}"),
        Behaviour::Says(204, ""),
        Behaviour::Says(302, "{\"result\": true}"),
        Behaviour::Says(401, "{\"result\": true}"),
        Behaviour::Says(500, "{\"code\": \"internal_error\", \"message\": \"of-a-secret\"}"),
        Behaviour::After(Duration::from_secs(30)),
    ] {
        registry.will(behaviour.clone());
        let outcome = checker.ask(get("/").bearer(&token)).await;
        assert_eq!(told(&outcome), (503, "policy_unavailable"), "{behaviour:?}");
        assert!(outcome.header("retry-after").is_some());
    }
    registry.will(Behaviour::Says(200, "{\"result\": true, \"decision_id\": \"1\"}"));
    assert_eq!(checker.ask(get("/").bearer(&token)).await.status, 200);
    registry.will(Behaviour::Says(200, "{\"result\": false}"));
    assert_eq!(checker.ask(get("/").bearer(&token)).await.reason, "policy_denied");
    let asked = registry.questions();
    assert!(asked.iter().all(|question| question.target == "/v1/data/allow"), "{asked:?}");

    // It is said now and then, and nothing of what was answered.
    let said = eventually("it is said", PATIENCE, async || {
        let said = served.process().stderr();
        said.contains("OPA does not decide").then_some(said)
    })
    .await;
    assert_eq!(said.matches("OPA does not decide").count(), 1, "{said}");
    assert!(!said.contains("of-a-secret"), "{said}");
}

/// Who is asked may want to see a certificate.
#[tokio::test]
async fn an_opa_behind_tls_sees_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    tls::certificates(dir.path());
    let Some(opa) = Opa::start_behind_tls(dir.path(), &[("authz.rego", AUTHZ)]).await else {
        return;
    };
    let path = |name: &str| dir.path().join(name);
    let reason = async |more: Value| {
        let mut given = json!({"url": format!("https://localhost:{}", opa.port())});
        given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let doorward = Doorward::start(&config("", json!({"opa": given}))).await;
        doorward.ask_with(&token(json!({"groups": ["admins"]}))).await.reason
    };
    let shown = json!({
        "ca_file": path("ca.pem"), "client_cert": path("client.pem"), "client_key": path("client.key"),
    });
    let mut without = shown.clone();
    without.as_object_mut().unwrap().retain(|name, _| name == "ca_file");
    assert_eq!(reason(json!({})).await, "policy_unavailable", "it is not trusted");
    assert_eq!(reason(without).await, "policy_unavailable", "it wants a certificate");
    assert_eq!(reason(shown).await, "authenticated");
}

/// So many at once; who comes beyond that is told at once, and everybody is told something.
#[tokio::test]
async fn a_crowd_at_a_slow_opa_is_bounded() {
    let registry = Registry::start().await;
    let config = config(&registry.url(""), json!({"timeout": "900ms", "query": "data.allow"}));
    let doorward = Doorward::start(&config).await;
    registry.will(Behaviour::After(Duration::from_secs(30)));
    let (checker, token) = (doorward.checker().await, token(json!({})));
    let started = Instant::now();
    let asks = (0..600).map(|_| {
        let (mut checker, token) = (checker.clone(), token.clone());
        async move { checker.ask(get("/").bearer(&token)).await.reason }
    });
    let reasons = futures_util::future::join_all(asks).await;
    assert!(reasons.iter().all(|reason| reason == "policy_unavailable"), "{reasons:?}");
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    let asked = registry.questions().len();
    assert!(asked <= 300, "{asked}");
    registry.will(Behaviour::Says(200, "{\"result\": true}"));
    doorward.eventually_is(&token, "authenticated").await;
}

/// A reload costs no request, whatever is under way.
#[tokio::test]
async fn reloads_under_load_lose_nothing() {
    let Some(opa) = Opa::start(&[("authz.rego", AUTHZ)]).await else { return };
    let text = config(&opa.url(), json!({}));
    let doorward = Doorward::start(&text).await;
    let (admin, nobody) = (token(json!({"groups": ["admins"]})), token(json!({"sub": "bob"})));
    let checker = doorward.checker().await;
    let asking = (0..4).map(|_| {
        let (mut checker, admin, nobody) = (checker.clone(), admin.clone(), nobody.clone());
        tokio::spawn(async move {
            for _ in 0..100 {
                let outcome = checker.ask(get("/a").bearer(&admin)).await;
                assert_eq!(told(&outcome), (200, "authenticated"));
                let outcome = checker.ask(get("/a").bearer(&nobody)).await;
                assert_eq!(told(&outcome), (403, "policy_denied"));
            }
        })
    });
    let asking: Vec<_> = asking.collect();
    for round in 0..10 {
        // Every other one asks anew, by another client.
        let timeout = format!("{}ms", 800 + round % 4 * 50);
        doorward.reload(&config(&opa.url(), json!({"timeout": timeout}))).await;
    }
    for task in asking {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn behind_a_real_envoy() {
    let Some(opa) = Opa::start(&[("authz.rego", AUTHZ)]).await else { return };
    for file in ["envoy.yaml", "envoy-http.yaml"] {
        let config = config(&opa.url(), json!({}));
        let Some(gateway) = Gateway::start(file, &config).await else { return };
        let admin = token(json!({"sub": "carol", "groups": ["admins"]}));
        let request = raw::get("/v1/models").bearer(&admin).header("X-NMP-Authorized", "no");
        assert_eq!(gateway.send(&request).await.status, 200, "{file}");
        let seen = gateway.echo().take();
        let seen = seen.first().unwrap();
        assert_eq!(seen.header("x-nmp-authorized"), Some("true"), "{file}");
        let refused =
            gateway.send(&raw::get("/v1/models").bearer(&token(json!({"sub": "bob"})))).await;
        assert_eq!((refused.status, refused.reason().as_str()), (403, "policy_denied"), "{file}");
        assert!(gateway.echo().take().is_empty(), "{file}");
    }
}

/// The state of it, for people and for what watches.
#[tokio::test]
async fn it_is_shown() {
    let registry = Registry::start().await;
    let config = config(&registry.url(""), json!({"query": "data.allow"}));
    let doorward = Doorward::start(&config).await;
    doorward.ready().await;
    assert_eq!(doorward.metric("doorward_policy_loaded{provider=\"opa\"}").await, Some(1.0));
    registry.will(Behaviour::Says(500, "{}"));
    doorward.ask_with(&token(json!({}))).await;
    let ready = crate::support::http().get(doorward.admin("/health/ready")).send().await.unwrap();
    assert!(ready.status().is_success(), "an OPA in trouble is none of the server's readiness");
    let said = ready.text().await.unwrap();
    assert!(said.contains("policy (opa, http://127.0.0.1"), "{said}");
    assert!(said.contains("last failure: ") && said.contains("status 500"), "{said}");
}
