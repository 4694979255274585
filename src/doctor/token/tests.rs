//! Tokens shaped as each provider's, with the one thing wrong that is usually wrong there.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config::Settings;
use crate::doctor::{Examination, Outcome};

const NOW: u64 = 1_800_000_000;
const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

/// What is said of a token with this header and these claims, its signature aside.
fn examined(config: &Value, header: &Value, claims: &Value) -> Vec<Finding> {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    examined_text(config, &format!("{}.{}.c2ln", part(header), part(claims)))
}

fn examined_text(config: &Value, token: &str) -> Vec<Finding> {
    let settings = Settings::from_yaml("test", &config.to_string()).unwrap();
    let issuers = Examination::all(&settings);
    let known: Vec<_> = issuers
        .iter()
        .map(|issuer| KnownIssuer {
            product: Product::recognise(issuer.issuer(), None),
            client: issuer.client().map(str::to_owned),
            keys: None,
        })
        .collect();
    examine_token(token, &settings, &known, UnixTime(NOW)).findings
}

/// `fail audience: <remedy>` of everything that did not pass.
fn faults(findings: &[Finding]) -> Vec<String> {
    let outcome = |finding: &Finding| match finding.outcome {
        Outcome::Pass => None,
        Outcome::Warn => Some("warn"),
        Outcome::NotReached => Some("not reached"),
        Outcome::NotSeen => Some("not seen"),
        Outcome::Fail => Some("fail"),
    };
    let fault = |finding: &Finding| {
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        Some(format!("{} {}: {remedy}", outcome(finding)?, finding.check))
    };
    findings.iter().filter_map(fault).collect()
}

fn assert_faults(found: &[Finding], expected: &[(&str, &str)]) {
    let faults = faults(found);
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, (start, part)) in faults.iter().zip(expected) {
        assert!(fault.starts_with(start) && fault.contains(part), "{start} … {part}: {fault}");
    }
}

fn jwt() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "k"})
}

fn oidc(settings: Value) -> Value {
    json!({"auth": {"oidc": settings}})
}

fn entra() -> Value {
    json!({"auth": {"preset": {"entra": {"tenant": TENANT, "client_id": "app"}}}})
}

fn entra_claims(more: Value) -> Value {
    let base = json!({
        "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "aud": "app",
        "tid": TENANT, "oid": "o", "sub": "s", "azp": "cli", "scp": "models.read", "ver": "2.0",
        "email": "a@b.c", "groups": ["g"], "iat": NOW - 60, "exp": NOW + 3600,
    });
    with(base, more)
}

fn with(mut claims: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[test]
fn entra_id() {
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"email": null, "upn": "a@corp"}), vec![("warn email", "set email_claim: upn")]),
        (json!({"groups": null, "hasgroups": true}), vec![("warn groups", "Groups assigned")]),
        (
            json!({"groups": null, "_claim_names": {"groups": "src1"}}),
            vec![("warn groups", "at most 200 groups")],
        ),
        (json!({"groups": null}), vec![("warn groups", "Token configuration")]),
        (
            json!({"aud": "00000003-0000-0000-c000-000000000000"}),
            vec![("fail kind", "only Graph can verify")],
        ),
        // The server lets it in; it is the wrong token all the same.
        (
            json!({"scp": null, "azp": null, "name": "A"}),
            vec![("warn kind", "id_token"), ("warn scopes", "Expose an API")],
        ),
        // The v1 issuer is of the preset, another tenant's is not.
        (json!({"iss": format!("https://sts.windows.net/{TENANT}/")}), vec![]),
        (
            json!({"iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000001/"}),
            vec![("fail issuer", "additional_issuers")],
        ),
        // An application: roles in place of scopes, and nobody's email.
        (
            json!({"scp": null, "roles": ["Models.Read"], "sub": "o", "email": null,
                "groups": null}),
            vec![],
        ),
        (json!({"aud": "api://other"}), vec![("fail audience", "Expose an API")]),
        (
            json!({"scp": "api://other/models.read"}),
            vec![("warn scopes", "scope_prefix: api://other/")],
        ),
    ] {
        assert_faults(&examined(&entra(), &jwt(), &entra_claims(more)), &expected);
    }
    let plain = oidc(json!({
        "issuer": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "client_id": "app",
    }));
    let claims = entra_claims(json!({"iss": format!("https://sts.windows.net/{TENANT}/")}));
    let found = examined(&plain, &jwt(), &claims);
    assert_faults(&found, &[("fail issuer", "requestedAccessTokenVersion 2")]);
    let machine = entra_claims(json!({
        "scp": null, "roles": ["r"], "sub": "o", "email": null, "groups": null,
    }));
    assert_faults(&examined(&plain, &jwt(), &machine), &[("warn scopes", "roles_claim: roles")]);
}

