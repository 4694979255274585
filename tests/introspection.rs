//! Tokens that the issuer is asked about (RFC 7662): opaque ones, and JWTs that can be revoked.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::check::{Checker, get};
use crate::support::doorward::Doorward;
use crate::support::registry::{Behaviour, Registry};
use crate::support::served::Served;
use crate::support::signer::{RSA, claims, from_now, jwks};
use crate::support::{PATIENCE, eventually};

const ISSUER: &str = "https://idp.example";

/// An issuer that is asked about all its tokens, of which some are opaque; `more` is put over what
/// it is asked with.
fn config(registry: &Registry, more: Value) -> String {
    let mut introspection = json!({
        "endpoint": registry.url("/introspect"), "client_id": "doorward", "client_secret": "s:e c",
    });
    introspection.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"auth": {"issuers": [{
        "issuer": ISSUER, "audience": "nmp", "jwks": jwks([&*RSA]),
        "opaque": true, "introspection": introspection,
    }]}})
    .to_string()
}

fn bob() -> Value {
    json!({"iss": ISSUER, "sub": "bob", "aud": ["nmp"], "scope": "a:read", "exp": from_now(600)})
}

fn active(name: &str) -> String {
    format!("doorward_token_questions_total{{issuer=\"{ISSUER}\",outcome=\"{name}\"}}")
}

