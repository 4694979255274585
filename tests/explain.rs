//! `doorward explain` as a program: which step decides, what it expected and found, and what it says
//! to do. That it agrees with `Check` is asserted at every request of the tests that start their
//! server with `start_explained`: all reasons, identities, Entra's tokens.

use serde_json::{Value, json};

use crate::support::explain::{ISSUER, config, explain, failed, step, text, told};
use crate::support::signer::{RSA, STRANGER, claims, encode, from_now};

#[test]
fn a_good_token_is_told_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({"scope_prefix": "api://nmp/"}));
    let groups = json!(["research", "service:jobs", "a b"]);
    let token = RSA.token(
        "RS256",
        &claims(ISSUER, json!({"groups": groups, "scope": "openid api://nmp/models:read"})),
    );
    let (told, code) = told(&config, &["--header", "X_NMP_Odd: 1"], &token);
    assert_eq!(
        (code, &told["decision"], &told["reason"]),
        (0, &json!("allow"), &json!("authenticated"))
    );
    assert_eq!(told["issuer"], ISSUER);
    assert_eq!(told["headers"]["set"]["x-nmp-principal-id"], "alice");
    assert_eq!(told["headers"]["set"]["x-nmp-principal-groups"], "research");
    assert_eq!(told["headers"]["set"]["x-nmp-scopes"], "openid models:read");
    let removed = told["headers"]["remove"].as_array().unwrap();
    for name in ["X_NMP_Odd", "x-nmp-principal-on-behalf-of"] {
        assert!(removed.contains(&json!(name)), "{name}: {removed:?}");
    }
    assert!(told["steps"].as_array().unwrap().iter().all(|step| step["outcome"] == "pass"));
    let groups = step(&told, "groups")["found"].as_str().unwrap();
    assert!(groups.contains("left out: service:jobs (reserved)"), "{groups}");
    assert!(groups.contains("a b (it does not fit into a header)"), "{groups}");
    assert!(
        step(&told, "key_set")["found"].as_str().unwrap().contains("1 key from the configuration")
    );

    let output = explain(&config, &[], token.as_bytes());
    let screen = text(&output.stdout);
    for line in ["allowed 200 authenticated", "x-nmp-principal-id: alice", "pass  signature"] {
        assert!(screen.contains(line), "{line}: {screen}");
    }
    assert!(!screen.contains('\u{1b}'), "no colour in a pipe: {screen}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn the_first_failing_check_is_named_with_what_was_expected_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    let sign = |more: Value| RSA.token("RS256", &claims(ISSUER, more));
    let jwe = format!("{}.a.b.c.d", encode(br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#));
    for (token, reason, check, expected, found) in [
        (sign(json!({"exp": from_now(-180)})), "expired", "expiry", "later than", " ago)"),
        (sign(json!({"nbf": from_now(900)})), "not_yet_valid", "not_before", "leeway", "in "),
        (sign(json!({"nbf": "x"})), "invalid_claim", "not_before", "a number", "not a number"),
        (sign(json!({"iat": "x"})), "invalid_claim", "issued_at", "a number", "not a number"),
        (sign(json!({"aud": "other"})), "bad_audience", "audience", "nmp", "\"other\""),
        (
            sign(json!({"iss": "https://idp.example/"})),
            "unknown_issuer",
            "issuer",
            ISSUER,
            "example/",
        ),
        (sign(json!({"sub": null})), "invalid_claim", "subject", "sub", "absent"),
        (
            sign(json!({"sub": "service:x"})),
            "reserved_identity",
            "subject",
            "service:",
            "service:x",
        ),
        (sign(json!({"email": "*"})), "reserved_identity", "email", "address", "\"*\""),
        (
            STRANGER.token("RS256", &claims(ISSUER, json!({}))),
            "bad_signature",
            "signature",
            "RS256",
            "not",
        ),
        (
            RSA.token_with(json!({"alg": "RS256", "kid": "old"}), &claims(ISSUER, json!({}))),
            "unknown_key",
            "key",
            "\"old\"",
            "published kids are: rsa-1",
        ),
        (
            RSA.token_with(json!({"alg": "ES256", "kid": "rsa-1"}), &claims(ISSUER, json!({}))),
            "unknown_key",
            "key",
            "ES256",
            "not for this token: kid \"rsa-1\", for RS256",
        ),
        (
            RSA.token_with(json!({"alg": "HS256"}), &claims(ISSUER, json!({}))),
            "unsupported_token",
            "header",
            "RS256",
            "\"HS256\"",
        ),
        ("opaque-token".to_owned(), "malformed_token", "form", "header.claims", "opaque"),
        (jwe, "malformed_token", "form", "header.claims", "JWE"),
    ] {
        let (told, code) = told(&config, &[], &token);
        assert_eq!((code, told["reason"].as_str().unwrap()), (1, reason), "{told:#}");
        let failed = failed(&told);
        assert_eq!(failed["check"], check, "{told:#}");
        assert!(failed["expected"].as_str().unwrap().contains(expected), "{failed:#}");
        assert!(failed["found"].as_str().unwrap().contains(found), "{failed:#}");
        assert!(failed["remedy"].is_string(), "{failed:#}");
        assert_eq!(told["headers"], Value::Null);
        let screen = text(&explain(&config, &[], token.as_bytes()).stdout);
        assert!(
            screen.contains(&format!("denied 401 {reason}")) || screen.contains("denied 403"),
            "{screen}"
        );
        assert!(!screen.contains(&token), "the token itself is never shown: {screen}");
    }
}

#[test]
fn hints_for_tokens_that_are_no_access_tokens_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    let graph = STRANGER.token_with(
        json!({"alg": "RS256", "kid": "rsa-1", "nonce": "n"}),
        &claims(ISSUER, json!({"aud": "00000003-0000-0000-c000-000000000000"})),
    );
    let (graph, _) = told(&config, &[], &graph);
    assert_eq!(graph["reason"], "bad_signature");
    assert!(failed(&graph)["remedy"].as_str().unwrap().contains("Microsoft Graph"), "{graph:#}");
    assert!(graph["notes"][0].as_str().unwrap().contains("nonce"), "{graph:#}");
    let id_token = RSA.token("RS256", &claims(ISSUER, json!({"at_hash": "x"})));
    let (id_token, code) = told(&config, &[], &id_token);
    assert_eq!(code, 0);
    assert!(id_token["notes"][0].as_str().unwrap().contains("ID token"), "{id_token:#}");
}

/// Dates in milliseconds are thousands of years ahead.
#[test]
fn milliseconds_are_suspected() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    let in_an_hour = from_now(3600) * 1000;
    for (name, reason, check) in [
        ("exp", "invalid_claim", "expiry"),
        ("nbf", "not_yet_valid", "not_before"),
        ("iat", "not_yet_valid", "issued_at"),
    ] {
        let token = RSA.token("RS256", &claims(ISSUER, json!({name: in_an_hour})));
        let (told, code) = told(&config, &[], &token);
        assert_eq!((code, told["reason"].as_str().unwrap()), (1, reason), "{told:#}");
        let failed = failed(&told);
        assert_eq!(failed["check"], check);
        assert!(failed["found"].as_str().unwrap().contains("as milliseconds"), "{failed:#}");
        assert!(failed["remedy"].as_str().unwrap().contains("in seconds"), "{failed:#}");
        let note = format!("{name} looks like milliseconds");
        assert!(told["notes"][0].as_str().unwrap().contains(&note), "{told:#}");
    }
}

