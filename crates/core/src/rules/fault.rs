//! Why a rule is not satisfied.

/// A verified token is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleDenial<'a> {
    /// What the token lacks.
    pub fault: RuleFault,
    /// The scopes of which one would do, separated by spaces.
    pub scopes: Option<&'a str>,
}

impl From<RuleFault> for RuleDenial<'_> {
    fn from(fault: RuleFault) -> Self {
        Self { fault, scopes: None }
    }
}

/// Why a rule is not satisfied, or cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// The token was made for somebody else than this route.
    #[error(
        "the token's `aud` contains none of the route's audiences (`doorward.audience`, \
         `rules.routes`)"
    )]
    WrongAudience,
    /// The token has none of the scopes of which the route needs one.
    #[error("the token has none of the route's scopes (`doorward.scopes`, `rules.routes`)")]
    InsufficientScope,
    /// The token has none of the scopes of which the endpoint needs one.
    #[error("the token has none of the scopes that `rules.endpoints` requires here")]
    InsufficientEndpointScope,
    /// The same, and the token has others that were dropped or could not be read.
    #[error(
        "the token has none of the scopes that `rules.endpoints` requires here, and others that \
         were dropped or could not be read"
    )]
    EndpointScopeLost,
    /// Nobody may come here.
    #[error("`rules.endpoints` closes this endpoint (`deny: true`)")]
    ClosedEndpoint,
    /// Which endpoint it is depends on who reads the path.
    #[error("the path can be read in two ways, and `rules.endpoints` depends on the path")]
    AmbiguousPath,
    /// Nobody may come here.
    #[error("`rules.routes` closes this route (`deny: true`)")]
    ClosedRoute,
    /// Which route it is depends on who reads the path.
    #[error("the path can be read in two ways, and `rules.routes` depends on the path")]
    AmbiguousRoute,
    /// An encoded slash or backslash where none may be, or one that makes another path of this one.
    #[error(
        "the path contains an encoded slash or backslash (`%2F`, `%5C`) that is not below one of \
         `rules.encoded_slashes`, or is next to a slash or a dot segment"
    )]
    EncodedSlash,
    /// The path is another one to a server that cuts parameters off.
    #[error("the path has a dot segment or an empty one with parameters, as in `/a/..;x/b`")]
    StepsAside,
    /// The gateway does not say that it hands on for whom the principal acts.
    #[error(
        "the token acts on behalf of somebody, and the gateway does not say that it lets those headers \
         through (`x-doorward-upstream: on-behalf-of`)"
    )]
    BehalfNotPassed,
    /// The policy sets headers, and the gateway does not say that it hands them on.
    #[error(
        "the policy sets headers, and the gateway does not say that it lets them through \
         (`x-doorward-upstream: policy`)"
    )]
    PolicyHeadersNotPassed,
    /// `doorward.mode` is none of `required`, `optional` and `bypass`.
    #[error("the route's `doorward.mode` is none of required, optional, bypass")]
    UnknownMode,
    /// A `doorward.…` key that does not exist.
    #[error("the route's context_extensions contain an unknown `doorward.` key")]
    UnknownKey,
    /// `doorward.scopes` or `doorward.audience` is there and empty.
    #[error("the route's `doorward.scopes` or `doorward.audience` is empty")]
    EmptyValue,
}
