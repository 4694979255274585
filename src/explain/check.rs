//! The checks in their order, and which of them a fault belongs to.

use std::fmt;

use serde::Serialize;

use doorward_core::decision::Fault;
use doorward_core::identity::IdentityFault;
use doorward_core::rules::RuleFault;
use doorward_core::token::TokenFault;

/// One check. The names in JSON are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is described by what it expects")]
pub enum Check {
    Enabled,
    Request,
    Route,
    Credentials,
    Form,
    Header,
    Issuer,
    KeySet,
    Tenant,
    Kind,
    Algorithm,
    Key,
    Signature,
    Expiry,
    NotBefore,
    IssuedAt,
    Lifetime,
    Audience,
    Client,
    Subject,
    Email,
    Groups,
    Scopes,
    RouteAudience,
    RouteScopes,
    Endpoint,
    Engine,
}

impl Check {
    /// Every check of a token, in order.
    pub(super) const OF_TOKENS: [Self; 25] = [
        Self::Request,
        Self::Route,
        Self::Credentials,
        Self::Form,
        Self::Header,
        Self::Issuer,
        Self::KeySet,
        Self::Tenant,
        Self::Kind,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Expiry,
        Self::NotBefore,
        Self::IssuedAt,
        Self::Lifetime,
        Self::Audience,
        Self::Client,
        Self::Subject,
        Self::Email,
        Self::Groups,
        Self::Scopes,
        Self::RouteAudience,
        Self::RouteScopes,
        Self::Endpoint,
    ];

    /// The check that finds a fault.
    #[must_use]
    pub fn of(fault: Fault) -> Self {
        use TokenFault as T;
        match fault {
            Fault::Request(_) => Self::Request,
            Fault::NoCredentials | Fault::NoCredentialsForOptions | Fault::Bearer(_) => {
                Self::Credentials
            }
            Fault::Token(fault) => match fault {
                T::TooLong | T::NotThreeParts | T::NotBase64Url => Self::Form,
                T::HeaderNotAnObject | T::ClaimsNotAnObject | T::NestedTooDeep => Self::Form,
                T::Unsigned | T::UnknownAlgorithm | T::Critical | T::WrongType => Self::Header,
                T::NoIssuer | T::UnknownIssuer => Self::Issuer,
                T::UnknownTenant => Self::Tenant,
                T::AnotherKind(_) | T::LikeIdToken(_) | T::BoundToKey => Self::Kind,
                T::AlgorithmNotAllowed => Self::Algorithm,
                T::NoSuchKey => Self::Key,
                T::BadSignature => Self::Signature,
                T::NoExpiry | T::ExpiryBeyondReason | T::Expired => Self::Expiry,
                // `nbf` is read first; which of the two is no number, the story tells.
                T::BadTime | T::NotYetValid => Self::NotBefore,
                T::IssuedInFuture => Self::IssuedAt,
                T::LivesTooLong => Self::Lifetime,
                T::WrongAudience => Self::Audience,
                T::WrongClient => Self::Client,
            },
            Fault::Keys(_) => Self::KeySet,
            Fault::Identity(fault) => match fault {
                IdentityFault::SubjectMissing
                | IdentityFault::SubjectUnfit
                | IdentityFault::SubjectReserved
                | IdentityFault::SubjectAddress(_)
                | IdentityFault::TenantMissing => Self::Subject,
                IdentityFault::EmailReserved => Self::Email,
            },
            Fault::Rule(fault) => match fault {
                RuleFault::UnknownMode
                | RuleFault::UnknownKey
                | RuleFault::EmptyValue
                | RuleFault::EncodedSlash
                | RuleFault::StepsAside => Self::Route,
                RuleFault::WrongAudience => Self::RouteAudience,
                RuleFault::InsufficientScope => Self::RouteScopes,
                RuleFault::InsufficientEndpointScope
                | RuleFault::EndpointScopeLost
                | RuleFault::ClosedEndpoint
                | RuleFault::AmbiguousPath => Self::Endpoint,
            },
            Fault::Overloaded | Fault::Internal => Self::Engine,
        }
    }

    /// As people read it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Enabled => "authentication",
            Self::Request => "request",
            Self::Route => "path and route",
            Self::Credentials => "credentials",
            Self::Form => "form",
            Self::Header => "token header",
            Self::Issuer => "issuer",
            Self::KeySet => "key set",
            Self::Tenant => "tenant",
            Self::Kind => "token kind",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Expiry => "expiry",
            Self::NotBefore => "not before",
            Self::IssuedAt => "issued at",
            Self::Lifetime => "lifetime",
            Self::Audience => "audience",
            Self::Client => "client",
            Self::Subject => "subject",
            Self::Email => "email",
            Self::Groups => "groups",
            Self::Scopes => "scopes",
            Self::RouteAudience => "route's audience",
            Self::RouteScopes => "route's scopes",
            Self::Endpoint => "endpoint",
            Self::Engine => "Doorward",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.title())
    }
}