/// What the server refuses for its kind, its key, its life or its address is told as such.
#[test]
fn why_a_token_is_not_for_access_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({
        "require_access_token": true, "max_lifetime": "2h", "email_domains": ["example.com"],
    });
    let config = config(dir.path(), &settings);
    for (more, check, expected, found, remedy) in [
        (json!({"typ": "ID"}), "kind", "access token", "typ \"ID\"", "access_token"),
        (
            json!({"nonce": "n"}),
            "kind",
            "access token",
            "nonce \"n\", as ID tokens have",
            "access_token",
        ),
        (json!({"cnf": {"jkt": "x"}}), "kind", "no key", "\"jkt\"", "bound_tokens: ignore"),
        (json!({"iat": from_now(-7200)}), "lifetime", "2h", "3h", "max_lifetime"),
        (json!({"iat": null, "exp": from_now(7300)}), "lifetime", "from now", "2h", "max_lifetime"),
        (
            json!({"sub": "a@b.example"}),
            "subject",
            "addresses those at example.com",
            "is not in the issuer's",
            "email_domains",
        ),
        (
            json!({"sub": "a@example.com", "email_verified": "no"}),
            "subject",
            "sub",
            "email_verified \"no\"",
            "confirm",
        ),
    ] {
        let (told, code) = told(&config, &[], &RSA.token("RS256", &claims(ISSUER, more)));
        assert_eq!(code, 1, "{told:#}");
        let failed = failed(&told);
        assert_eq!(failed["check"], check, "{told:#}");
        for (part, text) in [("expected", expected), ("found", found), ("remedy", remedy)] {
            assert!(failed[part].as_str().unwrap().contains(text), "{text}: {failed:#}");
        }
    }
    let token = RSA.token("RS256", &claims(ISSUER, json!({"email": "a@b.example"})));
    let (told, code) = told(&config, &[], &token);
    assert_eq!(code, 0, "{told:#}");
    let email = step(&told, "email")["found"].as_str().unwrap();
    assert!(email.contains("left out, it is not in the issuer's `email_domains`"), "{email}");
}
