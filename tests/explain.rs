//! `doorward explain` as a program: what it says, where it says it, and its exit codes.
//! That it agrees with `Check` is asserted at every request of the tests that start their
//! server with `start_explained`: all reasons, identities, Entra's tokens.

use std::path::Path;

use doorward::app::explain_request;
use doorward::config::Settings;
use doorward_core::clock::{Clock as _, SystemClock};
use doorward_core::request::{HeaderView, RequestView, RouteView};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::explain::{explain, text, told};
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{Curve, RSA, STRANGER, Signer, claims, encode, from_now, jwks};

const ISSUER: &str = "https://idp.example";

fn config(dir: &Path, oidc: &Value) -> std::path::PathBuf {
    let mut config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"bypass": ["/health"]},
    });
    for (key, value) in oidc.as_object().unwrap() {
        config["auth"]["oidc"][key] = value.clone();
        if value.is_null() {
            config["auth"]["oidc"].as_object_mut().unwrap().remove(key);
        }
    }
    let path = dir.join("doorward.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn step<'v>(told: &'v Value, check: &str) -> &'v Value {
    let steps = told["steps"].as_array().unwrap();
    steps.iter().find(|step| step["check"] == check).unwrap_or_else(|| panic!("{check}: {told:#}"))
}

fn failed(told: &Value) -> &Value {
    let steps = told["steps"].as_array().unwrap();
    let mut failed = steps.iter().filter(|step| step["outcome"] == "fail");
    let first = failed.next().unwrap_or_else(|| panic!("nothing failed: {told:#}"));
    assert!(failed.next().is_none(), "one check decides: {told:#}");
    first
}

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

#[test]
fn a_key_that_must_not_be_used_is_said_to_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut unfit = Signer::ec("p-256", Curve::P256).jwk();
    unfit["use"] = json!("enc");
    let keys = json!({"keys": [RSA.jwk(), unfit]});
    let config = config(dir.path(), &json!({"jwks": keys}));
    let token = RSA.token_with(json!({"alg": "ES256", "kid": "p-256"}), &claims(ISSUER, json!({})));
    let (told, _) = told(&config, &[], &token);
    let found = failed(&told)["found"].as_str().unwrap();
    assert!(
        found.contains("is not usable") && found.contains("not meant for signatures"),
        "{found}"
    );
}

#[test]
fn the_time_can_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    let exp = from_now(-600);
    let token = RSA.token("RS256", &claims(ISSUER, json!({"exp": exp, "iat": exp - 3600})));
    for (at, code) in [
        ("-20m", 0),
        ("-2h", 1),
        ("+1h", 1),
        (&*(exp - 10).to_string(), 0),
        (&*(exp + 59).to_string(), 0),
        (&*(exp + 60).to_string(), 1),
        ("2040-01-01T00:00:00Z", 1),
    ] {
        let (told, exit) = told(&config, &["--at", at], &token);
        assert_eq!(exit, code, "{at}: {told:#}");
    }
    let (told, _) = told(&config, &["--at", "2040-01-01T00:00:00Z"], &token);
    assert_eq!((&told["at"], &told["reason"]), (&json!("2040-01-01T00:00:00Z"), &json!("expired")));
}

#[test]
fn tokens_come_as_people_paste_them_and_headers_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for (arguments, input, reason) in [
        (vec![], format!("  {token}\r\n"), "authenticated"),
        (vec!["-"], format!("bearer {token}\n"), "authenticated"),
        (vec![], format!("{}\n{}", &token[..40], &token[40..]), "malformed_token"),
        (vec!["--raw-header"], format!("Bearer {token}\n"), "authenticated"),
        (vec!["--raw-header"], format!("{token}\n"), "malformed_header"),
        (vec!["--raw-header"], format!("Bearer {token},Bearer {token}"), "malformed_header"),
        (vec!["--raw-header"], "Basic YTpi".to_owned(), "malformed_header"),
        (vec!["--raw-header"], String::new(), "malformed_header"),
        (vec!["--anonymous"], String::new(), "missing_token"),
        (vec!["--anonymous", "--path", "/health"], String::new(), "bypassed"),
        (vec!["--anonymous", "--context", "doorward.mode=optional"], String::new(), "anonymous"),
        (vec!["--anonymous", "--set", "auth.enabled=false"], String::new(), "auth_disabled"),
        (vec!["--path", "admin"], token.clone(), "malformed_request"),
        (vec!["--context", "doorward.scopes=models:write"], token.clone(), "insufficient_scope"),
        (vec!["--context", "doorward.scopes=models:read"], token.clone(), "authenticated"),
        (vec!["--context", "doorward.audience=jobs"], token.clone(), "bad_audience"),
        (vec!["--context", "doorward.mode=off"], token.clone(), "policy_unavailable"),
        (vec!["--header", "Authorization: Bearer x"], token.clone(), "malformed_header"),
    ] {
        let (told, _) = told(&config, &arguments, &input);
        assert_eq!(told["reason"], reason, "{arguments:?}: {told:#}");
        if reason == "malformed_header" {
            assert!(!told.to_string().contains(&token[..60]), "the token is not shown: {told:#}");
        }
    }
    let output = explain(&config, &[&token], b"");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("process list"), "{}", text(&output.stderr));
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    for (arguments, said) in [
        (&[][..], "no token: pipe one in"),
        (&["--at", "soon"], "RFC 3339"),
        (&["--header", "nothing"], "Name: value"),
        (&["--context", "nothing"], "KEY=VALUE"),
        (&["--set", "auth.oidc.isuer=x"], "auth.oidc.issuer"),
    ] {
        let output = explain(&config, arguments, b" \n");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(said), "{said}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn claims_never_command_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\r\n";
    let token = RSA.token_with(
        json!({"alg": "RS256", "kid": "rsa-1", "typ": "JWT"}),
        &claims(ISSUER, json!({"sub": hostile, "groups": [hostile], "email": hostile})),
    );
    let key = RSA.token_with(json!({"alg": "RS256", "kid": hostile}), &claims(ISSUER, json!({})));
    let issuer = RSA.token("RS256", &claims(ISSUER, json!({"iss": hostile})));
    for token in [token, key, issuer] {
        for arguments in
            [&[][..], &["--json"], &["--path", hostile], &["--context", "doorward.\u{1b}=1"]]
        {
            let output = explain(&config, arguments, token.as_bytes());
            assert_eq!(output.status.code(), Some(1));
            for said in [text(&output.stdout), text(&output.stderr)] {
                let odd = said.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
                assert_eq!(odd, None, "{said:?}");
            }
        }
    }
}

