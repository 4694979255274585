//! Which product an issuer is: what one menu calls "Direct access grants" another calls
//! "Resource Owner Password".

use serde_json::Value;
use url::Url;

/// A kind of identity provider whose remedies are known by their menus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Microsoft Entra ID (Azure AD), External ID and B2C.
    EntraId,
    /// Okta.
    Okta,
    /// Keycloak, and what is built on it.
    Keycloak,
    /// Auth0.
    Auth0,
    /// Google accounts.
    Google,
    /// Zitadel.
    Zitadel,
    /// authentik.
    Authentik,
    /// Amazon Cognito user pools.
    Cognito,
    /// Something else that speaks OpenID Connect.
    Other,
}

impl Provider {
    /// Recognises a provider by the issuer's name, else by the endpoints in its discovery
    /// document: a custom domain hides the product, its paths do not.
    #[must_use]
    pub fn recognise(issuer: &str, document: Option<&Value>) -> Self {
        let url = Url::parse(issuer).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let path = url.as_ref().map_or("", Url::path);
        by_host(host)
            .or_else(|| by_path(path))
            .or_else(|| by_endpoints(document?))
            .unwrap_or(Self::Other)
    }

    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EntraId => "Microsoft Entra ID",
            Self::Okta => "Okta",
            Self::Keycloak => "Keycloak",
            Self::Auth0 => "Auth0",
            Self::Google => "Google",
            Self::Zitadel => "Zitadel",
            Self::Authentik => "authentik",
            Self::Cognito => "Amazon Cognito",
            Self::Other => "generic provider",
        }
    }
}

fn by_host(host: &str) -> Option<Provider> {
    const HOSTS: [(&str, Provider); 14] = [
        ("microsoftonline.com", Provider::EntraId),
        ("microsoftonline.us", Provider::EntraId),
        ("partner.microsoftonline.cn", Provider::EntraId),
        ("sts.windows.net", Provider::EntraId),
        ("ciamlogin.com", Provider::EntraId),
        ("b2clogin.com", Provider::EntraId),
        ("okta.com", Provider::Okta),
        ("oktapreview.com", Provider::Okta),
        ("okta-emea.com", Provider::Okta),
        ("okta-gov.com", Provider::Okta),
        ("auth0.com", Provider::Auth0),
        ("accounts.google.com", Provider::Google),
        ("zitadel.cloud", Provider::Zitadel),
        ("amazoncognito.com", Provider::Cognito),
    ];
    let below = |domain: &str| {
        host.strip_suffix(domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    if host.starts_with("cognito-idp.") && host.contains(".amazonaws.com") {
        return Some(Provider::Cognito);
    }
    HOSTS.iter().find(|(domain, _)| below(domain)).map(|(_, provider)| *provider)
}

fn by_path(path: &str) -> Option<Provider> {
    if path.starts_with("/realms/") || path.contains("/auth/realms/") {
        Some(Provider::Keycloak)
    } else if path.contains("/application/o/") {
        Some(Provider::Authentik)
    } else {
        None
    }
}

fn by_endpoints(document: &Value) -> Option<Provider> {
    let path = |name: &str| {
        let url = document.get(name).and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
        url.map(|url| url.path().to_owned()).unwrap_or_default()
    };
    let (token, authorization) = (path("token_endpoint"), path("authorization_endpoint"));
    // Okta: /oauth2/v1/token, or /oauth2/{server}/v1/token.
    let okta = token.starts_with("/oauth2/") && token.ends_with("/v1/token");
    if token.ends_with("/protocol/openid-connect/token") {
        Some(Provider::Keycloak)
    } else if okta {
        Some(Provider::Okta)
    } else if document.get("mfa_challenge_endpoint").is_some() && token == "/oauth/token" {
        Some(Provider::Auth0)
    } else if token == "/oauth/v2/token" && authorization == "/oauth/v2/authorize" {
        Some(Provider::Zitadel)
    } else if token.contains("/application/o/") {
        Some(Provider::Authentik)
    } else if document.get("tenant_region_scope").is_some() {
        Some(Provider::EntraId)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn by_the_name_of_the_issuer() {
        for (issuer, provider) in [
            ("https://login.microsoftonline.com/72f988bf/v2.0", Provider::EntraId),
            ("https://sts.windows.net/72f988bf/", Provider::EntraId),
            ("https://contoso.b2clogin.com/t/p/v2.0/", Provider::EntraId),
            ("https://dev-1.okta.com/oauth2/default", Provider::Okta),
            ("https://idp.example/realms/nmp", Provider::Keycloak),
            ("https://idp.example/auth/realms/nmp", Provider::Keycloak),
            ("https://nmp.eu.auth0.com/", Provider::Auth0),
            ("https://accounts.google.com", Provider::Google),
            ("https://nmp-x1.zitadel.cloud", Provider::Zitadel),
            ("https://id.example/application/o/nmp/", Provider::Authentik),
            ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab", Provider::Cognito),
            ("https://notokta.com", Provider::Other),
            ("https://okta.com.evil.example", Provider::Other),
            ("not a URL", Provider::Other),
        ] {
            assert_eq!(Provider::recognise(issuer, None), provider, "{issuer}");
        }
    }

    #[test]
    fn by_the_endpoints_behind_a_domain_of_ones_own() {
        for (document, provider) in [
            (json!({"token_endpoint": "https://id.example/oauth2/aus1/v1/token"}), Provider::Okta),
            (
                json!({"token_endpoint": "https://id.example/oauth/token",
                    "mfa_challenge_endpoint": "https://id.example/mfa/challenge"}),
                Provider::Auth0,
            ),
            (
                json!({"token_endpoint": "https://id.example/oauth/v2/token",
                    "authorization_endpoint": "https://id.example/oauth/v2/authorize"}),
                Provider::Zitadel,
            ),
            (
                json!({"token_endpoint": "https://id.example/x/protocol/openid-connect/token"}),
                Provider::Keycloak,
            ),
            (
                json!({"token_endpoint": "https://id.example/t/token",
                    "tenant_region_scope": "EU"}),
                Provider::EntraId,
            ),
            (json!({"token_endpoint": "https://id.example/token"}), Provider::Other),
            (json!({"token_endpoint": 5}), Provider::Other),
        ] {
            let found = Provider::recognise("https://id.example", Some(&document));
            assert_eq!(found, provider, "{document}");
        }
    }
}
