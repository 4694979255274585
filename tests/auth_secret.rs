//! `doorward auth` with a client that has a secret: where it is read, how it is sent, and that nobody
//! sees it.

use std::path::PathBuf;

use doorward_dev::{DevIssuer, DevIssuerOptions};
use serde_json::json;

use crate::support::cli::{Cli, Ended};
use crate::support::doorward::Doorward;
use crate::support::keycloak::Keycloak;
use crate::support::oauth::{OAuth, tokens};

/// The development issuer's confidential client.
const ROBOT: (&str, &str) = ("robot", "robot-secret");
const ALICE: [(&str, &str); 2] =
    [("NMP_OIDC_USERNAME", "alice"), ("NMP_OIDC_PASSWORD", "wonderland")];
const VARIABLE: &str = "DOORWARD_AUTH__OIDC__CLIENT_SECRET";

fn write(cli: &Cli, name: &str, text: &str) -> PathBuf {
    let path = cli.home().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A password login at `issuer` as `client`.
async fn login(
    cli: &Cli,
    (issuer, client): (&str, &str),
    more: &[&str],
    environment: &[(&str, &str)],
) -> Ended {
    let arguments = ["auth", "login", "--issuer", issuer, "--client-id", client];
    let arguments = [&arguments, more].concat();
    cli.run_with(&arguments, &[&ALICE, environment].concat(), "").await
}

/// Nothing that was said or kept has the secret in it.
fn hidden(cli: &Cli, ended: &Ended, is_kept: bool) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!said.contains(ROBOT.1) && !said.contains("wrong-secret"), "{said}");
    let kept = std::fs::read_to_string(cli.logins()).unwrap_or_default();
    assert_eq!(kept.contains(ROBOT.1), is_kept, "{kept}");
}

#[tokio::test]
async fn a_confidential_client_logs_in_and_stays_so() {
    let address = "127.0.0.1:0".parse().unwrap();
    let issuer = DevIssuer::start(address, DevIssuerOptions::default()).await.unwrap();
    let at = (issuer.issuer_url(), ROBOT.0);
    let cli = Cli::new();
    let ended = login(&cli, at, &[], &[]).await;
    ended.assert(1, &["the identity provider refused the password login: invalid_client"]);

    // In a file, which is read each time.
    let file = write(&cli, "secret", "wrong-secret\n");
    let flag = ["--client-secret-file", file.to_str().unwrap()];
    let ended = login(&cli, at, &flag, &[]).await;
    ended.assert(1, &["invalid_client"]);
    hidden(&cli, &ended, false);
    write(&cli, "secret", "robot-secret\n");
    let ended = login(&cli, at, &flag, &[]).await;
    ended.assert(0, &[]);
    hidden(&cli, &ended, false);
    cli.run(&["auth", "refresh"]).await.assert(0, &["Refreshed"]);
    std::fs::remove_file(&file).unwrap();
    let ended = cli.run(&["auth", "refresh"]).await;
    ended.assert(1, &["secret` cannot be read", "--client-secret-file"]);
    write(&cli, "secret", "robot-secret");
    cli.run(&["auth", "logout"]).await.assert(0, &["the tokens are revoked"]);

    // In a variable or a configuration: kept with the tokens, so that a refresh needs neither.
    let config = format!("auth: {{oidc: {{client_id: {}, client_secret: {}}}}}", ROBOT.0, ROBOT.1);
    let config = write(&cli, "doorward.yaml", &config);
    let config = ["--config", config.to_str().unwrap()];
    for (more, environment) in [(&[][..], &[(VARIABLE, ROBOT.1)][..]), (&config, &[])] {
        let ended = login(&cli, at, more, environment).await;
        ended.assert(0, &[]);
        hidden(&cli, &ended, true);
        let ended = cli.run(&["auth", "refresh"]).await;
        ended.assert(0, &["Refreshed"]);
        hidden(&cli, &ended, true);
        let ended = cli.run(&["auth", "status"]).await;
        hidden(&cli, &ended, true);
        // Logging in again needs it as little.
        let again = cli.run_with(&["auth", "login"], &ALICE, "").await;
        again.assert(0, &[]);
        hidden(&cli, &again, true);
        cli.run(&["auth", "logout"]).await.assert(0, &["the tokens are revoked"]);
        hidden(&cli, &ended, false);
    }
    let both = [(VARIABLE, ROBOT.1), ("DOORWARD_AUTH__OIDC__CLIENT_SECRET_FILE", "/no/such")];
    let ended = login(&cli, at, &[], &both).await;
    ended.assert(2, &["client_secret is set as well: keep one"]);
    hidden(&cli, &ended, false);
}

#[tokio::test]
async fn the_secret_goes_where_the_provider_wants_it_and_to_no_other() {
    let provider = OAuth::start().await;
    provider.say("/token", [tokens(json!({"refresh_token": "r"}))]);
    let cli = Cli::new();
    let secret = [(VARIABLE, "p:ß")];
    let header = Some("Basic bm1wOnAlM0ElQzMlOUY=".to_owned());
    for (methods, in_form) in [
        (json!(null), false),
        (json!(["client_secret_basic", "client_secret_post"]), false),
        (json!(["private_key_jwt", "client_secret_post"]), true),
    ] {
        provider.publish(json!({"token_endpoint_auth_methods_supported": methods}));
        login(&cli, (provider.url(), "nmp"), &[], &secret).await.assert(0, &[]);
        let asked = provider.asked("/token").pop().unwrap();
        assert_eq!(asked.form["client_id"], "nmp");
        let sent = (asked.authorization, asked.form.get("client_secret").map(String::as_str));
        let expected = if in_form { (None, Some("p:ß")) } else { (header.clone(), None) };
        assert_eq!(sent, expected, "{methods}");
    }
    // A secret of another client, or for another issuer, is nobody's here.
    for other in ["client_id: other", "issuer: 'https://idp.example'"] {
        let text = format!("auth: {{oidc: {{{other}, client_secret: robot-secret}}}}");
        let config = write(&cli, "other.yaml", &text);
        let config = ["--config", config.to_str().unwrap()];
        login(&cli, (provider.url(), "nmp"), &config, &[]).await.assert(0, &[]);
        let asked = provider.asked("/token").pop().unwrap();
        assert_eq!((asked.authorization, asked.form.get("client_secret")), (None, None), "{other}");
    }
}

#[tokio::test]
async fn a_confidential_client_of_keycloak_logs_in() {
    let Some(keycloak) = Keycloak::start().await else { return };
    let oidc = json!({
        "issuer": keycloak.issuer(), "client_id": "nmp-job", "default_scopes": "platform:read",
    });
    let doorward = Doorward::start(&json!({"auth": {"oidc": oidc}}).to_string()).await;
    let (cli, base_url) = (Cli::new(), doorward.http(""));
    let login = ["auth", "login", &*base_url];
    let refused = "the identity provider refused the password login: unauthorized_client";
    cli.run_with(&login, &ALICE, "").await.assert(1, &[refused]);
    let secret = [&ALICE[..], &[(VARIABLE, "nmp-job-secret")]].concat();
    cli.run_with(&login, &secret, "").await.assert(0, &[]);
    cli.run(&["auth", "refresh"]).await.assert(0, &["Refreshed"]);
    let token = cli.run(&["auth", "token"]).await;
    token.assert(0, &[]);
    assert_eq!(token.stdout.trim_end().split('.').count(), 3, "{token:?}");
    cli.run(&["auth", "logout"]).await.assert(0, &["the tokens are revoked"]);
}
