//! Claims → headers, through `Check`: where a claim is found and what a header may carry.

use serde_json::{Value, json};

use crate::support::check::{Outcome, get};
use crate::support::doorward::Doorward;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

async fn doorward(oidc: Value, headers: Value) -> Doorward {
    let mut config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "headers": headers,
    });
    for (key, value) in oidc.as_object().unwrap() {
        config["auth"]["oidc"][key] = value.clone();
    }
    Doorward::start_explained(&config.to_string()).await
}

async fn ask(doorward: &Doorward, more: Value) -> Outcome {
    let token = RSA.token("RS256", &claims(ISSUER, more));
    let outcome = doorward.ask(get("/").bearer(&token)).await;
    assert_eq!(outcome.status, 200, "{outcome:?}");
    outcome
}

/// Asserts one header for each set of claims; `None`: it is removed, not left.
async fn expect(doorward: &Doorward, header: &str, cases: &[(Value, Option<&str>)]) {
    for (more, expected) in cases {
        let outcome = ask(doorward, more.clone()).await;
        assert_eq!(outcome.header(header), *expected, "{more}");
        let removed = outcome.removed.iter().any(|name| name == header);
        assert_eq!(removed, expected.is_none(), "{more}");
    }
}

#[tokio::test]
async fn groups_of_every_shape_and_provider() {
    let doorward = doorward(json!({}), json!({})).await;
    let many: Vec<String> = (0..150).map(|number| format!("g{number}")).collect();
    let hundred = many[..100].join(",");
    expect(
        &doorward,
        "x-nmp-principal-groups",
        &[
            (json!({"groups": ["a", "b", "a"]}), Some("a,b")),
            (json!({"groups": "a, b ,c,"}), Some("a,b,c")),
            (json!({"groups": {"admin": {"org": "x"}, "dev": {}}}), Some("admin,dev")),
            (json!({"groups": null, "cognito:groups": ["pool"]}), Some("pool")),
            (json!({"groups": null, "urn:zitadel:iam:org:project:roles": {"r": {}}}), Some("r")),
            (json!({"groups": ["ok", 5, null, ["x"], "a b", "\u{e9}", "a\r\nb", ""]}), Some("ok")),
            (json!({"groups": many}), Some(&hundred)),
            (json!({"groups": 5}), None),
            (json!({"groups": []}), None),
            (json!({"groups": null}), None),
        ],
    )
    .await;
}

#[tokio::test]
async fn emails_that_can_be_believed() {
    let doorward = doorward(json!({}), json!({})).await;
    expect(
        &doorward,
        "x-nmp-principal-email",
        &[
            (json!({"email_verified": true}), Some("alice@example.com")),
            (json!({"email_verified": false}), None),
            (json!({"email_verified": "false"}), None),
            (json!({"email": "a@b@c.example"}), None),
            (json!({"email": "A <a@b.example>"}), None),
            (json!({"email": ["a@b.example"]}), None),
            (json!({"email": format!("{}@b.example", "a".repeat(320))}), None),
            (json!({"email": null}), None),
        ],
    )
    .await;
}

#[tokio::test]
async fn scopes_roles_and_their_prefix() {
    for prefix in ["api://nmp/", "api://nmp"] {
        let oidc = json!({"scope_prefix": prefix, "roles_claim": "roles"});
        let doorward = doorward(oidc, json!({})).await;
        expect(
            &doorward,
            "x-nmp-scopes",
            &[
                (json!({"scope": "openid api://nmp/models:read"}), Some("openid models:read")),
                (json!({"scope": null, "scp": "a b"}), Some("a b")),
                (json!({"scope": null, "scp": ["a", "b", "a"]}), Some("a b")),
                (json!({"scope": null, "roles": ["Jobs.Run"]}), Some("Jobs.Run")),
                (json!({"scope": "a", "roles": ["b"]}), Some("a b")),
                (json!({"scope": ["a\"b", "c d", "ok"]}), Some("ok")),
                (json!({"scope": "api://nmp/"}), Some("api://nmp/")),
                (json!({"scope": 5}), None),
                (json!({"scope": null}), None),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn claims_by_pointer_prefixes_and_wanted_groups() {
    let oidc = json!({
        "subject_claim": "/user/id", "groups_claim": "/realm_access/roles",
        "subject_prefix": "kc:{tid}:", "groups_prefix": "kc/",
    });
    let headers =
        json!({"groups_only": ["team-*"], "claims": {"X-Tenant": "tid", "X-Level": "/user/level"}});
    let doorward = doorward(oidc, headers).await;
    let more = json!({
        "tid": "t1", "user": {"id": "a1", "level": 7},
        "realm_access": {"roles": ["team-b", "offline_access"]},
    });
    let outcome = ask(&doorward, more).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("kc:t1:a1"));
    assert_eq!(outcome.header("x-nmp-principal-groups"), Some("kc/team-b"));
    assert_eq!(outcome.header("x-tenant"), Some("t1"));
    assert_eq!(outcome.header("x-level"), Some("7"));
    // The configured claim is not there: `sub`. A prefix without its tenant is no prefix.
    assert_eq!(
        ask(&doorward, json!({"tid": "t1"})).await.header("x-nmp-principal-id"),
        Some("kc:t1:alice")
    );
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    assert_eq!(doorward.ask(get("/").bearer(&token)).await.reason, "invalid_claim");
    // A header that a claim is copied to is as protected as the rest.
    let forged = get("/").bearer(&RSA.token("RS256", &claims(ISSUER, json!({"tid": "t1"}))));
    let outcome = doorward.ask(forged.header("x_tenant", "t2").header("x-level", "9")).await;
    assert!(["x_tenant", "x-level"].iter().all(|name| outcome.removed.iter().any(|r| r == name)));
}

#[tokio::test]
async fn profiles_and_names() {
    let headers = json!({"profile": "plain", "principal_id": "X-User"});
    let doorward = doorward(json!({}), headers).await;
    let outcome = ask(&doorward, json!({"sub": "auth0|123"})).await;
    assert_eq!(outcome.header("x-user"), Some("auth0|123"));
    assert!(outcome.removed.iter().any(|name| name == "x_user"));
    for odd in ["a b", "a\nb", "\u{e9}"] {
        let token = RSA.token("RS256", &claims(ISSUER, json!({"sub": odd})));
        assert_eq!(doorward.ask(get("/").bearer(&token)).await.reason, "invalid_claim", "{odd:?}");
    }
}
