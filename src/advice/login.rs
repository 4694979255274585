//! People cannot log in from a command line.

use crate::product::Product;

/// The provider has no device flow to offer.
pub(crate) fn no_device_flow(provider: Product) -> String {
    match provider {
        Product::Keycloak => {
            "Keycloak has it since version 13 (`--features` may have turned device-flow off)"
        }
        Product::Zitadel => "ZITADEL has it since version 2.37: update",
        Product::Authentik => {
            "authentik has it since 2022.10: update, then System > Brands > brand > Default flows > \
             Device code flow"
        }
        Product::Cognito => {
            "Cognito has no device flow: people need another way to a token (authorization code \
             with PKCE), or another issuer in front of the user pool"
        }
        Product::Okta => {
            "name a custom authorization server (https://<org>.okta.com/oauth2/default); in its \
             access policy's rule, allow the grant Device Authorization"
        }
        Product::EntraId | Product::Auth0 | Product::Google | Product::Other => {
            "turn the device authorization grant (RFC 8628) on, or set \
             device_authorization_endpoint if it is there and not listed; `auth login --username` \
             needs the password grant instead"
        }
    }
    .to_owned()
}

/// The provider offers it, but not to this client.
pub(crate) fn device_grant_refused(provider: Product, client: &str) -> String {
    match provider {
        Product::EntraId => format!(
            "App registrations > {client} > Authentication > Allow public client flows: Yes"
        ),
        Product::Okta => format!(
            "Applications > {client} > General > Grant type: Device Authorization (the app has to \
             be a Native one), and the same in Security > API > Authorization Servers > server > \
             Access Policies > rule"
        ),
        Product::Keycloak => format!(
            "Clients > {client} > Settings > Capability config: OAuth 2.0 Device Authorization \
             Grant on"
        ),
        Product::Auth0 => format!(
            "Applications > {client} > Settings > Advanced Settings > Grant Types: Device Code \
             (the application has to be a Native one)"
        ),
        Product::Google => format!(
            "make {client} an OAuth client of the type \"TVs and Limited Input devices\": Google \
             Auth Platform > Clients"
        ),
        Product::Zitadel => format!(
            "Projects > project > Applications > {client} > OIDC Configuration > Grant Types: \
             Device Code"
        ),
        Product::Authentik => format!(
            "System > Brands > brand > Default flows > Device code flow: choose one of the \
             designation Stage Configuration (none comes with authentik); and the provider of \
             {client} has to be bound to an application"
        ),
        Product::Cognito | Product::Other => format!(
            "allow {client} the grant urn:ietf:params:oauth:grant-type:device_code at the provider"
        ),
    }
}

/// The provider does not know the client, or wants its secret.
pub(crate) fn unknown_client(provider: Product, client: &str) -> String {
    let is_public = match provider {
        Product::EntraId => {
            "copy Application (client) ID from App registrations > app > Overview; it has to be of \
             this tenant, with Authentication > Allow public client flows: Yes"
        }
        Product::Okta => {
            "copy Client ID from Applications > app > General; Client authentication: None"
        }
        Product::Keycloak => {
            "copy Client ID from Clients > client > Settings; Capability config > Client \
             authentication: off"
        }
        Product::Auth0 => {
            "copy Client ID from Applications > app > Settings; Credentials > Authentication \
             Method: None"
        }
        Product::Zitadel => {
            "copy Client ID from Projects > project > Applications > app; Authentication Method: \
             None"
        }
        Product::Authentik => {
            "copy Client ID from Applications > Providers > provider; Client type: Public"
        }
        Product::Google => "copy Client ID from Google Auth Platform > Clients",
        Product::Cognito => {
            "copy Client ID from User pools > pool > App clients; choose one without a client secret"
        }
        Product::Other => "check that it is registered there, as a public client without a secret",
    };
    format!("client_id {client:?}: {is_public}")
}

