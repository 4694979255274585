//! Whose product an identity provider is: what helps against an error differs.

use url::{Host, Url};

/// A maker of identity providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Microsoft Entra ID, formerly Azure AD.
    Entra,
    /// Okta.
    Okta,
    /// Auth0.
    Auth0,
    /// Keycloak and what is built on it.
    Keycloak,
    /// Google.
    Google,
    /// Any other.
    Other,
}

impl Vendor {
    /// Judged by the issuer's name.
    #[must_use]
    pub fn of(issuer: &str) -> Self {
        let Ok(url) = Url::parse(issuer) else { return Self::Other };
        let host = match url.host() {
            Some(Host::Domain(host)) => host,
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => "",
        };
        let under = |domain: &str| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if ["microsoftonline.com", "microsoftonline.us", "sts.windows.net", "ciamlogin.com"]
            .into_iter()
            .any(under)
        {
            Self::Entra
        } else if ["okta.com", "oktapreview.com", "okta-emea.com"].into_iter().any(under) {
            Self::Okta
        } else if under("auth0.com") {
            Self::Auth0
        } else if under("accounts.google.com") {
            Self::Google
        } else if url.path().contains("/realms/") {
            Self::Keycloak
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Vendor;

    #[test]
    fn issuers_tell_their_maker() {
        for (issuer, vendor) in [
            ("https://login.microsoftonline.com/1/v2.0", Vendor::Entra),
            ("https://sts.windows.net/1/", Vendor::Entra),
            ("https://dev-1.okta.com/oauth2/default", Vendor::Okta),
            ("https://x.eu.auth0.com/", Vendor::Auth0),
            ("https://accounts.google.com", Vendor::Google),
            ("http://127.0.0.1:8080/realms/nmp", Vendor::Keycloak),
            ("https://evilokta.com", Vendor::Other),
            ("not a url", Vendor::Other),
        ] {
            assert_eq!(Vendor::of(issuer), vendor, "{issuer}");
        }
    }
}
