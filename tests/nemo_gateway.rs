//! The gateway of NeMo Platform, from the files that people start theirs from, in front of an
//! upstream that judges headers as NeMo's services do: who comes with which token, what is open
//! without one, what stays closed, and what nobody can forge.

use serde_json::{Value, json};

use crate::support::echo::Echoed;
use crate::support::gateway::{Gateway, NEMO, is_inside};
use crate::support::raw::{RawRequest, Reply, get, request};
use crate::support::registry::{Behaviour, Registry};
use crate::support::signer::{RSA, STRANGER, claims, from_now, jwks};
use crate::support::{PATIENCE, eventually};

const ISSUER: &str = "https://idp.example";
const PODS: &str = "https://kubernetes.default.svc";
/// Those with a server beside Envoy.
const FILES: [&str; 2] = ["nemo-grpc.yaml", "nemo-http.yaml"];
const GUARDED: &str = "/apis/entities/v2/workspaces/default";
const HF: &str = "/apis/files/v2/hf/api/models/alice/llama";

/// What NeMo's services believe, whoever sent it.
const BELIEVED: [&str; 20] = [
    "x-nmp-principal-id",
    "x-nmp-principal-email",
    "x-nmp-principal-groups",
    "x-nmp-principal-on-behalf-of",
    "x-nmp-principal-on-behalf-of-email",
    "x-nmp-principal-on-behalf-of-groups",
    "x-nmp-scopes",
    "x-nmp-authorized",
    "x-nmp-internal",
    "x-nmp-origin-workspace",
    "x-nmp-actor-id",
    "x-nmp-actor-email",
    "x-nmp-actor-groups",
    "x-nmp-actor-account-id",
    "x-nmp-actor-aliases",
    "x-nmp-subject-id",
    "x-nmp-subject-email",
    "x-nmp-subject-groups",
    "x-nmp-subject-account-id",
    "x-nmp-subject-aliases",
];

/// Whom a service takes the sender for, from a request that reached it: each believed header, in
/// whatever spelling a server may fold into it, and the one identity that stands in
/// `Authorization`.
fn judged(seen: &Echoed) -> Vec<(String, String)> {
    let mut judged = Vec::new();
    for (name, value) in &seen.headers {
        let words = name.split(|char: char| !char.is_ascii_alphanumeric());
        let folded = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
        if BELIEVED.contains(&folded.to_ascii_lowercase().as_str()) {
            judged.push((folded, value.clone()));
        }
        let is_hf = seen.path.starts_with("/apis/files/v2/hf/");
        let service = value.split_once("ervice:").filter(|_| is_hf && name == "authorization");
        if let Some((_, service)) = service {
            judged.push(("service".to_owned(), service.to_owned()));
        }
    }
    judged.sort();
    judged
}

fn config() -> String {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"preset": "nemo"},
    })
    .to_string()
}

/// Everything that a client may claim, spelled in as many ways.
fn forged(mut request: RawRequest) -> RawRequest {
    for (index, name) in BELIEVED.iter().enumerate() {
        let spelled = match index % 4 {
            0 => name.to_ascii_uppercase(),
            1 => name.replace('-', "_"),
            2 => name.replace('-', "."),
            _ => name.replacen('-', "_", 1),
        };
        request = request.header(name, "forged").header(&spelled, "service:forged");
    }
    request
}

/// The only request that arrived, as the platform judges it; `None` when none did.
fn arrived(gateway: &Gateway) -> Option<Vec<(String, String)>> {
    let mut seen = gateway.echo().take();
    assert!(seen.len() <= 1, "{seen:?}");
    seen.pop().map(|seen| judged(&seen))
}

