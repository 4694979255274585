//! Nothing can verify what the provider signs.

use super::super::provider::Provider;

/// It signs with a secret that the client shares (HS256), or publishes nothing usable.
pub(in crate::doctor) fn no_public_key(provider: Provider) -> String {
    match provider {
        Provider::Keycloak => {
            "Realm settings > Keys > Add providers > rsa-generated, and Realm settings > Tokens > \
             Default Signature Algorithm: RS256"
        }
        Provider::Authentik => {
            "Applications > Providers > provider > Signing Key: choose a certificate; without one, \
             authentik signs with the client's secret (HS256)"
        }
        Provider::Auth0 => {
            "Applications > APIs > api > Settings > JSON Web Token Signing Algorithm: RS256, and \
             for ID tokens Applications > app > Advanced Settings > OAuth"
        }
        Provider::EntraId
        | Provider::Okta
        | Provider::Google
        | Provider::Zitadel
        | Provider::Cognito
        | Provider::Other => {
            "have it sign with an asymmetric key (RS256, ES256) and publish that in its key set: a \
             shared secret cannot prove who signed, so Doorward never accepts HS256"
        }
    }
    .to_owned()
}

/// This client's tokens are signed with an algorithm that is not accepted.
pub(in crate::doctor) fn client_algorithm(provider: Provider, client: &str) -> String {
    match provider {
        Provider::Keycloak => format!(
            "Clients > {client} > Advanced > Fine grain OpenID Connect configuration > Access token \
             signature algorithm: RS256 (or Realm settings > Tokens, when that is left open)"
        ),
        Provider::EntraId
        | Provider::Okta
        | Provider::Auth0
        | Provider::Google
        | Provider::Zitadel
        | Provider::Authentik
        | Provider::Cognito
        | Provider::Other => no_public_key(provider),
    }
}
