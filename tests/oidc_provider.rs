//! oidc-provider, alone and beside Keycloak on one Doorward.

use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::keycloak::Keycloak;
use crate::support::oidc_provider::{OidcProvider, RESOURCE};
use crate::support::signer::{STRANGER, claims};
use crate::support::{PATIENCE, eventually};

async fn passes(doorward: &Doorward, token: &str, issuer: &str) {
    let outcome = doorward.ask(get("/v1/models").bearer(token)).await;
    assert_eq!(outcome.reason, "authenticated", "{issuer}: {outcome:?}");
    assert_eq!(outcome.metadata["issuer"], issuer);
}

async fn fails(doorward: &Doorward, token: &str, reason: &str) {
    let outcome = doorward.ask(get("/v1/models").bearer(token)).await;
    assert_eq!(outcome.reason, reason, "{outcome:?}");
}

async fn keys_of(doorward: &Doorward, issuer: &str) {
    let keys = format!("doorward_key_set_keys{{issuer=\"{issuer}\"}}");
    eventually("the issuer's keys are there", PATIENCE, async || {
        (doorward.metric(&keys).await? >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rs256_and_es256_machine_tokens_pass() {
    let Some(mut provider) = OidcProvider::start().await else { return };
    let issuer = provider.issuer().to_owned();
    let config = json!({"auth": {"oidc": {"issuer": issuer, "audience": RESOURCE}}});
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    for client in ["nmp-job", "nmp-job-es256"] {
        let token = provider.token(client).await;
        let outcome = doorward.ask(get("/").bearer(&token)).await;
        assert_eq!(outcome.reason, "authenticated", "{client}: {outcome:?}");
        assert_eq!(outcome.header("x-nmp-principal-id"), Some(client));
        assert_eq!(outcome.header("x-nmp-scopes"), Some("platform:read"));
        assert_eq!(outcome.header("x-nmp-principal-groups"), None);
    }
    // The header's `typ` and `alg` are checked, whoever signed.
    let token = provider.token("nmp-job-es256").await;
    let strict = json!({"auth": {"oidc": {
        "issuer": issuer, "audience": RESOURCE, "algorithms": ["RS256"],
    }}});
    doorward.reload(&strict.to_string()).await;
    fails(&doorward, &token, "unsupported_token").await;
    let token = provider.token("nmp-job").await;
    passes(&doorward, &token, &issuer).await;
    provider.stop();
    passes(&doorward, &token, &issuer).await;
}

#[tokio::test]
async fn two_real_issuers_at_once() {
    let (keycloak, provider) = tokio::join!(Keycloak::start(), OidcProvider::start());
    let (Some(mut keycloak), Some(mut provider)) = (keycloak, provider) else { return };
    let (primary, second) = (keycloak.issuer(), provider.issuer().to_owned());
    let config = |further: Value| {
        json!({
            "auth": {
                "oidc": {"issuer": primary, "client_id": "nmp", "subject_prefix": "keycloak:"},
                "issuers": [further],
            },
            "keys": {"refresh_min": "300ms", "refresh_default": "300ms"},
        })
        .to_string()
    };
    let doorward = Doorward::start(&config(json!({"issuer": second, "audience": RESOURCE}))).await;
    keys_of(&doorward, &primary).await;
    keys_of(&doorward, &second).await;

    let alice = keycloak.login_alice().await;
    let job = keycloak.client_credentials().await;
    let (rsa, ec) = (provider.token("nmp-job").await, provider.token("nmp-job-es256").await);
    passes(&doorward, &alice, &primary).await;
    passes(&doorward, &job, &primary).await;
    passes(&doorward, &rsa, &second).await;
    passes(&doorward, &ec, &second).await;
    // Both know a machine `nmp-job`; prefixes keep one from being the other.
    let outcome = doorward.ask(get("/").bearer(&alice)).await;
    assert!(outcome.header("x-nmp-principal-id").unwrap().starts_with("keycloak:"));
    let outcome = doorward.ask(get("/").bearer(&rsa)).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("nmp-job"));

    // Each issuer has its own audience, and keys of its own: with the keys of the one
    // under the name of the other, good tokens are bad.
    for forged in [&primary, &second] {
        let forged = STRANGER.token("RS256", &claims(forged, json!({"aud": ["nmp", RESOURCE]})));
        fails(&doorward, &forged, "unknown_key").await;
    }
    let crossed = json!({
        "issuer": second, "audience": RESOURCE,
        "jwks_uri": format!("{primary}/protocol/openid-connect/certs"),
    });
    let other = Doorward::start_explained(&config(crossed)).await;
    keys_of(&other, &primary).await;
    keys_of(&other, &second).await;
    passes(&other, &alice, &primary).await;
    fails(&other, &rsa, "unknown_key").await;
    fails(&other, &ec, "unknown_key").await;
    let swapped = json!({"issuer": second, "audience": "nmp"});
    let other = Doorward::start_explained(&config(swapped)).await;
    keys_of(&other, &second).await;
    fails(&other, &rsa, "bad_audience").await;

    // One is down: the other's users do not notice, nor do its own.
    provider.stop();
    let errors = |issuer: &str| {
        format!("doorward_key_set_fetches_total{{issuer=\"{issuer}\",outcome=\"error\"}}")
    };
    eventually("the outage is noticed", PATIENCE, async || {
        (doorward.metric(&errors(&second)).await? >= 1.0).then_some(())
    })
    .await;
    let fresh = keycloak.login_alice().await;
    for token in [&alice, &fresh] {
        passes(&doorward, token, &primary).await;
    }
    for token in [&rsa, &ec] {
        passes(&doorward, token, &second).await;
    }
    assert_eq!(doorward.metric(&errors(&primary)).await, Some(0.0));

    // A Doorward that starts now knows the one that is up, and says of the other that it
    // cannot tell.
    let late = Doorward::start(&config(json!({"issuer": second, "audience": RESOURCE}))).await;
    keys_of(&late, &primary).await;
    passes(&late, &alice, &primary).await;
    fails(&late, &rsa, "keys_unavailable").await;
    keycloak.stop();
    passes(&late, &alice, &primary).await;
}
