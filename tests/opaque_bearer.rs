//! `Authorization: Bearer service:jobs` is an identity to some of NeMo's services. Where nobody
//! looks at the token, it is removed; what may be a JWT, and other schemes, stay.

use serde_json::json;

use crate::support::check::{self, Ask};
use crate::support::doorward::Doorward;
use crate::support::echo::Echoed;
use crate::support::gateway::{Gateway, NEMO, PLAIN};
use crate::support::raw;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

const REMOVED: [&str; 8] = [
    "Bearer service:jobs",
    "bearer service:jobs",
    "Bearer  service:jobs",
    "Bearerservice:jobs",
    "Bearer",
    "Bearer hf_abcdef",
    "Basic YTpi,Bearer service:jobs",
    "Bearer eyJh.eyJi.c2ln, Bearer service:jobs",
];
const KEPT: [&str; 4] =
    ["Bearer eyJh.eyJi.c2ln", "Basic YTpi", "Digest username=\"a\"", "ApiKey service:jobs"];

fn config(profile: &str, enabled: bool) -> String {
    json!({
        "auth": {
            "enabled": enabled,
            "oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])},
        },
        "headers": {"profile": profile},
        "rules": {"bypass": ["/public/*"]},
    })
    .to_string()
}

#[tokio::test]
async fn where_nobody_looks_at_the_token_it_is_removed_unless_it_may_be_a_jwt() {
    let removed = |outcome: &check::Outcome| {
        assert_eq!(outcome.status, 200, "{outcome:?}");
        outcome.removed.iter().any(|name| name == "authorization")
    };
    for (profile, enabled) in [("nemo", true), ("nemo", false), ("plain", true), ("plain", false)] {
        let doorward = Doorward::start_explained(&config(profile, enabled)).await;
        let asks =
            [check::get("/public/page"), check::get("/other").route("doorward.mode", "bypass")];
        for ask in asks {
            for (values, wanted) in [(&REMOVED[..], profile == "nemo"), (&KEPT, false)] {
                for value in values {
                    let case = format!("{profile} {enabled} {value:?}");
                    let with = |ask: Ask| ask.header("authorization", value);
                    assert_eq!(removed(&doorward.ask(with(ask.clone())).await), wanted, "{case}");
                    let raw = ask.clone().raw_header("authorization", value.as_bytes());
                    assert_eq!(removed(&doorward.ask(raw).await), wanted, "{case}, raw");
                }
            }
            assert!(!removed(&doorward.ask(ask).await));
        }
        // Two of them, which Envoy does not join in `header_map`.
        let twice = check::get("/public/page")
            .raw_header("authorization", b"Basic YTpi")
            .raw_header("Authorization", b"Bearer service:jobs");
        let outcome = doorward.ask(twice).await;
        assert_eq!(
            outcome.removed.iter().any(|name| name.eq_ignore_ascii_case("authorization")),
            profile == "nemo",
        );
        if enabled {
            // Where somebody looks, it is no token.
            let optional = check::get("/").route("doorward.mode", "optional");
            let outcome = doorward.ask(optional.header("authorization", REMOVED[0])).await;
            assert_eq!(outcome.reason, "malformed_token");
        }
    }
}

#[tokio::test]
async fn it_does_not_arrive_behind_a_real_envoy() {
    let good = RSA.token("RS256", &claims(ISSUER, json!({})));
    let good = format!("Bearer {good}");
    for file in [PLAIN, NEMO].concat() {
        let Some(mut gateway) = Gateway::start(file, &config("nemo", true)).await else { return };
        for (enabled, path) in [(true, "/public/page"), (false, "/v1/models")] {
            gateway.reload(&config("nemo", enabled)).await;
            let kept = KEPT.into_iter().chain([good.as_str()]).map(|value| (value, true));
            for (value, arrives) in REMOVED.into_iter().map(|value| (value, false)).chain(kept) {
                let request = raw::get(path).header("Authorization", value);
                let reply = gateway.send(&request).await;
                let seen = Echoed::of(&reply);
                let expected = arrives.then_some(value);
                assert_eq!(seen.header("authorization"), expected, "{file} {path} {value:?}");
            }
            let twice = raw::get(path)
                .header("Authorization", "Basic YTpi")
                .header("authorization", "Bearer service:jobs");
            let seen = Echoed::of(&gateway.send(&twice).await);
            assert_eq!(seen.header("authorization"), None, "{file} {path}: two of them");
        }
    }
}