#[tokio::test]
async fn what_is_asked_and_what_becomes_of_the_answer() {
    let registry = Registry::start().await;
    let doorward =
        Doorward::start_explained_outside(&config(&registry, json!({})), "introspection").await;
    registry.issue("opaque-1", bob());
    let outcome = doorward.ask_with("opaque-1").await;
    assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("bob"));
    assert_eq!(outcome.header("x-nmp-scopes"), Some("a:read"));
    assert_eq!(outcome.metadata["issuer"], ISSUER);
    // RFC 6749 §2.3.1: id and secret are encoded as in a form, and then as RFC 7617 has it.
    let questions = registry.questions();
    assert_eq!(questions[0].token, "opaque-1");
    assert_eq!(questions[0].shown, format!("Basic {}", base64("doorward:s%3Ae+c")));

    let jwt = RSA.token("RS256", &claims(ISSUER, json!({})));
    registry.issue(&jwt, json!({}));
    assert_eq!(doorward.ask_with(&jwt).await.header("x-nmp-principal-id"), Some("alice"));
    for (token, status, reason) in [
        ("never-issued", 401, "revoked"),
        ("service:jobs", 401, "malformed_token"),
        (&*RSA.token("RS256", &claims(ISSUER, json!({"jti": "revoked"}))), 401, "revoked"),
        (&*RSA.token("RS256", &claims(ISSUER, json!({"exp": 1}))), 401, "expired"),
    ] {
        let outcome = doorward.ask_with(token).await;
        assert_eq!((outcome.status, outcome.reason.as_str()), (status, reason), "{token}");
    }
    registry.issue("of-others", json!({"sub": "bob", "aud": "others"}));
    assert_eq!(doorward.ask_with("of-others").await.reason, "bad_audience");
    let asked = registry.questions();
    assert!(!asked.iter().any(|asked| asked.token == "service:jobs"), "{asked:?}");

    // In the form, and from a file that is read again each time.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "first\n").unwrap();
    let in_form = json!({
        "client_secret": null, "client_secret_file": file, "auth_method": "client_secret_post",
    });
    let doorward = Doorward::start(&config(&registry, in_form)).await;
    for secret in ["first", "second"] {
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        registry.issue(secret, bob());
        assert_eq!(doorward.ask_with(secret).await.status, 200);
        let shown = registry.questions().pop().unwrap().shown;
        assert!(shown.contains("client_id=doorward") && shown.contains(secret), "{shown}");
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn an_answer_counts_for_a_while_and_no_longer() {
    let registry = Registry::start().await;
    let doorward = Doorward::start(&config(&registry, json!({"cache": "2s"}))).await;
    registry.issue("good", bob());
    assert_eq!(doorward.ask_with("good").await.status, 200);
    for _ in 0..20 {
        assert_eq!(doorward.ask_with("good").await.status, 200);
    }
    assert_eq!(registry.questions().len(), 1);
    registry.revoke("good");
    doorward.eventually_is("good", "revoked").await;
    // A "no" counts as long.
    let asked = registry.questions().len();
    for _ in 0..20 {
        assert_eq!(doorward.ask_with("good").await.reason, "revoked");
    }
    assert_eq!((asked, registry.questions().len()), (1, 0));
    registry.issue("good", bob());
    doorward.eventually_is("good", "authenticated").await;
    assert_eq!(doorward.metric(&active("active")).await, Some(2.0));
    assert_eq!(doorward.metric(&active("inactive")).await, Some(1.0));
}

#[tokio::test]
async fn no_sense_in_an_answer_is_no_answer() {
    let registry = Registry::start().await;
    let doorward = Doorward::start(&config(&registry, json!({"timeout": "300ms"}))).await;
    registry.issue("good", bob());
    for behaviour in [
        Behaviour::Says(500, "{}"),
        Behaviour::Says(401, "{\"error\": \"invalid_client\"}"),
        Behaviour::Says(200, "{}"),
        Behaviour::Says(200, "[true]"),
        Behaviour::Says(200, "{\"active\": \"yes\"}"),
        Behaviour::Says(200, "{\"active\": true, \"active\": true}"),
        Behaviour::Says(200, "<html>"),
        Behaviour::Says(204, ""),
        Behaviour::Says(302, ""),
        Behaviour::After(Duration::from_secs(30)),
    ] {
        registry.will(behaviour.clone());
        let token = format!("good-{}", doorward.metric(&active("error")).await.unwrap_or_default());
        registry.issue(&token, bob());
        let outcome = doorward.ask_with(&token).await;
        assert_eq!(
            (outcome.status, &*outcome.reason),
            (503, "status_unavailable"),
            "{behaviour:?}"
        );
        assert!(outcome.header("retry-after").is_some());
    }
    registry.will(Behaviour::Answers);
    assert_eq!(doorward.ask_with("good").await.status, 200);
    assert_eq!(doorward.metric(&active("error")).await, Some(10.0));

    // Without an answer, a token is not asked about again for a moment, however often it comes.
    registry.questions();
    registry.will(Behaviour::Says(500, ""));
    for _ in 0..20 {
        assert_eq!(doorward.ask_with("unanswered").await.reason, "status_unavailable");
    }
    assert!(registry.questions().len() <= 2);
}

/// What the other side says of itself may hold the token or the secret: none of it is in the log.
#[tokio::test]
async fn nothing_of_an_answer_is_logged() {
    let registry = Registry::start().await;
    let config: Value = serde_json::from_str(&config(&registry, json!({}))).unwrap();
    let mut served = Served::start(&config).await;
    registry.will(Behaviour::Says(
        400,
        "{\"error\": \"invalid_client\", \"error_description\": \"s:e c of opaque-secret\"}",
    ));
    let mut checker = Checker::connect(&served.at.grpc).await;
    for token in ["opaque-secret", "opaque-secret-2"] {
        let outcome = checker.ask(get("/").bearer(token)).await;
        assert_eq!(outcome.reason, "status_unavailable");
    }
    let said = eventually("it is said", PATIENCE, async || {
        let said = served.process().stderr();
        said.contains("invalid_client").then_some(said)
    })
    .await;
    assert!(!said.contains("opaque-secret") && !said.contains("s:e c"), "{said}");
    let lines = said.matches("nobody can say").count();
    assert_eq!(lines, 1, "now and then, not for each: {said}");
}

/// However many requests have the same token, one question about it is under way; and a request
/// waits no longer than others do.
#[tokio::test]
async fn a_slow_answer_is_waited_for_together() {
    let registry = Registry::start().await;
    let doorward = Doorward::start(&config(&registry, json!({"timeout": "10s"}))).await;
    registry.issue("slow", bob());
    registry.will(Behaviour::After(Duration::from_millis(300)));
    let checker = doorward.checker().await;
    let asks = (0..50).map(|_| {
        let mut checker = checker.clone();
        async move { checker.ask(get("/").bearer("slow")).await.status }
    });
    let statuses = futures_util::future::join_all(asks).await;
    assert_eq!(statuses, [200; 50]);
    assert_eq!(registry.questions().len(), 1);

    registry.issue("slower", bob());
    registry.will(Behaviour::After(Duration::from_millis(1500)));
    let started = Instant::now();
    let outcome = doorward.ask_with("slower").await;
    assert_eq!((outcome.status, &*outcome.reason), (503, "status_unavailable"));
    assert!(started.elapsed() < Duration::from_millis(1400), "{:?}", started.elapsed());
    // The question was not given up with the request, and its answer is there for the next one.
    eventually("it is answered", PATIENCE, async || {
        (doorward.metric(&active("active")).await? >= 2.0).then_some(())
    })
    .await;
    assert_eq!(doorward.ask_with("slower").await.status, 200);
    assert_eq!(registry.questions().len(), 1);
}

/// Tokens that somebody makes up cost the issuer next to nothing, and those who have one nothing.
#[tokio::test]
async fn made_up_tokens_hurt_nobody() {
    let registry = Registry::start().await;
    let doorward = Doorward::start(&config(&registry, json!({"cache": "1s"}))).await;
    registry.issue("good", bob());
    assert_eq!(doorward.ask_with("good").await.status, 200);
    let jwt = RSA.token("RS256", &claims(ISSUER, json!({})));
    registry.issue(&jwt, json!({}));
    registry.questions();
    let (started, mut sent) = (Instant::now(), 0_u32);
    let mut checker = doorward.checker().await;
    // On a busy machine it takes longer to send enough.
    while started.elapsed() < Duration::from_millis(2500) || sent < 400 {
        for _ in 0..50 {
            let outcome = checker.ask(get("/").bearer(&format!("made-up-{sent}"))).await;
            assert!(matches!(&*outcome.reason, "revoked" | "status_unavailable"), "{outcome:?}");
            sent += 1;
        }
        // One that was active is asked about again, and a signed one at once, whatever others send.
        assert_eq!(checker.ask(get("/").bearer("good")).await.status, 200);
        assert_eq!(checker.ask(get("/").bearer(&jwt)).await.status, 200);
    }
    let seconds = started.elapsed().as_secs() as usize + 2;
    let asked = registry.questions();
    let made_up = asked.iter().filter(|asked| asked.token.starts_with("made-up")).count();
    assert!(made_up <= seconds * 20, "{made_up} of {sent}");
    let held_back = doorward.metric(&active("held_back")).await.unwrap();
    assert!(held_back >= f64::from(sent) - (seconds * 20) as f64, "{held_back} of {sent}");
}

/// A prefix keeps what is no token of the issuer's from being asked about at all.
#[tokio::test]
async fn a_prefix_tells_the_issuers_tokens() {
    let registry = Registry::start().await;
    let mut config: Value = serde_json::from_str(&config(&registry, json!({}))).unwrap();
    config["auth"]["issuers"][0]["opaque_prefix"] = json!("op_");
    let doorward = Doorward::start_explained_outside(&config.to_string(), "opaque_prefix").await;
    registry.issue("op_1", bob());
    registry.issue("xx_1", bob());
    assert_eq!(doorward.ask_with("op_1").await.status, 200);
    assert_eq!(doorward.ask_with("xx_1").await.reason, "malformed_token");
    assert!(registry.questions().iter().all(|asked| asked.token == "op_1"));
}

/// A reload that leaves the issuer as it is costs no question and no request.
#[tokio::test]
async fn a_reload_keeps_what_is_known() {
    let registry = Registry::start().await;
    let config = config(&registry, json!({}));
    let doorward = Doorward::start(&config).await;
    assert_eq!(doorward.ask_with("bad").await.reason, "revoked");
    registry.issue("slow", bob());
    registry.will(Behaviour::After(Duration::from_millis(400)));
    let mut checker = doorward.checker().await;
    let waiting = tokio::spawn(async move { checker.ask(get("/").bearer("slow")).await.status });
    eventually("it is asked", PATIENCE, async || {
        registry.questions().iter().any(|asked| asked.token == "slow").then_some(())
    })
    .await;
    let mut other: Value = serde_json::from_str(&config).unwrap();
    other["rules"] = json!({"bypass": ["/health"]});
    doorward.reload(&other.to_string()).await;
    assert_eq!(waiting.await.unwrap(), 200);
    registry.will(Behaviour::Answers);
    assert_eq!(doorward.ask_with("bad").await.reason, "revoked");
    assert_eq!(registry.questions().len(), 0, "it is known");
    // Asked otherwise, it is another matter; which tokens were active is still known.
    other["auth"]["issuers"][0]["introspection"]["cache"] = json!("5s");
    doorward.reload(&other.to_string()).await;
    assert_eq!(doorward.ask_with("bad").await.reason, "revoked");
    assert_eq!(registry.questions().len(), 1);
}
