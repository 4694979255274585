//! Who is told what by the console: people of this machine, by its own page, and nobody else.

use std::time::{Duration, Instant};

use doorward::config::Settings;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::check::get;
use crate::support::console::{config, explain, request, state};
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::raw::{RawRequest, lines};
use crate::support::served::Served;
use crate::support::signer::{RSA, STRANGER, claims};
use crate::support::{PATIENCE, eventually, tls};

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
        |asked: RawRequest| asked.header("Content-Type", "application/json").body(&question);
    for (case, asked, status) in [
        ("its own name", request("GET", "/api/state", &host), 200),
        ("another name of this machine", request("GET", "/", &format!("localhost:{port}")), 200),
        ("through a forwarded port", request("GET", "/", "localhost:8080"), 200),
        (
            "a name below localhost",
            request("GET", "/api/state", &format!("a.localhost:{port}")),
            421,
        ),
        (
            "a target in absolute form",
            request("GET", "http://evil.example/api/state", &format!("localhost:{port}")),
            421,
        ),
        (
            "a frame of another site",
            request("GET", "/api/state", &host)
                .header("Sec-Fetch-Site", "cross-site")
                .header("Sec-Fetch-Mode", "navigate"),
            403,
        ),
        (
            "a name that leads here",
            request("GET", "/api/state", &format!("evil.example:{port}")),
            421,
        ),
        ("one that looks like ours", request("GET", "/", "localhost.evil.example"), 421),
        ("with a user", request("GET", "/", "localhost@evil.example"), 400),
        ("without a name", lines(&["GET /api/state HTTP/1.0", "Connection: close"]), 421),
        (
            "a page from elsewhere",
            request("GET", "/api/state", &host).header("Origin", "https://evil.example"),
            403,
        ),
        (
            "a page without an origin",
            request("GET", "/api/state", &host).header("Origin", "null"),
            403,
        ),
        (
            "another port of this machine",
            request("GET", "/api/state", &host).header("Origin", "http://127.0.0.1:3000"),
            403,
        ),
        (
            "an image of another site",
            request("GET", "/api/state", &host).header("Sec-Fetch-Site", "cross-site"),
            403,
        ),
        (
            "a link from another site",
            request("GET", "/", &host)
                .header("Sec-Fetch-Site", "cross-site")
                .header("Sec-Fetch-Mode", "navigate"),
            200,
        ),
        (
            "a form",
            request("POST", "/api/explain", &host)
                .header("Content-Type", "text/plain")
                .body(&question),
            415,
        ),
        (
            "a question from elsewhere",
            json_question(
                request("POST", "/api/explain", &host).header("Origin", "https://evil.example"),
            ),
            403,
        ),
        (
            "a question of the page",
            json_question(
                request("POST", "/api/explain", &host).header("Origin", &format!("http://{host}")),
            ),
            200,
        ),
        ("a question in the URL", request("GET", "/api/explain?token=a", &host), 405),
        ("what is not there", request("GET", "/metrics", &host), 404),
        (
            "a question too long",
            request("POST", "/api/explain", &host)
                .header("Content-Type", "application/json")
                .body(&"x".repeat(200_000)),
            413,
        ),
    ] {
        let reply = asked.send(doorward.console_address()).await;
        assert_eq!(reply.status, status, "{case}: {}", reply.body);
        if status != 200 {
            assert!(!reply.body.contains(&idp.issuer()), "{case}");
        }
        // Those two are refused by whoever reads requests, and know nothing.
        if status != 413 && status != 400 {
            let policy = reply.header("content-security-policy").unwrap_or_default();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{case}");
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{case}");
        }
        assert_eq!(reply.header("set-cookie"), None, "{case}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{case}");
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

/// One kind of body is read. A form of another page cannot have it.
#[tokio::test]
async fn questions_are_json() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    let (address, question) = (doorward.console_address(), json!({}).to_string());
    for (kinds, status) in [
        // What is asked is refused, not how.
        (&["application/json"][..], 400),
        (&["application/json; charset=utf-8"], 400),
        (&["Application/JSON;Charset=UTF-8"], 400),
        (&["application/json; charset=utf-16"], 415),
        (&["application/json; charset=utf-8; a=b"], 415),
        (&["application/json+x"], 415),
        (&["text/plain"], 415),
        (&["text/plain; a=application/json"], 415),
        (&["text/plain, application/json"], 415),
        (&["application/x-www-form-urlencoded"], 415),
        (&["application/json", "text/plain"], 415),
        (&[""], 415),
        (&[], 415),
    ] {
        let mut asked = request("POST", "/api/explain", &address.to_string());
        for kind in kinds {
            asked = asked.header("Content-Type", kind);
        }
        let reply = asked.body(&question).send(address).await;
        assert_eq!(reply.status, status, "{kinds:?}: {}", reply.body);
    }
}

