//! The discovery document is not there, or is somebody else's.

use super::Advice;
use crate::product::Product;

/// No document at the URL (404 and the like).
pub(crate) const NOT_FOUND: Advice = Advice {
    entra_id: "the issuer is https://login.microsoftonline.com/<tenant-id>/v2.0: check the tenant \
        id under Entra ID > Overview, and the /v2.0 at the end",
    okta: "name the authorization server: https://<org>.okta.com/oauth2/default, or the Issuer URI \
        under Security > API > Authorization Servers",
    keycloak: "the issuer is https://<host>/realms/<realm> (before Keycloak 17, or with \
        http-relative-path=/auth: https://<host>/auth/realms/<realm>); the realm's name is \
        case-sensitive",
    auth0: "the issuer is https://<tenant>.<region>.auth0.com/ or your custom domain, with the \
        trailing slash: Settings of the tenant or Applications > app > Settings > Domain",
    google: "the issuer is https://accounts.google.com, without a path",
    zitadel: "the issuer is the instance's domain without a path: https://<instance>.zitadel.cloud",
    authentik: "the issuer is https://<host>/application/o/<slug>/ with the trailing slash: \
        Applications > Providers > provider > OpenID Configuration Issuer",
    cognito: "the issuer is https://cognito-idp.<region>.amazonaws.com/<user-pool-id>, not the \
        domain of the hosted login",
    other: "take the issuer from the provider's documentation: the document should be at \
        <issuer>/.well-known/openid-configuration; if it is elsewhere, set discovery_url",
};

/// The document names another issuer.
pub(crate) fn other_issuer(provider: Product, published: &str) -> String {
    const OR: Advice = Advice {
        entra_id: ", or for many tenants https://login.microsoftonline.com/{tenantid}/v2.0 with \
            allowed_tenants; v1 tokens have https://sts.windows.net/<tenant-id>/ \
            (auth.preset.entra spells out both)",
        okta: ", or set the Issuer mode under Security > API > Authorization Servers > server > \
            Settings (organization URL, custom URL or dynamic)",
        keycloak: ", or give Keycloak its public name: the `hostname` option (KC_HOSTNAME), or \
            Realm settings > General > Frontend URL",
        auth0: "; with a custom domain, tokens name the domain they were asked for at",
        zitadel: ", or set ZITADEL's ExternalDomain and ExternalPort",
        authentik: ", or change Applications > Providers > provider > Advanced protocol settings > \
            Issuer mode",
        ..Advice::general(", or set the provider's public URL to the one in use here")
    };
    format!("tokens will say iss {published:?}: configure that{}", OR.of(provider))
}