#[test]
fn okta() {
    let config = oidc(json!({
        "issuer": "https://dev-1.okta.com/oauth2/default", "audience": "api://default",
    }));
    let claims = json!({
        "iss": "https://dev-1.okta.com/oauth2/default", "aud": "api://default", "cid": "c",
        "uid": "00u1", "sub": "a@b.c", "scp": ["openid", "models:read"], "email": "a@b.c",
        "groups": ["Everyone"], "iat": NOW, "exp": NOW + 3600,
    });
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"groups": null}), vec![("warn groups", "Value type Groups")]),
        (
            json!({"email": null}),
            vec![("warn email", "set email_claim: sub, if addresses in it can be trusted")],
        ),
        (
            json!({"iss": "https://dev-1.okta.com", "aud": "https://dev-1.okta.com"}),
            vec![("fail issuer", "authorization server"), ("fail audience", "Settings > Aud")],
        ),
    ] {
        assert_faults(&examined(&config, &jwt(), &with(claims.clone(), more)), &expected);
    }
}

#[test]
fn keycloak() {
    let issuer = "https://idp/realms/nmp";
    let claims = json!({
        "iss": issuer, "aud": "nmp", "azp": "cli", "sub": "7", "typ": "Bearer", "exp": NOW + 300,
        "email": "a@b.c", "scope": "openid",
        "resource_access": {"account": {"roles": ["view-profile"]}, "a/b": {"roles": ["admin"]}},
    });
    let mut config = oidc(json!({"issuer": issuer, "client_id": "nmp"}));
    let found = examined(&config, &jwt(), &claims);
    assert_faults(&found, &[("warn groups", "set groups_claim: /resource_access/a~1b/roles, if")]);
    assert!(faults(&found)[0].contains("Clients > cli > Client scopes"), "{found:?}");
    config["auth"]["oidc"]["groups_claim"] = json!("/resource_access/a~1b/roles");
    assert_faults(&examined(&config, &jwt(), &claims), &[]);
}

#[test]
fn auth0() {
    let config = oidc(json!({"issuer": "https://nmp.eu.auth0.com", "audience": "https://api"}));
    let claims = json!({
        "iss": "https://nmp.eu.auth0.com/", "aud": ["https://api", "https://nmp/userinfo"],
        "azp": "c", "sub": "auth0|1", "scope": "openid models:read", "iat": NOW,
        "exp": NOW + 7 * 24 * 3600,
    });
    assert_faults(
        &examined(&config, &jwt(), &claims),
        &[
            ("fail issuer", "configure \"https://nmp.eu.auth0.com/\""),
            ("warn lifetime", "shorten"),
            // It has a `|`.
            ("fail subject", "`headers.profile: plain`"),
            ("warn email", "post-login"),
            ("warn groups", "setCustomClaim"),
        ],
    );
    // Claims of one's own stand behind a URL. What is proposed works as it is written.
    let namespaced = json!({
        "iss": "https://nmp.eu.auth0.com/", "https://nmp/email": "a@b.c", "exp": NOW + 60,
        "https://nmp/groups": ["x"],
    });
    let mut config =
        oidc(json!({"issuer": "https://nmp.eu.auth0.com/", "audience": "https://api"}));
    config["headers"] = json!({"profile": "plain"});
    let claims = with(claims, namespaced);
    assert_faults(
        &examined(&config, &jwt(), &claims),
        &[
            ("warn email", "set email_claim: https://nmp/email, if"),
            ("warn groups", "set groups_claim: https://nmp/groups, if"),
        ],
    );
    config["auth"]["oidc"]["email_claim"] = json!("https://nmp/email");
    config["auth"]["oidc"]["groups_claim"] = json!("https://nmp/groups");
    assert_faults(&examined(&config, &jwt(), &claims), &[]);
    // Without an audience its access tokens are encrypted or opaque.
    for token in ["a.b.c.d.e", "0Zc5wQh8fM"] {
        let found = examined_text(&config, token);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].check, found[0].outcome), ("form", Outcome::Fail));
    }
    assert_faults(&examined_text(&config, "0Zc5"), &[("fail form", "Default Audience")]);
}

