//! The token is not one for us: of another kind, for another audience, of another issuer.

use super::Advice;
use crate::product::Product;

/// An opaque token: nothing in it to verify.
pub(crate) const OPAQUE: Advice = Advice {
    entra_id: "ask for a scope of your own API (api://<client-id>/<scope>): personal accounts get \
        opaque tokens for Microsoft's own",
    okta: "take the access token of a custom authorization server (/oauth2/default), not a session \
        or refresh token",
    auth0: "ask for a token with the `audience` parameter (Applications > APIs > api > \
        Identifier), or set Settings > General > Default Audience: without, Auth0's tokens are \
        only for its own userinfo",
    google: "Google's access tokens (ya29.) are for Google's own APIs, and only Google can verify \
        them: send the ID token (`id_token`; gcloud auth print-identity-token), whose issuer is \
        https://accounts.google.com",
    zitadel: "Projects > project > Applications > app > Token Settings > Auth Token Type: JWT",
    ..Advice::general(
        "send the access_token of the token endpoint's answer; where that is opaque, \
        have the provider issue JWTs for this API (RFC 9068)",
    )
};

/// An encrypted token (JWE).
pub(crate) const ENCRYPTED: Advice = Advice {
    auth0: OPAQUE.auth0,
    ..Advice::general(
        "have the provider sign access tokens for this API and not encrypt them: \
        only the holder of the key can read this one",
    )
};

/// An ID token.
pub(crate) const ID_TOKEN: Advice = Advice {
    entra_id: "send access_token, not id_token, and ask for a scope of your own API: \
        api://<client-id>/<scope>",
    auth0: "send access_token, not id_token; ask for it with the `audience` parameter",
    google: "Google has no other token that can be verified: it may be acceptable where the same \
        team runs client and gateway; its audience is the client id",
    ..Advice::general(
        "send access_token, not id_token: an ID token tells a client who logged in, \
        and is not meant for APIs",
    )
};

/// `aud` holds none of ours.
pub(crate) const AUDIENCE: Advice = Advice {
    entra_id: "App registrations > {client} > Expose an API: set the Application ID URI and a \
        scope, and have clients ask for api://{client}/<scope>; v2 tokens carry the client id, v1 \
        tokens the URI: list both in audience",
    okta: "Security > API > Authorization Servers > server > Settings > Audience; the org server's \
        own tokens (without /oauth2/…) are for Okta alone",
    keycloak: "Clients > {client} > Client scopes > its -dedicated scope > Add mapper > By \
        configuration > Audience: Included Client Audience {expected}, Add to access token on",
    auth0: "have clients ask with audience={expected} (Applications > APIs > api > Identifier), or \
        set Settings > General > Default Audience",
    google: "aud is the OAuth client that asked: use that client, or configure it ({expected} is \
        configured)",
    zitadel: "ask for the scope urn:zitadel:iam:org:project:id:<project-id>:aud, and configure the \
        project id as audience",
    authentik: "aud is the client id of Applications > Providers > provider: use that client, or \
        configure its id as audience",
    cognito: "Cognito's access tokens have no aud, unless clients ask with `resource` (managed \
        login): set verify_audience: false together with allowed_clients: [{client}], which is \
        checked against client_id",
    other: "ask for a token for this API (`audience` or `resource`), have the provider put \
        {expected} into aud, or configure `audience` if the value is yours",
};

/// A token for Microsoft Graph, whose tokens are signed over something other than what is sent.
pub(crate) const MICROSOFT_GRAPH: &str = "this token is for Microsoft Graph, whose tokens only Graph can verify: request one with a scope \
     of this API (`api://<client-id>/…`) and none of Graph's (User.Read)";

/// `iss` is not configured, in one of the ways that are known by their look.
pub(crate) fn issuer(provider: Product, found: &str, configured: &[&str]) -> String {
    const NOT_OURS: Advice = Advice {
        okta: "configure {found} if that authorization server is meant, or ask the configured one \
            for the token",
        keycloak: "Keycloak names itself as it was addressed: ask it for tokens at its public name \
            and set `hostname` (KC_HOSTNAME); or configure {found}",
        ..Advice::general(
            "configure this issuer (`auth.oidc.issuer`, `auth.issuers`) if it is to \
            be trusted, or get a token from one that is",
        )
    };
    let alike = |name: &str| name.trim_end_matches('/').to_ascii_lowercase();
    if let Some(near) = configured.iter().find(|name| alike(name) == alike(found)) {
        return format!(
            "{near} is configured, which differs in a slash or in case, and iss is compared byte for \
             byte: configure {found:?}, as the token has it"
        );
    }
    let plain = || NOT_OURS.fill(provider, [("{found}", &format!("{found:?}"))]);
    of_entra(found, configured).unwrap_or_else(plain)
}

/// Microsoft Entra ID has two names for each tenant: one in its v1 tokens, one in its v2 tokens.
fn of_entra(found: &str, configured: &[&str]) -> Option<String> {
    let (is_v2, tenant) = version_and_tenant(found)?;
    let ours: Vec<_> =
        configured.iter().filter_map(|name| Some((*name, version_and_tenant(name)?))).collect();
    let mut same = ours.iter().filter(|(_, (_, its))| *its == tenant || its.starts_with('{'));
    let Some((near, _)) = same.find(|(_, (its_v2, _))| *its_v2 != is_v2) else {
        return ours.first().map(|_| {
            format!(
                "this token is of another tenant of Entra ID ({tenant:?}): log in at the configured \
                 one, or add the tenant if it should be allowed (`tenants` of `auth.preset.entra`, \
                 `additional_issuers`)"
            )
        });
    };
    let (its, other) = if is_v2 { ("v2", "v1") } else { ("v1", "v2") };
    let manifest = if is_v2 {
        ""
    } else {
        ", or have v2 tokens issued: App registrations > the API > Manifest: \
         requestedAccessTokenVersion 2"
    };
    Some(format!(
        "this is a {its} token of Entra ID, and {near} issues its {other} tokens: add {found:?} to \
         `auth.oidc.additional_issuers`, or where {near} is an entry of `auth.issuers`, as another \
         entry (`auth.preset.entra` has both){manifest}"
    ))
}

/// Whether an issuer of Entra ID is that of v2 tokens, and its tenant.
fn version_and_tenant(issuer: &str) -> Option<(bool, &str)> {
    if Product::recognise(issuer, None) != Product::EntraId {
        return None;
    }
    Some((issuer.ends_with("/v2.0"), issuer.split('/').nth(3)?))
}
