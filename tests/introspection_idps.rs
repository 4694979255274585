//! Real identity providers that are asked about tokens: what they revoke is denied as soon as the
//! answer is older than `cache`.

use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::keycloak::Keycloak;
use crate::support::oidc_provider::{OidcProvider, RESOURCE};
use crate::support::{PATIENCE, eventually};

fn config(issuer: &str, more: Value, endpoint: &str, jwts: bool) -> String {
    let mut oidc = json!({"issuer": issuer, "introspection": {
        "endpoint": format!("{issuer}{endpoint}"), "client_id": "nmp-job",
        "client_secret": "nmp-job-secret", "cache": "1s", "jwts": jwts,
    }});
    oidc.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    // A provider that has just started is slow.
    json!({"auth": {"oidc": oidc}, "keys": {"wait": "5s"}}).to_string()
}

/// Asks without `explain` until that comes to `reason`.
async fn eventually_is(doorward: &Doorward, token: &str, reason: &str) {
    let mut checker = doorward.checker().await;
    eventually(reason, PATIENCE, async || {
        (checker.ask(get("/").bearer(token)).await.reason == reason).then_some(())
    })
    .await;
}

#[tokio::test]
async fn keycloak_says_which_tokens_are_active() {
    let Some(mut keycloak) = Keycloak::start().await else { return };
    let endpoint = "/protocol/openid-connect/token/introspect";
    let config = config(&keycloak.issuer(), json!({"client_id": "nmp"}), endpoint, true);
    let doorward = Doorward::start_explained_outside(&config, "introspection").await;
    doorward.ready().await;
    // Keycloak answers whom the token is for.
    let outcome = doorward.ask_with(&keycloak.login_alice().await).await;
    assert_eq!(outcome.reason, "revoked", "{outcome:?}");
    let (revoked, kept) = (keycloak.login_by_api().await, keycloak.login_by_api().await);
    for token in [&revoked, &kept] {
        let outcome = doorward.ask_with(token).await;
        assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
        assert_eq!(outcome.header("x-nmp-principal-groups"), Some("research,team-b"));
    }
    keycloak.revoke(&revoked).await;
    // `explain` asks at once, and is a moment ahead.
    eventually_is(&doorward, &revoked, "revoked").await;
    assert_eq!(doorward.ask_with(&kept).await.reason, "authenticated");
    // Nobody can be asked any more.
    keycloak.stop();
    eventually_is(&doorward, &kept, "status_unavailable").await;
}

#[tokio::test]
async fn oidc_provider_says_what_its_opaque_tokens_are() {
    let Some(mut provider) = OidcProvider::start().await else { return };
    let issuer = provider.issuer().to_owned();
    let more = json!({"audience": RESOURCE, "opaque": true});
    let doorward = Doorward::start_explained_outside(
        &config(&issuer, more, "/token/introspection", false),
        "opaque",
    )
    .await;
    doorward.ready().await;
    let opaque = provider.login_with("nmp-opaque", "alice").await;
    assert!(!opaque.contains('.'), "{opaque}");
    let outcome = doorward.ask_with(&opaque).await;
    assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("alice"));
    assert_eq!(outcome.header("x-nmp-principal-email"), Some("alice@example.com"));
    assert_eq!(outcome.header("x-nmp-principal-groups"), Some("research"));
    assert_eq!(outcome.header("x-nmp-scopes"), Some("platform:read"));
    // It refuses to say anything of its JWTs.
    let jwt = provider.token("nmp-job").await;
    assert_eq!(doorward.ask_with(&jwt).await.reason, "authenticated");
    assert_eq!(doorward.ask(get("/").bearer("made-up")).await.reason, "revoked");
    provider.revoke("nmp-opaque", &opaque).await;
    eventually_is(&doorward, &opaque, "revoked").await;
    let other = provider.login_with("nmp-opaque", "bob").await;
    provider.stop();
    // Without `explain`, which would have to fetch keys.
    let mut checker = doorward.checker().await;
    for (token, reason) in [(other, "status_unavailable"), (jwt, "authenticated")] {
        assert_eq!(checker.ask(get("/").bearer(&token)).await.reason, reason);
    }
}
