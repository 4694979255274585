//! Every fault has something to say to each provider.

use super::{claims, discovery, keys, login, token};
use crate::product::Product;

const ALL: [Product; 9] = [
    Product::EntraId,
    Product::Okta,
    Product::Keycloak,
    Product::Auth0,
    Product::Google,
    Product::Zitadel,
    Product::Authentik,
    Product::Cognito,
    Product::Other,
];

#[test]
fn each_is_one_line_of_plain_text() {
    for provider in ALL {
        for remedy in [
            discovery::not_found(provider),
            discovery::other_issuer(provider, "https://a"),
            login::no_device_flow(provider),
            login::device_grant_refused(provider, "nmp"),
            login::unknown_client(provider, "nmp"),
            login::scopes_refused(provider, "nmp"),
            keys::no_public_key(provider),
            keys::client_algorithm(provider, "nmp"),
            token::opaque(provider),
            token::encrypted(provider),
            token::id_token(provider),
            token::audience(provider, "nmp", "api"),
            token::issuer(provider, "https://b", &["https://a"]),
            claims::email(provider, "nmp"),
            claims::email_unverified(provider),
            claims::groups(provider, "nmp", "groups"),
            claims::scopes(provider, "nmp"),
            claims::subject(provider, "nmp"),
        ] {
            let odd = remedy.contains(['\n', '\t']) || remedy.contains("  ");
            assert!(remedy.len() > 20 && !odd, "{provider:?}: {remedy:?}");
        }
    }
}

#[test]
fn they_differ_where_the_consoles_do() {
    for (provider, word) in [
        (Product::EntraId, "Allow public client flows"),
        (Product::Okta, "Device Authorization"),
        (Product::Keycloak, "OAuth 2.0 Device Authorization Grant"),
        (Product::Auth0, "Device Code"),
        (Product::Google, "TVs and Limited Input devices"),
        (Product::Zitadel, "Device Code"),
        (Product::Authentik, "Device code flow"),
        (Product::Other, "urn:ietf:params:oauth:grant-type:device_code"),
    ] {
        let remedy = login::device_grant_refused(provider, "nmp");
        assert!(remedy.contains(word), "{provider:?}: {remedy}");
    }
}

#[test]
fn azure_is_told_of_consent_and_of_one_resource_at_a_time() {
    let said = login::scopes_not_granted(Product::EntraId);
    for part in ["admin consent", "one API per request", "api://CLIENT_ID/.default"] {
        assert!(said.contains(part), "{said}");
    }
}
