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
            (json!({"groups": [" a", "b\t", "\u{a0}c ", " ", "a"]}), Some("a,b,c")),
            (json!({"groups": {" a ": {}, "b": {}}}), Some("a,b")),
            // Trimmed by whoever reads it, this would be a service.
            (json!({"groups": [" service:x", "\tService:x ", " * ", "ok"]}), Some("ok")),
            (json!({"groups": " service:x,ok, *"}), Some("ok")),
            (json!({"groups": ["a,b", "a, service:x", "ok"]}), Some("ok")),
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
            (json!({"email_verified": "true"}), Some("alice@example.com")),
            (json!({"email_verified": "True"}), Some("alice@example.com")),
            (json!({"email_verified": 1}), Some("alice@example.com")),
            (json!({"email_verified": null}), Some("alice@example.com")),
            (json!({"email_verified": "false"}), None),
            (json!({"email_verified": "False"}), None),
            (json!({"email_verified": "0"}), None),
            (json!({"email_verified": 0}), None),
            (json!({"email_verified": "no"}), None),
            (json!({"email_verified": "maybe"}), None),
            (json!({"email_verified": ""}), None),
            (json!({"email_verified": {}}), None),
            (json!({"email_verified": [true]}), None),
            (json!({"email": "a@b@c.example"}), None),
            (json!({"email": "A <a@b.example>"}), None),
            (json!({"email": ["a@b.example"]}), None),
            (json!({"email": format!("{}@b.example", "a".repeat(320))}), None),
            (json!({"email": null}), None),
        ],
    )
    .await;
}

/// An address as principal is as good as one in the header: roles are given to both.
#[tokio::test]
async fn an_unverified_address_is_no_principal() {
    for claim in ["email", "upn", "sub"] {
        let doorward = doorward(json!({"subject_claim": claim}), json!({})).await;
        for (verified, principal) in [
            (json!(true), Some("ceo@corp.example")),
            (json!("True"), Some("ceo@corp.example")),
            (json!(1), Some("ceo@corp.example")),
            (Value::Null, Some("ceo@corp.example")),
            (json!(false), None),
            (json!("false"), None),
            (json!("False"), None),
            (json!("0"), None),
            (json!(0), None),
            (json!("no"), None),
            (json!("maybe"), None),
            (json!({}), None),
        ] {
            let more = json!({claim: "ceo@corp.example", "email_verified": verified});
            let token = RSA.token("RS256", &claims(ISSUER, more.clone()));
            let outcome = doorward.ask(get("/").bearer(&token)).await;
            let reason = if principal.is_some() { "authenticated" } else { "invalid_claim" };
            assert_eq!(outcome.reason, reason, "{more}");
            assert_eq!(outcome.header("x-nmp-principal-id"), principal, "{more}");
        }
    }
    // What is no address needs no verification.
    let doorward = doorward(json!({}), json!({})).await;
    let outcome = ask(&doorward, json!({"sub": "7", "email_verified": false})).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("7"));
    assert_eq!(outcome.header("x-nmp-principal-email"), None);
}

/// An issuer speaks for the addresses of its own domains, as email and as principal.
#[tokio::test]
async fn addresses_stay_within_the_issuers_domains() {
    let domains = json!(["corp.example", "Corp.Test"]);
    let of_email = doorward(json!({"email_domains": domains}), json!({})).await;
    let of_subject =
        json!({"email_domains": domains, "subject_claim": "email", "subject_prefix": ""});
    let of_subject = doorward(of_subject, json!({})).await;
    for (address, listed) in [
        ("ceo@corp.example", true),
        ("ceo@CORP.EXAMPLE", true),
        ("ceo@corp.test", true),
        ("ceo@partner.example", false),
        ("ceo@sub.corp.example", false),
        ("ceo@evilcorp.example", false),
        ("ceo@corp.example.evil.example", false),
        ("ceo@corp.example.", false),
        ("ceo@corp.example@evil.example", false),
        ("ceo@evil.example@corp.example", false),
        ("@corp.example", false),
    ] {
        let expected = Some(address).filter(|_| listed);
        expect(&of_email, "x-nmp-principal-email", &[(json!({"email": address}), expected)]).await;
        let token = RSA.token("RS256", &claims(ISSUER, json!({"email": address})));
        let outcome = of_subject.ask(get("/").bearer(&token)).await;
        let reason = if listed { "authenticated" } else { "invalid_claim" };
        assert_eq!(outcome.reason, reason, "{address}");
        assert_eq!(outcome.header("x-nmp-principal-id"), expected, "{address}");
        // In whatever claim the address stands.
        let token = RSA.token("RS256", &claims(ISSUER, json!({"sub": address})));
        assert_eq!(of_email.ask(get("/").bearer(&token)).await.reason, reason, "{address}");
    }
    let outcome = ask(&of_email, json!({"sub": "auth0-1"})).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("auth0-1"), "no address");
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
                (json!({"scope": ["a\"b", "c d", "ok"]}), Some("c d ok")),
                (
                    json!({"scope": "a b", "scp": ["b c", "d"], "roles": ["e", "a"]}),
                    Some("a b c d e"),
                ),
                (json!({"scope": "", "scp": "a"}), Some("a")),
                (json!({"scope": [], "scp": "a"}), Some("a")),
                (
                    json!({"scope": "api://nmp2/a api://nmp-x:b"}),
                    Some("api://nmp2/a api://nmp-x:b"),
                ),
                (json!({"scope": "api://nmp/"}), Some("api://nmp/")),
                (json!({"scope": 5}), None),
                (json!({"scope": null}), None),
            ],
        )
        .await;
    }
}

/// The prefix ends where it ends: `api://a` is no part of `api://abc`.
#[tokio::test]
async fn a_scope_prefix_is_cut_off_where_it_ends() {
    for (prefix, scope, expected) in [
        ("nmp:", "nmp:read nmpread", "read nmpread"),
        ("nmp", "nmp:read nmp/write nmpread", "read write nmpread"),
        ("api://a", "api://abc:read api://a:read api://a/b:c", "api://abc:read read b:c"),
        ("nmp_", "nmp_read nmp:read", "read nmp:read"),
    ] {
        let doorward = doorward(json!({"scope_prefix": prefix}), json!({})).await;
        let cases = [(json!({"scope": scope}), Some(expected))];
        expect(&doorward, "x-nmp-scopes", &cases).await;
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