/// The provider refuses the scopes that login asks for.
pub(crate) fn scopes_refused(provider: Product, client: &str) -> String {
    match provider {
        Product::EntraId => format!(
            "App registrations > {client} > Expose an API: Add a scope, and API permissions: add \
             it; or change auth.oidc.default_scopes"
        ),
        Product::Okta => "Security > API > Authorization Servers > server > Scopes: Add Scope, \
             and allow it in the access policy's rule; or change auth.oidc.default_scopes"
            .to_owned(),
        Product::Keycloak => format!(
            "Clients > {client} > Client scopes > Add client scope (Optional), having made it \
             under Client scopes; or change auth.oidc.default_scopes"
        ),
        Product::Auth0 => "Applications > APIs > api > Permissions: add it; or change \
             auth.oidc.default_scopes"
            .to_owned(),
        Product::Google
        | Product::Zitadel
        | Product::Authentik
        | Product::Cognito
        | Product::Other => {
            format!("let {client} ask for them at the provider, or change auth.oidc.default_scopes")
        }
    }
}

/// The client may not log in with user name and password.
pub(crate) fn password_grant_refused(provider: Product, client: &str) -> String {
    match provider {
        Product::EntraId => format!(
            "App registrations > {client} > Authentication > Allow public client flows: Yes"
        ),
        Product::Okta => {
            format!("Applications > {client} > General > Grant type: Resource Owner Password")
        }
        Product::Auth0 => format!(
            "Applications > {client} > Settings > Advanced Settings > Grant Types: Password"
        ),
        Product::Keycloak => {
            format!("Clients > {client} > Settings > Capability config: Direct access grants on")
        }
        Product::Google => "Google has none".to_owned(),
        Product::Zitadel | Product::Authentik | Product::Cognito | Product::Other => {
            format!("allow {client} the grant password at the provider")
        }
    }
}

/// What helps against scopes that were asked for in vain.
pub(crate) const fn scopes_not_granted(product: Product) -> &'static str {
    match product {
        Product::EntraId => {
            "Azure grants only what was consented to, for one API per request: check Expose an \
             API and API permissions (Grant admin consent) of the application, or request all at \
             once with --scope api://CLIENT_ID/.default"
        }
        Product::Okta => {
            "add them to the authorization server, and to an access policy of this client"
        }
        Product::Auth0 => "add them to the API, and pass it with --audience",
        Product::Keycloak => "add them to this client as client scopes, default or optional",
        Product::Google
        | Product::Zitadel
        | Product::Authentik
        | Product::Cognito
        | Product::Other => {
            "ask the provider's administrator to allow them for this client and user"
        }
    }
}

/// What helps when `offline_access` was asked for and no refresh token came.
pub(crate) const fn no_refresh_token(product: Product) -> &'static str {
    match product {
        Product::Okta => {
            "allow Refresh Token among the grant types, and offline_access in the access policy"
        }
        Product::Auth0 => {
            "switch on Allow Offline Access for the API, and Refresh Token among the grant types"
        }
        Product::Keycloak => "the user needs the role offline_access, and the client the scope",
        Product::EntraId
        | Product::Google
        | Product::Zitadel
        | Product::Authentik
        | Product::Cognito
        | Product::Other => "have offline_access allowed for this client at the provider",
    }
}

/// What to do about one of Azure's own numbers (`AADSTS…`), when `description` holds one.
pub(crate) fn azure_error(description: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 10] = [
        (
            "AADSTS65001",
            "consent is missing: have an administrator grant it (Enterprise applications, your \
             application, Permissions, Grant admin consent)",
        ),
        (
            "AADSTS7000218",
            "the application is not a public client: App registrations, your application, \
             Authentication, Allow public client flows: Yes",
        ),
        (
            "AADSTS70011",
            "ask for the scopes of one resource: --scope api://CLIENT_ID/.default (one request \
             cannot have two resources)",
        ),
        (
            "AADSTS28000",
            "ask for the scopes of one resource: --scope api://CLIENT_ID/.default (one request \
             cannot have two resources)",
        ),
        (
            "AADSTS500011",
            "the resource in the scope is not known in this tenant: check scope_prefix, and that \
             the API is registered there",
        ),
        ("AADSTS700016", "the client is not known in this tenant: check client id and issuer"),
        ("AADSTS50076", "the account needs multi-factor authentication: log in without --username"),
        ("AADSTS50079", "the account needs multi-factor authentication: log in without --username"),
        (
            "AADSTS53003",
            "a conditional access policy blocks this login: log in without --username, from a \
             device that it accepts",
        ),
        ("AADSTS50126", "check user name and password"),
    ];
    KNOWN.iter().find(|(number, _)| description.contains(number)).map(|(_, remedy)| *remedy)
}
