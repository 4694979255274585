//! NeMo Platform's own tokens: access keys, tokens for workloads, and workloads' own; what becomes of
//! each, the same over gRPC and HTTP, and what `/apis/auth/authenticate` says of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::http;
use crate::support::registry::{Behaviour, Registry};
use crate::support::signer::{RSA, Signer, claims, encode, from_now, jwks};

const IDP: &str = "https://idp.example";
const PODS: &str = "https://kubernetes.default.svc";

fn platform(registry: &Registry) -> String {
    registry.url("/apis/auth")
}

/// The platform as its own file has it, and Doorward's part of it.
fn config(registry: &Registry, recheck: &str) -> Value {
    json!({
        "platform": {"base_url": registry.url("")},
        "auth": {
            "oidc": {
                "issuer": IDP, "client_id": "nmp", "jwks": jwks([&*RSA]),
                "workload_token_exchange_enabled": true,
                "workload_client_id": "workloads",
                "workload_subject_jwks_uri": registry.url("/apis/auth/jwks"),
                "workload_subject_issuers": [PODS],
            },
            "access_keys": {
                "enabled": true,
                // The gateway's own port is that of `base_url`: this is another way to the platform.
                "status_url": registry.url("/apis/auth/authenticate").replace("127.0.0.1", "localhost"),
                "recheck": recheck,
            },
        },
    })
}

fn key_id() -> String {
    format!("ak_{}", "0123456789abcdef".repeat(2))
}

fn access_key(registry: &Registry, more: Value) -> String {
    let mut key = json!({
        "aud": "nemo-platform-access-key", "exp": null, "nmp_token_type": "access_key",
        "nbf": from_now(-10), "jti": key_id(), "groups": "research,team-b",
    });
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    RSA.token("RS256", &claims(&platform(registry), key))
}

fn workload(registry: &Registry, more: Value) -> String {
    let mut token = json!({"aud": "nemo-platform", "nbf": from_now(-10), "groups": "research"});
    token.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    RSA.token("RS256", &claims(&platform(registry), token))
}

fn pod(more: Value) -> String {
    let mut token = json!({"aud": ["workloads"], "sub": "system:serviceaccount:ns:job"});
    token.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    RSA.token("RS256", &claims(PODS, token))
}

/// What `/apis/auth/authenticate` answers, by any method and with a path behind it.
async fn authenticated(doorward: &Doorward, path: &str, token: &str) -> (u16, Value, Vec<String>) {
    let url = doorward.http(&format!("/apis/auth/authenticate{path}"));
    let answer = http().post(url).bearer_auth(token).send().await.unwrap();
    let status = answer.status().as_u16();
    let names = answer.headers().keys().map(|name| name.as_str().to_owned());
    let names = names.filter(|name| name.starts_with("x-nmp-")).collect();
    (status, answer.json().await.unwrap(), names)
}

/// Over HTTP ext_authz: status and reason.
async fn over_http(doorward: &Doorward, token: &str) -> (u16, String) {
    let url = doorward.http("/apis/auth/ext-authz/v1/models");
    let answer = http().get(url).bearer_auth(token).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    (status, body["reason"].as_str().unwrap_or("authenticated").to_owned())
}

