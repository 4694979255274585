//! Names to remove, and values to set, that would make an answer larger than Envoy takes: with
//! `failure_mode_allow`, that would let the request pass with all that was forged.

use serde_json::{Value, json};

use crate::support::echo::Echoed;
use crate::support::gateway::{Gateway, PLAIN, is_inside};
use crate::support::raw::{RawRequest, get};
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

fn config() -> String {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"bypass": ["/public/*"]},
    })
    .to_string()
}

/// Adds so many bytes of forged names, in not more headers than Envoy takes.
fn forging(request: RawRequest, bytes: usize) -> RawRequest {
    const HEADERS: usize = 80;
    (0..HEADERS).fold(request, |request, number| {
        let front = format!("x-nmp-forged-{number}-");
        let name = format!("{front}{}", "x".repeat(bytes / HEADERS - front.len()));
        request.header(&name, "f")
    })
}

/// Lets requests pass when Doorward fails, where a file can say that.
fn lax(file: &str) -> (&'static str, &'static str) {
    match is_inside(file) {
        true => ("stat_prefix: door", "stat_prefix: door"),
        false => ("failure_mode_allow: false", "failure_mode_allow: true"),
    }
}

#[tokio::test]
async fn no_number_of_forged_names_makes_an_answer_that_envoy_does_not_take() {
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for file in PLAIN {
        let changes = [
            (
                "use_remote_address: true",
                "use_remote_address: true\n                max_request_headers_kb: 96",
            ),
            lax(file),
        ];
        let Some(gateway) = Gateway::start_changed(file, changes, &config()).await else { return };
        for kilobytes in [4, 20, 40, 50, 54, 56, 60, 70, 82, 90] {
            for request in [get("/v1/models").bearer(&token), get("/public/page")] {
                let reply = gateway.send(&forging(request, kilobytes * 1000)).await;
                let seen = gateway.echo().take();
                let case = format!("{file}, {kilobytes} kB: {} {:?}", reply.status, reply.body);
                if kilobytes <= 54 {
                    let trusted = Echoed::of(&reply);
                    let trusted = trusted.trusted();
                    assert!(!trusted.iter().any(|(name, _)| name.contains("forged")), "{case}");
                } else if kilobytes >= 60 {
                    assert_eq!(reply.status, 400, "{case}");
                    assert_eq!(reply.reason(), "malformed_request", "{case}");
                    assert!(seen.is_empty(), "{case}");
                } else {
                    assert!(matches!(reply.status, 200 | 400), "{case}");
                    assert!(!format!("{seen:?}").contains("forged"), "{case}");
                }
            }
        }
    }
}

/// A claim that is mapped to many headers makes a large answer, too. The token is small.
#[tokio::test]
async fn no_number_of_mapped_claims_makes_an_answer_that_envoy_does_not_take() {
    let token = RSA.token("RS256", &claims(ISSUER, json!({"note": "n".repeat(1000)})));
    for file in PLAIN {
        let allow = [lax(file)];
        for copies in [10, 50, 56, 60, 100] {
            let mapped: Value =
                (0..copies).map(|it| (format!("x-copy-{it}"), json!("note"))).collect();
            let mut config: Value = serde_json::from_str(&config()).unwrap();
            config["headers"] = json!({"claims": mapped});
            let config = config.to_string();
            let Some(gateway) = Gateway::start_changed(file, allow, &config).await else { return };
            let request = get("/v1/models").bearer(&token).header("x-nmp-forged", "f");
            let reply = gateway.send(&request).await;
            let seen = gateway.echo().take();
            let case = format!("{file}, {copies} headers: {} {:?}", reply.status, reply.body);
            if copies <= 50 {
                assert_eq!(reply.status, 200, "{case}");
                assert!(!format!("{seen:?}").contains("forged"), "{case}");
            } else if copies >= 60 {
                assert_eq!(reply.status, 400, "{case}");
                assert!(seen.is_empty(), "{case}");
            } else {
                assert!(!format!("{seen:?}").contains("forged"), "{case}");
            }
        }
    }
}
