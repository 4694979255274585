//! Which product an issuer is: what one menu calls "Direct access grants" another calls
//! "Resource Owner Password".

use serde_json::Value;
use url::Url;

/// A kind of identity provider whose remedies are known by their menus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
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

impl Product {
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

fn by_host(host: &str) -> Option<Product> {
    const HOSTS: [(&str, Product); 14] = [
        ("microsoftonline.com", Product::EntraId),
        ("microsoftonline.us", Product::EntraId),
        ("partner.microsoftonline.cn", Product::EntraId),
        ("sts.windows.net", Product::EntraId),
        ("ciamlogin.com", Product::EntraId),
        ("b2clogin.com", Product::EntraId),
        ("okta.com", Product::Okta),
        ("oktapreview.com", Product::Okta),
        ("okta-emea.com", Product::Okta),
        ("okta-gov.com", Product::Okta),
        ("auth0.com", Product::Auth0),
        ("accounts.google.com", Product::Google),
        ("zitadel.cloud", Product::Zitadel),
        ("amazoncognito.com", Product::Cognito),
    ];
    let below = |domain: &str| {
        host.strip_suffix(domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    if host.starts_with("cognito-idp.") && host.contains(".amazonaws.com") {
        return Some(Product::Cognito);
    }
    HOSTS.iter().find(|(domain, _)| below(domain)).map(|(_, provider)| *provider)
}

fn by_path(path: &str) -> Option<Product> {
    if path.starts_with("/realms/") || path.contains("/auth/realms/") {
        Some(Product::Keycloak)
    } else if path.contains("/application/o/") {
        Some(Product::Authentik)
    } else {
        None
    }
}

fn by_endpoints(document: &Value) -> Option<Product> {
    let path = |name: &str| {
        let url = document.get(name).and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
        url.map(|url| url.path().to_owned()).unwrap_or_default()
    };
    let (token, authorization) = (path("token_endpoint"), path("authorization_endpoint"));
    // Okta: /oauth2/v1/token, or /oauth2/{server}/v1/token.
    let okta = token.starts_with("/oauth2/") && token.ends_with("/v1/token");
    if token.ends_with("/protocol/openid-connect/token") {
        Some(Product::Keycloak)
    } else if okta {
        Some(Product::Okta)
    } else if document.get("mfa_challenge_endpoint").is_some() && token == "/oauth/token" {
        Some(Product::Auth0)
    } else if token == "/oauth/v2/token" && authorization == "/oauth/v2/authorize" {
        Some(Product::Zitadel)
    } else if token.contains("/application/o/") {
        Some(Product::Authentik)
    } else if document.get("tenant_region_scope").is_some() {
        Some(Product::EntraId)
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
            ("https://login.microsoftonline.com/72f988bf/v2.0", Product::EntraId),
            ("https://sts.windows.net/72f988bf/", Product::EntraId),
            ("https://contoso.b2clogin.com/t/p/v2.0/", Product::EntraId),
            ("https://dev-1.okta.com/oauth2/default", Product::Okta),
            ("https://idp.example/realms/nmp", Product::Keycloak),
            ("https://idp.example/auth/realms/nmp", Product::Keycloak),
            ("https://nmp.eu.auth0.com/", Product::Auth0),
            ("https://accounts.google.com", Product::Google),
            ("https://nmp-x1.zitadel.cloud", Product::Zitadel),
            ("https://id.example/application/o/nmp/", Product::Authentik),
            ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab", Product::Cognito),
            ("https://notokta.com", Product::Other),
            ("https://okta.com.evil.example", Product::Other),
            ("not a URL", Product::Other),
        ] {
            assert_eq!(Product::recognise(issuer, None), provider, "{issuer}");
        }
    }

    #[test]
    fn by_the_endpoints_behind_a_domain_of_ones_own() {
        for (document, provider) in [
            (json!({"token_endpoint": "https://id.example/oauth2/aus1/v1/token"}), Product::Okta),
            (
                json!({"token_endpoint": "https://id.example/oauth/token",
                    "mfa_challenge_endpoint": "https://id.example/mfa/challenge"}),
                Product::Auth0,
            ),
            (
                json!({"token_endpoint": "https://id.example/oauth/v2/token",
                    "authorization_endpoint": "https://id.example/oauth/v2/authorize"}),
                Product::Zitadel,
            ),
            (
                json!({"token_endpoint": "https://id.example/x/protocol/openid-connect/token"}),
                Product::Keycloak,
            ),
            (
                json!({"token_endpoint": "https://id.example/t/token",
                    "tenant_region_scope": "EU"}),
                Product::EntraId,
            ),
            (json!({"token_endpoint": "https://id.example/token"}), Product::Other),
            (json!({"token_endpoint": 5}), Product::Other),
        ] {
            let found = Product::recognise("https://id.example", Some(&document));
            assert_eq!(found, provider, "{document}");
        }
    }
}