/// What comes of a token of some kind.
struct Row {
    kind: &'static str,
    /// The whole value of `Authorization`.
    authorization: String,
    /// The status, and the reason of a denial.
    outcome: (u16, &'static str),
    judged: Vec<(&'static str, &'static str)>,
}

fn rows() -> Vec<Row> {
    let signed = |more| RSA.token("RS256", &claims(ISSUER, more));
    let row = |kind, token: &str, outcome, judged: &[_]| Row {
        kind,
        authorization: format!("Bearer {token}"),
        outcome,
        judged: judged.to_vec(),
    };
    let alice = [
        ("x-nmp-principal-email", "alice@example.com"),
        ("x-nmp-principal-groups", "research,team-b"),
        ("x-nmp-principal-id", "alice"),
        ("x-nmp-scopes", "openid models:read"),
    ];
    let denied = |kind, token: &str, status, reason| row(kind, token, (status, reason), &[]);
    vec![
        row("an IdP's token", &signed(json!({})), (200, ""), &alice),
        // For another kind than the platform's own, `act` changes nothing.
        row(
            "an IdP's token with an actor",
            &signed(json!({"act": {"sub": "service:jobs", "groups": ["admins"]}})),
            (200, ""),
            &alice,
        ),
        denied("an expired one", &signed(json!({"exp": from_now(-120)})), 401, "expired"),
        denied("one without end", &signed(json!({"exp": null})), 401, "invalid_claim"),
        denied("one for others", &signed(json!({"aud": "others"})), 401, "bad_audience"),
        denied(
            "one of another key",
            &STRANGER.token("RS256", &claims(ISSUER, json!({}))),
            401,
            "bad_signature",
        ),
        denied(
            "one of another issuer",
            &signed(json!({"iss": "https://nmp.example/apis/auth"})),
            401,
            "unknown_issuer",
        ),
        denied("one of a service", &signed(json!({"sub": "service:x"})), 403, "reserved_identity"),
        denied("the name of a service", "service:jobs", 401, "malformed_token"),
        denied("an opaque one", "nmp_0123456789", 401, "malformed_token"),
    ]
}

/// What comes of the platform's own tokens, and of its workloads'.
fn rows_of_platform(platform: &Registry) -> Vec<Row> {
    let issuer = platform.url("/apis/auth");
    let signed = |issuer: &str, more: [Value; 2]| {
        let mut merged = serde_json::Map::new();
        more.iter().for_each(|more| merged.extend(more.as_object().unwrap().clone()));
        RSA.token("RS256", &claims(issuer, Value::Object(merged)))
    };
    let id = |digit: &str| format!("ak_{}", digit.repeat(32));
    let key = |digit: &str, more| {
        let key = json!({
            "aud": "nemo-platform-access-key", "nmp_token_type": "access_key", "exp": null,
            "nbf": from_now(-10), "jti": id(digit), "scope": null, "groups": "research",
        });
        signed(&issuer, [key, more])
    };
    let workload = |more| {
        let token = json!({"aud": "nemo-platform", "nbf": from_now(-10), "groups": "research"});
        signed(&issuer, [token, more])
    };
    let pod = json!({
        "aud": "nmp", "sub": "system:serviceaccount:ns:job", "email": null, "scope": null,
        "groups": ["system:serviceaccounts"],
    });
    let (active, ended) = (key("a", json!({})), key("c", json!({"exp": from_now(-40)})));
    for (token, digit) in [(&active, "a"), (&ended, "c")] {
        platform.issue(token, json!({"principal": "alice", "jti": id(digit)}));
    }
    let row = |kind, token: String, outcome, judged: &[_]| Row {
        kind,
        authorization: format!("Bearer {token}"),
        outcome,
        judged: judged.to_vec(),
    };
    let alice = [
        ("x-nmp-principal-email", "alice@example.com"),
        ("x-nmp-principal-groups", "research"),
        ("x-nmp-principal-id", "alice"),
    ];
    let actor = json!({"sub": "system:serviceaccount:ns:job", "groups": "jobs"});
    let scopes = ("x-nmp-scopes", "openid models:read");
    vec![
        row("an access key", active, (200, ""), &alice),
        row("an ended access key", ended, (401, "expired"), &[]),
        row("a revoked access key", key("b", json!({})), (401, "revoked"), &[]),
        row(
            "a service's key",
            key("d", json!({"sub": "service:x"})),
            (403, "reserved_identity"),
            &[],
        ),
        row("a workload's", workload(json!({})), (200, ""), &[&alice[..], &[scopes]].concat()),
        row(
            "a workload's on behalf of somebody",
            workload(json!({"act": actor})),
            (200, ""),
            &[
                ("x-nmp-principal-groups", "jobs"),
                ("x-nmp-principal-id", "system:serviceaccount:ns:job"),
                ("x-nmp-principal-on-behalf-of", "alice"),
                ("x-nmp-principal-on-behalf-of-email", "alice@example.com"),
                ("x-nmp-principal-on-behalf-of-groups", "research"),
                scopes,
            ],
        ),
        row(
            "a workload's as a service",
            workload(json!({"act": {"sub": "service:jobs"}})),
            (403, "reserved_identity"),
            &[],
        ),
        row(
            "a workload's without end",
            workload(json!({"exp": null})),
            (401, "invalid_claim"),
            &[],
        ),
        row(
            "a pod's own",
            signed(PODS, [pod.clone(), json!({})]),
            (200, ""),
            &[
                ("x-nmp-principal-groups", "system:serviceaccounts"),
                ("x-nmp-principal-id", "system:serviceaccount:ns:job"),
            ],
        ),
        row(
            "a pod's for others",
            signed(PODS, [pod, json!({"aud": "x"})]),
            (401, "bad_audience"),
            &[],
        ),
    ]
}

/// The same gateway, and the platform with all that it issues.
fn config_of_platform(platform: &Registry) -> String {
    let mut config: Value = serde_json::from_str(&config()).unwrap();
    config["platform"] = json!({"base_url": platform.url("")});
    config["auth"]["access_keys"] = json!({
        "enabled": true, "recheck": "1s",
        "status_url": platform.url("/apis/auth/authenticate").replace("127.0.0.1", "localhost"),
    });
    let oidc = config["auth"]["oidc"].as_object_mut().unwrap();
    oidc.insert("workload_token_exchange_enabled".into(), json!(true));
    oidc.insert("workload_subject_jwks_uri".into(), json!(platform.url("/apis/auth/jwks")));
    oidc.insert("workload_subject_issuers".into(), json!([PODS]));
    config.to_string()
}

/// NeMo's own page lists four headers to let through. With such a file, whoever acts for somebody is
/// denied: the subject would be lost, and a client's own word on it would arrive.
#[tokio::test]
async fn a_gateway_that_would_lose_the_subject_is_told_no() {
    let platform = Registry::start().await;
    let four = "{ exact: x-nmp-principal-id }, { exact: x-nmp-principal-email }, \
                { exact: x-nmp-principal-groups }, { exact: x-nmp-scopes }";
    let changes = [
        (
            "                              - { prefix: x-nmp-, ignore_case: true }\n                          allowed_client",
            &*format!(
                "                              [{four}]\n                          allowed_client"
            ),
        ),
        (
            "                            - { key: x-doorward-upstream, value: on-behalf-of }",
            "                            - { key: x-other, value: none }",
        ),
        ("                          - safe_regex: { regex: \"(?i)x[^a-z0-9]+nmp.*\" }\n", ""),
    ];
    let config = config_of_platform(&platform);
    let Some(gateway) = Gateway::start_changed("nemo-http.yaml", changes, &config).await else {
        return;
    };
    let rows = rows_of_platform(&platform);
    let row = rows.iter().find(|row| row.kind == "a workload's on behalf of somebody").unwrap();
    let request = get(GUARDED).header("Authorization", &row.authorization);
    let forged = request.header("X-NMP-Principal-On-Behalf-Of", "ceo");
    let reply = gateway.send(&forged).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "policy_unavailable"));
    assert_eq!(arrived(&gateway), None);
}

