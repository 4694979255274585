//! Nothing can verify what the provider signs.

use crate::product::Product;

/// It signs with a secret that the client shares (HS256), or publishes nothing usable.
pub(crate) fn no_public_key(provider: Product) -> String {
    match provider {
        Product::Keycloak => {
            "Realm settings > Keys > Add providers > rsa-generated, and Realm settings > Tokens > \
             Default Signature Algorithm: RS256"
        }
        Product::Authentik => {
            "Applications > Providers > provider > Signing Key: choose a certificate; without one, \
             authentik signs with the client's secret (HS256)"
        }
        Product::Auth0 => {
            "Applications > APIs > api > Settings > JSON Web Token Signing Algorithm: RS256, and \
             for ID tokens Applications > app > Advanced Settings > OAuth"
        }
        Product::EntraId
        | Product::Okta
        | Product::Google
        | Product::Zitadel
        | Product::Cognito
        | Product::Other => {
            "have it sign with an asymmetric key (RS256, ES256) and publish that in its key set: a \
             shared secret cannot prove who signed, so Doorward never accepts HS256"
        }
    }
    .to_owned()
}

/// This client's tokens are signed with an algorithm that is not accepted.
pub(crate) fn client_algorithm(provider: Product, client: &str) -> String {
    match provider {
        Product::Keycloak => format!(
            "Clients > {client} > Advanced > Fine grain OpenID Connect configuration > Access token \
             signature algorithm: RS256 (or Realm settings > Tokens, when that is left open)"
        ),
        Product::EntraId
        | Product::Okta
        | Product::Auth0
        | Product::Google
        | Product::Zitadel
        | Product::Authentik
        | Product::Cognito
        | Product::Other => no_public_key(provider),
    }
}
