//! Encoded slashes: refused, but where names hold them, as Hugging Face's revisions do
//! (`refs%2Fpr%2F1`); and there no reading of a path leads around a rule.

use doorward::config::Settings;
use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::gateway::{Gateway, NEMO};
use crate::support::raw;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";
const HF: &str = "/apis/files/v2/hf";

fn config(encoded_slashes: Value) -> Value {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {
            "encoded_slashes": encoded_slashes,
            "bypass": ["/apis/files/v2/hf/open/*"],
            "endpoints": {
                "/internal/-/{rest}": {"get": {"deny": true}},
                "/apis/files/v2/hf/{repo}/secret": {"get": {"deny": true}},
                "/apis/files/v2/hf/{repo}/raw/{revision}": {"get": {"deny": true}},
                "/apis/files/v2/hf/{repo}": {"get": {"scopes": ["repo:read"]}},
                "/apis/files/v2/hf/{repo}/models": {"get": {"scopes": ["models:read"]}},
            },
        },
    })
}

fn token(scope: &str) -> String {
    RSA.token("RS256", &claims(ISSUER, json!({"scope": scope})))
}

#[tokio::test]
async fn both_readings_have_to_be_allowed() {
    let doorward =
        Doorward::start_explained(&config(json!(["/apis/files/v2/hf/"])).to_string()).await;
    let any = token("openid");
    for (path, reason) in [
        ("/alice/resolve/refs%2Fpr%2F1/config.json", "authenticated"),
        ("/alice%2Fllama/resolve/main/x", "authenticated"),
        ("/alice%2fllama/tree/refs%2Fpr%2f1?recursive=%2F", "authenticated"),
        ("/alice%2f.hidden/x", "authenticated"),
        // Closed as it stands: one name; and decoded: two.
        ("/alice/raw/refs%2Fpr", "policy_denied"),
        ("/alice%2Fsecret", "policy_denied"),
        ("/alice%2fsecret/", "policy_denied"),
        ("/alice%2Fsecret;v=1", "policy_denied"),
        ("/a%6Cice%2Fs%65cret", "policy_denied"),
        // Another path, or none that is clear, to whoever decodes it.
        ("/..%2F..%2F..%2F..%2Finternal/x", "malformed_request"),
        ("/x%2F..%2F..%2Fy", "malformed_request"),
        ("/x%2F%2Fy", "malformed_request"),
        ("/%2Finternal", "malformed_request"),
        ("/x%2F/y", "malformed_request"),
        ("/x%2F;a/y", "malformed_request"),
        ("/x%2F.", "malformed_request"),
        ("/x%252Fy", "authenticated"),
        ("/x%2Fy%252F", "malformed_request"),
        ("/x%5Cy", "malformed_request"),
        ("/x%2Fy%5cz", "malformed_request"),
        ("/x%2Fy%c0%af", "malformed_request"),
    ] {
        let path = format!("{HF}{path}");
        let outcome = doorward.ask(get(&path).bearer(&any)).await;
        // With a closed endpoint in the table, what cannot be read is refused too.
        let reason = if path.contains("x%252Fy") { "malformed_request" } else { reason };
        assert_eq!(outcome.reason, reason, "{path}");
        let status = match reason {
            "authenticated" => 200,
            "policy_denied" => 403,
            _ => 400,
        };
        assert_eq!(outcome.status, status, "{path}");
    }
    // Anywhere else, and in the prefix itself.
    for path in [
        "/v1/models%2Fx",
        "/apis%2Ffiles/v2/hf/x%2Fy",
        "/apis/files/v2/hf%2Fx",
        "/public/..%2fadmin",
        "/v1/x%5Cy",
    ] {
        let outcome = doorward.ask(get(path).bearer(&any)).await;
        assert_eq!((outcome.status, outcome.reason.as_str()), (400, "malformed_request"), "{path}");
        assert_eq!(doorward.ask(get(path)).await.status, 400, "with a token or without: {path}");
    }
    // In a query it is nobody's business.
    assert_eq!(doorward.ask(get("/v1/x?at=a%2Fb").bearer(&any)).await.reason, "authenticated");
    // A bypass is for paths that can be read in one way only.
    for mode in [None, Some("bypass"), Some("optional")] {
        let ask = get(&format!("{HF}/open/a%2Fb"));
        let ask = mode.map_or(ask.clone(), |mode| ask.route("doorward.mode", mode));
        assert_eq!(doorward.ask(ask).await.reason, "missing_token", "{mode:?}");
    }
    assert_eq!(doorward.ask(get(&format!("{HF}/open/a/b"))).await.reason, "bypassed");
}