#[test]
fn google_zitadel_authentik_and_cognito() {
    let google = oidc(json!({"issuer": "https://accounts.google.com", "client_id": "c"}));
    let claims = json!({
        "iss": "https://accounts.google.com", "aud": "c", "azp": "c", "sub": "1", "hd": "b.c",
        "email": "a@b.c", "email_verified": true, "iat": NOW, "exp": NOW + 3600,
    });
    assert_faults(
        &examined(&google, &jwt(), &claims),
        &[
            ("warn kind", "no other token"),
            ("warn client", "allowed_clients"),
            ("warn groups", "no groups"),
            ("warn scopes", ""),
        ],
    );
    assert_faults(&examined_text(&google, "ya29.a0"), &[("fail form", "Google's own APIs")]);

    let zitadel = oidc(json!({"issuer": "https://x.zitadel.cloud", "audience": "123"}));
    let claims = json!({
        "iss": "https://x.zitadel.cloud", "aud": ["123"], "client_id": "9@nmp", "sub": "7",
        "email": "a@b.c", "scope": "openid", "iat": NOW, "exp": NOW + 3600,
        "urn:zitadel:iam:org:project:roles": {"admin": {"1": "b.c"}},
    });
    assert_faults(&examined(&zitadel, &jwt(), &claims), &[]);
    let without = with(claims, json!({"urn:zitadel:iam:org:project:roles": null, "aud": ["9"]}));
    assert_faults(
        &examined(&zitadel, &jwt(), &without),
        &[("fail audience", "urn:zitadel:iam:org:project:id"), ("warn groups", "Assert Roles")],
    );

    let authentik = oidc(json!({"issuer": "https://id.b.c/application/o/nmp/", "client_id": "c"}));
    let claims = json!({
        "iss": "https://id.b.c/application/o/nmp/", "aud": "c", "azp": "c", "sub": "7",
        "email": "a@b.c", "email_verified": false, "groups": ["x"], "scope": "openid",
        "iat": NOW, "exp": NOW + 3600,
    });
    let header = json!({"alg": "HS256", "typ": "JWT"});
    assert_faults(
        &examined(&authentik, &header, &claims),
        &[("fail header", "Signing Key"), ("warn email", "Property Mappers")],
    );

    let pool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab";
    let cognito = oidc(json!({"issuer": pool, "client_id": "c"}));
    let claims = json!({
        "iss": pool, "client_id": "c", "token_use": "access", "sub": "7", "username": "a",
        "cognito:groups": ["x"], "scope": "openid", "iat": NOW, "exp": NOW + 3600,
    });
    assert_faults(
        &examined(&cognito, &jwt(), &claims),
        &[("fail audience", "allowed_clients: [c]"), ("warn email", "Pre token generation")],
    );
}