/// Nobody is listened to who gets no answer anyway: neither for as long as a body may take, nor in
/// the place of others on a connection that stays.
#[tokio::test]
async fn a_request_is_judged_by_its_head() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    let (address, host) = (doorward.console_address(), doorward.console_address().to_string());
    let json = "Content-Type: application/json";
    for (target, host, more, status) in [
        ("POST /api/explain", "evil.example", json, "421"),
        ("POST /api/explain", &host, "Origin: https://evil.example", "403"),
        ("POST /api/explain", &host, "Content-Type: text/plain", "415"),
        ("PUT /api/explain", &host, json, "405"),
        ("POST /api/state", &host, json, "405"),
        ("POST /api/nothing", &host, json, "404"),
    ] {
        for (length, begun) in
            [("Content-Length: 100000", "{"), ("Transfer-Encoding: chunked", "1\r\n{\r\n")]
        {
            let head =
                format!("{target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n{length}\r\n\r\n{begun}");
            let mut stream = TcpStream::connect(address).await.unwrap();
            let asked = Instant::now();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            // To the end of the connection, which the client keeps open.
            let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
            assert!(read.is_ok_and(|read| read.is_ok()), "{target} {more}: {answer}");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
            assert!(asked.elapsed() < Duration::from_secs(5), "{target}: {:?}", asked.elapsed());
        }
    }
    // A body that is announced as too long is not waited for either.
    let long = request("POST", "/api/explain", &host).header("Content-Type", "application/json");
    let asked = Instant::now();
    let reply = long.header("Content-Length", "200000").send(address).await;
    assert_eq!(reply.status, 413);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

/// What stands in a URL to come by keys is not for everybody who may look; that may be one of the
/// configuration (which has no passwords: they are refused) or one that the provider names.
#[tokio::test]
async fn secrets_in_urls_are_not_shown() {
    let (mut one, other) = (Idp::start([&*RSA]).await, Idp::start([&*RSA]).await);
    let mut document = other.metadata();
    document["jwks_uri"] = other.url("/nowhere?sig=secret-2&tenant=two").into();
    other.answer("/.well-known/openid-configuration", Answer::Json(200, document));
    let mut config: Value = serde_json::from_str(&config(&one)).unwrap();
    config["auth"]["oidc"]["jwks_uri"] = one.url("/keys?api_key=secret-1&tenant=one").into();
    config["auth"]["issuers"] = json!([{"issuer": other.issuer(), "audience": "nmp"}]);
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    one.stop().await;
    let told = eventually("their failures are told", PATIENCE, async || {
        let told = state(&doorward).await;
        let of = |number: usize| told["issuers"][number]["last_error"].is_string();
        (of(0) && of(1)).then_some(told)
    })
    .await;
    let location = told["issuers"][0]["location"].as_str().unwrap();
    assert!(location.ends_with("/keys?api_key=***&tenant=one"), "{location}");
    let error = told["issuers"][1]["last_error"].as_str().unwrap();
    assert!(error.contains("/nowhere?sig=***&tenant=two"), "{error}");
    assert!(!told.to_string().contains("secret-"), "{told}");
}

