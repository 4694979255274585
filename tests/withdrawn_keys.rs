//! Issuers that publish a key set without usable keys, and when that is believed.

use std::time::Duration;

use doorward::app::explain_request;
use doorward::config::Settings;
use doorward::discovery::EmptySet;
use doorward_core::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doorward::{Doorward, settings};
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{Signer, claims};
use crate::support::{PATIENCE, eventually, http};

/// Instead of the minute that it takes outside of tests.
const OVER: Duration = Duration::from_millis(500);

fn config(idp: &Idp, keys: Value) -> Settings {
    let config =
        json!({"auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}}, "keys": keys});
    let mut settings = settings(&config.to_string());
    if let EmptySet::Withdraw { over, .. } = &mut settings.fetch.empty_set {
        *over = OVER;
    }
    settings
}

fn often() -> Value {
    json!({"refresh_min": "50ms", "refresh_default": "50ms", "refresh_max": "100ms"})
}

async fn started(settings: Settings) -> Doorward {
    let doorward = Doorward::start_with(settings, None).await;
    doorward.ready().await;
    doorward
}

fn token(idp: &Idp, signer: &Signer, id: &str) -> String {
    signer.token("EdDSA", &claims(&idp.issuer(), json!({"jti": id})))
}

async fn fetches(doorward: &Doorward, idp: &Idp, outcome: &str) -> f64 {
    let name = format!(
        "doorward_key_set_fetches_total{{issuer=\"{}\",outcome=\"{outcome}\"}}",
        idp.issuer()
    );
    doorward.metric(&name).await.unwrap()
}

/// What is well-formed and holds nothing to verify with.
fn emptied(signer: &Signer) -> [Value; 3] {
    let mut for_encryption = signer.jwk();
    for_encryption["use"] = json!("enc");
    [json!([]), json!([for_encryption]), json!([{"kty": "oct", "kid": "s", "k": "c2VjcmV0"}])]
}

#[tokio::test]
async fn an_emptied_key_set_withdraws_every_key() {
    let signer = Signer::ed("k1");
    for keys in emptied(&signer) {
        let idp = Idp::start([&signer]).await;
        let doorward = started(config(&idp, often())).await;
        let seen = token(&idp, &signer, "seen");
        assert_eq!(doorward.ask_with(&seen).await.reason, "authenticated");
        idp.answer_keys(Answer::Json(200, json!({ "keys": keys })));
        doorward.eventually_is(&seen, "unknown_key").await;
        let outcome = doorward.ask_with(&token(&idp, &signer, "new")).await;
        assert_eq!((outcome.status, outcome.reason.as_str()), (401, "unknown_key"), "{keys}");

        // It is counted, and told.
        assert_eq!(fetches(&doorward, &idp, "withdrawn").await, 1.0);
        assert!(fetches(&doorward, &idp, "empty").await >= 2.0, "{keys}");
        let keys_in_force = format!("doorward_key_set_keys{{issuer=\"{}\"}}", idp.issuer());
        assert_eq!(doorward.metric(&keys_in_force).await, Some(0.0));
        let ready = http().get(doorward.admin("/health/ready")).send().await.unwrap();
        assert!(ready.status().is_success(), "an IdP makes nobody unready");
        let told = ready.text().await.unwrap();
        assert!(told.contains("withdrawn all its keys"), "{told}");

        // What it publishes again is believed at once.
        idp.publish([&signer]);
        doorward.eventually_is(&seen, "authenticated").await;
    }
}

#[tokio::test]
async fn explain_tells_what_it_comes_to() {
    let signer = Signer::ed("k1");
    let idp = Idp::start([]).await;
    let ask = get("/v1/models").bearer(&token(&idp, &signer, "1"));
    for (empty_set, reason) in [("withdraw", "unknown_key"), ("keep", "keys_unavailable")] {
        let settings = config(&idp, json!({"empty_set": empty_set}));
        let ask = ask.clone();
        let explaining = tokio::task::spawn_blocking(move || {
            ask.view(|request| explain_request(settings, request, SystemClock.now()).unwrap())
        });
        let explanation = explaining.await.unwrap();
        assert_eq!(explanation.reason, reason, "{explanation:#?}");
        let found = &explanation.failed().unwrap().found;
        assert!(found.contains("no usable key"), "{found}");
    }
}

#[tokio::test]
async fn with_keep_the_last_keys_serve_on() {
    let signer = Signer::ed("k1");
    let idp = Idp::start([&signer]).await;
    let mut keys = often();
    keys["empty_set"] = json!("keep");
    let doorward = started(config(&idp, keys)).await;
    idp.publish([]);
    eventually("it was read often enough", PATIENCE, async || {
        (fetches(&doorward, &idp, "empty").await >= 10.0).then_some(())
    })
    .await;
    assert_eq!(doorward.ask_with(&token(&idp, &signer, "1")).await.reason, "authenticated");
}

/// Nor can whoever sends made-up kids and bad signatures.
#[tokio::test]
async fn reads_that_requests_ask_for_bring_nothing_about() {
    let (signer, made_up) = (Signer::ed("k1"), Signer::ed("made-up"));
    let idp = Idp::start([&signer]).await;
    let doorward = started(config(&idp, json!({"cool_down": "100ms"}))).await;
    idp.publish([]);
    let start = std::time::Instant::now();
    while fetches(&doorward, &idp, "empty").await < 5.0 || start.elapsed() < 2 * OVER {
        assert_eq!(doorward.ask_with(&token(&idp, &made_up, "x")).await.reason, "unknown_key");
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(doorward.ask_with(&token(&idp, &signer, "1")).await.reason, "authenticated");
    assert_eq!(fetches(&doorward, &idp, "withdrawn").await, 0.0);
}

/// A thief would keep asking, so that the scheduled read never comes.
#[tokio::test]
async fn reads_that_requests_ask_for_put_nothing_off() {
    let (signer, made_up) = (Signer::ed("k1"), Signer::ed("made-up"));
    let idp = Idp::start([&signer]).await;
    let often = json!({"refresh_min": "300ms", "refresh_default": "300ms", "cool_down": "100ms"});
    let doorward = started(config(&idp, often)).await;
    let stolen = token(&idp, &signer, "stolen");
    idp.publish([]);
    eventually("it is withdrawn all the same", PATIENCE, async || {
        doorward.ask_with(&token(&idp, &made_up, "x")).await;
        (doorward.ask_with(&stolen).await.reason == "unknown_key").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restart_brings_nothing_back() {
    let signer = Signer::ed("k1");
    let mut idp = Idp::start([&signer]).await;
    let dir = tempfile::tempdir().unwrap();
    let mut keys = often();
    keys["key_cache_dir"] = json!(dir.path());
    let doorward = started(config(&idp, keys.clone())).await;
    let token = token(&idp, &signer, "1");
    assert_eq!(doorward.ask_with(&token).await.reason, "authenticated");
    idp.publish([]);
    doorward.eventually_is(&token, "unknown_key").await;
    eventually("that is on disk", PATIENCE, async || {
        let files = std::fs::read_dir(dir.path()).unwrap();
        let texts: Vec<_> = files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default())
            .collect();
        (!texts.concat().contains("k1")).then_some(())
    })
    .await;
    drop(doorward);
    idp.stop().await;
    let doorward = started(config(&idp, keys)).await;
    let outcome = doorward.ask_with(&token).await;
    assert_eq!((outcome.status, outcome.reason.as_str()), (401, "unknown_key"));
}
