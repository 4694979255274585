//! `doorward auth` with providers that answer as providers do, and not as the RFCs say.

use std::time::Duration;

use doorward::pkce;
use serde_json::{Value, json};

use crate::support::cli::Cli;
use crate::support::oauth::{Answer, OAuth, refusal, tokens};

/// `null` takes a member away.
fn odd(changes: &Value, access_token: &str) -> Answer {
    let Answer::Json(status, mut answer) = tokens(changes.clone()) else { unreachable!() };
    let members = answer.as_object_mut().unwrap();
    members.insert("access_token".into(), access_token.into());
    members.insert("refresh_token".into(), "r".into());
    members.retain(|_, value| !value.is_null());
    Answer::Json(status, answer)
}

/// Issue 12, line 9.
#[tokio::test]
async fn answers_as_providers_send_them_log_in_and_refresh() {
    let provider = OAuth::start().await;
    let login = ["auth", "login", provider.url(), "--username", "alice", "--password", "x"];
    for (answer, scopes) in [
        (json!({"expires_in": "3599"}), json!(["openid"])),
        (json!({"expires_in": 3600.0}), json!(["openid"])),
        (json!({"expires_in": -1}), json!(["openid"])),
        (json!({"expires_in": 1e300}), json!(["openid"])),
        (json!({"expires_in": "soon", "scope": ""}), json!(["openid"])),
        (json!({"scope": []}), json!(["openid"])),
        (json!({"scope": ["openid", "email"]}), json!(["openid", "email"])),
        (json!({"token_type": null}), json!(["openid"])),
        (
            json!({"token_type": "bearer", "id_token": "", "error_description": ""}),
            json!(["openid"]),
        ),
    ] {
        provider.say("/token", [odd(&answer, "one"), odd(&answer, "two")]);
        let cli = Cli::new();
        cli.run(&login).await.assert(0, &["Logged in"]);
        assert_eq!(cli.run(&["auth", "token"]).await.assert(0, &[]).stdout, "one\n", "{answer}");
        cli.run(&["auth", "refresh"]).await.assert(0, &["Refreshed"]);
        assert_eq!(cli.run(&["auth", "token"]).await.assert(0, &[]).stdout, "two\n", "{answer}");
        assert_eq!(cli.status().await[0]["scopes"], scopes, "{answer}");
    }
}

#[tokio::test]
async fn device_codes_as_providers_give_them_log_in() {
    let provider = OAuth::start().await;
    let (page, google) = (format!("{}/device", provider.url()), format!("{}/g", provider.url()));
    for (answer, shown) in [
        (json!({"interval": "1", "expires_in": "600"}), &page),
        (json!({"interval": 1.0, "expires_in": 600.0}), &page),
        (json!({"verification_uri": null, "verification_url": google}), &google),
        (json!({"verification_uri": page, "verification_url": google}), &page),
        (json!({"expires_in": null, "verification_uri_complete": ""}), &page),
    ] {
        provider.device(answer.clone());
        // "Pending" comes with 200 from some.
        let pending = Answer::Json(200, json!({"error": "authorization_pending"}));
        provider.say("/token", [pending, tokens(json!({}))]);
        let ended = Cli::new().run(&["auth", "login", provider.url()]).await;
        ended.assert(0, &[shown, "Logged in"]);
    }
}

#[tokio::test]
async fn too_many_requests_while_polling_is_waited_out_and_slows_down() {
    let provider = OAuth::start().await;
    let busy = |seconds: &str| Answer::Raw(429, ("retry-after", seconds.to_owned()), String::new());
    let pending = refusal("authorization_pending", "");
    provider.say("/token", [busy("8"), busy("soon"), pending, tokens(json!({}))]);
    Cli::new().run(&["auth", "login", provider.url()]).await.assert(0, &["Logged in"]);
    let polls = provider.asked("/token");
    let pauses: Vec<_> =
        polls.windows(2).map(|two| (two[1].at - two[0].at).as_secs_f64()).collect();
    // What it asks for; five seconds more each time from then on.
    for (pause, least) in pauses.iter().zip([8.0, 11.0, 11.0]) {
        assert!(*pause > least - 0.1, "{pauses:?}");
    }
    assert_eq!(pauses.len(), 3);
}

#[tokio::test]
async fn a_server_that_fails_while_polling_is_asked_again_so_many_times() {
    let provider = OAuth::start().await;
    let failing = Answer::Json(503, json!({"error": "temporarily_unavailable"}));
    provider.say("/token", [failing.clone(), failing.clone(), tokens(json!({}))]);
    let ended = Cli::new().run(&["auth", "login", provider.url()]).await;
    ended.assert(0, &["no answer, retrying", "status 503", "Logged in"]);
    provider.say("/token", [failing]);
    let ended = Cli::new().run(&["auth", "login", provider.url()]).await;
    ended.assert(1, &["refused the device login: temporarily_unavailable", "try again"]);
    // Three of the first login.
    assert_eq!(provider.asked("/token").len() - 3, 6);
}

/// Issue 12, line 10.
#[tokio::test]
async fn device_logins_prove_who_asked_where_the_provider_offers_that() {
    let provider = OAuth::start().await;
    provider.say("/token", [tokens(json!({}))]);
    let login = ["auth", "login", provider.url()];
    Cli::new().run(&login).await.assert(0, &["Logged in"]);
    provider.publish(json!({"code_challenge_methods_supported": ["plain", "S256"]}));
    Cli::new().run(&login).await.assert(0, &["Logged in"]);

    let (codes, polls) = (provider.asked("/device_authorization"), provider.asked("/token"));
    assert!(!codes[0].form.contains_key("code_challenge"), "{codes:?}");
    assert!(!polls[0].form.contains_key("code_verifier"), "{polls:?}");
    assert_eq!(codes[1].form["code_challenge_method"], "S256");
    let verifier = &polls[1].form["code_verifier"];
    assert_eq!(verifier.len(), 43, "RFC 7636 §4.1");
    assert_eq!(codes[1].form["code_challenge"], pkce::s256(verifier));
    assert!(polls[1].at - codes[1].at >= Duration::from_millis(900));
}
