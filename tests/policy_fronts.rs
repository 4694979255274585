//! What a policy says besides yes and no, by each front: headers, status, body and metadata, and never
//! a header that is ours.
#![cfg(feature = "policy")]

use serde_json::json;

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::echo::Echoed;
use crate::support::gateway::Gateway;
use crate::support::raw;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

/// Alice may pass, and Carol to `/plain`; others are told why not.
const REGO: &str = r#"
package authz

default allow := {
	"allowed": false,
	"http_status": 404,
	"headers": {"x-why": "nobody comes here", "x-nmp-hint": "for clients"},
	"body": "there is nothing here",
	"dynamic_metadata": {"rule": "default", "decision": "allow"},
}

allow := {
	"allowed": true,
	"headers": {
		"X-Tenant": "blue",
		"X-NMP-Principal-Id": "root",
		"x_nmp_principal_email": "root@example.com",
		"X-NMP-Authorized": "no",
	},
	"request_headers_to_remove": ["x-debug", "X-NMP-Principal-Id", "X-Tenant"],
	"dynamic_metadata": {"rule": "alice", "principal": "root"},
} if {
	input.principal_id == "alice"
}

# What a client cannot make it believe.
allow := {"allowed": true} if input.attributes.request.http.headers["x-nmp-principal-id"] == "root"

allow := {"allowed": true} if {
	input.principal_id == "carol"
	input.parsed_path == ["plain"]
}
"#;

struct Policy {
    _dir: tempfile::TempDir,
    config: String,
}

fn policy() -> Policy {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("authz.rego");
    std::fs::write(&file, REGO).unwrap();
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "policy": {"provider": "embedded", "timeout": "5s", "files": [file]},
        "keys": {"wait": "5s"},
        "rules": {"bypass": ["/open"]},
    });
    Policy { _dir: dir, config: config.to_string() }
}

fn token(who: &str) -> String {
    let claims = claims(ISSUER, json!({"sub": who, "email": null, "groups": null, "scope": null}));
    RSA.token("RS256", &claims)
}

#[tokio::test]
async fn over_grpc() {
    let policy = policy();
    let doorward = Doorward::start(&policy.config).await;
    let mut checker = doorward.checker().await;
    // Twice: the second time the token, and what is rendered of it, are remembered.
    for _ in 0..2 {
        let allowed = checker.ask(get("/x").bearer(&token("alice")).header("X-Debug", "1")).await;
        assert_eq!(allowed.status, 200, "{allowed:?}");
        assert_eq!(allowed.header("x-tenant"), Some("blue"));
        assert_eq!(allowed.header("x-nmp-principal-id"), Some("alice"));
        assert_eq!(allowed.header("x-nmp-authorized"), Some("true"));
        assert!(!allowed.headers.contains_key("x_nmp_principal_email"), "{allowed:?}");
        assert!(allowed.removed.iter().any(|name| name == "x-debug"), "{allowed:?}");
        assert!(!allowed.removed.iter().any(|name| name == "x-tenant"), "{allowed:?}");
        assert_eq!(allowed.metadata["rule"], "alice");
        assert_eq!(allowed.metadata["principal"], "alice");
    }
    let plain = checker.ask(get("/plain").bearer(&token("carol"))).await;
    assert_eq!((plain.status, plain.header("x-nmp-authorized")), (200, Some("true")));
    assert_eq!(plain.header("x-tenant"), None);

    let bob = get("/x").bearer(&token("bob")).header("X-NMP-Principal-Id", "root");
    let denied = checker.ask(bob).await;
    assert_eq!((denied.status, denied.body.as_str()), (404, "there is nothing here"));
    assert_eq!(denied.header("x-why"), Some("nobody comes here"));
    assert_eq!((denied.reason.as_str(), &*denied.metadata["decision"]), ("policy_denied", "deny"));
    assert_eq!(denied.metadata["rule"], "default");

    // Nobody is asked here, so nobody says that it is authorized.
    let open = checker.ask(get("/open").header("X-NMP-Authorized", "true")).await;
    assert_eq!((open.status, open.header("x-nmp-authorized")), (200, None));
    assert!(open.removed.iter().any(|name| name.eq_ignore_ascii_case("x-nmp-authorized")));
}

#[tokio::test]
async fn over_http() {
    let policy = policy();
    let doorward = Doorward::start(&policy.config).await;
    let send = async |path: &str, who: &str, word: Option<&str>| {
        let mut request = raw::get(path).bearer(&token(who));
        if let Some(word) = word {
            request = request.header("x-doorward-upstream", word);
        }
        request.send(doorward.http_address()).await
    };
    // Its gateway might let the client's own `X-Tenant` arrive.
    let unsaid = send("/apis/auth/ext-authz/x", "alice", None).await;
    assert_eq!((unsaid.status, unsaid.reason().as_str()), (403, "policy_unavailable"));
    for word in ["policy", "on-behalf-of, policy"] {
        let allowed = send("/apis/auth/ext-authz/x", "alice", Some(word)).await;
        assert_eq!(allowed.status, 200, "{allowed:?}");
        assert_eq!(allowed.header("x-tenant"), Some("blue"));
        assert_eq!(allowed.header("x-nmp-principal-id"), Some("alice"));
        assert_eq!(allowed.header("x-nmp-authorized"), Some("true"));
    }
    let plain = send("/apis/auth/ext-authz/plain", "carol", None).await;
    assert_eq!((plain.status, plain.header("x-nmp-authorized")), (200, Some("true")));
    let denied = send("/apis/auth/ext-authz/x", "bob", None).await;
    assert_eq!((denied.status, denied.body.as_str()), (404, "there is nothing here"));
    // Whom a token speaks of is no matter of the policy.
    let bob = send("/apis/auth/authenticate", "bob", None).await;
    assert_eq!((bob.status, &bob.json()["principal"]), (200, &json!("bob")));
    assert_eq!(bob.header("x-nmp-authorized"), None);
}

#[tokio::test]
async fn behind_envoy() {
    let policy = policy();
    let Some(gateway) = Gateway::start("envoy.yaml", &policy.config).await else { return };
    let request = raw::get("/x")
        .bearer(&token("alice"))
        .header("X-Tenant", "red")
        .header("X-Debug", "1")
        .header("X-NMP-Authorized", "forged")
        .header("x_nmp_authorized", "forged");
    let reply = gateway.send(&request).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let echoed = Echoed::of(&reply);
    assert_eq!(echoed.header("x-tenant"), Some("blue"));
    assert_eq!(echoed.header("x-debug"), None);
    assert_eq!(
        echoed.trusted(),
        [("x-nmp-authorized", "true"), ("x-nmp-principal-id", "alice")],
        "{echoed:?}"
    );
    let denied = gateway.send(&raw::get("/x").bearer(&token("bob"))).await;
    assert_eq!((denied.status, denied.body.as_str()), (404, "there is nothing here"));
    assert_eq!(denied.header("x-why"), Some("nobody comes here"));
    for path in ["/%61", "/a%2e", "/a%3bb"] {
        let reply = gateway.send(&raw::get(path).bearer(&token("alice"))).await;
        assert!(matches!(reply.status, 200 | 400), "{path}: {reply:?}");
    }
}
