//! The console: a page that tells the one on call whether it is Doorward, the provider, the gateway
//! or this one token. In a real Chromium where people look at it, by hand-written requests where
//! somebody else does.

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::idp::Idp;
use crate::support::raw::{RawRequest, Reply, lines};
use crate::support::signer::{RSA, STRANGER, Signer, claims};
use crate::support::tls;
use crate::support::{PATIENCE, eventually};

/// Keys are asked for often, and an unknown one is asked for at once.
fn config(idp: &Idp) -> String {
    json!({
        "auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}},
        "server": {"console": {"enabled": true}},
        "keys": {"refresh_min": "200ms", "refresh_default": "200ms", "refresh_max": "200ms",
                 "cool_down": "100ms"},
    })
    .to_string()
}

/// The way of an incident: a user's 401 is pasted, the cause is named with what to do, a key
/// rotation is seen, and the provider that goes down after it.
#[tokio::test]
async fn an_incident_is_understood_on_one_page() {
    let Some(browser) = Browser::start().await else { return };
    let mut idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    browser.open(&doorward.console("/")).await;
    browser.sees("ready, since").await;
    let issuer = format!("[data-issuer='{}']", idp.issuer());
    browser.shows(&format!("{issuer}.ok"), "rsa-1").await;

    // The user's request, as Envoy asks for it.
    let expired = json!({"exp": 1_700_000_000, "iat": 1_699_999_000});
    let expired = RSA.token("RS256", &claims(&idp.issuer(), expired));
    let denied = doorward.ask(get("/v1/models?page=2").bearer(&expired)).await;
    assert_eq!((denied.status, denied.reason.as_str()), (401, "expired"));
    browser.shows("#denials tbody tr", "expired").await;
    browser.shows("#denials tbody tr", "GET /v1/models").await;
    assert!(!browser.text("#denials").await.contains("page=2"));

    // What the user sent is pasted.
    let line = format!("Authorization: Bearer {expired}");
    browser.ask(&[("#token", &line), ("#path", "/v1/models")], "#question button").await;
    browser.shows("#verdict", "deny: expired (401)").await;
    browser.shows("#answer li.fail .remedy", "fix: ").await;
    browser.shows("#cause", "exp 1700000000").await;
    if let Some(path) = std::env::var_os("DOORWARD_SCREENSHOT") {
        browser.screenshot(path.as_ref()).await;
    }

    // The provider rotates: the new key is seen, and its tokens are taken.
    let next = Signer::ed("ed-2");
    idp.publish([&*RSA, &next]);
    let fresh = next.token("EdDSA", &claims(&idp.issuer(), json!({})));
    doorward.eventually_is(&fresh, "authenticated").await;
    browser.shows(&format!("{issuer}.ok"), "ed-2").await;
    browser.ask(&[("#token", &fresh)], "#question button").await;
    browser.shows("#verdict", "allow: authenticated (200)").await;
    browser.shows("#answer", "x-nmp-principal-id").await;

    // It goes down: its last keys serve on, and the page says so.
    idp.stop().await;
    browser.shows(&format!("{issuer}.stale"), "fix: ").await;
    assert_eq!(doorward.ask_with(&fresh).await.reason, "authenticated");
    browser.quit().await;
}

/// What comes from outside is text, whatever it looks like.
#[tokio::test]
async fn markup_stays_text() {
    let Some(browser) = Browser::start().await else { return };
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    let markup = "<img src=x onerror=document.title='taken'><b>bold</b>";
    let token = RSA.token("RS256", &claims(&idp.issuer(), json!({"aud": markup, "sub": markup})));
    let asked = get("/<script>document.title='taken'</script>").bearer(&token);
    assert_eq!(doorward.ask(asked).await.status, 401);
    browser.open(&doorward.console("/")).await;
    browser.shows("#denials tbody tr", "/<script>").await;
    let path = "/<b>bold</b>";
    browser.ask(&[("#token", &token), ("#path", path)], "#question button").await;
    browser.shows("#answer li.fail", "<img src=x").await;
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

/// A page from elsewhere, under whatever name it reaches this machine, is told nothing.
#[tokio::test]
async fn nobody_else_is_told_anything() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    let host = doorward.console_address().to_string();
    let port = doorward.console_address().port();
    let question = json!({"token": "a.b.c", "method": "GET", "path": "/"}).to_string();
    let json_question =
        |request: RawRequest| request.header("Content-Type", "application/json").body(&question);
    let to = |method: &str, path: &str, host: &str| {
        lines(&[
            &format!("{method} {path} HTTP/1.1"),
            &format!("Host: {host}"),
            "Connection: close",
        ])
    };
    for (case, request, status) in [
        ("its own name", to("GET", "/api/state", &host), 200),
        ("another name of this machine", to("GET", "/", &format!("localhost:{port}")), 200),
        ("through a forwarded port", to("GET", "/", "localhost:8080"), 200),
        ("a name below localhost", to("GET", "/api/state", &format!("a.localhost:{port}")), 421),
        (
            "a target in absolute form",
            to("GET", "http://evil.example/api/state", &format!("localhost:{port}")),
            421,
        ),
        (
            "a frame of another site",
            to("GET", "/api/state", &host)
                .header("Sec-Fetch-Site", "cross-site")
                .header("Sec-Fetch-Mode", "navigate"),
            403,
        ),
        ("a name that leads here", to("GET", "/api/state", &format!("evil.example:{port}")), 421),
        ("one that looks like ours", to("GET", "/", "localhost.evil.example"), 421),
        ("with a user", to("GET", "/", "localhost@evil.example"), 400),
        ("without a name", lines(&["GET /api/state HTTP/1.0", "Connection: close"]), 421),
        (
            "a page from elsewhere",
            to("GET", "/api/state", &host).header("Origin", "https://evil.example"),
            403,
        ),
        ("a page without an origin", to("GET", "/api/state", &host).header("Origin", "null"), 403),
        (
            "another port of this machine",
            to("GET", "/api/state", &host).header("Origin", "http://127.0.0.1:3000"),
            403,
        ),
        (
            "an image of another site",
            to("GET", "/api/state", &host).header("Sec-Fetch-Site", "cross-site"),
            403,
        ),
        (
            "a link from another site",
            to("GET", "/", &host)
                .header("Sec-Fetch-Site", "cross-site")
                .header("Sec-Fetch-Mode", "navigate"),
            200,
        ),
        (
            "a form",
            to("POST", "/api/explain", &host).header("Content-Type", "text/plain").body(&question),
            415,
        ),
        (
            "a question from elsewhere",
            json_question(
                to("POST", "/api/explain", &host).header("Origin", "https://evil.example"),
            ),
            403,
        ),
        (
            "a question of the page",
            json_question(
                to("POST", "/api/explain", &host).header("Origin", &format!("http://{host}")),
            ),
            200,
        ),
        ("a question in the URL", to("GET", "/api/explain?token=a", &host), 405),
        ("what is not there", to("GET", "/metrics", &host), 404),
        (
            "a question too long",
            to("POST", "/api/explain", &host)
                .header("Content-Type", "application/json")
                .body(&"x".repeat(200_000)),
            413,
        ),
    ] {
        let reply = request.send(doorward.console_address()).await;
        assert_eq!(reply.status, status, "{case}: {}", reply.body);
        if status != 200 {
            assert!(!reply.body.contains(&idp.issuer()), "{case}");
        }
        // Those two are refused before anybody looks at what is asked.
        if status != 413 && status != 400 {
            let policy = reply.header("content-security-policy").unwrap_or_default();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{case}");
            assert_eq!(reply.header("set-cookie"), None, "{case}");
            assert_eq!(reply.header("access-control-allow-origin"), None, "{case}");
        }
    }
}

