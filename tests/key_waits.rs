//! Requests that wait for a key: the first tokens of a new one, at an issuer that takes its
//! time, and those who only pretend.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::check::{Outcome, get};
use crate::support::doorward::{Doorward, Front, each_front};
use crate::support::gateway::{Gateway, NEMO, PLAIN};
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{Signer, claims};
use crate::support::{http, raw};

each_front! {
    a_rotation_at_a_slow_issuer_costs_one_fetch_and_no_denial,
    made_up_kids_take_their_places_and_no_more,
    a_new_key_under_an_old_name_passes_from_its_first_token_on,
    bad_signatures_cost_one_fetch_and_nobody_elses,
}

/// How long the issuer takes for each document.
const SLOW: Duration = Duration::from_millis(500);
/// What Envoy gives a check in the files of `envoy/`.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(1);

fn config(idp: &Idp, keys: Value) -> String {
    json!({"auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}}, "keys": keys})
        .to_string()
}

/// What discovery said is soon no longer new, as it is an hour after a start.
fn of_old() -> Value {
    json!({"refresh_min": "1ms"})
}

async fn started(idp: &Idp, keys: Value) -> Doorward {
    started_at(Front::Grpc, idp, keys).await
}

async fn started_at(front: Front, idp: &Idp, keys: Value) -> Doorward {
    let doorward = Doorward::start_at(front, &config(idp, keys)).await;
    doorward.ready().await;
    assert_eq!(idp.key_requests(), 1);
    doorward
}

fn token(idp: &Idp, signer: &Signer, id: usize) -> String {
    signer.token("EdDSA", &claims(&idp.issuer(), json!({"jti": id.to_string()})))
}

/// So many first tokens of this key at once.
async fn burst(doorward: &Doorward, idp: &Idp, signer: &Signer, count: usize) -> Vec<Outcome> {
    let checker = doorward.checker().await;
    let mut asking = JoinSet::new();
    for id in 0..count {
        let (mut checker, ask) = (checker.clone(), get("/").bearer(&token(idp, signer, id)));
        asking.spawn(async move { checker.ask_within(GATEWAY_TIMEOUT, ask).await });
    }
    asking.join_all().await
}

async fn a_rotation_at_a_slow_issuer_costs_one_fetch_and_no_denial(front: Front) {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let idp = Idp::start([&old]).await;
    let doorward = started_at(front, &idp, of_old()).await;
    idp.slow(SLOW, [&old, &new]);
    for outcome in burst(&doorward, &idp, &new, 32).await {
        assert_eq!(outcome.reason, "authenticated");
    }
    assert_eq!(idp.key_requests(), 2);
}

#[tokio::test]
async fn so_it_does_over_http() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    for timeout in [Some("1000"), None] {
        let idp = Idp::start([&old]).await;
        let doorward = started(&idp, of_old()).await;
        idp.slow(SLOW, [&old, &new]);
        let (client, url) = (http(), doorward.http("/apis/auth/ext-authz/v1/models"));
        let mut asking = JoinSet::new();
        for id in 0..32 {
            let mut request = client.get(&url).bearer_auth(token(&idp, &new, id));
            if let Some(timeout) = timeout {
                request = request.header("x-envoy-expected-rq-timeout-ms", timeout);
            }
            asking.spawn(async move { request.send().await.unwrap().status().as_u16() });
        }
        assert_eq!(asking.join_all().await, [200; 32], "{timeout:?}");
        assert_eq!(idp.key_requests(), 2);
    }
}

/// With the files that people start their gateway from, time-outs and all.
#[tokio::test]
async fn so_it_does_behind_envoy() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    for file in [PLAIN, NEMO].concat() {
        let idp = Idp::start([&old]).await;
        let Some(gateway) = Gateway::start(file, &config(&idp, of_old())).await else { return };
        idp.slow(SLOW, [&old, &new]);
        let requests: Vec<_> =
            (0..32).map(|id| raw::get("/v1/models").bearer(&token(&idp, &new, id))).collect();
        let replies = requests.iter().map(|request| gateway.send(request));
        for reply in futures_util::future::join_all(replies).await {
            assert_eq!(reply.status, 200, "{file}: {reply:?}");
        }
        assert_eq!(idp.key_requests(), 2, "{file}");
    }
}

