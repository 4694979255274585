//! The console: a page that tells the one on call whether it is Doorward, the provider, the gateway
//! or this one token. In a real Chromium where people look at it, by hand-written requests where
//! somebody else does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::check::{Ask, get};
use crate::support::console::{config, explain, state};
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::served::Served;
use crate::support::signer::{RSA, STRANGER, Signer, claims, jwks};

/// The way of an incident: a user's 401 is pasted, the cause is named with what to do at the
/// provider, a key rotation is seen, and that the provider goes down after it. With
/// `DOORWARD_SCREENSHOT=FILE` it lasts two minutes longer, and ends with the picture of the page.
#[tokio::test]
async fn an_incident_is_understood_on_one_page() {
    let Some(browser) = Browser::start().await else { return };
    let (mut keycloak, partner) = (Idp::start([&*RSA]).await, Idp::start([&*RSA]).await);
    let issuer = keycloak.url("/realms/research");
    let document = json!({"issuer": issuer, "jwks_uri": keycloak.url("/keys")});
    let metadata = "/realms/research/.well-known/openid-configuration";
    keycloak.answer(metadata, Answer::Json(200, document));
    let mut config: Value = serde_json::from_str(&config(&keycloak)).unwrap();
    config["auth"]["oidc"]["issuer"] = issuer.as_str().into();
    config["auth"]["issuers"] = json!([{"issuer": partner.issuer(), "audience": "nmp"}]);
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    browser.open(&doorward.console("/")).await;
    browser.sees("ready since").await;
    let shown = format!("[data-issuer='{issuer}']");
    browser.shows(&format!("{shown}.ok"), "Keycloak").await;
    browser.shows(&format!("{shown}.ok"), "rsa-1").await;

    // The user's request, as Envoy asks for it.
    let token =
        |signer: &Signer, algorithm: &str, more| signer.token(algorithm, &claims(&issuer, more));
    let others = token(&RSA, "RS256", json!({"aud": "account"}));
    let denied = doorward.ask(get("/v1/models?page=2").bearer(&others)).await;
    assert_eq!((denied.status, denied.reason.as_str()), (401, "bad_audience"));
    browser.shows("#denials tbody tr", "bad_audience").await;
    browser.shows("#denials tbody tr", "GET /v1/models").await;
    assert!(!browser.text("#denials").await.contains("page=2"));

    // What the user sent is pasted.
    let line = format!("Authorization: Bearer {others}");
    let pasted = [("#token", &*line), ("#path", "/v1/models")];
    browser.ask(&pasted, "#question button").await;
    browser.shows("#verdict", "deny: bad_audience (401)").await;
    browser.shows("#cause", "found: aud \"account\"").await;
    let fix = "fix: Clients > nmp > Client scopes > its -dedicated scope > Add mapper > By configuration > \
               Audience: Included Client Audience nmp";
    browser.shows("#cause .remedy", fix).await;

    // The provider rotates: the new key is seen, and its tokens are taken.
    let next = Signer::ed("ed-2");
    keycloak.publish([&*RSA, &next]);
    let fresh = token(&next, "EdDSA", json!({}));
    doorward.eventually_is(&fresh, "authenticated").await;
    browser.shows(&format!("{shown}.ok"), "ed-2").await;
    browser.ask(&[("#token", &fresh)], "#question button").await;
    browser.shows("#verdict", "allow: authenticated (200)").await;
    browser.shows("#answer", "x-nmp-principal-id").await;

    // It goes down: its last keys serve on, and the page says so, above all else.
    keycloak.stop().await;
    browser.shows(&format!("{shown}.stale"), "fix: nothing listens there").await;
    browser.shows("#attention", "1 issuer stale").await;
    assert_eq!(doorward.ask_with(&fresh).await.reason, "authenticated");

    if let Some(path) = std::env::var_os("DOORWARD_SCREENSHOT") {
        let expired = token(&next, "EdDSA", json!({"exp": 1_700_000_000, "iat": 1_699_999_000}));
        let asks = [&fresh, &others, &expired].map(|token| get("/v1/models").bearer(token));
        traffic(&doorward, &asks, Duration::from_secs(120)).await;
        browser.ask(&pasted, "#question button").await;
        browser.shows("#cause", "fix: ").await;
        browser.run("document.getElementById('token').scrollTop = 0").await;
        browser.screenshot(path.as_ref()).await;
    }
    browser.quit().await;
}

