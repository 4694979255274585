//! What to do about each error, in the words of whose product it is.

use super::error::{Grant, LoginError};
use super::text::printable;
use super::vendor::Vendor;

/// What to do next, in a sentence or two.
pub(super) fn next_step(error: &LoginError) -> Option<String> {
    Some(match error {
        LoginError::Setup(_) => "name another --ca-file".into(),
        LoginError::NotAUrl { text, .. } if !text.contains("://") && !text.is_empty() => {
            format!("write it with its scheme: https://{}", printable(text))
        }
        LoginError::NotAUrl { .. } => "write the whole URL: https://nmp.example".into(),
        LoginError::NoClientId => "name the client with --client-id".into(),
        LoginError::NoPlatform(_) | LoginError::NotAPlatform { .. } => {
            "check the base URL, or log in straight at the provider with --issuer URL \
             --client-id ID"
                .into()
        }
        LoginError::LoginOff { .. } => "nothing: it takes requests without a token".into(),
        LoginError::NoMetadata { .. } => {
            "check the issuer's URL, slash at the end included; its discovery document is at \
             URL/.well-known/openid-configuration"
                .into()
        }
        LoginError::NotOffered { endpoint: "device_authorization_endpoint", .. } => {
            "log in with --username, or have the device flow enabled at the provider".into()
        }
        LoginError::NotOffered { .. } => "have the provider's administrator look at it".into(),
        LoginError::Insecure { .. } => "have it published with https".into(),
        LoginError::Refused { grant, code, description, vendor } => {
            return refused(*grant, code, description.as_deref().unwrap_or_default(), *vendor);
        }
        LoginError::Unreachable(_) => "check network, VPN and proxy, and try again".into(),
        LoginError::BadAnswer { .. } => {
            "check that the base URL or issuer is the right one; a proxy or login page in \
             between answers like this too"
                .into()
        }
        LoginError::CodeExpired(_) => "run doorward auth login again".into(),
        LoginError::NotLoggedIn { context: Some(_), known } if !known.is_empty() => {
            let known: Vec<_> = known.iter().map(|name| printable(name)).collect();
            format!("log in there, or choose with --context one of: {}", known.join(", "))
        }
        LoginError::NotLoggedIn { context: None, known } if !known.is_empty() => {
            let known: Vec<_> = known.iter().map(|name| printable(name)).collect();
            format!("choose with --context one of: {}", known.join(", "))
        }
        LoginError::NotLoggedIn { .. } => "run doorward auth login BASE_URL".into(),
        LoginError::Ended { context } => {
            format!("run doorward auth login --context {}", printable(context))
        }
        LoginError::Store(error) => return error.next_step(),
    })
}

/// OAuth's own codes (RFC 6749 §5.2, RFC 8628 §3.5), and Azure's numbers before them: there
/// the number says more than the code.
fn refused(grant: Grant, code: &str, description: &str, vendor: Vendor) -> Option<String> {
    if let Some(remedy) = azure(description) {
        return Some(remedy.into());
    }
    Some(match (code, grant) {
        ("access_denied", _) => "whoever logged in said no, or may not use this client: log in \
             again and approve, or ask the administrator for access"
            .into(),
        ("expired_token", _) => "run doorward auth login again".into(),
        ("invalid_client", _) => {
            format!("check the client id; {}", public_client(vendor))
        }
        ("unauthorized_client" | "unsupported_grant_type", Grant::Device) => {
            format!("enable the device flow for this client: {}", device_flow(vendor))
        }
        ("unauthorized_client" | "unsupported_grant_type", Grant::Password) => {
            format!(
                "log in with the device flow (without --username), or enable the password grant \
                 for this client: {}",
                password_grant(vendor)
            )
        }
        ("unauthorized_client" | "unsupported_grant_type", Grant::Refresh) => {
            "allow the refresh token grant for this client at the provider".into()
        }
        ("invalid_grant", Grant::Password) => {
            "check user name and password; an account with multi-factor authentication or a \
             required action cannot log in this way: leave --username out"
                .into()
        }
        ("invalid_grant", _) => {
            "the login has ended at the provider: run doorward auth login again".into()
        }
        ("invalid_scope", _) => {
            "ask for scopes that the provider knows and this client may have: --scope".into()
        }
        ("invalid_target", _) => "name a resource the provider knows: --resource".into(),
        ("server_error" | "temporarily_unavailable" | "slow_down", _) => {
            "try again in a minute".into()
        }
        _ => return None,
    })
}

fn azure(description: &str) -> Option<&'static str> {
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
            "a conditional access policy is in the way: log in without --username, from a device \
             that it accepts",
        ),
        ("AADSTS50126", "check user name and password"),
    ];
    KNOWN.iter().find(|(number, _)| description.contains(number)).map(|(_, remedy)| *remedy)
}

fn device_flow(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Entra => "App registrations, Authentication, Allow public client flows: Yes",
        Vendor::Okta => "Applications, General, Grant type: Device Authorization",
        Vendor::Auth0 => "Applications, Advanced Settings, Grant Types: Device Code",
        Vendor::Keycloak => {
            "Clients, Settings, Capability config: OAuth 2.0 Device Authorization \
             Grant"
        }
        Vendor::Google => "a client of the type TVs and Limited Input devices",
        Vendor::Other => "its grant types need urn:ietf:params:oauth:grant-type:device_code",
    }
}

fn password_grant(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Entra => "App registrations, Authentication, Allow public client flows: Yes",
        Vendor::Okta => "Applications, General, Grant type: Resource Owner Password",
        Vendor::Auth0 => "Applications, Advanced Settings, Grant Types: Password",
        Vendor::Keycloak => "Clients, Settings, Capability config: Direct access grants",
        Vendor::Google => "Google has none",
        Vendor::Other => "its grant types need password",
    }
}

fn public_client(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Entra => "it must be public: Authentication, Allow public client flows: Yes",
        Vendor::Okta => "it must be a native application without client authentication",
        Vendor::Auth0 => "it must be a native application, authentication method None",
        Vendor::Keycloak => "it must be public: Capability config, Client authentication off",
        Vendor::Google | Vendor::Other => "it must be public, without a secret",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(grant: Grant, code: &str, description: &str, vendor: Vendor) -> String {
        refused(grant, code, description, vendor).unwrap_or_default()
    }

    #[test]
    fn what_to_do_depends_on_what_was_asked_and_of_whom() {
        for (grant, code, description, vendor, part) in [
            (Grant::Device, "unauthorized_client", "", Vendor::Keycloak, "Capability config"),
            (Grant::Device, "unauthorized_client", "", Vendor::Okta, "Device Authorization"),
            (Grant::Password, "invalid_grant", "", Vendor::Other, "multi-factor"),
            (Grant::Refresh, "invalid_grant", "", Vendor::Other, "auth login again"),
            (Grant::Device, "invalid_client", "AADSTS7000218: …", Vendor::Entra, "public client"),
            (Grant::Device, "invalid_grant", "AADSTS65001: …", Vendor::Entra, "consent"),
            (Grant::Device, "access_denied", "", Vendor::Other, "approve"),
            (Grant::Device, "invalid_scope", "AADSTS70011: …", Vendor::Entra, ".default"),
        ] {
            let said = remedy(grant, code, description, vendor);
            assert!(said.contains(part), "{code} {description}: {said}");
        }
        assert_eq!(remedy(Grant::Device, "made_up", "", Vendor::Other), "");
    }
}