#[tokio::test]
async fn the_scopes_of_both_readings_are_asked_for() {
    let doorward =
        Doorward::start_explained(&config(json!(["/apis/files/v2/hf/"])).to_string()).await;
    // One repository called `a/models`, or the models of `a`.
    let path = format!("{HF}/a%2Fmodels");
    for (scope, reason, wanted) in [
        ("repo:read models:read", "authenticated", ""),
        ("repo:read", "insufficient_scope", "models:read"),
        ("models:read", "insufficient_scope", "repo:read"),
        ("other:read", "insufficient_scope", "repo:read"),
    ] {
        let outcome = doorward.ask(get(&path).bearer(&token(scope))).await;
        assert_eq!(outcome.reason, reason, "{scope}");
        let challenge = outcome.header("www-authenticate").unwrap_or_default();
        let named = format!("scope=\"{wanted}\"");
        assert_eq!(challenge.contains(&named), !wanted.is_empty(), "{challenge}");
    }
}

/// Without the setting they are what they were: a path that can be read in two ways.
#[tokio::test]
async fn without_prefixes_nothing_is_taken() {
    let doorward = Doorward::start(&config(json!([])).to_string()).await;
    let path = format!("{HF}/alice/resolve/refs%2Fpr%2F1/x");
    let outcome = doorward.ask(get(&path).bearer(&token("openid"))).await;
    assert_eq!(outcome.reason, "malformed_request", "one endpoint is closed");
}

#[test]
fn a_prefix_ends_with_a_slash() {
    for (prefix, said) in [
        ("/files", "a prefix ends with `/`"),
        ("/files/*", "a prefix ends with `/`"),
        ("files/", "a path starts with `/`"),
        ("/a/../b/", "read in two ways"),
        ("/a%2Fb/", "read in two ways"),
    ] {
        let config = config(json!([prefix])).to_string();
        let faults = Settings::from_yaml("test", &config).unwrap_err().to_string();
        assert!(faults.contains(said) && faults.contains("rules.encoded_slashes"), "{faults}");
    }
}

/// What Hugging Face clients send arrives as it was sent, through the files for NeMo; what could be
/// another path does not, whatever Doorward is told.
#[tokio::test]
async fn hugging_face_clients_reach_nemo() {
    let lenient = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
    });
    let any = token("openid");
    for file in NEMO {
        for config in [config(json!(["/apis/files/v2/hf/"])), lenient.clone()] {
            let Some(gateway) = Gateway::start(file, &config.to_string()).await else { return };
            let path = format!("{HF}/api/models/alice/llama/revision/refs%2Fpr%2F1?blobs=True");
            let request = raw::get(&path).header("x_nmp_principal_id", "root").bearer(&any);
            assert_eq!(gateway.send(&request).await.status, 200, "{file}");
            let seen = gateway.echo().take().remove(0);
            assert_eq!(
                (seen.path.as_str(), seen.header("x-nmp-principal-id")),
                (&*path, Some("alice"))
            );
            assert_eq!(seen.header("x_nmp_principal_id"), None);
            assert_eq!(gateway.send(&raw::get(&path)).await.status, 401, "{file}");
            for path in [
                "/apis/files/v2/hf/..%2F..%2F..%2F..%2Finternal/x",
                "/apis/files/v2/hf/x%2f..%2f..%2f..%2f..%2f..%2finternal",
                "/apis/files/v2/hf/x%2F%2e%2e%2Fy",
                "/apis/files/v2/hf/x%2F../y",
                "/apis/files/v2/hf/x%2F%2Fy",
                "/apis/files/v2/hf/x%5Cy",
                "/apis/files/v2/hf%2Fx",
                "/apis/auth%2Fdiscovery",
                "/apis/auth/discovery%2F",
                "/.well-known/oauth-protected-resource%2F..%2Fx",
                "/v1/..%2Finternal",
            ] {
                let reply = gateway.send(&raw::get(path).bearer(&any)).await;
                assert_eq!(reply.status, 400, "{file}: {path}: {reply:?}");
                let reply = gateway.send(&raw::get(path)).await;
                assert!([400, 401].contains(&reply.status), "{file}: {path}: {reply:?}");
            }
            assert!(gateway.echo().take().is_empty());
        }
    }
}
