//! NeMo Platform's development login: tokens that nobody has signed, from nobody, on this machine.

use serde_json::{Value, json};

use crate::support::cli::Cli;
use crate::support::doorward::Doorward;
use crate::support::http;
use crate::support::signer::{RSA, claims, encode, from_now, jwks};

const LOCAL: &str = "http://127.0.0.1:1";

/// A token as `nemo auth login --unsigned-token` makes it: no `iss`, no `aud`.
fn made_up(more: Value) -> String {
    let mut claims = json!({
        "sub": "dev@example.com", "iat": from_now(0), "email": "dev@example.com",
        "groups": ["team-a"], "exp": from_now(3600),
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let part = |json: Value| encode(json.to_string().as_bytes());
    format!("{}.{}.", part(json!({"alg": "none", "typ": "JWT"})), part(claims))
}

/// What the module inside Envoy does not serve.
const UNSERVED: &str = "allow_unsigned_jwt";

#[tokio::test]
async fn nemos_development_login_needs_no_issuer() {
    for oidc in [json!({}), json!({"enabled": false, "issuer": "https://idp.example"})] {
        let config = json!({"auth": {"allow_unsigned_jwt": true, "oidc": oidc}}).to_string();
        let doorward = Doorward::start_explained_outside(&config, UNSERVED).await;
        let outcome = doorward.ask_with(&made_up(json!({"scope": "models:read"}))).await;
        assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
        for (name, value) in [
            ("x-nmp-principal-id", "dev@example.com"),
            ("x-nmp-principal-email", "dev@example.com"),
            ("x-nmp-principal-groups", "team-a"),
            ("x-nmp-scopes", "models:read"),
        ] {
            assert_eq!(outcome.header(name), Some(value), "{name}");
        }
        let url = doorward.http("/apis/auth/authenticate");
        let answer = http().get(url).bearer_auth(made_up(json!({}))).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap()["principal"], "dev@example.com");
        for (more, reason) in [
            (json!({"iss": "https://anybody.example", "aud": "x"}), "authenticated"),
            (json!({"exp": from_now(-120)}), "expired"),
            (json!({"exp": null}), "invalid_claim"),
            (json!({"nbf": from_now(600)}), "not_yet_valid"),
            (json!({"sub": "service:jobs"}), "reserved_identity"),
            (json!({"sub": null}), "invalid_claim"),
            (json!({"email": "*"}), "reserved_identity"),
        ] {
            let outcome = doorward.ask_with(&made_up(more.clone())).await;
            assert_eq!(outcome.reason, reason, "{more}");
        }
        // What is signed is not what was made up.
        let signed = RSA.token("RS256", &claims("unsigned tokens", json!({})));
        assert_eq!(doorward.ask_with(&signed).await.reason, "unknown_issuer");
        let forged = format!("{}c2ln", made_up(json!({})));
        assert_eq!(doorward.ask_with(&forged).await.reason, "unsupported_token");
    }
}

#[tokio::test]
async fn beside_a_local_issuer_each_token_goes_by_its_own_rules() {
    let oidc = json!({"issuer": LOCAL, "client_id": "nmp", "jwks": jwks([&*RSA])});
    let with =
        |allowed: bool| json!({"auth": {"allow_unsigned_jwt": allowed, "oidc": oidc}}).to_string();
    let doorward = Doorward::start_explained_outside(&with(true), UNSERVED).await;
    let signed = RSA.token("RS256", &claims(LOCAL, json!({})));
    for (token, reason) in [
        (made_up(json!({})), "authenticated"),
        (made_up(json!({"iss": LOCAL, "aud": "nmp"})), "authenticated"),
        (made_up(json!({"iss": LOCAL})), "bad_audience"),
        (made_up(json!({"iss": "https://anybody.example"})), "unknown_issuer"),
        (signed.clone(), "authenticated"),
    ] {
        assert_eq!(doorward.ask_with(&token).await.reason, reason, "{token}");
    }
    // Without the switch none of it.
    let doorward = Doorward::start_explained_outside(&with(false), UNSERVED).await;
    for token in [made_up(json!({})), made_up(json!({"iss": LOCAL, "aud": "nmp"}))] {
        assert_eq!(doorward.ask_with(&token).await.reason, "unsupported_token");
    }
    assert_eq!(doorward.ask_with(&signed).await.reason, "authenticated");
}

/// By the command itself, which reads its own environment.
#[tokio::test]
async fn no_pod_believes_what_nobody_has_signed() {
    let cli = Cli::new();
    let file = cli.home().join("doorward.yaml");
    std::fs::write(&file, r#"{"auth": {"allow_unsigned_jwt": true}}"#).unwrap();
    let arguments = ["config", "check", "--config", file.to_str().unwrap()];
    cli.run(&arguments).await.assert(0, &[]);
    let pod = [("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
    let said = cli.run_with(&arguments, &pod, "").await;
    said.assert(2, &["would be accepted in a cluster"]);
}
