//! The discovery document is not there, or is somebody else's.

use crate::product::Product;

/// No document at the URL (404 and the like).
pub(crate) fn not_found(provider: Product) -> String {
    match provider {
        Product::EntraId => {
            "the issuer is https://login.microsoftonline.com/<tenant-id>/v2.0: check the tenant id \
             under Entra ID > Overview, and the /v2.0 at the end"
        }
        Product::Okta => {
            "name the authorization server: https://<org>.okta.com/oauth2/default, or the Issuer \
             URI under Security > API > Authorization Servers"
        }
        Product::Keycloak => {
            "the issuer is https://<host>/realms/<realm> (before Keycloak 17, or with \
             http-relative-path=/auth: https://<host>/auth/realms/<realm>); the realm's name is \
             case-sensitive"
        }
        Product::Auth0 => {
            "the issuer is https://<tenant>.<region>.auth0.com/ or your custom domain, with the \
             trailing slash: Settings of the tenant or Applications > app > Settings > Domain"
        }
        Product::Google => "the issuer is https://accounts.google.com, without a path",
        Product::Zitadel => {
            "the issuer is the instance's domain without a path: \
             https://<instance>.zitadel.cloud"
        }
        Product::Authentik => {
            "the issuer is https://<host>/application/o/<slug>/ with the trailing slash: \
             Applications > Providers > provider > OpenID Configuration Issuer"
        }
        Product::Cognito => {
            "the issuer is https://cognito-idp.<region>.amazonaws.com/<user-pool-id>, not the \
             domain of the hosted login"
        }
        Product::Other => {
            "take the issuer from the provider's documentation: the document should be at \
             <issuer>/.well-known/openid-configuration; if it is elsewhere, set discovery_url"
        }
    }
    .to_owned()
}

/// The document names another issuer.
pub(crate) fn other_issuer(provider: Product, published: &str) -> String {
    let configure = format!("tokens will say iss {published:?}: configure that");
    match provider {
        Product::EntraId => format!(
            "{configure}, or for many tenants \
             https://login.microsoftonline.com/{{tenantid}}/v2.0 with allowed_tenants; v1 tokens \
             have https://sts.windows.net/<tenant-id>/ (auth.preset.entra spells out both)"
        ),
        Product::Okta => format!(
            "{configure}, or set the Issuer mode under Security > API > Authorization Servers > \
             server > Settings (organization URL, custom URL or dynamic)"
        ),
        Product::Keycloak => format!(
            "{configure}, or give Keycloak its public name: the `hostname` option (KC_HOSTNAME), \
             or Realm settings > General > Frontend URL"
        ),
        Product::Auth0 => format!(
            "{configure}; with a custom domain, tokens name the domain they were asked for at"
        ),
        Product::Authentik => format!(
            "{configure}, or change Applications > Providers > provider > Advanced protocol \
             settings > Issuer mode"
        ),
        Product::Zitadel => {
            format!("{configure}, or set ZITADEL's ExternalDomain and ExternalPort")
        }
        Product::Google | Product::Cognito | Product::Other => {
            format!("{configure}, or set the provider's public URL to the one in use here")
        }
    }
}
