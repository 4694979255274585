//! The security boundary, through a real Envoy: whatever a client sends under a trusted
//! name, in whatever spelling, the upstream sees the token's identity or none at all.
//!
//! Spellings × outcomes × the files of `envoy/`. Over HTTP ext_authz, and on NeMo's
//! gateway, routes carry no mode, so that nobody is anonymous there and the bypass comes
//! from the configuration.

use serde_json::json;

use crate::support::echo::Echoed;
use crate::support::gateway::{Gateway, NEMO};
use crate::support::raw::{RawRequest, Reply, get};
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

/// What a client may try; every value holds `forged` or names a service.
const SPOOFS: [(&str, &[(&str, &str)]); 26] = [
    ("as documented", &[("X-NMP-Principal-Id", "service:jobs")]),
    ("lower case", &[("x-nmp-principal-id", "service:jobs")]),
    ("underscores", &[("x_nmp_principal_id", "service:jobs")]),
    ("underscores, upper case", &[("X_NMP_PRINCIPAL_ID", "service:jobs")]),
    ("one underscore", &[("X-Nmp_Principal-Id", "service:jobs")]),
    ("another one", &[("X_Nmp-Principal-Id", "service:jobs")]),
    ("the last one", &[("X-NMP-Principal_Id", "service:jobs")]),
    ("twice", &[("X-NMP-Principal-Id", "service:jobs"), ("X-NMP-Principal-Id", "service:forged")]),
    (
        "twice, in two spellings",
        &[("X-NMP-Principal-Id", "service:jobs"), ("x_nmp_principal_id", "service:forged")],
    ),
    ("a list", &[("X-NMP-Principal-Id", "service:jobs, forged")]),
    ("empty, then not", &[("X-NMP-Principal-Id", ""), ("X-NMP-Principal-Id", "service:jobs")]),
    (
        "every header of ours",
        &[
            ("X-NMP-Principal-Email", "forged@example.com"),
            ("X-NMP-Principal-Groups", "forged"),
            ("X-NMP-Scopes", "forged:all"),
            ("X-NMP-Authorized", "forged"),
        ],
    ),
    (
        "on behalf of",
        &[
            ("X-NMP-Principal-On-Behalf-Of", "service:jobs"),
            ("X-NMP-Principal-On-Behalf-Of-Groups", "forged"),
            ("x_nmp_principal_on_behalf_of_email", "forged@example.com"),
        ],
    ),
    ("internal", &[("x-nmp-internal", "forged"), ("X_NMP_INTERNAL", "forged")]),
    ("actor and subject", &[("X-NMP-Actor-Id", "forged"), ("X-NMP-Subject-Type", "forged")]),
    ("any other name", &[("x-nmp-anything", "forged")]),
    ("any other name, underscores", &[("x_nmp_anything", "forged")]),
    ("any other name, mixed", &[("X-nmp_any-THING_else", "forged")]),
    // Signs that some upstreams fold into one: CGI and what is made like it.
    ("dots", &[("x.nmp.principal.id", "service:jobs"), ("X.NMP.Scopes", "forged")]),
    ("tildes", &[("x~nmp~principal~id", "service:jobs")]),
    ("two dashes", &[("x--nmp--principal--id", "service:jobs")]),
    ("signs mixed", &[("X-.Nmp_~Principal-Id", "service:jobs"), ("x_-nmp-_anything", "forged")]),
    (
        "every other sign",
        &[
            ("x!nmp!principal!id", "service:jobs"),
            ("x#nmp#principal#id", "service:jobs"),
            ("x$nmp$principal$id", "service:jobs"),
            ("x%nmp%principal%id", "service:jobs"),
            ("x&nmp&principal&id", "service:jobs"),
            ("x'nmp'principal'id", "service:jobs"),
            ("x*nmp*principal*id", "service:jobs"),
            ("x+nmp+principal+id", "service:jobs"),
            ("x^nmp^principal^id", "service:jobs"),
            ("x`nmp`principal`id", "service:jobs"),
            ("x|nmp|principal|id", "service:jobs"),
        ],
    ),
    ("one other sign", &[("x-nmp.principal-id", "service:jobs"), ("x-nmp-principal.id", "forged")]),
    ("another name, other sign", &[("x.nmp.anything", "forged"), ("x-nmp~internal", "forged")]),
    // RFC 9110 §7.6.1: a hop may drop what `Connection` names. Then the trusted header
    // itself would get lost.
    ("named by Connection", &[("Connection", "X-NMP-Principal-Id"), ("X-NMP-Scopes", "forged")]),
];

const ALICE: [(&str, &str); 4] = [
    ("x-nmp-principal-email", "alice@example.com"),
    ("x-nmp-principal-groups", "research,team-b"),
    ("x-nmp-principal-id", "alice"),
    ("x-nmp-scopes", "openid models:read"),
];

fn config(enabled: bool) -> String {
    json!({
        "auth": {
            "enabled": enabled,
            "oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])},
        },
        "rules": {"bypass": ["/public/*"]},
    })
    .to_string()
}

fn token(id: usize) -> String {
    RSA.token("RS256", &claims(ISSUER, json!({"jti": id.to_string()})))
}