#[tokio::test]
async fn every_kind_of_token_and_what_becomes_of_it() {
    let registry = Registry::start().await;
    let doorward =
        Doorward::start_explained_outside(&config(&registry, "1s").to_string(), "access_keys")
            .await;
    doorward.ready().await;
    let idp = |more| RSA.token("RS256", &claims(IDP, more));
    let ids = ["1", "2", "3", "4"].map(|n| format!("ak_{}{n}", "0".repeat(31)));
    let key = |n: usize, more: Value| {
        let mut key = json!({"jti": ids[n]});
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        access_key(&registry, key)
    };
    let (endless, ending) = (key(0, json!({})), key(1, json!({"exp": from_now(600)})));
    let revoked = key(2, json!({}));
    for (token, id) in [(&endless, &ids[0]), (&ending, &ids[1])] {
        registry.issue(token, json!({"principal": "alice", "jti": id, "token_kind": "access_key"}));
    }
    let delegated = json!({"act": {"sub": "system:serviceaccount:ns:job", "groups": "jobs"}});
    let service = json!({"act": {"sub": "service:jobs"}});
    for (what, token, kind, reason) in [
        ("of the IdP", idp(json!({})), "oidc_access_token", "authenticated"),
        ("of the IdP, with an actor", idp(delegated.clone()), "oidc_access_token", "authenticated"),
        ("a key without an end", endless, "access_key", "authenticated"),
        ("a key with an end", ending, "access_key", "authenticated"),
        (
            "for a workload",
            workload(&registry, json!({})),
            "workload_access_token",
            "authenticated",
        ),
        ("of a pod", pod(json!({})), "workload_subject_token", "authenticated"),
        ("a revoked key", revoked, "", "revoked"),
        ("an ended key", key(3, json!({"exp": from_now(-40)})), "", "expired"),
        ("a key not valid yet", key(3, json!({"nbf": from_now(40)})), "", "not_yet_valid"),
        ("a key for others", key(3, json!({"aud": "nemo-platform"})), "", "bad_audience"),
        ("a key without iat", key(3, json!({"iat": null})), "", "invalid_claim"),
        ("a key without nbf", key(3, json!({"nbf": null})), "", "invalid_claim"),
        ("a key of odd name", access_key(&registry, json!({"jti": "ak_1"})), "", "invalid_claim"),
        ("a service's key", key(3, json!({"sub": "service:jobs"})), "", "reserved_identity"),
        ("an endless workload", workload(&registry, json!({"exp": null})), "", "invalid_claim"),
        ("a workload as a service", workload(&registry, service), "", "reserved_identity"),
        ("a workload's for others", workload(&registry, json!({"aud": "x"})), "", "bad_audience"),
        ("a pod's for others", pod(json!({"aud": "x"})), "", "bad_audience"),
        ("an endless one of the IdP", idp(json!({"exp": null})), "", "invalid_claim"),
        (
            "of a stranger",
            STRANGER_KEY.token("RS256", &claims(&platform(&registry), json!({}))),
            "",
            "unknown_key",
        ),
    ] {
        let outcome = doorward.ask_with(&token).await;
        assert_eq!(outcome.reason, reason, "{what}: {outcome:?}");
        let (status, said) = over_http(&doorward, &token).await;
        assert_eq!((i32::from(status), said.as_str()), (outcome.status, reason), "{what}");
        for path in ["", "/v1/models", "/x?y=z"] {
            let (status, said, names) = authenticated(&doorward, path, &token).await;
            assert_eq!(i32::from(status), outcome.status, "{what}: {said}");
            if kind.is_empty() {
                assert_eq!(said["reason"], reason, "{what}: {said}");
            } else {
                assert_eq!(said["token_kind"], kind, "{what}: {said}");
                assert!(names.contains(&"x-nmp-principal-id".to_owned()), "{what}: {names:?}");
            }
        }
    }
}

/// Signed by nobody that the platform knows.
static STRANGER_KEY: std::sync::LazyLock<Signer> =
    std::sync::LazyLock::new(|| Signer::rsa("stranger"));

#[tokio::test]
async fn a_workload_acts_on_behalf_of_somebody() {
    let registry = Registry::start().await;
    let doorward =
        Doorward::start_explained_outside(&config(&registry, "15s").to_string(), "access_keys")
            .await;
    doorward.ready().await;
    let token = workload(
        &registry,
        json!({"act": {"sub": "system:serviceaccount:ns:job", "groups": "jobs,batch"}}),
    );
    let outcome = doorward.ask_with(&token).await;
    for (name, value) in [
        ("x-nmp-principal-id", Some("system:serviceaccount:ns:job")),
        ("x-nmp-principal-groups", Some("jobs,batch")),
        ("x-nmp-principal-email", None),
        ("x-nmp-principal-on-behalf-of", Some("alice")),
        ("x-nmp-principal-on-behalf-of-email", Some("alice@example.com")),
        ("x-nmp-principal-on-behalf-of-groups", Some("research")),
    ] {
        assert_eq!(outcome.header(name), value, "{name}");
    }
    assert_eq!(outcome.metadata["on_behalf_of"], "alice");
    // NeMo's own answer names the subject; who acts is in the headers.
    let (_, said, _) = authenticated(&doorward, "", &token).await;
    assert_eq!((&said["principal"], &said["groups"]), (&json!("alice"), &json!(["research"])));
    // Elsewhere who acts is told, and changes nothing.
    let idp = RSA.token("RS256", &claims(IDP, json!({"act": {"sub": "job"}})));
    let outcome = doorward.ask_with(&idp).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("alice"));
    assert_eq!(outcome.header("x-nmp-principal-on-behalf-of"), None);
    assert!(outcome.removed.iter().any(|name| name == "x-nmp-principal-on-behalf-of"));
    assert_eq!(outcome.metadata["actor"], "job");
}

#[tokio::test]
async fn an_access_key_counts_while_the_platform_says_so() {
    let registry = Registry::start().await;
    let doorward = Doorward::start(&config(&registry, "1s").to_string()).await;
    doorward.ready().await;
    let key = access_key(&registry, json!({}));
    registry.issue(&key, json!({"principal": "alice", "jti": key_id()}));
    assert_eq!(doorward.ask_with(&key).await.status, 200);
    let asked = registry.questions();
    assert_eq!(asked[0].target, "/apis/auth/authenticate?doorward-question=status");
    assert_eq!(asked[0].shown, format!("Bearer {key}"));
    registry.revoke(&key);
    doorward.eventually_is(&key, "revoked").await;
    registry.issue(&key, json!({"principal": "alice", "jti": key_id()}));
    doorward.eventually_is(&key, "authenticated").await;
    // The platform is down: that is not the key's fault.
    for down in [
        Behaviour::Says(500, "misconfigured"),
        Behaviour::Says(503, ""),
        Behaviour::Says(200, "{}"),
        Behaviour::Says(403, "{\"reason\": \"status_unavailable\"}"),
        Behaviour::After(Duration::from_secs(30)),
    ] {
        registry.will(down);
        doorward.eventually_is(&key, "status_unavailable").await;
        let (status, said) = over_http(&doorward, &key).await;
        assert_eq!((status, said.as_str()), (403, "status_unavailable"), "no 5xx over HTTP");
    }
    registry.will(Behaviour::Answers);
    doorward.eventually_is(&key, "authenticated").await;
    // About another key is no answer about this one.
    registry.issue(&key, json!({"principal": "alice", "jti": format!("ak_{}", "f".repeat(32))}));
    doorward.eventually_is(&key, "status_unavailable").await;
}

