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
            discovery::NOT_FOUND.of(provider).to_owned(),
            discovery::other_issuer(provider, "https://a"),
            login::NO_DEVICE_FLOW.of(provider).to_owned(),
            login::DEVICE_GRANT_REFUSED.for_client(provider, "nmp"),
            login::unknown_client(provider, "nmp"),
            login::SCOPES_REFUSED.for_client(provider, "nmp"),
            keys::NO_PUBLIC_KEY.of(provider).to_owned(),
            keys::CLIENT_ALGORITHM.for_client(provider, "nmp"),
            token::OPAQUE.of(provider).to_owned(),
            token::ENCRYPTED.of(provider).to_owned(),
            token::ID_TOKEN.of(provider).to_owned(),
            super::token_advice(provider, "nmp", "api", "groups").audience,
            token::issuer(provider, "https://b", &["https://a"]),
            claims::EMAIL.for_client(provider, "nmp"),
            claims::EMAIL_UNVERIFIED.of(provider).to_owned(),
            super::token_advice(provider, "nmp", "api", "groups").groups,
            claims::SCOPES.for_client(provider, "nmp"),
            claims::SUBJECT.for_client(provider, "nmp"),
        ] {
            let odd = remedy.contains(['\n', '\t']) || remedy.contains("  ");
            assert!(!remedy.replace("{tenantid}", "").contains(['{', '}']), "{remedy}");
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
        let remedy = login::DEVICE_GRANT_REFUSED.for_client(provider, "nmp");
        assert!(remedy.contains(word), "{provider:?}: {remedy}");
    }
}

#[test]
fn azure_is_told_of_consent_and_of_one_resource_at_a_time() {
    let said = login::SCOPES_NOT_GRANTED.of(Product::EntraId);
    for part in ["admin consent", "one API per request", "api://CLIENT_ID/.default"] {
        assert!(said.contains(part), "{said}");
    }
}
