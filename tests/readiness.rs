//! When Doorward is ready, and how it says that an issuer's users are locked out.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::served::Served;
use crate::support::signer::{RSA, Signer, jwks};
use crate::support::{PATIENCE, eventually, http};

const SERVICE: &str = "envoy.service.auth.v3.Authorization";

async fn health(doorward: &Doorward, service: &str) -> ServingStatus {
    let endpoint = Endpoint::try_from(format!("http://{}", doorward.grpc())).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let request = HealthCheckRequest { service: service.into() };
    let HealthCheckResponse { status, .. } = client.check(request).await.unwrap().into_inner();
    status.try_into().unwrap()
}

/// Status and body.
async fn page(url: &str) -> (u16, String) {
    let answer = http().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn config(idp: &Idp, keys: Value) -> Value {
    json!({
        "auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}},
        "rules": {"bypass": ["/health"]},
        "keys": keys,
    })
}

#[tokio::test]
async fn an_issuer_that_is_down_makes_nobody_unready() {
    let mut idp = Idp::down([&*RSA]).await;
    let config = config(&idp, json!({"refresh_min": "100ms"}));
    let doorward = Doorward::start(&config.to_string()).await;
    assert_eq!(page(&doorward.admin("/health/live")).await.0, 200);
    // It was tried, in vain.
    doorward.ready().await;
    let (_, body) = page(&doorward.admin("/health/ready")).await;
    let degraded =
        format!("ready\ndegraded: {}: no usable keys: its keys were never", idp.issuer());
    assert!(body.starts_with(&degraded), "{body}");
    for service in ["", SERVICE] {
        eventually("it serves", PATIENCE, async || {
            (health(&doorward, service).await == ServingStatus::Serving).then_some(())
        })
        .await;
    }
    // What needs no keys is done: bypasses and denials.
    assert_eq!(doorward.ask(get("/health")).await.reason, "bypassed");
    assert_eq!(doorward.ask(get("/")).await.reason, "missing_token");

    idp.up().await;
    eventually("it is as good as new", PATIENCE, async || {
        let (status, body) = page(&doorward.admin("/health/ready")).await;
        assert_eq!(status, 200);
        (!body.contains("degraded")).then_some(())
    })
    .await;
    // What it can do does not end with the issuer.
    idp.stop().await;
    assert_eq!(page(&doorward.admin("/health/ready")).await.0, 200);
    assert_eq!(page(&doorward.admin("/health")).await.0, 404);
}

/// An issuer that hangs is waited for, but for no more than ten seconds.
#[tokio::test]
async fn an_issuer_that_hangs_delays_readiness_for_ten_seconds() {
    let idp = Idp::start([&*RSA]).await;
    idp.answer("/.well-known/openid-configuration", Answer::Hang);
    let config = config(&idp, json!({"timeout": "30s"}));
    let started = Instant::now();
    let doorward = Doorward::start(&config.to_string()).await;
    let url = doorward.admin("/health/ready");
    let (status, body) = page(&url).await;
    assert_eq!((status, body.lines().next()), (503, Some("not ready")));
    assert!(!body.contains("degraded"), "nobody knows yet: {body}");
    assert_eq!(health(&doorward, "").await, ServingStatus::NotServing);
    eventually("it is ready", 2 * PATIENCE, async || (page(&url).await.0 == 200).then_some(()))
        .await;
    let took = started.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(13)).contains(&took), "{took:?}");
    let (_, body) = page(&url).await;
    assert!(
        body.contains("degraded: "),
        "its users are denied, whatever keys.timeout says: {body}"
    );
    eventually("it serves", PATIENCE, async || {
        (health(&doorward, SERVICE).await == ServingStatus::Serving).then_some(())
    })
    .await;
    // An issuer that is added later does not take it back.
    let mut more: Value = serde_json::from_str(&config.to_string()).unwrap();
    more["auth"]["issuers"] = json!([{"issuer": "http://127.0.0.1:9", "audience": "nmp"}]);
    doorward.reload(&more.to_string()).await;
    assert_eq!(page(&url).await.0, 200);
}

/// In the log once, when it begins and when it ends; in the metrics and at the admin port for as
/// long as it lasts.
#[tokio::test]
async fn keys_that_run_out_are_told_of_when_they_do() {
    let signer = Signer::ed("k1");
    let mut idp = Idp::start([&signer]).await;
    let keys = json!({
        "refresh_min": "1s", "refresh_default": "1s", "refresh_max": "1s", "max_stale": "2s",
    });
    let mut served = Served::start(&config(&idp, keys)).await;
    let expires = format!("doorward_key_set_expires_seconds{{issuer=\"{}\"}}", idp.issuer());
    let url = format!("http://{}/health/ready", served.at.admin);
    eventually("keys are there", PATIENCE, async || {
        (served.metric(&expires).await > 0.0).then_some(())
    })
    .await;
    let lines = |served: &mut Served, level: &str, words: &str| {
        let said = served.process().stderr();
        let level = format!("\"level\":\"{level}\"");
        said.lines().filter(|line| line.contains(&level) && line.contains(words)).count()
    };
    let none = "the issuer has no usable keys: until it answers, its tokens are denied";
    assert_eq!(lines(&mut served, "ERROR", none), 0);

    idp.stop().await;
    eventually("they run out", PATIENCE, async || {
        (lines(&mut served, "ERROR", none) == 1).then_some(())
    })
    .await;
    let said = served.process().stderr();
    let line = said.lines().find(|line| line.contains(none)).unwrap();
    for part in [&*idp.issuer(), "its keys are older than keys.max_stale", "keys_unavailable"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(served.metric(&expires).await <= 0.0, "from 0 down nobody gets in");
    let (status, body) = page(&url).await;
    assert_eq!(status, 200);
    let degraded = format!("degraded: {}: no usable keys: its keys are older", idp.issuer());
    assert!(body.contains(&degraded), "{body}");

    // Once, however long it lasts.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(lines(&mut served, "ERROR", none), 1);
    assert!(served.metric(&expires).await < 0.0);
    idp.up().await;
    eventually("that is told too", PATIENCE, async || {
        (lines(&mut served, "INFO", "the issuer has usable keys again") == 1).then_some(())
    })
    .await;
    assert!(!page(&url).await.1.contains("degraded"));
    assert!(served.metric(&expires).await > 0.0);
}

/// An issuer that was never reached is told of like one whose keys expired; keys that stand in the
/// configuration never do.
#[tokio::test]
async fn an_issuer_that_was_never_reached_is_an_error_in_the_log() {
    let idp = Idp::down([&*RSA]).await;
    let mut config = config(&idp, json!({}));
    config["auth"]["issuers"] = json!([{
        "issuer": "https://inline.example", "audience": "nmp",
        "jwks": jwks([&*RSA]),
    }]);
    let mut served = Served::start(&config).await;
    eventually("it is told", PATIENCE, async || {
        let said = served.process().stderr();
        let line = said.lines().find(|line| line.contains("its keys were never obtained"))?;
        assert!(line.contains("\"level\":\"ERROR\"") && line.contains(&idp.issuer()), "{line}");
        assert!(line.contains("last_error"), "{line}");
        Some(())
    })
    .await;
    let url = format!("http://{}/metrics", served.at.admin);
    let (_, metrics) = page(&url).await;
    let zero = format!("doorward_key_set_expires_seconds{{issuer=\"{}\"}} 0\n", idp.issuer());
    assert!(metrics.contains(&zero), "{metrics}");
    assert!(!metrics.contains("expires_seconds{issuer=\"https://inline.example\""), "{metrics}");
}
