//! A real Keycloak: a login's token passes and its groups arrive, a rotation of keys
//! costs nobody a request, and with Keycloak gone tokens pass on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use crate::support::check::{Checker, get};
use crate::support::echo::Echoed;
use crate::support::eventually;
use crate::support::explain;
use crate::support::gateway::Gateway;
use crate::support::keycloak::Keycloak;
use crate::support::raw;
use crate::support::signer::{STRANGER, claims};

/// Sends what tokens there are, one after the other, until told to stop. Counts denials.
async fn keep_sending(
    mut checker: Checker,
    tokens: watch::Receiver<Vec<String>>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut denials = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let tokens = tokens.borrow().clone();
        for token in &tokens {
            let outcome = checker.ask(get("/v1/models").bearer(token)).await;
            if outcome.status != 200 {
                denials.push(outcome.reason);
            }
            sent.fetch_add(1, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    denials
}

/// One story, because a Keycloak takes ten seconds to start.
#[tokio::test]
async fn login_rotation_and_outage() {
    let Some(mut keycloak) = Keycloak::start().await else { return };
    let issuer = keycloak.issuer();
    // Short refreshes for what should vanish; the cool-down is the default: the first new
    // key must be picked up at once all the same.
    let config = json!({
        "auth": {"oidc": {"issuer": issuer, "client_id": "nmp"}},
        "keys": {"refresh_min": "500ms", "refresh_default": "1s"},
    });
    let Some(gateway) = Gateway::start("envoy.yaml", &config.to_string()).await else { return };
    let doorward = gateway.doorward();

    // A login passes, and who it was arrives.
    let first = keycloak.login_alice().await;
    let reply = gateway.send(&raw::get("/v1/models").bearer(&first)).await;
    let seen = Echoed::of(&reply);
    assert_eq!(seen.header("x-nmp-principal-email"), Some("alice@example.com"));
    assert_eq!(seen.header("x-nmp-principal-groups"), Some("research,team-b"));
    let scopes: BTreeSet<_> = seen.header("x-nmp-scopes").unwrap().split(' ').collect();
    assert_eq!(scopes, ["email", "openid", "platform:read", "profile"].into());
    let alice = seen.header("x-nmp-principal-id").unwrap().to_owned();

    // An email address that Keycloak has not verified is left out.
    let bob = keycloak.login("nmp", "bob", "builder", "openid email").await;
    let seen = Echoed::of(&gateway.send(&raw::get("/v1/models").bearer(&bob)).await);
    assert_eq!(seen.header("x-nmp-principal-email"), None);
    assert!(seen.header("x-nmp-principal-id").is_some_and(|id| id != alice));

    // A machine, and a token made for somebody else.
    let job = keycloak.client_credentials().await;
    assert_eq!(doorward.ask(get("/").bearer(&job)).await.status, 200);
    let elsewhere = keycloak.login("elsewhere", "alice", "wonderland", "openid").await;
    let reply = gateway.send(&raw::get("/").bearer(&elsewhere)).await;
    assert_eq!((reply.status, reply.reason().as_str()), (401, "bad_audience"));

    // An ID token: the same keys, the same audience, and no key to anything.
    let id_token = keycloak.login_at("doorward").await["id_token"].clone();
    let reply = gateway.send(&raw::get("/").bearer(id_token.as_str().unwrap())).await;
    assert_eq!((reply.status, reply.reason().as_str()), (401, "unsupported_token"));

    // `explain` says the same of each, and why.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doorward.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let (tokens, told) = ([&first, &bob, &elsewhere].map(String::clone), explain::told);
    let [of_alice, of_bob, of_elsewhere] =
        tokio::task::spawn_blocking(move || tokens.map(|token| told(&file, &[], &token).0))
            .await
            .unwrap();
    assert_eq!(of_alice["headers"]["set"]["x-nmp-principal-id"], alice);
    assert_eq!(of_alice["headers"]["set"]["x-nmp-principal-groups"], "research,team-b");
    let email = of_bob["steps"].as_array().unwrap().iter().find(|step| step["check"] == "email");
    assert!(email.unwrap()["found"].as_str().unwrap().contains("left out"), "{of_bob:#}");
    assert_eq!(of_elsewhere["reason"], "bad_audience", "{of_elsewhere:#}");

    // Keys rotate while requests go on.
    let (tokens, current) = watch::channel(vec![first.clone(), job]);
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let background = tokio::spawn(keep_sending(
        doorward.checker().await,
        current,
        Arc::clone(&stop),
        Arc::clone(&sent),
    ));
    let more_are_sent = async || {
        let before = sent.load(Ordering::SeqCst);
        eventually("requests go on", Duration::from_secs(10), async || {
            (sent.load(Ordering::SeqCst) > before + 20).then_some(())
        })
        .await;
    };
    more_are_sent().await;
    keycloak.add_key().await;
    let second = keycloak.login_alice().await;
    assert_ne!(kid(&first), kid(&second), "the keys have rotated");
    let reply = gateway.send(&raw::get("/v1/models").bearer(&second)).await;
    assert_eq!(Echoed::of(&reply).header("x-nmp-principal-id"), Some(alice.as_str()));
    tokens.send(vec![first.clone(), second.clone()]).unwrap();
    more_are_sent().await;
    // From here on the first key is not published any more: its tokens should not pass.
    tokens.send(vec![second.clone()]).unwrap();
    more_are_sent().await;
    keycloak.remove_old_key().await;
    eventually("the removed key stops counting", Duration::from_secs(20), async || {
        let outcome = doorward.ask(get("/").bearer(&first)).await;
        (outcome.reason == "unknown_key").then_some(())
    })
    .await;

    // Keycloak is gone. What it signed passes, whether seen before or not.
    let unseen = keycloak.login_alice().await;
    tokens.send(vec![second.clone(), unseen.clone()]).unwrap();
    keycloak.stop();
    eventually("the outage is noticed", Duration::from_secs(20), async || {
        let errors =
            format!("doorward_key_set_fetches_total{{issuer=\"{issuer}\",outcome=\"error\"}}");
        (doorward.metric(&errors).await? >= 1.0).then_some(())
    })
    .await;
    more_are_sent().await;
    let reply = gateway.send(&raw::get("/v1/models").bearer(&unseen)).await;
    assert_eq!(Echoed::of(&reply).header("x-nmp-principal-id"), Some(alice.as_str()));
    for (forged, reason) in [
        (STRANGER.token("RS256", &claims(&issuer, json!({}))), "unknown_key"),
        (
            STRANGER.token_with(
                json!({"alg": "RS256", "kid": kid(&second)}),
                &claims(&issuer, json!({})),
            ),
            "bad_signature",
        ),
        (first, "unknown_key"),
    ] {
        let reply = gateway.send(&raw::get("/v1/models").bearer(&forged)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (401, reason));
    }

    stop.store(true, Ordering::SeqCst);
    let denials = background.await.unwrap();
    let sent = sent.load(Ordering::SeqCst);
    assert!(denials.is_empty(), "{} of {sent} denied: {denials:?}", denials.len());
}

/// The `kid` in a token's header.
fn kid(token: &str) -> String {
    use base64::Engine as _;
    let header = token.split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}