/// A gateway over HTTP may keep the client's own headers: those are not to be mistaken for ours.
#[tokio::test]
async fn on_behalf_of_headers_of_a_client_are_denied_over_http() {
    let registry = Registry::start().await;
    let doorward = Doorward::start(&config(&registry, "15s").to_string()).await;
    doorward.ready().await;
    let (plain, delegated) =
        (workload(&registry, json!({})), workload(&registry, json!({"act": {"sub": "job"}})));
    let url = doorward.http("/apis/auth/ext-authz/v1/models");
    for (token, header, with_word, without) in [
        (&plain, "X-NMP-Principal-On-Behalf-Of", 200, 200),
        (&delegated, "X-NMP-Principal-Id", 200, 403),
        (&delegated, "X-NMP-Principal-On-Behalf-Of", 400, 400),
        (&delegated, "x-nmp-principal-on-behalf-of-email", 400, 400),
        (&delegated, "x-nmp-principal-on-behalf-of-groups", 400, 400),
    ] {
        let request = || http().get(&url).bearer_auth(token).header(header, "forged");
        let status = request().header(WORD.0, WORD.1).send().await.unwrap().status();
        assert_eq!(status, with_word, "{header}");
        assert_eq!(request().send().await.unwrap().status(), without, "{header}");
    }
    // Whoever asks for himself is told; a gateway that asks in the same way gets no identity.
    let (status, said, names) = authenticated(&doorward, "", &delegated).await;
    assert_eq!((status, &said["principal"]), (200, &json!("alice")));
    assert_eq!(names, [""; 0]);
}

/// What a gateway says that lets the on-behalf-of headers through.
const WORD: (&str, &str) = ("x-doorward-upstream", "on-behalf-of");

/// The platform's address leads back to this very server: the question is known for one.
#[tokio::test]
async fn a_question_that_comes_back_ends_there() {
    let registry = Registry::start().await;
    let doorward = Doorward::start(&config(&registry, "15s").to_string()).await;
    let mut circular = config(&registry, "15s");
    circular["auth"]["access_keys"]["status_url"] = json!(doorward.http("/apis/auth/authenticate"));
    doorward.reload(&circular.to_string()).await;
    doorward.ready().await;
    let key = access_key(&registry, json!({}));
    let started = std::time::Instant::now();
    let outcome = doorward.ask_with(&key).await;
    assert_eq!((outcome.status, &*outcome.reason), (503, "status_unavailable"), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
    let question = get("/apis/auth/authenticate?doorward-question=status").bearer(&key);
    assert_eq!(doorward.ask(question).await.reason, "status_unavailable");
    assert_eq!(registry.questions().len(), 0);
}

/// Switched off, neither is taken for anything.
#[tokio::test]
async fn what_is_off_is_not_accepted() {
    let registry = Registry::start().await;
    let (key, token) = (access_key(&registry, json!({})), workload(&registry, json!({})));
    registry.issue(&key, json!({"principal": "alice", "jti": key_id()}));
    for (access_keys, exchange, of_key, of_workload) in [
        (false, false, "unknown_issuer", "unknown_issuer"),
        (true, false, "authenticated", "unsupported_token"),
        (false, true, "unsupported_token", "authenticated"),
    ] {
        let mut config = config(&registry, "15s");
        config["auth"]["access_keys"]["enabled"] = json!(access_keys);
        config["auth"]["oidc"]["workload_token_exchange_enabled"] = json!(exchange);
        let doorward = Doorward::start_explained_outside(&config.to_string(), "access_keys").await;
        doorward.ready().await;
        assert_eq!(doorward.ask_with(&key).await.reason, of_key);
        assert_eq!(doorward.ask_with(&token).await.reason, of_workload);
        let expected = if exchange { "authenticated" } else { "unknown_issuer" };
        assert_eq!(doorward.ask_with(&pod(json!({}))).await.reason, expected);
    }
    // Three parts that are no token at all.
    let doorward = Doorward::start(&config(&registry, "15s").to_string()).await;
    let odd = [encode(b"{}"), encode(b"{}"), String::new()].join(".");
    assert_eq!(doorward.ask_with(&odd).await.reason, "malformed_token");
}