fn spoofed(request: RawRequest, headers: &[(&str, &str)]) -> RawRequest {
    let request = request.header("X-Harmless", "kept");
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

/// The upstream saw exactly these trusted headers, and nothing of what was forged.
fn assert_seen(reply: &Reply, expected: &[(&str, &str)], case: &str) {
    assert_eq!(reply.status, 200, "{case}: {reply:?}");
    let seen = Echoed::of(reply);
    assert_eq!(seen.trusted(), expected, "{case}");
    assert_eq!(seen.header("x-harmless"), Some("kept"), "{case}");
    for (name, value) in &seen.headers {
        let named = name == "connection";
        assert!(
            !value.contains("service:") && !value.contains("forged"),
            "{case}: {name}: {value}"
        );
        assert!(named || !value.to_lowercase().contains("x-nmp"), "{case}: {name}: {value}");
    }
}

async fn table(file: &str, anonymous_too: bool) {
    table_changed(file, [], anonymous_too).await;
}

async fn table_changed<const N: usize>(
    file: &str,
    changes: [(&str, &str); N],
    anonymous_too: bool,
) {
    let gateway = Gateway::start_changed(file, changes, &config(true)).await;
    let Some(mut gateway) = gateway else { return };
    for (id, (spelling, headers)) in SPOOFS.iter().enumerate() {
        let case = |outcome: &str| format!("{file}: {spelling}, {outcome}");
        let send = async |request: RawRequest| gateway.send(&spoofed(request, headers)).await;
        let token = token(id);

        let fresh = send(get("/v1/models").bearer(&token)).await;
        assert_seen(&fresh, &ALICE, &case("allowed"));
        let cached = send(get("/v1/models").bearer(&token)).await;
        assert_seen(&cached, &ALICE, &case("cached"));
        let denied = send(get("/v1/models")).await;
        assert_eq!(denied.reason(), "missing_token", "{}", case("denied"));
        let bypassed = send(get("/public/page")).await;
        assert_seen(&bypassed, &[], &case("bypassed"));
        let bypassed = send(get("/public/page").bearer(&token)).await;
        assert_seen(&bypassed, &[], &case("bypassed with a token"));
        if anonymous_too {
            let anonymous = send(get("/optional/page")).await;
            assert_seen(&anonymous, &[], &case("anonymous"));
            let known = send(get("/optional/page").bearer(&token)).await;
            assert_seen(&known, &ALICE, &case("not anonymous"));
            let forged = send(get("/optional/page").bearer("forged")).await;
            assert_eq!(forged.reason(), "malformed_token", "{}", case("a bad token, optional"));
        }
    }
    // The rows named fresh and cached were.
    let count = f64::from(u32::try_from(SPOOFS.len()).unwrap());
    gateway.counted("doorward_token_cache_hits_total", count).await;
    gateway.counted("doorward_token_cache_misses_total", count).await;

    gateway.reload(&config(false)).await;
    for (spelling, headers) in &SPOOFS {
        for request in [get("/v1/models"), get("/v1/models").bearer(&token(0)), get("/public/x")] {
            let reply = gateway.send(&spoofed(request, headers)).await;
            assert_seen(&reply, &[], &format!("{file}: {spelling}, auth off"));
        }
    }
}

#[tokio::test]
async fn nothing_forged_passes_over_grpc() {
    table("envoy.yaml", true).await;
}

/// Envoy then sends `header_map` and no `headers`: who reads `headers` alone sees a request
/// without any.
#[tokio::test]
async fn nothing_forged_passes_in_raw_headers() {
    let raw = ("encode_raw_headers: false", "encode_raw_headers: true");
    table_changed("envoy.yaml", [raw], true).await;
}

#[tokio::test]
async fn nothing_forged_passes_over_http() {
    table("envoy-http.yaml", false).await;
}

#[tokio::test]
async fn nothing_forged_passes_inside_envoy() {
    table("module.yaml", true).await;
}

#[tokio::test]
async fn nothing_forged_passes_inside_nemos_gateway() {
    table("nemo-module.yaml", false).await;
}

#[tokio::test]
async fn nothing_forged_passes_nemos_gateway_over_grpc() {
    table("nemo-grpc.yaml", false).await;
}

#[tokio::test]
async fn nothing_forged_passes_nemos_gateway_over_http() {
    table("nemo-http.yaml", false).await;
}

/// NeMo's own names are served by Doorward itself, through the same Envoy.
#[tokio::test]
async fn nemos_gateway_serves_discovery_and_authenticate() {
    for file in NEMO {
        let Some(gateway) = Gateway::start(file, &config(true)).await else { return };
        let discovery = gateway.send(&get("/apis/auth/discovery")).await;
        assert_eq!(discovery.json()["oidc"]["issuer"], ISSUER, "{file}");
        let unknown = gateway.send(&get("/apis/auth/authenticate")).await;
        assert_eq!((unknown.status, unknown.reason().as_str()), (401, "missing_token"), "{file}");
        let known = gateway.send(&get("/apis/auth/authenticate").bearer(&token(0))).await;
        assert_eq!(known.json()["principal"], "alice", "{file}");
        assert!(gateway.echo().take().is_empty(), "{file}: not the platform's to answer");
    }
}
