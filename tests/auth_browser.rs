//! Logging in at real identity providers, by a real browser that opens the printed URL and
//! enters the printed code.

use std::time::Duration;

use serde_json::json;

use crate::support::browser::{Browser, prompt};
use crate::support::check::get;
use crate::support::cli::Cli;
use crate::support::doorward::Doorward;
use crate::support::keycloak::Keycloak;
use crate::support::oidc_provider::{OidcProvider, RESOURCE};
use crate::support::{PATIENCE, eventually};

async fn principal(doorward: &Doorward, cli: &Cli) -> String {
    let token = cli.run(&["auth", "token"]).await;
    token.assert(0, &[]);
    let outcome = doorward.ask(get("/v1/models").bearer(token.stdout.trim_end())).await;
    assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    outcome.header("x-nmp-principal-id").unwrap().to_owned()
}

/// One story, because a Keycloak takes ten seconds to start.
#[tokio::test]
async fn keycloak_by_device_by_password_and_ten_at_once() {
    let Some(browser) = Browser::start().await else { return };
    let Some(keycloak) = Keycloak::start().await else { return };
    keycloak.count_refreshes().await;
    let config = json!({"auth": {"oidc": {
        "issuer": keycloak.issuer(), "client_id": "nmp",
        "default_scopes": "openid profile email offline_access platform:read",
    }}});
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    let (cli, base_url) = (Cli::new(), doorward.http(""));

    let mut login = cli.start(&["auth", "login", &base_url]);
    browser.approve_at_keycloak(&prompt(&mut login).await).await;
    browser.quit().await;
    assert_eq!(login.ended().await.code(), Some(0), "{}", login.stderr());
    assert!(login.stderr().contains("Logged in as alice@example.com"), "{}", login.stderr());
    assert!(!login.stderr().contains("warning"), "{}", login.stderr());
    let status = cli.status().await;
    assert_eq!(status[0]["refreshable"], true);
    assert!(status[0]["scopes"].as_array().unwrap().contains(&json!("platform:read")));
    let alice = principal(&doorward, &cli).await;

    cli.run(&["auth", "refresh"]).await.assert(0, &["Refreshed"]);
    assert_eq!(principal(&doorward, &cli).await, alice);
    cli.run(&["auth", "logout"]).await.assert(0, &["revoked and deleted"]);

    // By password; what Keycloak does not know it says, and that is passed on.
    let password = [("NMP_OIDC_USERNAME", "alice"), ("NMP_OIDC_PASSWORD", "wonderland")];
    let arguments = ["auth", "login", &base_url];
    let wrong = [("NMP_OIDC_USERNAME", "alice"), ("NMP_OIDC_PASSWORD", "rabbit")];
    cli.run_with(&arguments, &wrong, "").await.assert(1, &["invalid_grant", "multi-factor"]);
    let unknown = [&arguments[..], &["--scope", "no:such"]].concat();
    cli.run_with(&unknown, &password, "").await.assert(1, &["invalid_scope", "--scope"]);

    // A client without the device flow, and one that there is not.
    let issuer = keycloak.issuer();
    let at = |client| ["auth", "login", "--issuer", &*issuer, "--client-id", client];
    let elsewhere = cli.run(&at("elsewhere")).await;
    elsewhere.assert(1, &["unauthorized_client", "OAuth 2.0 Device Authorization Grant"]);
    cli.run(&at("nobody")).await.assert(1, &["invalid_client", "Clients > client > Settings"]);

    // Ten at once, with a token that has really expired.
    keycloak.access_tokens_live(1).await;
    cli.run_with(&arguments, &password, "")
        .await
        .assert(0, &["bypasses", "Logged in as alice@example.com"]);
    keycloak.access_tokens_live(600).await;
    eventually("the token expires", PATIENCE, async || {
        (cli.status().await[0]["holds"] == false).then_some(())
    })
    .await;
    let mut asking: Vec<_> = (0..10).map(|_| cli.start(&["auth", "token"])).collect();
    let mut printed = Vec::new();
    for process in &mut asking {
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.stderr());
        printed.push(process.stdout());
    }
    printed.dedup();
    assert_eq!(printed.len(), 1, "every refresh makes another token, and there was one");
    assert_eq!(keycloak.refreshes().await, 2, "the one by hand, and one for all ten");
    assert_eq!(principal(&doorward, &cli).await, alice);
    cli.run(&["auth", "logout"]).await.assert(0, &["revoked and deleted"]);
}

#[tokio::test]
async fn oidc_provider_by_device() {
    let Some(browser) = Browser::start().await else { return };
    let Some(provider) = OidcProvider::start().await else { return };
    let config = json!({"auth": {"oidc": {"issuer": provider.issuer(), "audience": RESOURCE}}});
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    let cli = Cli::new();
    let at = ["auth", "login", "--issuer", provider.issuer(), "--client-id", "nmp"];
    let by_password = [&at[..], &["--username", "alice", "--password", "x"]].concat();
    cli.run(&by_password).await.assert(1, &["unsupported_grant_type", "without --username"]);

    let mut login = cli.start(&[&at[..], &["--scope", "platform:read"]].concat());
    let (page, code) = prompt(&mut login).await;
    browser.open(&page).await;
    browser.fill(&[("[name=user_code]", &code)], "[type=submit]").await;
    // "Is this the code on your device?"
    browser.fill(&[], "[type=submit]").await;
    browser.fill(&[("[name=login]", "alice"), ("[name=password]", "any")], "[type=submit]").await;
    browser.fill(&[], "[type=submit]").await;
    browser.sees("Sign-in Success").await;
    browser.quit().await;
    // It names no interval: a poll comes after five seconds.
    let ended =
        eventually("the login ends", Duration::from_secs(20), async || Some(login.ended().await))
            .await;
    assert_eq!(ended.code(), Some(0), "{}", login.stderr());
    assert!(login.stderr().contains("Logged in as alice"), "{}", login.stderr());
    assert_eq!(principal(&doorward, &cli).await, "alice");
    cli.run(&["auth", "refresh"]).await.assert(0, &["Refreshed"]);
    assert_eq!(principal(&doorward, &cli).await, "alice");
    cli.run(&["auth", "logout"]).await.assert(0, &["Logged out"]);
}
