//! Paths that two programs could read in two ways, and repeated headers, through a real
//! Envoy: no path gets past a bypass that was not meant by it.

use serde_json::json;

use crate::support::check;
use crate::support::doorward::Doorward;
use crate::support::gateway::{Gateway, NEMO, PLAIN};
use crate::support::raw::{get, request};
use crate::support::signer::{RSA, STRANGER, claims, from_now, jwks};

const ISSUER: &str = "https://idp.example";

/// Without a token none of these may reach the upstream, though `/public/*` and
/// `/health` are bypassed.
const NEVER: [&[u8]; 52] = [
    b"/",
    b"/admin",
    b"/public",
    b"/Public/x",
    b"/publication",
    b"/healthy",
    b"/health/",
    // A query or fragment that looks like a bypass
    b"/admin?/public/",
    b"/admin?x=/public/x",
    b"/admin?x=/health",
    b"/admin#/public/",
    b"/public/#/../admin",
    b"/admin;/public/",
    // Dot segments, plain, encoded, and encoded twice
    b"/public/../admin",
    b"/public/./../admin",
    b"/public/x/../../admin",
    b"/public/%2e%2e/admin",
    b"/public/%2E%2e/admin",
    b"/public/.%2e/admin",
    b"/public/%252e%252e/admin",
    b"/public/..;/admin",
    b"/public/..;x=1/admin",
    // Slashes
    b"//admin",
    b"/%2fadmin",
    b"/public%2f..%2fadmin",
    b"/public/..%2fadmin",
    b"/public/..%5cadmin",
    b"/public\\..\\admin",
    b"/public/..\\admin",
    // NUL
    b"/public/\0/../admin",
    b"/public/%00",
    b"/public/..%00/admin",
    // No UTF-8: over-long forms of `/` and `.`
    b"/public/..%c0%af/admin",
    b"/public/..%c0%afadmin",
    b"/public/..%e0%80%afadmin",
    b"/public/%c0%ae%c0%ae/admin",
    // What becomes `/`, `\\`, `.`, `..`, `;` or `%` when it is normalized (NFKC)
    b"/public/..%ef%bc%8fadmin",
    b"/public/..%EF%BC%8Fadmin",
    b"/public/..%ef%bc%bcadmin",
    b"/public/%ef%bc%8e%ef%bc%8e/admin",
    b"/public/%e2%80%a5/admin",
    b"/public/..%ef%bc%9b/admin",
    b"/public/%ef%bc%852e%ef%bc%852e/admin",
    // Dot segments once white space is cut off
    b"/public/..%20/admin",
    b"/public/%20../admin",
    b"/public/..%09/admin",
    b"/public/..%c2%a0/admin",
    b"/public/..%e3%80%80/admin",
    b"/public/.../admin",
    // Absolute form (RFC 9112 section 3.2.2)
    b"http://platform.example/admin",
    b"http://platform.example/public/../admin",
    b"http://platform.example//admin",
];

/// Without a token these do reach the upstream, and it sees what was matched.
const PUBLIC: [(&str, &str); 6] = [
    ("/public/x", "/public/x"),
    ("/public/x?next=/admin/..", "/public/x?next=/admin/.."),
    ("/admin/../public/x", "/public/x"),
    ("/public/./x", "/public/x"),
    ("/public//x", "/public/x"),
    ("http://platform.example/public/x", "/public/x"),
];

fn config() -> String {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"bypass": ["/public/*", "/health"]},
    })
    .to_string()
}

#[tokio::test]
async fn no_path_sneaks_through_a_bypass() {
    for file in [PLAIN, NEMO].concat() {
        let Some(gateway) = Gateway::start(file, &config()).await else { return };
        for path in NEVER {
            let reply = gateway.send(&get(path)).await;
            let seen = gateway.echo().take();
            let path = String::from_utf8_lossy(path);
            assert!(seen.is_empty(), "{file}: {path:?} arrived as {seen:?}");
            assert!(matches!(reply.status, 400 | 401), "{file}: {path:?}: {reply:?}");
        }
        for target in ["*", "/public/x", "public/x", ""] {
            let reply = request("OPTIONS", target).send(gateway.envoy().address()).await;
            let reached = !gateway.echo().take().is_empty();
            assert_eq!(reached, target == "/public/x", "{file}: OPTIONS {target:?}: {reply:?}");
        }
        for (path, seen) in PUBLIC {
            let reply = gateway.send(&get(path)).await;
            assert_eq!(reply.status, 200, "{file}: {path}: {reply:?}");
            assert_eq!(gateway.echo().take()[0].path, seen, "{file}");
        }
    }
}

#[tokio::test]
async fn nobody_from_outside_reaches_the_internal_paths_of_nemo() {
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for file in NEMO {
        let Some(gateway) = Gateway::start(file, &config()).await else { return };
        for path in [
            "/internal",
            "/internal/",
            "/internal/x?y=1",
            "/internal;a/x",
            "/internal%3Ba/x",
            "/internal%20/x",
            "/internal%2Fx",
            "/Internal/x",
            "/%69nternal/x",
            "//internal/x",
            "/./internal/x",
            "/apis/../internal/x",
            "/apis/%2e%2e/internal/x",
            "/public/../internal/x",
            "http://platform.example/internal/x",
        ] {
            // Doorward is asked first, whatever the route.
            for (request, status) in [(get(path), 401), (get(path).bearer(&token), 403)] {
                let reply = gateway.send(&request).await;
                assert_eq!(reply.status, status, "{file}: {path}: {reply:?}");
            }
        }
        // The same to a server that cuts parameters off; Envoy leaves these spellings alone.
        for path in [
            "/a/%2e%2e;/internal/x",
            "/a/.%2e;x/internal/x",
            "/a/..%3b/internal/x",
            "/;/internal/x",
            "/%3ba/internal/x",
        ] {
            for request in [get(path), get(path).bearer(&token)] {
                let reply = gateway.send(&request).await;
                assert_eq!(reply.status, 400, "{file}: {path}: {reply:?}");
            }
        }
        assert!(gateway.echo().take().is_empty());
        for path in ["/apis/internal/x", "/internals"] {
            assert_eq!(gateway.send(&get(path).bearer(&token)).await.status, 200, "{file}: {path}");
        }
    }
}