/// What was bound for those who show certificates never becomes everybody's by a reload, and what
/// listened on loopback keeps to the names of this machine.
#[tokio::test]
async fn a_reload_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    tls::certificates(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let idp = Idp::start([&*RSA]).await;
    let with = |console: Value| {
        let mut config: Value = serde_json::from_str(&config(&idp)).unwrap();
        config["server"]["console"] = console;
        config.to_string()
    };
    let tls =
        json!({"cert": file("server.pem"), "key": file("server.key"), "client_ca": file("ca.pem")});
    let guarded = with(json!({"enabled": true, "tls": tls}));
    let doorward = Doorward::start(&guarded).await;
    for console in [
        json!({"enabled": true}),
        json!({"enabled": true, "tls": {"cert": file("server.pem"), "key": file("server.key")}}),
        json!({"enabled": false}),
    ] {
        doorward.reload(&with(console.clone())).await;
        let host = doorward.console_address();
        for url in [format!("http://{host}/api/state"), format!("https://{host}/api/state")] {
            let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
            let told = client.build().unwrap().get(&url).send().await;
            assert!(told.is_err(), "{console}, {url}: {told:?}");
        }
    }
}

/// Questions cost signatures: more than a few in a second are not answered, and decisions are.
#[tokio::test]
async fn questions_are_limited() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    let question = json!({"token": "", "method": "GET", "path": "/"});
    let mut busy = 0;
    for _ in 0..60 {
        let reply = explain(&doorward, &question).await;
        match reply.status {
            200 => {}
            429 => {
                assert_eq!(reply.header("retry-after"), Some("1"));
                busy += 1;
            }
            other => panic!("{other}: {}", reply.body),
        }
    }
    assert!(busy > 0, "sixty questions at once were all answered");
    let token = RSA.token("RS256", &claims(&idp.issuer(), json!({})));
    assert_eq!(doorward.ask_with(&token).await.reason, "authenticated");
}

/// What the page shows of a flood is bounded.
#[tokio::test]
async fn a_flood_of_denials_is_a_hundred_lines() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    let mut checker = doorward.checker().await;
    for number in 0..3000 {
        let path = format!("/{number}/{}", "long".repeat(500));
        assert_eq!(checker.ask(get(&path)).await.status, 401);
    }
    let told = state(&doorward).await;
    let denials = told["denials"].as_array().unwrap();
    assert!((1..=100).contains(&denials.len()), "{}", denials.len());
    assert!(told.to_string().len() < 200_000, "{}", told.to_string().len());
    // The counters are looked at every ten seconds.
    eventually("the flood is counted", PATIENCE, async || {
        let told = state(&doorward).await;
        (told["decisions"]["minutes"]["decisions"]["missing_token"] == 3000).then_some(())
    })
    .await;
}

async fn explain(doorward: &Doorward, question: &Value) -> Reply {
    let host = format!("Host: {}", doorward.console_address());
    let request = lines(&["POST /api/explain HTTP/1.1", &host, "Connection: close"]);
    let request = request.header("Content-Type", "application/json");
    request.body(&question.to_string()).send(doorward.console_address()).await
}

async fn state(doorward: &Doorward) -> Value {
    let host = format!("Host: {}", doorward.console_address());
    let request = lines(&["GET /api/state HTTP/1.1", &host, "Connection: close"]);
    request.send(doorward.console_address()).await.json()
}