/// A denial that comes too late would be an error to Envoy, and with `failure_mode_allow` an
/// open door.
#[tokio::test]
async fn the_answer_comes_before_the_caller_gives_up() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let idp = Idp::start([&old]).await;
    let doorward = started(&idp, json!({"wait": "30s", "timeout": "30s"})).await;
    idp.answer_keys(Answer::Hang);
    let timeout = Duration::from_millis(800);
    let start = Instant::now();
    let ask = get("/").bearer(&token(&idp, &new, 0));
    let outcome = doorward.checker().await.ask_within(timeout, ask).await;
    assert_eq!((outcome.status, outcome.reason.as_str()), (503, "keys_unavailable"));
    assert_eq!(outcome.header("retry-after"), Some("1"));
    assert!(start.elapsed() >= timeout * 3 / 4 && start.elapsed() < timeout);

    let start = Instant::now();
    let request = http()
        .get(doorward.http("/apis/auth/ext-authz/"))
        .bearer_auth(token(&idp, &new, 0))
        .header("x-envoy-expected-rq-timeout-ms", "800");
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (403, &"1".parse().unwrap())
    );
    assert!(start.elapsed() >= timeout * 3 / 4 && start.elapsed() < timeout);
}

async fn made_up_kids_take_their_places_and_no_more(front: Front) {
    const PLACES: usize = 256;
    let known = Signer::ed("known");
    let idp = Idp::start([&known]).await;
    let doorward = started_at(front, &idp, json!({"wait": "30s", "timeout": "30s"})).await;
    idp.answer_keys(Answer::Hang);
    let made_up = Signer::ed("made-up");
    let checker = doorward.checker().await;
    let mut waiting = JoinSet::new();
    for id in 0..PLACES + 50 {
        let (mut checker, ask) = (checker.clone(), get("/").bearer(&token(&idp, &made_up, id)));
        waiting.spawn(async move { checker.ask(ask).await });
    }
    // Those who find no place are told at once.
    for _ in 0..50 {
        let outcome = waiting.join_next().await.unwrap().unwrap();
        assert_eq!((outcome.status, outcome.reason.as_str()), (503, "keys_unavailable"));
        assert_eq!(outcome.header("retry-after"), Some("1"));
    }
    // And nobody else notices, on the same connection.
    let mut checker = checker.clone();
    for id in 0..50 {
        let outcome = checker.ask(get("/").bearer(&token(&idp, &known, id))).await;
        assert_eq!(outcome.reason, "authenticated");
    }
    assert!(waiting.try_join_next().is_none() && waiting.len() == PLACES);
    assert_eq!(idp.key_requests(), 2);
}

/// An IdP that was set up anew may give an old name to a new key.
async fn a_new_key_under_an_old_name_passes_from_its_first_token_on(front: Front) {
    let (old, new) = (Signer::ed("signing-key"), Signer::ed("signing-key"));
    let idp = Idp::start([&old]).await;
    let doorward = started_at(front, &idp, of_old()).await;
    let mut checker = doorward.checker().await;
    let of_old = get("/").bearer(&token(&idp, &old, 0));
    assert_eq!(checker.ask(of_old.clone()).await.reason, "authenticated");
    idp.slow(SLOW, [&new]);
    for outcome in burst(&doorward, &idp, &new, 32).await {
        assert_eq!(outcome.reason, "authenticated");
    }
    assert_eq!(idp.key_requests(), 2);
    assert_eq!(checker.ask(of_old).await.reason, "bad_signature");
}

async fn bad_signatures_cost_one_fetch_and_nobody_elses(front: Front) {
    let (known, stranger, new) = (Signer::ed("known"), Signer::ed("known"), Signer::ed("new"));
    let idp = Idp::start([&known]).await;
    let doorward = started_at(front, &idp, json!({"cool_down": "1h"})).await;
    let mut checker = doorward.checker().await;
    for id in 0..200 {
        let outcome = checker.ask(get("/").bearer(&token(&idp, &stranger, id))).await;
        assert_eq!((outcome.status, outcome.reason.as_str()), (401, "bad_signature"));
        let outcome = checker.ask(get("/").bearer(&token(&idp, &known, id))).await;
        assert_eq!(outcome.reason, "authenticated");
    }
    assert_eq!(idp.key_requests(), 2, "the one at the start, and one for all of these");
    // The fetch that an unknown kid may ask for is still to be had.
    idp.publish([&known, &new]);
    let outcome = checker.ask(get("/").bearer(&token(&idp, &new, 0))).await;
    assert_eq!(outcome.reason, "authenticated");
    assert_eq!(idp.key_requests(), 3);
    // And the other way round: made-up kids have used up theirs, not the others'.
    let (newest, made_up) = (Signer::ed("new"), Signer::ed("made-up"));
    idp.publish([&known, &newest]);
    let outcome = checker.ask(get("/").bearer(&token(&idp, &made_up, 0))).await;
    assert_eq!(outcome.reason, "unknown_key");
    assert_eq!(idp.key_requests(), 3);
}