/// The platform does not answer: its keys wait, and everybody else comes and goes.
#[tokio::test]
async fn with_the_platform_down_its_keys_alone_do_not_count() {
    let platform = Registry::start().await;
    let rows = rows_of_platform(&platform);
    let key = &rows[0].authorization;
    for (file, status) in [("nemo-grpc.yaml", 503), ("nemo-http.yaml", 403)] {
        platform.will(Behaviour::Says(502, ""));
        let Some(gateway) = Gateway::start(file, &config_of_platform(&platform)).await else {
            return;
        };
        let reply = gateway.send(&get(GUARDED).header("Authorization", key)).await;
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (status, "status_unavailable"),
            "{file}"
        );
        for other in ["a workload's", "a pod's own"] {
            let row = rows.iter().find(|row| row.kind == other).unwrap();
            let request = get(GUARDED).header("Authorization", &row.authorization);
            assert_eq!(gateway.send(&request).await.status, 200, "{file}: {other}");
        }
        platform.will(Behaviour::Answers);
        eventually("the platform is asked again", PATIENCE, async || {
            let reply = gateway.send(&get(GUARDED).header("Authorization", key)).await;
            (reply.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn each_kind_of_token_is_what_the_platform_takes_it_for() {
    for file in NEMO {
        let platform = Registry::start().await;
        // The module cannot ask the platform about its tokens.
        let (config, of_platform) = match is_inside(file) {
            true => (config(), Vec::new()),
            false => (config_of_platform(&platform), rows_of_platform(&platform)),
        };
        let Some(gateway) = Gateway::start(file, &config).await else { return };
        let rows = rows().into_iter().chain(of_platform);
        for Row { kind, authorization, outcome: (status, reason), judged } in rows {
            for path in [GUARDED, HF] {
                let delegated = judged.iter().any(|(name, _)| name.contains("behalf"));
                let request = if delegated && file == "nemo-http.yaml" {
                    // Over HTTP the client's own are not overwritten everywhere: denied.
                    let forged = forged(get(path)).header("Authorization", &authorization);
                    assert_eq!(gateway.send(&forged).await.status, 400, "{kind}");
                    get(path).header("Authorization", &authorization)
                } else {
                    forged(get(path)).header("Authorization", &authorization)
                };
                let reply = gateway.send(&request).await;
                let case = format!("{file}: {kind} at {path}: {reply:?}");
                assert_eq!(reply.status, status, "{case}");
                let arrived = arrived(&gateway);
                assert_eq!(arrived.is_some(), status == 200, "{case}");
                if status != 200 {
                    assert_eq!(reply.reason(), reason, "{case}");
                }
                let arrived = arrived.unwrap_or_default();
                let arrived = arrived.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                assert_eq!(arrived.collect::<Vec<_>>(), judged, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_open_takes_nobody_for_anybody() {
    for file in NEMO {
        let Some(gateway) = Gateway::start(file, &config()).await else { return };
        let send = async |request: RawRequest| -> Reply { gateway.send(&request).await };
        for path in [
            "/health",
            "/healthz",
            "/ready",
            "/readyz",
            "/health/live",
            "/health/ready",
            "/status",
            "/metrics",
            "/cluster-info",
            "/apis/auth/jwks",
            "/apis/auth/token",
            "/studio",
            "/studio/",
            "/studio/assets/app.js?v=1",
        ] {
            for request in [get(path), forged(get(path)), get(path).bearer("service:jobs")] {
                assert_eq!(send(request).await.status, 200, "{file}: {path}");
                assert_eq!(arrived(&gateway), Some(vec![]), "{file}: {path}");
            }
        }
        let exchange = request("POST", "/apis/auth/token").body("grant_type=x");
        assert_eq!(send(exchange).await.status, 200, "{file}");
        assert_eq!(arrived(&gateway), Some(vec![]), "{file}");
        // Doorward answers for the platform.
        let discovery = send(get("/apis/auth/discovery")).await;
        assert_eq!(discovery.json()["oidc"]["issuer"], ISSUER, "{file}");
        assert_eq!(arrived(&gateway), None, "{file}");
        // Near what is open, and not open.
        for path in [
            GUARDED,
            "/",
            "/health/",
            "/health/other",
            "/healthzz",
            "/status;v=1",
            "/studiox",
            "/metrics/x",
            "/apis/auth/token/x",
            "/apis/auth/v2/iam/opa-bundle.tar.gz",
            "/Health",
            "/studio/%252e%252e/apis",
            "/studio/..;/apis",
            HF,
        ] {
            let reply = send(get(path)).await;
            assert!(matches!(reply.status, 400 | 401), "{file}: {path}: {reply:?}");
            assert_eq!(arrived(&gateway), None, "{file}: {path}");
        }
    }
}

/// Twice: closed by Envoy's file, and by Doorward where a gateway's file is another.
#[tokio::test]
async fn what_is_closed_is_closed_in_every_spelling() {
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for file in NEMO {
        let open = [
            ("(?i)/internal([^a-z0-9_-].*)?", "/never"),
            ("(?i)/apis/auth/v2/authz([^a-z0-9_-].*)?", "/never"),
            ("(?i).*(%5c|(/|%2f)(\\\\.|%2e){0,2}%2f|%2f(\\\\.|%2e){0,2}(/|$)).*", "/never"),
            ("(?i).*%2f.*", "/never"),
        ];
        let Some(as_it_is) = Gateway::start(file, &config()).await else { return };
        let opened = Gateway::start_changed(file, open, &config()).await.unwrap();
        for (name, gateway) in [("as it is", as_it_is), ("opened", opened)] {
            for closed in ["internal", "apis/auth/v2/authz"] {
                let first = closed.split('/').next().unwrap();
                for path in [
                    format!("/{closed}"),
                    format!("/{closed}/"),
                    format!("/{closed}/allow?x=/health"),
                    format!("/{closed};a/allow"),
                    format!("/{closed}%3Ba/allow"),
                    format!("/{closed}%20/allow"),
                    format!("/{closed}%2Fallow"),
                    format!("/{closed}%5Callow"),
                    format!("/%{:02x}{}/allow", closed.as_bytes()[0], &closed[1..]),
                    format!("//{closed}/allow"),
                    format!("/./{closed}/allow"),
                    format!("/{first}/../{closed}/allow"),
                    format!("/studio/../{closed}/allow"),
                    format!("/studio/%2e%2e/{closed}/allow"),
                    format!("/studio/..%2f{closed}/allow"),
                    format!("/studio/..;/{closed}/allow"),
                    format!("/studio/%252e%252e/{closed}/allow"),
                    format!("/apis/files/v2/hf/..%2F..%2F..%2F..%2F{closed}/allow"),
                    format!("/studio/..%c0%af{closed}/allow"),
                    format!("http://platform.example/{closed}/allow"),
                ] {
                    for request in [get(&path), get(&path).bearer(&token)] {
                        let reply = gateway.send(&forged(request)).await;
                        let case = format!("{file} {name}: {path}: {reply:?}");
                        assert!(matches!(reply.status, 400 | 401 | 403), "{case}");
                        assert_eq!(arrived(&gateway), None, "{case}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn encoded_slashes_are_for_hugging_face_alone() {
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for file in NEMO {
        let Some(gateway) = Gateway::start(file, &config()).await else { return };
        let status = async |path: &str| gateway.send(&get(path).bearer(&token)).await.status;
        let path = format!("{HF}/revision/refs%2Fpr%2F1?blobs=True");
        assert_eq!(status(&path).await, 200, "{file}");
        assert_eq!(gateway.echo().take()[0].path, path, "{file}: as it was sent");
        for path in ["/apis/files/v2/other/a%2Fb", "/studio/a%2fb", "/apis/files/v2/hf/a%2F%2Fb"] {
            assert_eq!(status(path).await, 400, "{file}: {path}");
            assert_eq!(arrived(&gateway), None, "{file}: {path}");
        }
    }
}

#[tokio::test]
async fn without_doorward_nothing_arrives() {
    for file in FILES {
        let Some(mut gateway) = Gateway::start(file, &config()).await else { return };
        gateway.stop_doorward();
        for path in ["/health", GUARDED] {
            assert_eq!(gateway.send(&get(path)).await.status, 503, "{file}: {path}");
            assert_eq!(arrived(&gateway), None, "{file}: {path}");
        }
    }
}
