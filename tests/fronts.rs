//! What the three listeners serve besides `Check`, and that the HTTP front decides the
//! same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::check;
use crate::support::doorward::Doorward;
use crate::support::idp::Idp;
use crate::support::raw;
use crate::support::signer::{RSA, STRANGER, Signer, claims, encode, from_now, jwks};
use crate::support::{PATIENCE, eventually, http, tools};

const ISSUER: &str = "https://idp.example";

fn config() -> Value {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"bypass": ["/public/*", "/apis/auth/authenticate"]},
    })
}

async fn channel(doorward: &Doorward) -> Channel {
    let endpoint = Endpoint::try_from(format!("http://{}", doorward.grpc())).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn reflection_lists_and_describes_the_services() {
    let doorward = Doorward::start(&config().to_string()).await;
    let mut client = ServerReflectionClient::new(channel(&doorward).await);
    let mut ask = async |request: MessageRequest| {
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let request = tokio_stream::once(request);
        let mut answers = client.server_reflection_info(request).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap().message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) =
        ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list")
    };
    let names: BTreeSet<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["envoy.service.auth.v3.Authorization", "grpc.health.v1.Health"] {
        assert!(names.contains(name), "{names:?}");
        let described = ask(MessageRequest::FileContainingSymbol(name.into())).await;
        assert!(matches!(described, MessageResponse::FileDescriptorResponse(_)), "{described:?}");
    }
}