#[tokio::test]
async fn keys_are_fetched_and_trouble_with_them_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let live = json!({"issuer": issuer, "jwks": null});
    let config = config(dir.path(), &live);
    let token = RSA.token("RS256", &claims(&issuer, json!({})));
    let ask = |token: &str| {
        let (config, token) = (config.clone(), token.to_owned());
        blocking(move || told(&config, &[], &token))
    };
    let (told, code) = ask(&token).await;
    assert_eq!(code, 0, "{told:#}");
    let found = step(&told, "key_set")["found"].as_str().unwrap();
    assert!(found.contains("openid-configuration") && found.contains("1 key"), "{found}");

    // Rotated away: the published names are told.
    let other = Signer::ec("next", Curve::P256);
    idp.publish([&other]);
    let (told, _) = ask(&token).await;
    assert!(
        failed(&told)["found"].as_str().unwrap().contains("published kids are: next"),
        "{told:#}"
    );

    idp.answer_keys(Answer::Status(500));
    let (told, code) = ask(&token).await;
    assert_eq!(
        (code, &told["reason"], &told["status"]),
        (1, &json!("keys_unavailable"), &json!(503))
    );
    assert!(failed(&told)["found"].as_str().unwrap().contains("500"), "{told:#}");
}

/// A moment after now at which keys obtained now would long be too old: they count as
/// obtained then.
#[tokio::test]
async fn another_moment_does_not_make_keys_old() {
    let dir = tempfile::tempdir().unwrap();
    let idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let config = config(dir.path(), &json!({"issuer": issuer, "jwks": null}));
    let token = RSA.token("RS256", &claims(&issuer, json!({"exp": from_now(90 * 86_400)})));
    let (told, code) = blocking(move || told(&config, &["--at", "+80days"], &token)).await;
    assert_eq!(code, 0, "{told:#}");
}

#[test]
fn an_unsigned_token_passes_only_where_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    let header = encode(br#"{"alg":"none"}"#);
    let token = format!("{header}.{}.", encode(claims(ISSUER, json!({})).to_string().as_bytes()));
    let (refused, code) = told(&config, &[], &token);
    assert_eq!((code, &failed(&refused)["check"]), (1, &json!("header")), "{refused:#}");
    let (told, code) = told(&config, &["--set", "auth.allow_unsigned_jwt=true"], &token);
    assert_eq!(code, 0, "{told:#}");
    let signature = step(&told, "signature")["found"].as_str().unwrap();
    assert!(signature.contains("auth.allow_unsigned_jwt"), "{signature}");
}

/// Bytes changed anywhere in a good token: whatever it has become, it can be told, and it
/// is denied unless nothing that counts was changed.
#[test]
fn no_token_is_too_broken_to_be_told() {
    let settings = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
    });
    let settings = Settings::from_yaml("test", &settings.to_string()).unwrap();
    let good = RSA.token("RS256", &claims(ISSUER, json!({})));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(256));
    let change = (any::<Index>(), any::<u8>(), any::<Index>());
    let changes = proptest::collection::vec(change, 1..4);
    runner
        .run(&changes, |changes| {
            let mut token = good.clone().into_bytes();
            for (at, byte, end) in changes {
                let at = at.index(token.len());
                token[at] = byte;
                token.truncate(1 + at.max(end.index(token.len())));
            }
            let value = [b"Bearer ", &token[..]].concat();
            let headers = [HeaderView { name: b"authorization", value: &value }];
            let route = RouteView::default();
            let request = RequestView { method: b"GET", path: b"/", headers: &headers, route };
            let told = explain_request(settings.clone(), &request, SystemClock.now()).unwrap();
            prop_assert_eq!(told.failed().is_some(), token != good.as_bytes(), "{:?}", told);
            let text = serde_json::to_string(&told).unwrap();
            prop_assert!(!text.contains(char::is_control), "{}", text);
            Ok(())
        })
        .unwrap();
}
