//! What `doorward explain` takes and how it ends: pasted tokens, headers, moments, wrong usage, and
//! tokens that are hostile or broken.

use doorward::app::explain_request;
use doorward::config::Settings;
use doorward_core::clock::{Clock as _, SystemClock};
use doorward_core::request::{HeaderView, RequestView, RouteView};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::support::explain::{ISSUER, config, explain, text, told};
use crate::support::signer::{RSA, claims, from_now, jwks};

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
            let request = RequestView {
                method: b"GET",
                path: b"/",
                authority: b"",
                headers: &headers,
                route,
            };
            let told = explain_request(settings.clone(), &request, SystemClock.now()).unwrap();
            prop_assert_eq!(told.failed().is_some(), token != good.as_bytes(), "{:?}", told);
            let text = serde_json::to_string(&told).unwrap();
            prop_assert!(!text.contains(char::is_control), "{}", text);
            Ok(())
        })
        .unwrap();
}