#[test]
fn times_clients_and_prefixes() {
    let config = oidc(json!({
        "issuer": "https://idp", "client_id": "c", "allowed_clients": ["cli"],
        "scope_prefix": "api://x/", "subject_claim": "oid",
    }));
    let good = json!({
        "iss": "https://idp", "aud": "c", "azp": "cli", "sub": "7", "oid": "8", "email": "a@b.c",
        "groups": [], "scope": "api://x/models", "iat": NOW, "exp": NOW + 3600,
    });
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"scope": "models"}), vec![]),
        (json!({"exp": NOW - 30}), vec![]),
        (json!({"exp": NOW - 60}), vec![("fail expiry", "fresh")]),
        (json!({"exp": null}), vec![("fail expiry", "never expires")]),
        (json!({"iat": NOW + 61}), vec![("fail issued_at", "clock")]),
        (json!({"nbf": NOW + 61}), vec![("fail not_before", "clock")]),
        (json!({"exp": 0}), vec![("fail expiry", "fresh")]),
        (json!({"exp": NOW + 30 * 24 * 3600}), vec![("warn lifetime", "shorten")]),
        (json!({"exp": u64::MAX}), vec![("fail expiry", "realistic exp")]),
        (json!({"exp": NOW * 1000}), vec![("fail expiry", "in seconds")]),
        (json!({"iat": NOW * 1000}), vec![("fail issued_at", "in seconds")]),
        (json!({"azp": "other"}), vec![("fail client", "allowed_clients")]),
        (json!({"azp": null, "cid": "cli"}), vec![]),
        (json!({"cnf": {"jkt": "x"}}), vec![("fail kind", "bound_tokens: ignore")]),
        (json!({"typ": "ID"}), vec![("fail kind", "id_token")]),
        (json!({"typ": "Logout"}), vec![("fail kind", "access_token")]),
        (json!({"nonce": "n"}), vec![("warn kind", "id_token")]),
        (json!({"email_verified": "no"}), vec![("warn email", "confirm")]),
        (json!({"oid": null}), vec![("warn subject", "subject_claim")]),
        (json!({"oid": null, "sub": null}), vec![("fail subject", "sub")]),
        (json!({"scope": null}), vec![("warn scopes", "have clients ask")]),
        (json!({"aud": 5}), vec![("fail audience", "c")]),
        (json!({"iss": 5}), vec![("fail issuer", "iss")]),
        (json!({"iss": "https://idp/"}), vec![("fail issuer", "slash")]),
    ] {
        let claims = with(good.clone(), more);
        assert_faults(&examined(&config, &jwt(), &claims), &expected);
    }
    let mut strict = config.clone();
    let settings = json!({
        "require_access_token": true, "bound_tokens": "ignore", "max_lifetime": "1h",
    });
    strict["auth"]["oidc"].as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    for (more, expected) in [
        (json!({}), vec![]),
        (json!({"nonce": "n"}), vec![("fail kind", "id_token")]),
        (json!({"nonce": "n", "typ": "Bearer"}), vec![]),
        (json!({"cnf": {"jkt": "x"}}), vec![("warn kind", "something in front")]),
        (json!({"iat": NOW - 5}), vec![("fail lifetime", "max_lifetime")]),
        (json!({"iat": null}), vec![]),
    ] {
        let claims = with(good.clone(), more);
        assert_faults(&examined(&strict, &jwt(), &claims), &expected);
    }
    for (header, expected) in [
        (json!({"alg": "none"}), ("fail header", "RS256")),
        (json!({"alg": "RS256", "crit": ["b64"]}), ("fail header", "plain JWTs")),
        (json!({"alg": "RS256", "typ": "logout+jwt"}), ("fail header", "access token")),
        (json!({}), ("fail form", "RS256")),
    ] {
        assert_faults(&examined(&config, &header, &good), &[expected]);
    }
    for (token, check) in [
        ("", "credentials"),
        ("Bearer a.b.c", "credentials"),
        ("a.b", "form"),
        ("a.b.c", "form"),
        ("!.!.!", "form"),
        (&*"a".repeat(70_000), "form"),
    ] {
        let found = examined_text(&config, token);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].check, found[0].outcome), (check, Outcome::Fail));
    }
}

/// Nobody is asked here, and that is said: a revoked token would pass all else.
#[test]
fn tokens_that_somebody_has_to_be_asked_about() {
    let introspection = json!({"endpoint": "https://i.example/introspect", "client_id": "d"});
    let config = oidc(json!({
        "issuer": "https://i.example", "client_id": "app", "opaque": true, "opaque_prefix": "op_",
        "introspection": introspection,
    }));
    let found = examined_text(&config, "op_1");
    assert_faults(&found, &[("warn status", "`doorward explain` asks")]);
    assert!(found[0].found.contains("only https://i.example can read it"), "{found:?}");
    assert!(faults(&examined_text(&config, "xx_1"))[0].starts_with("fail form"));
    let claims = json!({
        "iss": "https://i.example", "aud": "app", "sub": "s", "iat": NOW - 60, "exp": NOW + 600,
        "email": "a@b.c", "groups": ["g"],
        "scope": "a",
    });
    assert_faults(&examined(&config, &jwt(), &claims), &[("warn status", "`doorward explain`")]);
}