/// Names in the table on top of the metrics' own file, `{a,b}` spelled out.
fn documented_metrics() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let file = tools::file("src/telemetry/metrics.rs");
    for row in file.lines().filter_map(|line| line.strip_prefix("//! | `doorward_")) {
        let cell = format!("`doorward_{}", row.split('|').next().unwrap());
        for name in cell.split('`').filter(|name| name.starts_with("doorward_")) {
            match name.split_once('{') {
                Some((front, rest)) => {
                    let (choices, back) = rest.split_once('}').unwrap();
                    names.extend(choices.split(',').map(|choice| format!("{front}{choice}{back}")));
                }
                None => {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
}

#[tokio::test]
async fn every_documented_metric_is_there_and_labels_come_from_the_configuration() {
    let idp = Idp::start([&*RSA]).await;
    let config = json!({
        "auth": {
            "oidc": {"issuer": idp.issuer(), "client_id": "nmp"},
            "issuers": [{
                "issuer": "https://asked.example", "audience": "nmp", "jwks": jwks([&*RSA]),
                "introspection": {"endpoint": "http://127.0.0.1:9/", "client_id": "doorward"},
            }],
        },
        "cache": {"max_entries": 2},
    });
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    let issuer = idp.issuer();
    let token = |more| RSA.token("RS256", &claims(&issuer, more));
    let poison = "poison-7f3a";
    let lossy = token(json!({
        "sub": poison, "groups": ["a,b", poison], "scope": ["not a\u{e9}scope", "ok"],
        "_claim_names": {"groups": "src1"},
    }));
    for ask in [
        check::get("/").bearer(&lossy),
        check::get("/").bearer(&lossy),
        check::get("/").bearer(&token(json!({"jti": "1"}))),
        check::get("/").bearer(&token(json!({"jti": "2"}))),
        check::get(&format!("/{poison}")).method(poison),
        check::get("/").bearer(&token(json!({"iss": format!("https://{poison}")}))),
        check::get("/").bearer(&token(json!({"aud": poison}))),
        check::get("/").bearer(
            &RSA.token_with(json!({"alg": "RS256", "kid": poison}), &claims(&issuer, json!({}))),
        ),
    ] {
        doorward.ask(ask).await;
    }
    let text = doorward.metrics().await;
    let mut documented = documented_metrics();
    // Nobody shows a certificate here: tests/config_faults.rs.
    assert!(documented.remove("doorward_certificate_expires_timestamp_seconds"));
    // Nobody asks a policy: tests/policy_sources.rs.
    documented.retain(|name| !name.starts_with("doorward_policy_"));
    assert!(documented.len() > 10, "{documented:?}");
    let shown: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(shown, documented, "documented and shown are the same");
    assert!(!text.contains(poison), "{text}");
    for line in [
        format!(
            "doorward_checks_total{{decision=\"allow\",issuer=\"{issuer}\",reason=\"authenticated\"}} 4"
        ),
        format!(
            "doorward_checks_total{{decision=\"deny\",issuer=\"{issuer}\",reason=\"bad_audience\"}} 1"
        ),
        "doorward_checks_total{decision=\"deny\",issuer=\"\",reason=\"missing_token\"} 1"
            .to_owned(),
        "doorward_checks_total{decision=\"deny\",issuer=\"\",reason=\"unknown_issuer\"} 1"
            .to_owned(),
        format!("doorward_group_overage_total{{issuer=\"{issuer}\"}} 1"),
        format!("doorward_dropped_groups_total{{issuer=\"{issuer}\"}} 1"),
        format!("doorward_key_set_keys{{issuer=\"{issuer}\"}} 1"),
        "doorward_token_cache_hits_total 1".to_owned(),
        "doorward_check_duration_seconds_count 8".to_owned(),
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn discovery_tells_what_a_login_needs_and_outlives_the_issuer() {
    let mut idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let config = json!({"auth": {"oidc": {
        "issuer": issuer, "client_id": "nmp", "scope_prefix": "api://nmp/",
        "token_endpoint": "https://login.example/token",
    }}});
    let doorward = Doorward::start(&config.to_string()).await;
    let url = doorward.http("/apis/auth/discovery");
    let document =
        async || -> Value { http().get(&url).send().await.unwrap().json().await.unwrap() };
    eventually("the issuer was asked", PATIENCE, async || {
        document().await["oidc"]["userinfo_endpoint"].is_string().then_some(())
    })
    .await;
    let expected = json!({
        "auth_enabled": true,
        "oidc": {
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": "https://login.example/token",
            "device_authorization_endpoint": format!("{issuer}/device_authorization"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "client_id": "nmp",
            "default_scopes": "openid profile email offline_access",
            "scope_prefix": "api://nmp/",
            "workload_token_exchange_enabled": false,
            "workload_client_id": null,
            "workload_token_endpoint": null,
            "workload_audience": null,
            "workload_scope": null,
        },
    });
    assert_eq!(document().await, expected);
    idp.stop().await;
    assert_eq!(document().await, expected);
    let posted = http().post(&url).send().await.unwrap();
    assert_eq!(posted.status(), 405);

    // Nobody has to log in, whatever is configured.
    let mut off = config;
    off["auth"]["enabled"] = json!(false);
    for off in [off, json!({"auth": {"enabled": false}})] {
        doorward.reload(&off.to_string()).await;
        assert_eq!(document().await, json!({"auth_enabled": false, "oidc": null}));
    }
}

#[tokio::test]
async fn discovery_tells_workloads_where_to_exchange_their_tokens() {
    let oidc = json!({
        "issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA]),
        "client_secret": "s3cret", "workload_token_exchange_enabled": true,
        "workload_client_id": "nmp-workload", "workload_audience": "nmp-api",
        "workload_scope": "openid groups",
    });
    let mut config = json!({
        "platform": {"base_url": "https://nmp.example/"},
        "auth": {"oidc": oidc, "token_signing": {"jwks_uri": "http://127.0.0.1:1/jwks"}},
    });
    let doorward = Doorward::start(&config.to_string()).await;
    let url = doorward.http("/apis/auth/discovery");
    let document = async || -> Value {
        let text = http().get(&url).send().await.unwrap().text().await.unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let found = document().await;
    for (member, expected) in [
        ("issuer", json!(ISSUER)),
        ("workload_token_exchange_enabled", json!(true)),
        ("workload_client_id", json!("nmp-workload")),
        ("workload_token_endpoint", json!("https://nmp.example/apis/auth/token")),
        ("workload_audience", json!("nmp-api")),
        ("workload_scope", json!("openid groups")),
    ] {
        assert_eq!(found["oidc"][member], expected, "{member}");
    }
    config["auth"]["oidc"]["workload_token_endpoint"] = json!("http://idp.internal:8080/token");
    doorward.reload(&config.to_string()).await;
    let endpoint = &document().await["oidc"]["workload_token_endpoint"];
    assert_eq!(endpoint, "http://idp.internal:8080/token");
    // The platform signs tokens, and nobody logs in there.
    config["auth"]["oidc"]["enabled"] = json!(false);
    doorward.reload(&config.to_string()).await;
    assert_eq!(document().await, json!({"auth_enabled": true, "oidc": null}));
}

#[tokio::test]
async fn authenticate_says_who_a_token_is() {
    // Its own path is bypassed in this configuration, and still a token is the question.
    let doorward = Doorward::start(&config().to_string()).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({"jti": "j-1"})));
    let url = doorward.http("/apis/auth/authenticate");
    let expected = json!({
        "principal": "alice", "email": "alice@example.com", "groups": ["research", "team-b"],
        "scopes": ["openid", "models:read"], "jti": "j-1", "token_kind": "oidc_access_token",
    });
    let below = format!("{url}/v1/models");
    for request in [http().get(&url), http().post(&url), http().put(&url), http().delete(&below)] {
        let answer = request.bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.headers()["x-nmp-principal-id"], "alice");
        assert_eq!(answer.json::<Value>().await.unwrap(), expected);
    }
    let unknown = http().get(&url).send().await.unwrap();
    assert_eq!(unknown.status(), 401);
    assert!(unknown.headers().contains_key("www-authenticate"));
    assert_eq!(unknown.json::<Value>().await.unwrap()["reason"], "missing_token");
    assert_eq!(http().get(format!("{url}x")).send().await.unwrap().status(), 404);
    assert_eq!(http().get(doorward.http("/")).send().await.unwrap().status(), 404);
}

/// Header name → value, for names of ours.
type Identity = BTreeMap<String, String>;

/// For every token of a corpus the HTTP front says what `Check`, `explain` and the module say.
#[tokio::test]
async fn http_ext_authz_decides_as_check_does() {
    let ed = Signer::ed("ed-1");
    let mut config = config();
    config["auth"]["oidc"]["jwks"] = jwks([&*RSA, &ed]);
    config["auth"]["issuers"] = json!([{"issuer": "http://127.0.0.1:9", "audience": "nmp"}]);
    let doorward = Doorward::start_explained(&config.to_string()).await;
    let good = claims(ISSUER, json!({}));
    let token = |more: Value| RSA.token("RS256", &claims(ISSUER, more));
    let unsigned =
        format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(good.to_string().as_bytes()));
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let corpus = [
        None,
        Some(String::new()),
        Some("Basic YTpi".into()),
        bearer("a.b"),
        bearer(&unsigned),
        bearer(&token(json!({}))),
        bearer(&token(json!({}))),
        bearer(&ed.token("EdDSA", &good)),
        bearer(&STRANGER.token("RS256", &good)),
        bearer(&RSA.token_with(json!({"alg": "RS256", "kid": "other"}), &good)),
        bearer(&RSA.token_with(json!({"alg": "HS256", "kid": "rsa-1"}), &good)),
        bearer(&token(json!({"iss": "https://evil.example"}))),
        bearer(&token(json!({"iss": "http://127.0.0.1:9"}))),
        bearer(&token(json!({"exp": 1}))),
        bearer(&token(json!({"nbf": from_now(3600)}))),
        bearer(&token(json!({"aud": "x"}))),
        bearer(&token(json!({"sub": null}))),
        bearer(&token(json!({"sub": "service:x"}))),
        bearer(&token(json!({"email": null, "groups": null, "scope": null}))),
        bearer(&token(json!({"groups": ["a", "service:x", "a,b"], "email_verified": false}))),
    ];
    let mut reasons = BTreeSet::new();
    for path in ["/v1/models?limit=1", "/public/page", "/public/%2e%2e/admin"] {
        for authorization in &corpus {
            let forged = [("x-nmp-principal-id", "root"), ("x_nmp_odd", "1"), ("x-nmp-Own", "2")];
            let mut ask = check::get(path);
            let mut request = raw::get(format!("/apis/auth/ext-authz{path}"));
            for (name, value) in forged {
                // Envoy hands names on in lower case.
                ask = ask.header(&name.to_lowercase(), value);
                request = request.header(name, value);
            }
            if let Some(authorization) = authorization {
                ask = ask.header("authorization", authorization);
                request = request.header("authorization", authorization);
            }
            let meant = doorward.ask(ask).await;
            let reply = request.send(doorward.http_address()).await;
            let case = format!("{path} {authorization:?}: {reply:?}");
            // Envoy takes a 5xx over HTTP for a failure of ours: there it is 403.
            let could_not_tell = meant.status == 503;
            assert_eq!(i32::from(reply.status), if could_not_tell { 403 } else { meant.status });
            if could_not_tell {
                assert!(reply.body.contains(&format!("\"reason\":\"{}\"", meant.reason)), "{case}");
            } else {
                assert_eq!(reply.body, meant.body, "{case}");
            }
            let ours = |headers: &mut dyn Iterator<Item = (String, String)>| -> Identity {
                headers.filter(|(name, _)| name.starts_with("x-nmp")).collect()
            };
            let set = ours(&mut reply.headers.iter().cloned());
            assert_eq!(set, ours(&mut meant.headers.clone().into_iter()), "{case}");
            let removed: BTreeSet<_> = reply
                .header("x-envoy-auth-headers-to-remove")
                .unwrap_or_default()
                .split(',')
                .filter(|name| !name.is_empty())
                .collect();
            let expected: BTreeSet<_> = meant.removed.iter().map(String::as_str).collect();
            assert_eq!(removed, expected, "{case}");
            if meant.status == 200 {
                assert!(removed.contains("x_nmp_odd") && removed.contains("x-nmp-own"), "{case}");
            } else {
                for name in ["www-authenticate", "content-type", "cache-control", "retry-after"] {
                    assert_eq!(reply.header(name), meant.header(name), "{case}");
                }
            }
            reasons.insert(meant.reason);
        }
    }
    assert!(reasons.len() >= 14, "the corpus is broad: {reasons:?}");
}
