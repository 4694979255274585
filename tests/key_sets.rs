//! Issuers that rotate, fail, hang and flood, as requests notice them.

use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doorward::{Doorward, Front, each_front};
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{RSA, Signer, claims};
use crate::support::{PATIENCE, eventually};

each_front! {
    a_flood_of_made_up_kids_costs_one_fetch_and_known_ones_nothing,
    the_first_token_of_a_new_key_passes,
    a_key_that_leaves_the_set_stops_counting_in_the_cache_too,
    an_issuer_that_is_down_at_the_start_is_found_when_it_comes_up,
    the_last_good_keys_serve_on_through_every_kind_of_trouble,
    keys_older_than_max_stale_are_not_believed,
    a_fetch_that_hangs_delays_nobody_who_does_not_need_it,
    keys_survive_a_restart_without_their_issuer,
    a_reload_keeps_the_keys_and_forgets_the_verifications,
}

/// A configuration with this primary issuer and these times.
fn config(idp: &Idp, keys: Value) -> String {
    json!({"auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}}, "keys": keys})
        .to_string()
}

fn token(idp: &Idp, signer: &Signer, id: &str) -> String {
    signer.token("EdDSA", &claims(&idp.issuer(), json!({"jti": id})))
}

async fn a_flood_of_made_up_kids_costs_one_fetch_and_known_ones_nothing(front: Front) {
    let known = Signer::ed("known");
    let idp = Idp::start([&known]).await;
    let doorward = Doorward::start_at(front, &config(&idp, json!({"cool_down": "1h"}))).await;
    doorward.ready().await;
    assert_eq!(idp.key_requests(), 1);
    let mut checker = doorward.checker().await;
    for round in 0..200 {
        let made_up = Signer::ed(&format!("made-up-{round}"));
        let outcome = checker.ask(get("/").bearer(&token(&idp, &made_up, "x"))).await;
        assert_eq!((outcome.status, outcome.reason.as_str()), (401, "unknown_key"));
        let fresh = token(&idp, &known, &round.to_string());
        assert_eq!(checker.ask(get("/").bearer(&fresh)).await.reason, "authenticated");
    }
    assert_eq!(idp.key_requests(), 2, "the one at the start, and one for all of these");
}

/// However short a time ago the keys were fetched, as after a start.
async fn the_first_token_of_a_new_key_passes(front: Front) {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let idp = Idp::start([&old]).await;
    let doorward = Doorward::start_at(front, &config(&idp, json!({}))).await;
    doorward.ready().await;
    assert_eq!(doorward.ask_with(&token(&idp, &old, "1")).await.reason, "authenticated");
    idp.publish([&old, &new]);
    assert_eq!(doorward.ask_with(&token(&idp, &new, "1")).await.reason, "authenticated");
    assert_eq!(doorward.ask_with(&token(&idp, &old, "1")).await.reason, "authenticated");
}

async fn a_key_that_leaves_the_set_stops_counting_in_the_cache_too(front: Front) {
    let (leaving, staying) = (Signer::ed("leaving"), Signer::ed("staying"));
    let idp = Idp::start([&leaving, &staying]).await;
    let refresh = json!({"refresh_min": "50ms", "refresh_default": "50ms"});
    let doorward = Doorward::start_at(front, &config(&idp, refresh)).await;
    doorward.ready().await;
    let (gone, kept) = (token(&idp, &leaving, "1"), token(&idp, &staying, "1"));
    for token in [&gone, &gone, &kept, &kept] {
        assert_eq!(doorward.ask_with(token).await.reason, "authenticated");
    }
    let hits = doorward.metric("doorward_token_cache_hits_total").await.unwrap();
    assert!(hits >= 2.0, "both are cached: {hits}");
    idp.publish([&staying]);
    eventually("the key stops counting", PATIENCE, async || {
        assert_eq!(doorward.ask_with(&kept).await.reason, "authenticated");
        (doorward.ask_with(&gone).await.reason == "unknown_key").then_some(())
    })
    .await;
    // A key comes back under the same name, but is another one.
    let impostor = Signer::ed("leaving");
    idp.publish([&staying, &impostor]);
    doorward.eventually_is(&token(&idp, &impostor, "2"), "authenticated").await;
    assert_eq!(doorward.ask_with(&gone).await.reason, "bad_signature");
}

async fn an_issuer_that_is_down_at_the_start_is_found_when_it_comes_up(front: Front) {
    let signer = Signer::ed("k");
    let mut idp = Idp::down([&signer]).await;
    let doorward = Doorward::start_at(front, &config(&idp, json!({"refresh_min": "100ms"}))).await;
    let token = token(&idp, &signer, "1");
    let outcome = doorward.ask_with(&token).await;
    assert_eq!((outcome.status, outcome.reason.as_str()), (503, "keys_unavailable"));
    assert!(outcome.header("retry-after").is_some());
    idp.answer_keys(Answer::Status(500));
    idp.up().await;
    eventually("it was asked", PATIENCE, async || (idp.key_requests() > 1).then_some(())).await;
    assert_eq!(doorward.ask_with(&token).await.reason, "keys_unavailable");
    idp.publish([&signer]);
    doorward.eventually_is(&token, "authenticated").await;
}

async fn the_last_good_keys_serve_on_through_every_kind_of_trouble(front: Front) {
    let signer = Signer::ed("k");
    let mut idp = Idp::start([&signer]).await;
    // The pause after a failure grows no further than this: a gateway shows what is counted once a
    // second, so a trouble lasts for many failures.
    let times = json!({"refresh_min": "50ms", "refresh_default": "50ms", "refresh_max": "200ms",
        "timeout": "300ms"});
    let doorward = Doorward::start_at(front, &config(&idp, times)).await;
    doorward.eventually_is(&token(&idp, &signer, "first"), "authenticated").await;
    let errors =
        format!("doorward_key_set_fetches_total{{issuer=\"{}\",outcome=\"error\"}}", idp.issuer());
    for (id, answer) in [
        Answer::Status(500),
        Answer::Status(404),
        Answer::Json(200, json!({"no": "keys"})),
        Answer::Json(200, json!({"keys": "none"})),
        Answer::Hang,
    ]
    .into_iter()
    .enumerate()
    {
        let before = doorward.metric(&errors).await.unwrap();
        let trouble = format!("{answer:?}");
        idp.answer_keys(answer);
        eventually(&trouble, PATIENCE, async || {
            (doorward.metric(&errors).await? > before).then_some(())
        })
        .await;
        let fresh = token(&idp, &signer, &id.to_string());
        assert_eq!(doorward.ask_with(&fresh).await.reason, "authenticated", "{trouble}");
    }
    idp.stop().await;
    assert_eq!(doorward.ask_with(&token(&idp, &signer, "x")).await.reason, "authenticated");
}

async fn keys_older_than_max_stale_are_not_believed(front: Front) {
    let signer = Signer::ed("k");
    let mut idp = Idp::start([&signer]).await;
    let times = json!({"refresh_min": "1s", "refresh_default": "1s", "refresh_max": "1s", "max_stale": "2s"});
    let doorward = Doorward::start_at(front, &config(&idp, times)).await;
    doorward.ready().await;
    let token = token(&idp, &signer, "1");
    assert_eq!(doorward.ask_with(&token).await.reason, "authenticated");
    idp.stop().await;
    doorward.eventually_is(&token, "keys_unavailable").await;
    idp.up().await;
    doorward.eventually_is(&token, "authenticated").await;
}

async fn a_fetch_that_hangs_delays_nobody_who_does_not_need_it(front: Front) {
    let (known, unknown) = (Signer::ed("known"), Signer::ed("unknown"));
    let (hanging, lively) = (Idp::start([&known]).await, Idp::start([&*RSA]).await);
    let never = Idp::start([&known]).await;
    never.answer_keys(Answer::Hang);
    let config = json!({
        "auth": {
            "oidc": {"issuer": hanging.issuer(), "client_id": "nmp"},
            "issuers": [
                {"issuer": lively.issuer(), "audience": "nmp"},
                {"issuer": never.issuer(), "audience": "nmp"},
            ],
        },
        // So long that whatever waits for it is still waiting when all else is done.
        "keys": {"wait": "30s", "timeout": "30s"},
    });
    let doorward = Doorward::start_at(front, &config.to_string()).await;
    let of_lively = RSA.token("RS256", &claims(&lively.issuer(), json!({})));
    let of_known = token(&hanging, &known, "1");
    doorward.eventually_is(&of_lively, "authenticated").await;
    doorward.eventually_is(&of_known, "authenticated").await;
    hanging.answer_keys(Answer::Hang);

    let mut waiting = tokio::task::JoinSet::new();
    for token in [token(&hanging, &unknown, "1"), token(&never, &known, "1")] {
        let mut checker = doorward.checker().await;
        waiting.spawn(async move { checker.ask(get("/").bearer(&token)).await });
    }
    eventually("both fetches are under way", PATIENCE, async || {
        (hanging.key_requests() == 2 && never.key_requests() == 1).then_some(())
    })
    .await;
    let mut checker = doorward.checker().await;
    for id in 0..50 {
        let fresh = token(&hanging, &known, &id.to_string());
        let other = RSA.token("RS256", &claims(&lively.issuer(), json!({"jti": id})));
        for token in [&of_known, &of_lively, &fresh, &other] {
            let outcome = checker.ask(get("/").bearer(token)).await;
            assert_eq!(outcome.reason, "authenticated");
        }
    }
    assert!(waiting.try_join_next().is_none(), "those who need the fetch wait for it");
}

async fn keys_survive_a_restart_without_their_issuer(front: Front) {
    let (signer, stranger) = (Signer::ed("k"), Signer::ed("k"));
    let mut idp = Idp::start([&signer]).await;
    let dir = tempfile::tempdir().unwrap();
    let config = config(&idp, json!({"key_cache_dir": dir.path()}));
    let doorward = Doorward::start_at(front, &config).await;
    doorward.ready().await;
    eventually("the keys are kept", PATIENCE, async || {
        // The keys and the discovery document.
        let files = std::fs::read_dir(dir.path()).unwrap();
        let kept =
            files.filter(|file| file.as_ref().unwrap().path().extension() == Some("json".as_ref()));
        (kept.count() == 2).then_some(())
    })
    .await;
    drop(doorward);
    idp.stop().await;
    let doorward = Doorward::start_at(front, &config).await;
    doorward.eventually_is(&token(&idp, &signer, "1"), "authenticated").await;
    assert_eq!(doorward.ask_with(&token(&idp, &stranger, "1")).await.reason, "bad_signature");
}

async fn a_reload_keeps_the_keys_and_forgets_the_verifications(front: Front) {
    let signer = Signer::ed("k");
    let mut idp = Idp::start([&signer]).await;
    let doorward = Doorward::start_at(front, &config(&idp, json!({}))).await;
    doorward.ready().await;
    let token = token(&idp, &signer, "1");
    assert_eq!(doorward.ask_with(&token).await.header("x-nmp-principal-id"), Some("alice"));
    idp.stop().await;
    let mut changed: Value = serde_json::from_str(&config(&idp, json!({}))).unwrap();
    changed["auth"]["oidc"]["subject_prefix"] = json!("idp:");
    doorward.reload(&changed.to_string()).await;
    assert_eq!(doorward.ask_with(&token).await.header("x-nmp-principal-id"), Some("idp:alice"));
    changed["auth"]["oidc"]["audience"] = json!("another");
    doorward.reload(&changed.to_string()).await;
    assert_eq!(doorward.ask_with(&token).await.reason, "bad_audience");
}
