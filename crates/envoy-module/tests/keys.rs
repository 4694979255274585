//! Requests that wait for keys.

use std::time::Duration;

use doorward_dev::Answer;
use doorward_dev::issuer::PreviousKey;
use serde_json::json;

use crate::support::{Around, Envoy, eventually, http, listener, module, with};

/// A token signed with a key of a moment ago passes, after one question however many wait for it.
#[tokio::test]
async fn a_rotation_is_waited_for() {
    let Some(around) = Around::start().await else { return };
    let envoy = Envoy::start(&around, &[listener("main", module(around.config()), &[])]).await;
    let url = format!("http://{}/", envoy.address("main").await);
    let ask = async |token: String| {
        http().post(&url).bearer_auth(token).body("x".repeat(100_000)).send().await.unwrap()
    };
    assert_eq!(ask(around.token()).await.status(), 200);
    let asked = around.issuer.requests("/keys");
    around.issuer.rotate(PreviousKey::Withdraw).await.unwrap();
    let (one, two, three) = tokio::join!(
        ask(around.token()),
        ask(around.issuer.mint("bob", json!({})).unwrap()),
        ask(around.issuer.mint("carol", json!({})).unwrap()),
    );
    for (answer, who) in [(one, "alice"), (two, "bob"), (three, "carol")] {
        assert_eq!(answer.status(), 200);
        let echoed = answer.text().await.unwrap();
        assert!(echoed.contains(who), "{echoed}");
    }
    assert_eq!(around.issuer.requests("/keys"), asked + 1);
}

/// An issuer that hangs holds a request up for `keys.wait` and no longer, and an Envoy that is to end
/// not at all.
#[tokio::test]
async fn nobody_waits_for_ever() {
    let Some(around) = Around::start().await else { return };
    around.issuer.answer("/keys", Answer::Hang);
    let config = with(around.config(), json!({"keys": {"wait": "300ms", "timeout": "20s"}}));
    let envoy = Envoy::start(&around, &[listener("main", module(config), &[])]).await;
    let url = format!("http://{}/", envoy.address("main").await);
    let answer = http().get(&url).bearer_auth(around.token()).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("keys_unavailable"));

    // A client that goes away while its request waits.
    let short = http().get(&url).bearer_auth(around.token()).timeout(Duration::from_millis(100));
    assert!(short.send().await.is_err());
    let gone = eventually("the request that nobody waits for is over", async || {
        let log = envoy.access_log();
        (log.lines().count() == 2).then_some(log)
    });
    assert!(gone.await.lines().last().unwrap().starts_with("0 "));
    assert_eq!(envoy.stop().await, Some(0));
}

/// Keys come through a cluster of Envoy's: by its name, and with the host of the issuer's URL.
#[tokio::test]
async fn keys_may_come_through_envoy() {
    let Some(around) = Around::start().await else { return };
    let keys = |cluster: &str| json!({"keys": {"envoy_cluster": cluster, "wait": "2s"}});
    let through = listener("through", module(with(around.config(), keys("issuer"))), &[]);
    let envoy = Envoy::start(&around, &[through]).await;
    let url = format!("http://{}/", envoy.address("through").await);
    let answer = http().get(&url).bearer_auth(around.token()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", envoy.log());
    around.issuer.rotate(PreviousKey::Withdraw).await.unwrap();
    let answer = http().get(&url).bearer_auth(around.token()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", envoy.log());
    let sent = envoy.statistic("cluster_upstream_rq_total", &["\"issuer\""]).await;
    assert_eq!(sent, Some(u64::try_from(around.issuer.asked().len()).unwrap()));

    let none = listener("none", module(with(around.config(), keys("nowhere"))), &[]);
    let envoy = Envoy::start(&around, &[none]).await;
    let url = format!("http://{}/", envoy.address("none").await);
    let answer = http().get(&url).bearer_auth(around.token()).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    eventually("the fault is told", async || envoy.log().contains("no such cluster").then_some(()))
        .await;
}
