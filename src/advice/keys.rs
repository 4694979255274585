//! Nothing can verify what the provider signs.

use super::Advice;

/// It signs with a secret that the client shares (HS256), or publishes nothing usable.
pub(crate) const NO_PUBLIC_KEY: Advice = Advice {
    keycloak: "Realm settings > Keys > Add providers > rsa-generated, and Realm settings > Tokens \
        > Default Signature Algorithm: RS256",
    auth0: "Applications > APIs > api > Settings > JSON Web Token Signing Algorithm: RS256, and \
        for ID tokens Applications > app > Advanced Settings > OAuth",
    authentik: "Applications > Providers > provider > Signing Key: choose a certificate; without \
        one, authentik signs with the client's secret (HS256)",
    ..Advice::general(
        "have it sign with an asymmetric key (RS256, ES256) and publish that in its \
        key set: a shared secret cannot prove who signed, so Doorward never accepts HS256",
    )
};

/// This client's tokens are signed with an algorithm that is not accepted.
pub(crate) const CLIENT_ALGORITHM: Advice = Advice {
    keycloak: "Clients > {client} > Advanced > Fine grain OpenID Connect configuration > Access \
        token signature algorithm: RS256 (or Realm settings > Tokens, when that is left open)",
    ..NO_PUBLIC_KEY
};