/// Some of each of these, more of the first, now more and now less.
async fn traffic(doorward: &Doorward, asks: &[Ask], lasting: Duration) {
    let mut checker = doorward.checker().await;
    let begun = Instant::now();
    while begun.elapsed() < lasting {
        let wave = (begun.elapsed().as_secs_f32() / 9.0).sin() + 1.5;
        for (ask, share) in asks.iter().zip([40.0, 6.0, 3.0]) {
            for _ in 0..(wave * share) as usize {
                checker.ask(ask.clone()).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Old facts never pass for new ones: a server that is gone, or that does not answer any more.
#[tokio::test]
async fn a_page_that_is_cut_off_says_so() {
    let Some(browser) = Browser::start().await else { return };
    let mut served = Served::start(&json!({"auth": {"enabled": false}})).await;
    browser.open(&format!("http://{}/", served.at.console.as_deref().unwrap())).await;
    browser.shows("#readiness.good", "ready").await;
    assert_eq!(browser.count("body.cut-off").await, 0);
    served.process().signal("STOP");
    browser.shows("body.cut-off #readiness.bad", "this page cannot reach Doorward").await;
    served.process().signal("CONT");
    browser.shows("body:not(.cut-off) #readiness.good", "ready").await;
    served.process().kill();
    browser.shows("body.cut-off #readiness.bad", "this page cannot reach Doorward").await;
    browser.quit().await;
}

/// What comes from outside is text, whatever it looks like.
#[tokio::test]
async fn markup_stays_text() {
    let Some(browser) = Browser::start().await else { return };
    let idp = Idp::start([&*RSA]).await;
    let markup = "<img src=x onerror=document.title='taken'><b>bold</b>";
    let (named, other) = (Signer::ed(markup), Idp::start([&*RSA]).await);
    idp.publish([&*RSA, &named]);
    let document = json!({"issuer": markup, "jwks_uri": markup});
    other.answer("/.well-known/openid-configuration", Answer::Json(200, document));
    // A name with a space, or with a `>` as a placeholder has, is refused.
    let issuer = "<img/src=x/onerror=document.title='taken'/x";
    let mut config: Value = serde_json::from_str(&config(&idp)).unwrap();
    config["auth"]["issuers"] = json!([
        {"issuer": other.issuer(), "audience": "nmp"},
        {"issuer": issuer, "audience": "nmp", "jwks": jwks([&*RSA])},
    ]);
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    let token = RSA.token("RS256", &claims(&idp.issuer(), json!({"aud": markup, "sub": markup})));
    let asked = get("/<script>document.title='taken'</script>").bearer(&token);
    assert_eq!(doorward.ask(asked).await.status, 401);
    browser.open(&doorward.console("/")).await;
    browser.shows("#denials tbody tr", "/<script>").await;
    // A key, an error with words of the provider's, an issuer.
    browser.shows("#issuers code", markup).await;
    browser.shows("#issuers .down .trouble", "<b>").await;
    browser.shows("#issuers h3", issuer).await;
    let path = "/<b>bold</b>";
    browser.ask(&[("#token", &token), ("#path", path)], "#question button").await;
    browser.shows("#cause", "<img src=x").await;
    browser.run("document.querySelector('#answer details').open = true").await;
    browser.shows("#answer", path).await;
    assert_eq!(browser.count("img, b, main script").await, 0);
    assert_eq!(browser.title().await, "Doorward");
    browser.quit().await;
}

/// The page's answer is the one that `Check` gives.
#[tokio::test]
async fn what_is_explained_is_what_is_decided() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    let token = |more| RSA.token("RS256", &claims(&idp.issuer(), more));
    let good = token(json!({}));
    for (token, reason) in [
        (String::new(), "missing_token"),
        (good.clone(), "authenticated"),
        (token(json!({"aud": "other"})), "bad_audience"),
        (token(json!({"iss": "https://else.example"})), "unknown_issuer"),
        (STRANGER.token("RS256", &claims(&idp.issuer(), json!({}))), "bad_signature"),
        ("a.b.c".to_owned(), "malformed_token"),
    ] {
        let ask = if token.is_empty() { get("/") } else { get("/").bearer(&token) };
        assert_eq!(doorward.ask(ask).await.reason, reason);
        let question = json!({"token": token, "method": "GET", "path": "/"});
        let explained = explain(&doorward, &question).await;
        assert_eq!(explained.status, 200, "{}", explained.body);
        assert_eq!(explained.json()["reason"], reason, "{}", explained.body);
        // Of the second is kept a little time for the next question.
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    }
    let route = json!({"token": good, "method": "GET", "path": "/", "scopes": "models:write"});
    assert_eq!(explain(&doorward, &route).await.json()["reason"], "insufficient_scope");

    // Nothing of it is kept: neither the tokens nor what they say, and no identity in the cache.
    let told = state(&doorward).await;
    assert!(!told.to_string().contains(good.rsplit_once('.').unwrap().1));
    assert_eq!(doorward.metric("doorward_token_cache_entries").await, Some(1.0));
}