/// A page that many look at costs what it costs one.
#[tokio::test]
async fn the_state_is_told_anew_once_a_second() {
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    let mut checker = doorward.checker().await;
    for number in 0.. {
        let before = state(&doorward).await;
        assert_eq!(checker.ask(get(&format!("/{number}"))).await.status, 401);
        let after = state(&doorward).await;
        let path = after["denials"][0]["path"].as_str().unwrap_or_default().to_owned();
        if after["now"] != before["now"] {
            // Another second: it knows.
            assert_eq!(path, format!("/{number}"));
            continue;
        }
        assert_eq!(after, before);
        assert_ne!(path, format!("/{number}"));
        break;
    }
}

/// Not even where everything is logged.
#[tokio::test]
async fn what_is_pasted_is_not_logged() {
    let idp = Idp::start([&*RSA]).await;
    let mut config: Value = serde_json::from_str(&config(&idp)).unwrap();
    config["log"] = json!({"level": "debug", "decisions": "all"});
    let mut served = Served::start(&config).await;
    let address = served.at.console.clone().unwrap().parse().unwrap();
    let token = RSA.token("RS256", &claims(&idp.issuer(), json!({"sub": "whose-name-is-this"})));
    let forged = STRANGER.token("RS256", &claims(&idp.issuer(), json!({})));
    for (token, reason) in [(&token, "authenticated"), (&forged, "bad_signature")] {
        let question = json!({"token": token, "method": "GET", "path": "/whose-path-is-this"});
        let asked = request("POST", "/api/explain", &format!("{address}"))
            .header("Content-Type", "application/json")
            .body(&question.to_string());
        let explained = asked.send(address).await;
        assert_eq!(explained.reason(), reason, "{}", explained.body);
    }
    let broken = format!("{{\"token\": \"{token}\", \"x\": 1}}");
    let asked = request("POST", "/api/explain", &format!("{address}"));
    let refused =
        asked.header("Content-Type", "application/json").body(&broken).send(address).await;
    assert_eq!(refused.status, 400);
    let said = format!("{}{}", served.process().stderr(), refused.body);
    let parts = token.split('.').chain(["whose-name-is-this", "whose-path-is-this"]);
    for part in parts {
        assert!(!said.contains(part), "{part}: {said}");
    }
}

/// Beyond this machine it is for those who show a certificate, by whatever name they call it.
#[tokio::test]
async fn other_machines_show_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    tls::certificates(dir.path());
    let file = |name: &str| dir.path().join(name);
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    let idp = Idp::start([&*RSA]).await;
    let with = |tls: Value| {
        let mut config: Value = serde_json::from_str(&config(&idp)).unwrap();
        config["server"]["console"] = json!({"listen": "0.0.0.0:9193", "tls": tls});
        config.to_string()
    };
    let (cert, key) = (file("server.pem"), file("server.key"));
    for tls in [Value::Null, json!({"cert": cert, "key": key})] {
        let faults = Settings::from_yaml("test", &with(tls)).unwrap_err().to_string();
        let said = "server.console.listen: the console would be open to everybody who can reach it";
        assert!(faults.contains(said), "{faults}");
    }
    let tls = json!({"cert": cert, "key": key, "client_ca": file("ca.pem")});
    let doorward = Doorward::start(&with(tls)).await;
    doorward.ready().await;

    let port = doorward.console_address().port();
    let ca = reqwest::Certificate::from_pem(&read("ca.pem")).unwrap();
    let client = || {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca.clone()]);
        client.resolve("doorward", ([127, 0, 0, 1], port).into())
    };
    let url = format!("https://doorward:{port}/api/state");
    let unknown = client().build().unwrap().get(&url).send().await;
    assert!(unknown.is_err(), "{unknown:?}");
    let identity = [read("client.pem"), read("client.key")].concat();
    let known = client().identity(reqwest::Identity::from_pem(&identity).unwrap());
    let known = known.build().unwrap();
    let told = known.get(&url).send().await.unwrap();
    assert_eq!((told.status().as_u16(), told.version()), (200, reqwest::Version::HTTP_11));
    assert!(told.text().await.unwrap().contains(&idp.issuer()));
    // The certificate is the browser's, whoever makes it ask.
    for origin in ["https://evil.example", "http://doorward", &format!("http://doorward:{port}")] {
        let told = known.get(&url).header("Origin", origin).send().await.unwrap();
        assert_eq!(told.status(), 403, "{origin}");
    }
}
