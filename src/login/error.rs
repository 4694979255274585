//! Why one is not logged in, and what to do about it in the words of whose product it is.

use std::time::Duration;

use url::Url;

use super::store::{Over, StoreError};
use crate::advice::{fetching, login as advice};
use crate::discovery::{FetchError, ObtainError, SetupError};
use crate::printable::printable;
use crate::product::Product;
use crate::secret::SecretError;

/// How tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Grant {
    /// RFC 8628.
    #[strum(serialize = "the device login")]
    Device,
    /// RFC 6749 §4.3.
    #[strum(serialize = "the password login")]
    Password,
    /// RFC 6749 §6.
    #[strum(serialize = "the refresh")]
    Refresh,
    /// RFC 7009: tokens are given back.
    #[strum(serialize = "the revocation")]
    Revocation,
}

/// Why one is not logged in, or not any more. What others wrote is shown printable;
/// [`next_step`](Self::next_step) says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The secret of the client cannot be read.
    #[error(transparent)]
    ClientSecret(#[from] SecretError),
    /// A URL was expected.
    #[error("{:?} is not an http or https URL", printable(text))]
    NotAUrl {
        /// What was there instead.
        text: String,
        /// Why it is none.
        #[source]
        cause: url::ParseError,
    },
    /// `--issuer` without a client.
    #[error("--issuer also needs a client id")]
    NoClientId,
    /// The platform did not answer, or not with a document.
    #[error("{}", unanswered(.0, "the platform does not say how to log in"))]
    NoPlatform(#[source] FetchError),
    /// The platform answered with something else.
    #[error("{url} is not a platform's discovery document: {why}")]
    NotAPlatform {
        /// Where the document was looked for.
        url: Url,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The platform asks nobody to log in.
    #[error("authentication is turned off at {}", printable(base_url))]
    LoginOff {
        /// The platform's address, as it was given.
        base_url: String,
    },
    /// The issuer's own document cannot be had.
    #[error("{}", no_metadata(issuer, cause))]
    NoMetadata {
        /// The issuer whose metadata was asked for.
        issuer: String,
        /// What came of the request.
        #[source]
        cause: ObtainError,
    },
    /// An endpoint that is needed does not exist.
    #[error("issuer {} offers no `{endpoint}`", printable(issuer))]
    NotOffered {
        /// The issuer whose metadata lacks it.
        issuer: String,
        /// Its name in the metadata.
        endpoint: &'static str,
    },
    /// An endpoint would send secrets in the clear.
    #[error("`{name}` {url} is plain http to another machine, or a downgrade from https")]
    Insecure {
        /// Its name in the metadata.
        name: &'static str,
        /// Where it is.
        url: Url,
    },
    /// The provider said no (RFC 6749 §5.2).
    #[error("the identity provider refused {grant}: {}{}", printable(code), after_colon(.description.as_deref()))]
    Refused {
        /// What was asked for.
        grant: Grant,
        /// `error`.
        code: String,
        /// `error_description`.
        description: Option<String>,
        /// Whose product says so.
        product: Product,
        /// To which client.
        client: String,
    },
    /// There was no answer.
    #[error("{}", unanswered(.0, "the identity provider does not respond"))]
    Unreachable(#[source] FetchError),
    /// There was one that means nothing.
    #[error("{endpoint} did not respond like an OAuth endpoint: {}", printable(why))]
    BadAnswer {
        /// Where it came from.
        endpoint: Url,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody completed the device login in time.
    #[error("nobody logged in within {}", humantime::format_duration(*.0))]
    CodeExpired(Duration),
    /// There is no login, or none of that name.
    #[error("{}", not_logged_in(context.as_deref(), known))]
    NotLoggedIn {
        /// Which was asked for; `None`: the current one, and there is none.
        context: Option<String>,
        /// Which there are.
        known: Vec<String>,
    },
    /// Several logins are at the platform or issuer that was named.
    #[error("there are several logins at {}", printable(name))]
    Several {
        /// What was asked for.
        name: String,
        /// Which there are.
        known: Vec<String>,
    },
    /// There is nothing to obtain another access token with.
    #[error("the login at {} {}", printable(context), ended(over.as_ref()))]
    Ended {
        /// The name of the login.
        context: String,
        /// What the provider said of the refresh token; `None`: there is none.
        over: Option<Over>,
    },
    /// Logins cannot be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoginError {
    /// What to do about it, in a sentence or two.
    #[must_use]
    pub fn next_step(&self) -> Option<String> {
        if let Some(request) = self.request()
            && let Some(obstacle) = request.obstacle()
        {
            return Some(fetching::in_the_way(obstacle, &printable(request.host()), None));
        }
        let known = match self {
            Self::Setup(_) => "use another --ca-file",
            Self::ClientSecret(_) => "log in again with --client-secret-file",
            Self::NotAUrl { .. } => "write the whole URL: https://nmp.example",
            Self::NoClientId => "pass the client id with --client-id",
            Self::NoPlatform(_) | Self::NotAPlatform { .. } => {
                "check the base URL, or log in straight at the provider with --issuer URL \
                 --client-id ID"
            }
            Self::LoginOff { .. } => "nothing to do: it accepts requests without a token",
            Self::NoMetadata { .. } => {
                "check the issuer's URL, trailing slash included; its discovery document is at \
                 URL/.well-known/openid-configuration"
            }
            Self::NotOffered { endpoint: "device_authorization_endpoint", issuer } => {
                let product = Product::recognise(issuer, None);
                if product == Product::Other {
                    "log in with --username, or have the device flow enabled at the provider"
                } else {
                    advice::NO_DEVICE_FLOW.of(product)
                }
            }
            Self::NotOffered { .. } => "contact the provider's administrator",
            Self::Insecure { .. } => "have it published over https",
            Self::Refused { grant, code, description, product, client } => {
                let description = description.as_deref().unwrap_or_default();
                return refused(*grant, code, description, *product, &printable(client));
            }
            Self::Unreachable(_) => "check the network, VPN and proxy, and try again",
            Self::BadAnswer { .. } => {
                "check that the base URL or issuer is the right one; a proxy or login page in \
                 between responds like this too"
            }
            Self::CodeExpired(_) => "run doorward auth login again",
            Self::NotLoggedIn { context, known } => {
                return Some(match (context, known.as_slice()) {
                    (None, []) => "run doorward auth login BASE_URL".to_owned(),
                    (Some(url), []) if url.contains("://") => {
                        format!("run doorward auth login {}", printable(url))
                    }
                    (Some(_), []) => "run doorward auth login BASE_URL".to_owned(),
                    (Some(_), known) => {
                        format!("log in there, or choose one with --context: {}", list(known))
                    }
                    (None, known) => format!(
                        "choose one with doorward auth use NAME, or name it with --context: {}",
                        list(known)
                    ),
                });
            }
            Self::Several { known, .. } => {
                return Some(format!("name the one that is meant: {}", list(known)));
            }
            Self::Ended { context, over } => {
                let again = format!("run doorward auth login --context {}", printable(context));
                let known = over.as_ref().and_then(|over| advice::azure_error(&over.said));
                return Some(known.map_or(again.clone(), |it| format!("{it}; then {again}")));
            }
            Self::Store(error) => return error.next_step(),
        };
        Some(known.to_owned())
    }

    /// The request that failed, when that is what went wrong.
    fn request(&self) -> Option<&FetchError> {
        let (Self::NoPlatform(error)
        | Self::Unreachable(error)
        | Self::NoMetadata { cause: ObtainError::Fetch(error), .. }) = self
        else {
            return None;
        };
        Some(error)
    }

    /// What the provider said, when it takes the refresh token for void (RFC 6749 §5.2): expired,
    /// revoked, or the session behind it has ended.
    pub(super) fn ends_the_login(&self) -> Option<String> {
        let Self::Refused { grant: Grant::Refresh, code, description, .. } = self else {
            return None;
        };
        (code == "invalid_grant").then(|| format!("{code}{}", after_colon(description.as_deref())))
    }
}

/// `: …` when there is one.
fn after_colon(description: Option<&str>) -> String {
    description.map(|text| format!(": {}", printable(text))).unwrap_or_default()
}

/// Whom one does not reach and why, else `otherwise`.
fn unanswered(error: &FetchError, otherwise: &str) -> String {
    match error.obstacle() {
        Some(obstacle) => format!("cannot reach {}: {obstacle}", printable(error.host())),
        None => otherwise.to_owned(),
    }
}

fn no_metadata(issuer: &str, cause: &ObtainError) -> String {
    let otherwise = format!("issuer {} does not say where to log in", printable(issuer));
    if let ObtainError::Fetch(error) = cause { unanswered(error, &otherwise) } else { otherwise }
}

fn ended(over: Option<&Over>) -> String {
    match over {
        Some(Over { said, .. }) => {
            format!("has ended: the identity provider refused the refresh: {}", printable(said))
        }
        None => "cannot be refreshed: the identity provider gave no refresh token".to_owned(),
    }
}

fn not_logged_in(context: Option<&str>, known: &[String]) -> String {
    match (context, known) {
        (Some(context), _) => format!("not logged in at {}", printable(context)),
        (None, []) => "not logged in".to_owned(),
        (None, _) => "no login is chosen".to_owned(),
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
    const NO_GRANT: [&str; 2] = ["unauthorized_client", "unsupported_grant_type"];
    if let Some(known) = advice::azure_error(description) {
        return Some(known.to_owned());
    }
    let known = match (code, grant) {
        ("access_denied", _) => {
            "the login was declined, or the user may not use this client: log in again and \
             approve, or ask the administrator for access"
        }
        ("expired_token", _) => "run doorward auth login again",
        ("invalid_client", _) => return Some(advice::unknown_client(product, client)),
        (code, Grant::Device) if NO_GRANT.contains(&code) => {
            let how = advice::DEVICE_GRANT_REFUSED.for_client(product, client);
            return Some(format!("enable the device flow for this client: {how}"));
        }
        (code, Grant::Password) if NO_GRANT.contains(&code) => {
            let how = advice::PASSWORD_GRANT_REFUSED.for_client(product, client);
            return Some(format!(
                "log in with the device flow (without --username), or enable the password grant \
                 for this client: {how}"
            ));
        }
        (code, Grant::Refresh) if NO_GRANT.contains(&code) => {
            "allow the refresh token grant for this client at the provider"
        }
        ("invalid_grant", Grant::Password) => {
            "check user name and password; an account with multi-factor authentication or a \
             required action cannot log in this way: leave --username out"
        }
        ("invalid_grant", _) => "the provider has ended the session: run doorward auth login again",
        ("invalid_scope", _) => {
            "request scopes that the provider knows and this client may use: --scope"
        }
        ("invalid_target", _) => "use a resource that the provider knows: --resource",
        ("server_error" | "temporarily_unavailable" | "slow_down", _) => "try again in a minute",
        _ => return None,
    };
    Some(known.to_owned())
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