/// The same behind an Envoy that normalizes nothing: Doorward sees the path as sent.
#[tokio::test]
async fn an_ambiguous_path_needs_a_token_whatever_lets_its_route_through() {
    let doorward = Doorward::start(&config()).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for path in NEVER.into_iter().filter(|path| path.starts_with(b"/public/")) {
        // A `string` of protobuf is UTF-8, and a fragment never gets past Envoy.
        let path = str::from_utf8(path).unwrap();
        for mode in [None, Some("bypass"), Some("optional")] {
            let ask = check::get(path);
            let ask = mode.map_or(ask.clone(), |mode| ask.route("doorward.mode", mode));
            // What steps aside is no request that anybody means.
            let [without, with] = match path.contains("..;") {
                true => ["malformed_request"; 2],
                false => ["missing_token", "authenticated"],
            };
            let outcome = doorward.ask(ask.clone()).await;
            assert_eq!(outcome.reason, without, "{path:?}, {mode:?}");
            let outcome = doorward.ask(ask.bearer(&token)).await;
            assert_eq!(outcome.reason, with, "{path:?}, {mode:?}");
        }
    }
}

#[tokio::test]
async fn repeated_authorization_is_malformed() {
    let good = RSA.token("RS256", &claims(ISSUER, json!({})));
    let forged = STRANGER.token("RS256", &claims(ISSUER, json!({"sub": "root"})));
    for file in PLAIN {
        let Some(gateway) = Gateway::start(file, &config()).await else { return };
        for (first, second) in [
            (format!("Bearer {good}"), format!("Bearer {good}")),
            (format!("Bearer {good}"), format!("Bearer {forged}")),
            (format!("Bearer {forged}"), format!("Bearer {good}")),
            (format!("Bearer {good}"), "Basic YTpi".to_owned()),
            ("Basic YTpi".to_owned(), format!("Bearer {good}")),
        ] {
            let twice =
                get("/v1/models").header("Authorization", &first).header("authorization", &second);
            let reply = gateway.send(&twice).await;
            assert_eq!(
                (reply.status, reply.reason().as_str()),
                (401, "malformed_header"),
                "{file}"
            );
            assert!(gateway.echo().take().is_empty());
        }
    }
}

/// What Doorward says of a denial is what the client gets.
#[tokio::test]
async fn denials_arrive_as_they_were_made() {
    let token = |more| RSA.token("RS256", &claims(ISSUER, more));
    let good = token(json!({}));
    let denials = [
        None,
        Some(format!("{good}x.y")),
        Some(STRANGER.token("RS256", &claims(ISSUER, json!({})))),
        Some(token(json!({"exp": from_now(-3600)}))),
        Some(token(json!({"aud": "elsewhere"}))),
        Some(token(json!({"sub": "service:jobs"}))),
        // An issuer that was never reached: 503
        Some(RSA.token("RS256", &claims("http://127.0.0.1:9", json!({})))),
    ];
    let mut config: serde_json::Value = serde_json::from_str(&config()).unwrap();
    config["auth"]["issuers"] = json!([{"issuer": "http://127.0.0.1:9", "audience": "nmp"}]);
    config["protected_resource"] = json!({"resource": "https://platform.example/"});
    for file in PLAIN {
        let Some(gateway) = Gateway::start(file, &config.to_string()).await else { return };
        for token in &denials {
            let ask = check::get("/v1/models");
            let request = get("/v1/models");
            let (ask, request) = match token {
                Some(token) => (ask.bearer(token), request.bearer(token)),
                None => (ask, request),
            };
            let meant = gateway.meant(ask).await;
            assert_ne!(meant.status, 200);
            let reply = gateway.send(&request).await;
            // Over HTTP no denial is a 5xx, which Envoy would take for a failure of ours.
            let over_http = file == "envoy-http.yaml" && meant.status == 503;
            let status = if over_http { 403 } else { meant.status };
            assert_eq!(i32::from(reply.status), status, "{file}: {reply:?}");
            let [mut problem, told] = [&meant.body, &reply.body]
                .map(|body| serde_json::from_str::<serde_json::Value>(body).unwrap());
            if over_http {
                problem["status"] = json!(403);
                problem["title"] = json!("Forbidden");
            }
            assert_eq!(told, problem);
            for name in ["www-authenticate", "content-type", "cache-control", "retry-after"] {
                assert_eq!(reply.header(name), meant.header(name), "{file}: {name}");
            }
            let challenged = reply.header("www-authenticate").is_some();
            assert_eq!(challenged, meant.status != 503, "{file}: {reply:?}");
            assert!(gateway.echo().take().is_empty());
        }
    }
}
