//! The checks in their order, and which of them a fault belongs to.

use serde::Serialize;
use strum::{Display, EnumIter, IntoEnumIterator as _, IntoStaticStr};

use doorward_core::decision::Fault;
use doorward_core::identity::IdentityFault;
use doorward_core::rules::RuleFault;
use doorward_core::token::TokenFault;

/// One check. The names are stable, and the same wherever a token is spoken of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Display, EnumIter, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
    Use,
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
    Actor,
    Status,
    RouteAudience,
    RouteScopes,
    Endpoint,
    Policy,
    Engine,
}

impl Check {
    /// The checks of one request, in their order.
    pub(super) fn of_requests() -> impl Iterator<Item = Self> {
        Self::iter().filter(|check| !matches!(check, Self::Enabled | Self::Engine))
    }

    /// The check's stable name: on a screen, in JSON and in a finding of `doctor`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

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
                T::WrongUse | T::ClaimMissing(_) | T::NotAKeyId => Self::Use,
                T::NoExpiry | T::ExpiryBeyondReason | T::Expired => Self::Expiry,
                // `nbf` is read first; which of the two is no number, the steps tell.
                T::BadTime | T::NotYetValid => Self::NotBefore,
                T::IssuedInFuture => Self::IssuedAt,
                T::LivesTooLong => Self::Lifetime,
                T::WrongAudience => Self::Audience,
                T::WrongClient => Self::Client,
            },
            Fault::Keys(_) => Self::KeySet,
            Fault::Status(_) => Self::Status,
            Fault::Identity(fault) => match fault {
                IdentityFault::SubjectMissing
                | IdentityFault::SubjectUnfit
                | IdentityFault::SubjectReserved
                | IdentityFault::SubjectAddress(_)
                | IdentityFault::TenantMissing => Self::Subject,
                IdentityFault::EmailReserved => Self::Email,
                IdentityFault::ActorUnfit | IdentityFault::ActorReserved => Self::Actor,
            },
            Fault::Rule(fault) => match fault {
                RuleFault::BehalfNotPassed => Self::Actor,
                RuleFault::PolicyHeadersNotPassed => Self::Policy,
                RuleFault::UnknownMode
                | RuleFault::UnknownKey
                | RuleFault::EmptyValue
                | RuleFault::EncodedSlash
                | RuleFault::StepsAside
                | RuleFault::ClosedRoute
                | RuleFault::AmbiguousRoute => Self::Route,
                RuleFault::WrongAudience => Self::RouteAudience,
                RuleFault::InsufficientScope => Self::RouteScopes,
                RuleFault::InsufficientEndpointScope
                | RuleFault::EndpointScopeLost
                | RuleFault::ClosedEndpoint
                | RuleFault::AmbiguousPath => Self::Endpoint,
            },
            Fault::Policy(_) => Self::Policy,
            Fault::Overloaded | Fault::Internal => Self::Engine,
        }
    }
}
