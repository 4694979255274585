//! Why one is not logged in.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::store::{Over, StoreError};
use crate::discovery::{FetchError, ObtainError, SetupError};
use crate::printable::printable;
use crate::product::Product;

/// How tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// RFC 8628.
    Device,
    /// RFC 6749 §4.3.
    Password,
    /// RFC 6749 §6.
    Refresh,
    /// RFC 7009: tokens are given back.
    Revocation,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "the device login",
            Self::Password => "the password login",
            Self::Refresh => "the refresh",
            Self::Revocation => "the revocation",
        })
    }
}

/// Why one is not logged in, or not any more. What others wrote is shown printable;
/// [`next_step`](Self::next_step) says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
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
    #[error("{}", Unanswered(.0, &"the platform does not say how to log in"))]
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
    #[error("{}", NoMetadata(issuer, cause))]
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
    #[error("the identity provider refused {grant}: {}{}", printable(code), Description(.description.as_deref()))]
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
    #[error("{}", Unanswered(.0, &"the identity provider does not respond"))]
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
    #[error("{}", NotLoggedIn(context.as_deref(), known))]
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
    #[error("the login at {} {}", printable(context), Refusal(over.as_ref()))]
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
    /// The request that failed, when that is what went wrong.
    pub(super) fn request(&self) -> Option<&FetchError> {
        match self {
            Self::NoPlatform(error)
            | Self::Unreachable(error)
            | Self::NoMetadata { cause: ObtainError::Fetch(error), .. } => Some(error),
            Self::Setup(_)
            | Self::NotAUrl { .. }
            | Self::NoClientId
            | Self::NotAPlatform { .. }
            | Self::LoginOff { .. }
            | Self::NoMetadata { .. }
            | Self::NotOffered { .. }
            | Self::Insecure { .. }
            | Self::Refused { .. }
            | Self::BadAnswer { .. }
            | Self::CodeExpired(_)
            | Self::NotLoggedIn { .. }
            | Self::Several { .. }
            | Self::Ended { .. }
            | Self::Store(_) => None,
        }
    }

    /// What the provider said, when it takes the refresh token for void (RFC 6749 §5.2): expired,
    /// revoked, or the session behind it has ended.
    pub(super) fn ends_the_login(&self) -> Option<String> {
        let Self::Refused { grant: Grant::Refresh, code, description, .. } = self else {
            return None;
        };
        (code == "invalid_grant").then(|| format!("{code}{}", Description(description.as_deref())))
    }
}

/// `: …` when there is one.
struct Description<'d>(Option<&'d str>);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |text| write!(f, ": {}", printable(text)))
    }
}

/// Whom one does not reach and why, else `otherwise`.
struct Unanswered<'e>(&'e FetchError, &'e dyn fmt::Display);

impl fmt::Display for Unanswered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.obstacle() {
            Some(obstacle) => write!(f, "cannot reach {}: {obstacle}", printable(self.0.host())),
            None => self.1.fmt(f),
        }
    }
}

struct NoMetadata<'e>(&'e str, &'e ObtainError);

impl fmt::Display for NoMetadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let otherwise = format!("issuer {} does not say where to log in", printable(self.0));
        if let ObtainError::Fetch(error) = self.1 {
            return Unanswered(error, &otherwise).fmt(f);
        }
        f.write_str(&otherwise)
    }
}

struct Refusal<'o>(Option<&'o Over>);

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Over { said, .. }) => {
                let said = printable(said);
                write!(f, "has ended: the identity provider refused the refresh: {said}")
            }
            None => f.write_str("cannot be refreshed: the identity provider gave no refresh token"),
        }
    }
}

struct NotLoggedIn<'c>(Option<&'c str>, &'c [String]);

impl fmt::Display for NotLoggedIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(context), _) => write!(f, "not logged in at {}", printable(context)),
            Self(None, []) => f.write_str("not logged in"),
            Self(None, _) => f.write_str("no login is chosen"),
        }
    }
}
