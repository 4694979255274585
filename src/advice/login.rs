//! People cannot log in from a command line.

use super::Advice;
use crate::product::Product;

/// The provider has no device flow to offer.
pub(crate) const NO_DEVICE_FLOW: Advice = Advice {
    okta: "name a custom authorization server (https://<org>.okta.com/oauth2/default); in its \
        access policy's rule, allow the grant Device Authorization",
    keycloak: "Keycloak has it since version 13 (`--features` may have turned device-flow off)",
    zitadel: "ZITADEL has it since version 2.37: update",
    authentik: "authentik has it since 2022.10: update, then System > Brands > brand > Default \
        flows > Device code flow",
    cognito: "Cognito has no device flow: people need another way to a token (authorization code \
        with PKCE), or another issuer in front of the user pool",
    ..Advice::general(
        "turn the device authorization grant (RFC 8628) on, or set \
        device_authorization_endpoint if it is there and not listed; `auth login --username` needs \
        the password grant instead",
    )
};

/// The provider offers it, but not to this client.
pub(crate) const DEVICE_GRANT_REFUSED: Advice = Advice {
    entra_id: "App registrations > {client} > Authentication > Allow public client flows: Yes",
    okta: "Applications > {client} > General > Grant type: Device Authorization (the app has to be \
        a Native one), and the same in Security > API > Authorization Servers > server > Access \
        Policies > rule",
    keycloak: "Clients > {client} > Settings > Capability config: OAuth 2.0 Device Authorization \
        Grant on",
    auth0: "Applications > {client} > Settings > Advanced Settings > Grant Types: Device Code (the \
        application has to be a Native one)",
    google: "make {client} an OAuth client of the type \"TVs and Limited Input devices\": Google \
        Auth Platform > Clients",
    zitadel: "Projects > project > Applications > {client} > OIDC Configuration > Grant Types: \
        Device Code",
    authentik: "System > Brands > brand > Default flows > Device code flow: choose one of the \
        designation Stage Configuration (none comes with authentik); and the provider of {client} \
        has to be bound to an application",
    ..Advice::general(
        "allow {client} the grant urn:ietf:params:oauth:grant-type:device_code at \
        the provider",
    )
};

/// The provider does not know the client, or wants its secret.
pub(crate) fn unknown_client(provider: Product, client: &str) -> String {
    const PUBLIC: Advice = Advice {
        entra_id: "copy Application (client) ID from App registrations > app > Overview; it has to \
            be of this tenant, with Authentication > Allow public client flows: Yes",
        okta: "copy Client ID from Applications > app > General; Client authentication: None",
        keycloak: "copy Client ID from Clients > client > Settings; Capability config > Client \
            authentication: off",
        auth0: "copy Client ID from Applications > app > Settings; Credentials > Authentication \
            Method: None",
        google: "copy Client ID from Google Auth Platform > Clients",
        zitadel: "copy Client ID from Projects > project > Applications > app; Authentication \
            Method: None",
        authentik: "copy Client ID from Applications > Providers > provider; Client type: Public",
        cognito: "copy Client ID from User pools > pool > App clients; choose one without a client \
            secret",
        other: "check that it is registered there, as a public client without a secret",
    };
    format!("client_id {client:?}: {}", PUBLIC.of(provider))
}

/// The provider refuses the scopes that login asks for.
pub(crate) const SCOPES_REFUSED: Advice = Advice {
    entra_id: "App registrations > {client} > Expose an API: Add a scope, and API permissions: add \
        it; or change auth.oidc.default_scopes",
    okta: "Security > API > Authorization Servers > server > Scopes: Add Scope, and allow it in \
        the access policy's rule; or change auth.oidc.default_scopes",
    keycloak: "Clients > {client} > Client scopes > Add client scope (Optional), having made it \
        under Client scopes; or change auth.oidc.default_scopes",
    auth0: "Applications > APIs > api > Permissions: add it; or change auth.oidc.default_scopes",
    ..Advice::general(
        "let {client} ask for them at the provider, or change \
        auth.oidc.default_scopes",
    )
};

/// The client may not log in with user name and password.
pub(crate) const PASSWORD_GRANT_REFUSED: Advice = Advice {
    entra_id: "App registrations > {client} > Authentication > Allow public client flows: Yes",
    okta: "Applications > {client} > General > Grant type: Resource Owner Password",
    keycloak: "Clients > {client} > Settings > Capability config: Direct access grants on",
    auth0: "Applications > {client} > Settings > Advanced Settings > Grant Types: Password",
    google: "Google has none",
    ..Advice::general("allow {client} the grant password at the provider")
};

/// What helps against scopes that were asked for in vain.
pub(crate) const SCOPES_NOT_GRANTED: Advice = Advice {
    entra_id: "Azure grants only what was consented to, for one API per request: check Expose an \
        API and API permissions (Grant admin consent) of the application, or request all at once \
        with --scope api://CLIENT_ID/.default",
    okta: "add them to the authorization server, and to an access policy of this client",
    keycloak: "add them to this client as client scopes, default or optional",
    auth0: "add them to the API, and pass it with --audience",
    ..Advice::general("ask the provider's administrator to allow them for this client and user")
};

/// What helps when `offline_access` was asked for and no refresh token came.
pub(crate) const NO_REFRESH_TOKEN: Advice = Advice {
    okta: "allow Refresh Token among the grant types, and offline_access in the access policy",
    keycloak: "the user needs the role offline_access, and the client the scope",
    auth0: "switch on Allow Offline Access for the API, and Refresh Token among the grant types",
    ..Advice::general("have offline_access allowed for this client at the provider")
};

/// What to do about one of Azure's own numbers (`AADSTS…`), when `description` holds one.
pub(crate) fn azure_error(description: &str) -> Option<&'static str> {
    const ONE_RESOURCE: &str = "ask for the scopes of one resource: --scope \
        api://CLIENT_ID/.default (one request cannot have two resources)";
    const MULTI_FACTOR: &str =
        "the account needs multi-factor authentication: log in without --username";
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
        ("AADSTS70011", ONE_RESOURCE),
        ("AADSTS28000", ONE_RESOURCE),
        (
            "AADSTS500011",
            "the resource in the scope is not known in this tenant: check scope_prefix, and that \
             the API is registered there",
        ),
        ("AADSTS700016", "the client is not known in this tenant: check client id and issuer"),
        ("AADSTS50076", MULTI_FACTOR),
        ("AADSTS50079", MULTI_FACTOR),
        (
            "AADSTS53003",
            "a conditional access policy blocks this login: log in without --username, from a \
             device that it accepts",
        ),
        ("AADSTS50126", "check user name and password"),
    ];
    KNOWN.iter().find(|(number, _)| description.contains(number)).map(|(_, remedy)| *remedy)
}
