//! The token is not one for us: of another kind, for another audience, of another issuer.

use crate::product::Product;

/// An opaque token: nothing in it to verify.
pub(crate) fn opaque(provider: Product) -> String {
    match provider {
        Product::Auth0 => {
            "ask for a token with the `audience` parameter (Applications > APIs > api > \
             Identifier), or set Settings > General > Default Audience: without, Auth0's tokens are \
             only for its own userinfo"
        }
        Product::Zitadel => {
            "Projects > project > Applications > app > Token Settings > Auth Token Type: JWT"
        }
        Product::Google => {
            "Google's access tokens (ya29.) are for Google's own APIs; what can be verified is its \
             ID token"
        }
        Product::Okta => {
            "take the access token of a custom authorization server (/oauth2/default), not a \
             session or refresh token"
        }
        Product::EntraId => {
            "ask for a scope of your own API (api://<client-id>/<scope>): personal accounts get \
             opaque tokens for Microsoft's own"
        }
        Product::Keycloak | Product::Authentik | Product::Cognito | Product::Other => {
            "send the access_token of the token endpoint's answer; where that is opaque, have the \
             provider issue JWTs for this API (RFC 9068)"
        }
    }
    .to_owned()
}

/// An encrypted token (JWE).
pub(crate) fn encrypted(provider: Product) -> String {
    match provider {
        // What it issues where no API was asked for.
        Product::Auth0 => opaque(provider),
        Product::EntraId
        | Product::Okta
        | Product::Keycloak
        | Product::Google
        | Product::Zitadel
        | Product::Authentik
        | Product::Cognito
        | Product::Other => {
            "have the provider sign access tokens for this API and not encrypt them: only the \
             holder of the key can read this one"
                .to_owned()
        }
    }
}

/// An ID token.
pub(crate) fn id_token(provider: Product) -> String {
    match provider {
        Product::Google => {
            "Google has no other token that can be verified: it may be acceptable where the same \
             team runs client and gateway; its audience is the client id"
        }
        Product::EntraId => {
            "send access_token, not id_token, and ask for a scope of your own API: \
             api://<client-id>/<scope>"
        }
        Product::Auth0 => {
            "send access_token, not id_token; ask for it with the `audience` \
             parameter"
        }
        Product::Okta
        | Product::Keycloak
        | Product::Zitadel
        | Product::Authentik
        | Product::Cognito
        | Product::Other => {
            "send access_token, not id_token: an ID token tells a client who logged in, and is \
             not meant for APIs"
        }
    }
    .to_owned()
}

/// `aud` holds none of ours.
pub(crate) fn audience(provider: Product, client: &str, expected: &str) -> String {
    match provider {
        Product::EntraId => format!(
            "App registrations > {client} > Expose an API: set the Application ID URI and a scope, \
             and have clients ask for api://{client}/<scope>; v2 tokens carry the client id, v1 \
             tokens the URI: list both in audience"
        ),
        Product::Okta => "Security > API > Authorization Servers > server > Settings > Audience; \
             the org server's own tokens (without /oauth2/…) are for Okta alone"
            .to_owned(),
        Product::Keycloak => format!(
            "Clients > {client} > Client scopes > its -dedicated scope > Add mapper > \
             By configuration > Audience: Included Client Audience {expected}, Add to access token \
             on"
        ),
        Product::Auth0 => format!(
            "have clients ask with audience={expected} (Applications > APIs > api > Identifier), or \
             set Settings > General > Default Audience"
        ),
        Product::Google => format!(
            "aud is the OAuth client that asked: use that client, or configure it ({expected} is \
             configured)"
        ),
        Product::Zitadel => "ask for the scope urn:zitadel:iam:org:project:id:<project-id>:aud, \
             and configure the project id as audience"
            .to_owned(),
        Product::Authentik => "aud is the client id of Applications > Providers > provider: use \
             that client, or configure its id as audience"
            .to_owned(),
        Product::Cognito => format!(
            "Cognito's access tokens have no aud, unless clients ask with `resource` (managed login): \
             set verify_audience: false together with allowed_clients: [{client}], which is checked \
             against client_id"
        ),
        Product::Other => format!(
            "have the provider put {expected} into aud for this client (often a `resource` or \
             `audience` parameter), or configure what it puts there as audience"
        ),
    }
}

/// A client that is not welcome.
pub(crate) const CLIENT: &str =
    "log in with one of those clients, or add this one to allowed_clients";

/// `iss` is not configured, in one of the ways that are known by their look.
pub(crate) fn issuer(provider: Product, found: &str, configured: &[&str]) -> String {
    let slash = configured
        .iter()
        .find(|configured| configured.trim_end_matches('/') == found.trim_end_matches('/'));
    if let Some(configured) = slash {
        return format!(
            "{configured:?} is configured: they differ in the trailing slash, and iss is compared \
             byte for byte; configure {found:?}"
        );
    }
    match provider {
        Product::EntraId if found.contains("sts.windows.net") => format!(
            "a v1 token: add {found:?} to additional_issuers (auth.preset.entra does), or App \
             registrations > the API > Manifest: requestedAccessTokenVersion 2"
        ),
        Product::EntraId => format!(
            "add {found:?} to additional_issuers, or use \
             https://login.microsoftonline.com/{{tenantid}}/v2.0 with allowed_tenants"
        ),
        Product::Keycloak => format!(
            "Keycloak names itself as it was addressed: ask it for tokens at its public name and \
             set `hostname` (KC_HOSTNAME); or configure {found:?}"
        ),
        Product::Okta => format!(
            "configure {found:?} if that authorization server is meant, or ask the configured one \
             for the token"
        ),
        Product::Auth0
        | Product::Google
        | Product::Zitadel
        | Product::Authentik
        | Product::Cognito
        | Product::Other => format!(
            "configure {found:?} as an issuer if it is to be trusted, or log in at a configured one"
        ),
    }
}
