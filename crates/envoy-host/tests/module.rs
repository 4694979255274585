//! The module itself, for sanitizers: every way that a request can take through it, on several
//! workers, while configurations come and go.

#![allow(missing_docs)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doorward_dev::signer::{Signer, jwks};
use doorward_dev::{Answer, DevIssuer};
use doorward_envoy_host::{Config, Reply, Request, Route, live, violations};
use serde_json::{Value, json};

fn claims(issuer: &str, more: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": issuer, "sub": "alice", "aud": "nmp", "exp": now + 3600, "groups": ["a", "b"],
        "scope": "openid models:read",
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn request(token: Option<&str>) -> Request {
    let request = Request::new(b"GET", b"a.example", b"/v1/models?x=y")
        .header(b"X-NMP-Principal-Id", b"root")
        .header(b"x_nmp_principal_id", b"root")
        .header(b"x-nmp-principal-id", b"root")
        .header(b"x-kept", b"\xff\xfe");
    let bearer = token.map(|token| format!("Bearer {token}"));
    bearer.map_or(request.clone(), |bearer| request.header(b"Authorization", bearer.as_bytes()))
}

fn reason(reply: &Reply) -> String {
    match &reply.response {
        Some(response) => {
            let body: Value = serde_json::from_str(&response.body).unwrap();
            body["reason"].as_str().unwrap().to_owned()
        }
        None => String::from_utf8(reply.set.get("x-nmp-principal-id").cloned().unwrap_or_default())
            .unwrap(),
    }
}

/// One at a time, since it is looked at what is left in the process.
#[test]
fn all_of_the_module() {
    let before = live();
    faults();
    a_request_of_every_kind();
    ends();
    // The thread that does it has a runtime of its own, which the test ends.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(rotations_under_load());
    drop(runtime);
    assert_eq!((violations(), live()), (Vec::new(), before));
}

fn faults() {
    for (config, said) in [
        ("", "auth"),
        ("{\"auth\": {\"oidc\": {\"isuer\": \"x\"}}}", "issuer"),
        ("/nowhere/doorward.yaml", "/nowhere/doorward.yaml"),
        ("server: {}", "server"),
        ("\u{0}", ""),
    ] {
        let refused = Config::new(config).map(drop);
        // Nothing at all may be a configuration: nobody is then let in.
        let said_so =
            refused.as_ref().map_or_else(|refused| refused.log.join("\n"), |()| said.into());
        assert!(said_so.contains(said), "{config}: {said_so}");
    }
    assert!(Route::new("{\"mode\": \"of\"}").is_err());
}

fn a_request_of_every_kind() {
    let (issuer, key) = ("https://idp.example", Signer::ed("k"));
    let config = json!({
        "auth": {"oidc": {"issuer": issuer, "client_id": "nmp", "jwks": jwks([&key])}},
        "headers": {"claims": {"X-Tenant": "tid"}},
    });
    Config::validate(&config.to_string()).unwrap();
    let config = Config::new(&config.to_string()).unwrap();
    let [optional, scoped] = [r#"{"mode": "optional"}"#, r#"{"scopes": "models:write"}"#]
        .map(|it| Route::new(it).unwrap());
    let token = |more: Value| key.token("EdDSA", &claims(issuer, &more));
    let good = token(json!({}));
    let many = (0..100).fold(request(Some(&good)), |request, number| {
        request.header(format!("x-nmp-{number}").as_bytes(), b"forged")
    });
    for (request, expected) in [
        (request(Some(&good)), "alice"),
        (request(Some(&good)).with_body(), "alice"),
        (many, "alice"),
        (request(None), "missing_token"),
        (request(None).on(&optional), ""),
        (request(Some(&good)).on(&scoped), "insufficient_scope"),
        (request(Some(&token(json!({"exp": 1})))), "expired"),
        (request(Some("a.b.c")), "malformed_token"),
        (request(None).header(b"content-type", b"application/grpc"), "missing_token"),
        (Request::new(b"", b"", b""), "malformed_request"),
        (Request::default(), "malformed_request"),
    ] {
        for _ in 0..2 {
            let reply = config.send(request.clone());
            assert_eq!(reason(&reply), expected, "{reply:?}");
            let forged = |(name, value): &(String, Vec<u8>)| {
                name.replace('_', "-").starts_with("x-nmp")
                    && (value == b"root" || value == b"forged")
            };
            let passed = reply.response.is_none();
            assert!(!passed || !reply.headers.iter().any(forged), "{reply:?}");
        }
    }
}

/// At the latest when made-up names have used up the fetch that a new one asks for.
fn passes(config: &Config, token: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while reason(&config.send(request(Some(token)))) != "alice" {
        assert!(Instant::now() < deadline, "the first tokens of a key are never accepted");
    }
}

/// When the hook returns that ends the last configuration, nothing of it is left: Envoy may end
/// next, and with it what schedulers point to.
fn ends() {
    let config = json!({"auth": {"oidc": {
        "issuer": "https://idp.example", "client_id": "nmp", "jwks": jwks([&Signer::ed("k")]),
    }}});
    for _ in 0..200 {
        drop(Config::new(&config.to_string()).unwrap());
        while live().configs > 0 {
            std::thread::yield_now();
        }
        assert_eq!(live().schedulers, 0);
    }
}

async fn rotations_under_load() {
    let issuer = DevIssuer::start_with_faults().await.unwrap();
    let mut keys = vec![Signer::ed("k0")];
    issuer.publish(&keys);
    let name = issuer.url("");
    let config = |update: usize| {
        json!({
            "auth": {"oidc": {"issuer": name, "client_id": "nmp"}},
            "keys": {"cool_down": "100ms", "wait": "2s", "refresh_min": "1ms"},
            "module": {"documents": true},
            "rules": {"bypass": [format!("/{}", update % 2)]},
        })
        .to_string()
    };
    for update in 0..6 {
        let text = config(update);
        let current = tokio::task::spawn_blocking(move || Config::new(&text).unwrap());
        let current = current.await.unwrap();
        let key = Signer::ed(&format!("k{}", update + 1));
        let slow = Answer::Late(Duration::from_millis(50), jwks(keys.iter().chain([&key])));
        issuer.answer("/keys", slow);
        keys.push(key);
        let tokens: Vec<String> = keys
            .iter()
            .map(|key| key.token("EdDSA", &claims(&name, &json!({"jti": update.to_string()}))))
            .collect();
        let name = name.clone();
        let workers = tokio::task::spawn_blocking(move || {
            std::thread::scope(|scope| {
                for token in &tokens {
                    scope.spawn(|| passes(&current, token));
                }
                // Clients that go while their request waits, and documents, which are waited for.
                for _ in 0..2 {
                    scope.spawn(|| {
                        let unknown =
                            Signer::ed("made-up").token("EdDSA", &claims(&name, &json!({})));
                        for round in 0..20 {
                            let mut stream = current.begin(request(Some(&unknown)));
                            let _ = stream.wait(Duration::from_millis(round % 3));
                            let path = b"/apis/auth/discovery";
                            let mut stream = current.begin(Request::new(b"GET", b"a", path));
                            let _ = stream.wait(Duration::from_millis(round % 3));
                        }
                    });
                }
            });
            // The last of a configuration, on the thread of a worker.
            let left = current.begin(request(None));
            drop(current);
            drop(left);
        });
        workers.await.unwrap();
    }
}
