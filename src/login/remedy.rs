//! What to do about each error, in the words of whose product it is.

use super::error::{Grant, LoginError};
use crate::advice::{fetching, login as advice};
use crate::printable::printable;
use crate::product::Product;

impl LoginError {
    /// What to do about it, in a sentence or two.
    #[must_use]
    pub fn next_step(&self) -> Option<String> {
        if let Some(request) = self.request()
            && let Some(obstacle) = request.obstacle()
        {
            return Some(fetching::in_the_way(obstacle, &printable(request.host()), None));
        }
        Some(match self {
            Self::Setup(_) => "use another --ca-file".into(),
            Self::NotAUrl { .. } => "write the whole URL: https://nmp.example".into(),
            Self::NoClientId => "pass the client id with --client-id".into(),
            Self::NoPlatform(_) | Self::NotAPlatform { .. } => {
                "check the base URL, or log in straight at the provider with --issuer URL \
                 --client-id ID"
                    .into()
            }
            Self::LoginOff { .. } => "nothing to do: it accepts requests without a token".into(),
            Self::NoMetadata { .. } => {
                "check the issuer's URL, trailing slash included; its discovery document is at \
                 URL/.well-known/openid-configuration"
                    .into()
            }
            Self::NotOffered { endpoint: "device_authorization_endpoint", issuer } => {
                let product = Product::recognise(issuer, None);
                if product == Product::Other {
                    "log in with --username, or have the device flow enabled at the provider".into()
                } else {
                    advice::no_device_flow(product)
                }
            }
            Self::NotOffered { .. } => "contact the provider's administrator".into(),
            Self::Insecure { .. } => "have it published over https".into(),
            Self::Refused { grant, code, description, product, client } => {
                let description = description.as_deref().unwrap_or_default();
                return refused(*grant, code, description, *product, &printable(client));
            }
            Self::Unreachable(_) => "check the network, VPN and proxy, and try again".into(),
            Self::BadAnswer { .. } => {
                "check that the base URL or issuer is the right one; a proxy or login page in \
                 between responds like this too"
                    .into()
            }
            Self::CodeExpired(_) => "run doorward auth login again".into(),
            Self::NotLoggedIn { context: Some(_), known } if !known.is_empty() => {
                format!("log in there, or choose one with --context: {}", list(known))
            }
            Self::NotLoggedIn { context: None, known } if !known.is_empty() => format!(
                "choose one with doorward auth use NAME, or name it with --context: {}",
                list(known)
            ),
            Self::Several { known, .. } => {
                format!("name the one that is meant: {}", list(known))
            }
            Self::NotLoggedIn { context: Some(url), .. } if url.contains("://") => {
                format!("run doorward auth login {}", printable(url))
            }
            Self::NotLoggedIn { .. } => "run doorward auth login BASE_URL".into(),
            Self::Ended { context, over } => {
                let again = format!("run doorward auth login --context {}", printable(context));
                match over.as_ref().and_then(|over| advice::azure_error(&over.said)) {
                    Some(remedy) => format!("{remedy}; then {again}"),
                    None => again,
                }
            }
            Self::Store(error) => return error.next_step(),
        })
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", ")
}

/// OAuth's own codes (RFC 6749 §5.2, RFC 8628 §3.5), and Azure's numbers before them: there
/// the number says more than the code.
fn refused(
    grant: Grant,
    code: &str,
    description: &str,
    product: Product,
    client: &str,
) -> Option<String> {
    if let Some(remedy) = advice::azure_error(description) {
        return Some(remedy.into());
    }
    Some(match (code, grant) {
        ("access_denied", _) => "the login was declined, or the user may not use this client: log \
             in again and approve, or ask the administrator for access"
            .into(),
        ("expired_token", _) => "run doorward auth login again".into(),
        ("invalid_client", _) => advice::unknown_client(product, client),
        ("unauthorized_client" | "unsupported_grant_type", Grant::Device) => {
            format!(
                "enable the device flow for this client: {}",
                advice::device_grant_refused(product, client)
            )
        }
        ("unauthorized_client" | "unsupported_grant_type", Grant::Password) => {
            format!(
                "log in with the device flow (without --username), or enable the password grant \
                 for this client: {}",
                advice::password_grant_refused(product, client)
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
            "the provider has ended the session: run doorward auth login again".into()
        }
        ("invalid_scope", _) => {
            "request scopes that the provider knows and this client may use: --scope".into()
        }
        ("invalid_target", _) => "use a resource that the provider knows: --resource".into(),
        ("server_error" | "temporarily_unavailable" | "slow_down", _) => {
            "try again in a minute".into()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(grant: Grant, code: &str, description: &str, product: Product) -> String {
        refused(grant, code, description, product, "nmp").unwrap_or_default()
    }

    #[test]
    fn what_to_do_depends_on_what_was_asked_and_of_whom() {
        for (grant, code, description, product, part) in [
            (Grant::Device, "unauthorized_client", "", Product::Keycloak, "Capability config"),
            (Grant::Device, "unauthorized_client", "", Product::Okta, "Device Authorization"),
            (Grant::Password, "invalid_grant", "", Product::Other, "multi-factor"),
            (Grant::Refresh, "invalid_grant", "", Product::Other, "auth login again"),
            (
                Grant::Device,
                "invalid_client",
                "AADSTS7000218: …",
                Product::EntraId,
                "public client",
            ),
            (Grant::Device, "invalid_grant", "AADSTS65001: …", Product::EntraId, "consent"),
            (Grant::Device, "access_denied", "", Product::Other, "approve"),
            (Grant::Device, "invalid_scope", "AADSTS70011: …", Product::EntraId, ".default"),
        ] {
            let said = remedy(grant, code, description, product);
            assert!(said.contains(part), "{code} {description}: {said}");
        }
        assert_eq!(remedy(Grant::Device, "made_up", "", Product::Other), "");
    }
}
