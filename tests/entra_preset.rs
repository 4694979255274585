//! `auth.preset.entra`: one key of a configuration for both issuers of Entra ID.

use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::entra::{
    CLIENT, CONTOSO, Entra, FABRIKAM, OBJECT, STRANGE, V2, ask, jwk, of_tenant, v1, v2,
};
use crate::support::idp::Answer;
use crate::support::signer::Signer;

/// The preset names Microsoft's hosts. Here v2's discovery document is put on the fake,
/// and whatever is left for the internet goes to a proxy that refuses it.
#[tokio::test]
async fn the_preset_stands_for_both_issuers() {
    let entra = Entra::start().await;
    let shared = Signer::rsa("shared");
    let config = |tenants: Value| {
        let mut entra_preset = json!({"client_id": CLIENT});
        entra_preset.as_object_mut().unwrap().extend(tenants.as_object().unwrap().clone());
        json!({"auth": {
            "preset": {"entra": entra_preset},
            "oidc": {
                "discovery_url": entra.discovery_url("/organizations/v2.0"),
                "proxy": entra.idp.issuer(),
            },
        }})
        .to_string()
    };
    let many = config(json!({"tenants": [CONTOSO, FABRIKAM]}));
    let doorward = entra.doorward(&many, &[V2]).await;
    let outcome =
        ask(&doorward, entra.shared, &v2(CONTOSO, json!({"scp": null, "roles": ["r"]}))).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some(OBJECT), "{outcome:?}");
    assert_eq!(outcome.header("x-nmp-scopes"), Some("r"));
    let outcome = ask(&doorward, entra.shared, &v2(STRANGE, json!({}))).await;
    assert_eq!(outcome.reason, "unknown_issuer");
    // v1 is trusted too. It borrows v2's keys until its own are there, and those say that
    // they sign for v2 alone.
    let outcome = ask(&doorward, entra.shared, &v1(CONTOSO, json!({}))).await;
    assert_eq!(outcome.reason, "unknown_key", "{outcome:?}");
    let keys = json!({"keys": [jwk(entra.shared, Some(V2)), jwk(&shared, None)]});
    let keys_path = "/organizations/v2.0/discovery/keys";
    entra.idp.answer(keys_path, Answer::Json(200, keys));

    // One tenant: its own discovery document, which names it.
    let issuer = of_tenant(V2, CONTOSO);
    entra.idp.answer(
        "/organizations/v2.0/.well-known/openid-configuration",
        Answer::Json(200, json!({"issuer": issuer, "jwks_uri": entra.idp.url(keys_path)})),
    );
    let doorward = entra.doorward(&config(json!({"tenant": CONTOSO})), &[&issuer]).await;
    let outcome = ask(&doorward, entra.shared, &v2(CONTOSO, json!({}))).await;
    assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    let outcome = ask(&doorward, entra.shared, &v2(FABRIKAM, json!({}))).await;
    assert_eq!(outcome.reason, "unknown_issuer");
    // A borrowed key that names no issuer serves v1, in either form of the audience.
    for aud in [CLIENT.to_owned(), format!("api://{CLIENT}")] {
        let token = shared
            .token_with(json!({"alg": "RS256", "typ": "JWT"}), &v1(CONTOSO, json!({"aud": aud})));
        let outcome = doorward.ask(get("/").bearer(&token)).await;
        assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    }
}
