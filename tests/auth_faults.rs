//! `doorward auth login` against a provider that refuses, stalls, lies or breaks.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::cli::{Cli, Ended};
use crate::support::oauth::{Answer, OAuth, refusal, tokens};

async fn device_login(provider: &OAuth) -> Ended {
    Cli::new().run(&["auth", "login", provider.url()]).await
}

async fn password_login(provider: &OAuth) -> Ended {
    let arguments = ["auth", "login", provider.url(), "--username", "alice", "--password-stdin"];
    Cli::new().run_with(&arguments, &[], "wonderland\n").await
}

/// RFC 8628 §3.5 and RFC 6749 §5.2: each ends the wait at once, and says what to do.
#[tokio::test]
async fn every_refusal_of_a_device_login_ends_it_with_a_next_step() {
    let provider = OAuth::start().await;
    for (error, description, next) in [
        ("access_denied", "no", "log in again and approve"),
        ("expired_token", "too late", "run doorward auth login again"),
        ("invalid_client", "who?", "check that it is registered there"),
        ("invalid_client", "AADSTS7000218: secret required", "Allow public client flows"),
        ("unauthorized_client", "not you", "enable the device flow for this client"),
        ("invalid_grant", "AADSTS65001: no consent", "Grant admin consent"),
        ("invalid_scope", "what?", "--scope"),
        ("made_up", "hm", "error: the identity provider refused the device login: made_up: hm"),
    ] {
        provider.say("/token", [refusal("authorization_pending", ""), refusal(error, description)]);
        let ended = device_login(&provider).await;
        ended.assert(1, &[error, description, next, "ABCD-EFGH", "waiting for the login"]);
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test]
async fn a_refusal_to_give_a_code_names_the_switch_to_turn() {
    let provider = OAuth::start().await;
    provider.say("/device_authorization", [refusal("unauthorized_client", "")]);
    device_login(&provider).await.assert(1, &["enable the device flow for this client"]);
    provider.publish(json!({"device_authorization_endpoint": null}));
    let ended = device_login(&provider).await;
    ended.assert(1, &["offers no `device_authorization_endpoint`", "--username"]);
}

/// RFC 8628 §3.5: five seconds more from then on.
#[tokio::test]
async fn slow_down_slows_down() {
    let provider = OAuth::start().await;
    let wait = || refusal("authorization_pending", "");
    provider.say("/token", [wait(), refusal("slow_down", ""), wait(), tokens(json!({}))]);
    device_login(&provider).await.assert(0, &["Logged in", "opaque"]);
    let polls = provider.asked("/token");
    let pauses: Vec<_> = polls.windows(2).map(|two| two[1].at - two[0].at).collect();
    let least = [1.0, 6.0, 6.0];
    assert_eq!(pauses.len(), least.len(), "{pauses:?}");
    for (pause, least) in pauses.iter().zip(least) {
        assert!(
            pause.as_secs_f64() > least - 0.1 && pause.as_secs_f64() < least + 3.0,
            "{pauses:?}"
        );
    }
    let form = &polls[0].form;
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
    assert_eq!((form["device_code"].as_str(), form["client_id"].as_str()), ("d", "nmp"));
}

#[tokio::test]
async fn a_provider_that_fails_while_one_waits_is_asked_again() {
    let provider = OAuth::start().await;
    let html = ("content-type", "text/html".to_owned());
    let broken = Answer::Raw(502, html, "<html>Bad gateway</html>".into());
    provider.say("/token", [broken.clone(), broken, tokens(json!({}))]);
    let ended = device_login(&provider).await;
    ended.assert(0, &["no answer, retrying", "status 502", "Logged in"]);
    assert_eq!(ended.stderr.matches("retrying").count(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn a_code_that_nobody_enters_expires() {
    let provider = OAuth::start().await;
    provider.device(json!({"expires_in": 2, "interval": 0}));
    provider.say("/token", [refusal("authorization_pending", "")]);
    let ended = device_login(&provider).await;
    ended.assert(1, &["nobody logged in within 2s", "run doorward auth login again"]);
    // An interval of nothing is no licence to hammer.
    assert!(provider.asked("/token").len() <= 4, "{}", provider.asked("/token").len());
    // Nor is a huge one a reason to sleep past the end.
    provider.device(json!({"expires_in": 1, "interval": u64::MAX}));
    device_login(&provider).await.assert(1, &["nobody logged in within 1s"]);
}

#[tokio::test]
async fn what_is_no_token_is_not_taken_for_one() {
    let provider = OAuth::start().await;
    let html = |status| {
        let header = ("content-type", "text/html".to_owned());
        Answer::Raw(status, header, "<html>Welcome to the airport</html>".into())
    };
    let raw =
        |body: &str| Answer::Raw(200, ("content-type", "application/json".into()), body.to_owned());
    for (answer, part) in [
        (html(200), "did not respond like an OAuth endpoint"),
        (html(403), "a page of HTML"),
        (html(503), "status 503"),
        (raw(""), "did not respond like an OAuth endpoint"),
        (raw("[]"), "did not respond like an OAuth endpoint"),
        (raw(r#"["token","bearer"]"#), "did not respond like an OAuth endpoint"),
        (
            Answer::Raw(
                400,
                ("content-type", "application/json".into()),
                r#"["invalid_grant","log in at evil.example"]"#.into(),
            ),
            "status 400",
        ),
        (raw("{\"access_token\": 5}"), "did not respond like an OAuth endpoint"),
        (tokens(json!({"token_type": "mac"})), "not a bearer token"),
        (tokens(json!({"access_token": "a\u{1b}[2Jb"})), "access token is malformed"),
        (tokens(json!({"access_token": ""})), "access token is malformed"),
        (Answer::Endless, "larger than 1 MiB"),
        (Answer::Raw(200, ("content-encoding", "gzip".into()), "x".into()), "compressed"),
    ] {
        provider.say("/token", [answer]);
        let ended = password_login(&provider).await;
        ended.assert(1, &[part, "fix:"]);
        assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
    }
}

/// A password must not follow a redirect.
#[tokio::test]
async fn credentials_are_sent_nowhere_else() {
    let (provider, elsewhere) = (OAuth::start().await, OAuth::start().await);
    let location = ("location", format!("{}/token", elsewhere.url()));
    provider.say("/token", [Answer::Raw(307, location, String::new())]);
    password_login(&provider).await.assert(1, &["status 307"]);
    assert_eq!(provider.asked("/token").len(), 1);
    assert!(elsewhere.asked("/token").is_empty());

    provider.platform(json!({"token_endpoint": "http://idp.example/token"}));
    password_login(&provider).await.assert(1, &["`token_endpoint`", "plain http"]);
    provider.platform(json!({"token_endpoint": "file:///etc/passwd"}));
    password_login(&provider).await.assert(2, &["is not an http or https URL"]);
}

#[tokio::test]
async fn a_provider_that_hangs_is_waited_for_so_long_and_no_longer() {
    let provider = OAuth::start().await;
    provider.say("/token", [Answer::Hang]);
    let began = Instant::now();
    password_login(&provider)
        .await
        .assert(1, &["it did not answer in time", "no complete answer within 15s"]);
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn nothing_a_provider_says_moves_the_cursor() {
    let provider = OAuth::start().await;
    provider.device(json!({"user_code": "\u{1b}[2JCODE\u{202e}\r\n"}));
    provider.say("/token", [refusal("access\u{1b}]0;x\u{7}", "\u{1b}[31mred\nerror: forged")]);
    let ended = device_login(&provider).await;
    ended.assert(1, &["\\u{1b}[2JCODE\\u{202e}\\u{d}\\u{a}", "\\u{1b}[31mred\\u{a}error: forged"]);
    assert!(!ended.stderr.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r']), "{ended:?}");
    for uri in ["javascript:alert(1)", "file:///etc/passwd"] {
        provider.device(json!({"verification_uri": uri}));
        device_login(&provider)
            .await
            .assert(1, &["`verification_uri` is not an http or https URL"]);
    }
}

/// NeMo's rules on the wire, and the report of what did not come.
#[tokio::test]
async fn scopes_carry_the_prefix_and_what_is_missing_is_said() {
    let provider = OAuth::start().await;
    provider.platform(json!({
        "default_scopes": "openid offline_access models:read", "scope_prefix": "api://nmp",
    }));
    provider.say("/token", [tokens(json!({"scope": "models:read"}))]);
    let ended = password_login(&provider).await;
    assert_eq!(
        provider.asked("/token")[0].form["scope"],
        "openid offline_access api://nmp/models:read"
    );
    ended.assert(
        0,
        &["not granted: openid\n", "no refresh token was issued", "and cannot be refreshed"],
    );

    let cli = Cli::new();
    let mut arguments = vec!["auth", "login", provider.url(), "--scope", "jobs:run,.default"];
    arguments.extend([
        "--username",
        "alice",
        "--password",
        "x",
        "--audience",
        "a",
        "--resource",
        "r",
    ]);
    let ended = cli.run(&arguments).await;
    ended.assert(0, &["not granted", "api://nmp/jobs:run", "process list"]);
    let form = &provider.asked("/token")[1].form;
    assert_eq!(form["scope"], "openid offline_access api://nmp/jobs:run api://nmp/.default");
    assert_eq!((form["audience"].as_str(), form["resource"].as_str()), ("a", "r"));
}

#[tokio::test]
async fn a_platform_that_is_none_or_wants_no_login_is_told_apart() {
    let provider = OAuth::start().await;
    for (document, part) in [
        (json!({"auth_enabled": false, "oidc": null}), "authentication is turned off"),
        (json!({"auth_enabled": true}), "it has no `oidc`"),
        (json!({"oidc": {"client_id": "nmp"}}), "`oidc` has no `issuer`"),
        (json!({"oidc": {"issuer": provider.url()}}), "`oidc` has no `client_id`"),
    ] {
        provider.say("/apis/auth/discovery", [Answer::Json(200, document)]);
        device_login(&provider).await.assert(1, &[part, "fix:"]);
    }
    provider.say("/apis/auth/discovery", [Answer::Json(404, json!({}))]);
    device_login(&provider).await.assert(1, &["status 404", "--issuer"]);
}

/// What cannot be given back is forgotten all the same, and said.
#[tokio::test]
async fn a_revocation_that_fails_forgets_and_says_so() {
    let provider = OAuth::start().await;
    provider.say("/token", [tokens(json!({"refresh_token": "r"}))]);
    for (answer, code, part) in [
        (Answer::Json(200, json!({})), 0, "revoked and deleted"),
        (Answer::Json(503, json!({})), 1, "deleted, but not revoked"),
        (refusal("unsupported_token_type", "never"), 1, "unsupported_token_type: never"),
    ] {
        provider.say("/revoke", [answer]);
        let cli = Cli::new();
        let login = ["auth", "login", provider.url(), "--username", "alice", "--password", "x"];
        cli.run(&login).await.assert(0, &[]);
        cli.run(&["auth", "logout"]).await.assert(code, &[part]);
        cli.run(&["auth", "token"]).await.assert(1, &["not logged in"]);
    }
    let asked = provider.asked("/revoke");
    assert_eq!(asked[0].form["token_type_hint"], "refresh_token");
    assert_eq!((&*asked[0].form["token"], &*asked[1].form["token"]), ("r", "opaque-token"));
}
