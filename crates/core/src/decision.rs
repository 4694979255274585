//! What Doorward decides: allow with an identity, or deny with a reason.
//!
//! No status codes and no header syntax here: the transport translates.

use std::fmt;
use std::sync::Arc;

use crate::bearer::BearerFault;
use crate::identity::IdentityFault;
use crate::issuers::{IssuerId, KeysFault};
use crate::policy::{PolicyFault, Said, Verdict};
use crate::request::RequestFault;
use crate::rules::{Permit, RuleFault};
use crate::status::StatusFault;
use crate::token::TokenFault;
use crate::verified_identity::VerifiedIdentity;

/// Why a request was denied. The names ([`Reason::code`]) are stable: clients, logs,
/// metrics and `explain` all show the same ones.
///
/// To add one: add the variant, let the compiler lead you to its status in
/// `transport/denial.rs`, and list it in the README's table.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Reason {
    /// No method, or a path that does not start with `/`.
    MalformedRequest,
    /// No credentials where some are required.
    MissingToken,
    /// Not exactly one `Authorization: Bearer <token>` (RFC 6750 §2.1).
    MalformedHeader,
    /// Not a compact JWS of JSON objects, or beyond a limit.
    MalformedToken,
    /// An `alg`, `crit` or `typ` that is not accepted, or a token that is not for access, or
    /// bound to a key.
    UnsupportedToken,
    /// `iss` is none of the configured issuers.
    UnknownIssuer,
    /// The issuer publishes no usable key of that name.
    UnknownKey,
    /// The signature is not the key's.
    BadSignature,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `aud` (or the client) is not ours.
    BadAudience,
    /// A claim is missing, of a wrong type, or cannot be carried by a header.
    InvalidClaim,
    /// The token maps to a name that the platform reserves for itself.
    ReservedIdentity,
    /// Whoever knows says that the token does not count: revoked, suspended, or never issued.
    Revoked,
    /// None of the scopes that the route asks for.
    InsufficientScope,
    /// The policy said no.
    PolicyDenied,
    /// The issuer's keys were never obtained, are too old, or were still on their way.
    KeysUnavailable,
    /// Whoever knows whether the token counts did not answer.
    StatusUnavailable,
    /// The policy engine could not decide.
    PolicyUnavailable,
    /// There is no room for one more that has to wait.
    Overloaded,
    /// Doorward itself failed while deciding.
    InternalError,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The stable name: `missing_token`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// May the request pass, and who is it from?
#[derive(Debug)]
pub enum Decision {
    /// The request may pass, with the [header changes](crate::Authorizer::header_changes) of this.
    Allow(Approval),
    /// The request must not pass.
    Deny(Denial),
}

/// Leave to pass: only a satisfied rule gives it. Whatever it rests on, the front makes the
/// [changes](crate::authorizer::Authorizer::header_changes) to the request's headers.
///
/// ```compile_fail,E0451
/// use doorward_core::decision::{Basis, Approval};
///
/// let forged = Approval { basis: Basis::Anonymous, permit: todo!() };
/// ```
#[derive(Clone, Debug)]
pub struct Approval {
    basis: Basis,
    _permit: Permit,
    verdict: Option<Verdict>,
}

/// What a [`Approval`] rests on.
#[derive(Clone, Debug)]
pub enum Basis {
    /// A verified token.
    Identified {
        /// Whom the token speaks of.
        identity: Arc<VerifiedIdentity>,
        /// Whether the token was verified just now, not found in the cache.
        fresh: bool,
    },
    /// No token, where one is optional.
    Anonymous,
    /// Nobody looked: the path or route is let through.
    Bypassed,
    /// Nobody looked: authentication is off.
    AuthDisabled,
}

impl Approval {
    pub(crate) fn new(basis: Basis, permit: Permit) -> Self {
        Self { basis, _permit: permit, verdict: None }
    }

    /// The same, once a policy has let it pass, too.
    pub(crate) fn allowed_by(self, verdict: Verdict) -> Self {
        Self { verdict: Some(verdict), ..self }
    }

    /// Whether a policy let the request pass.
    #[must_use]
    pub fn is_authorized(&self) -> bool {
        self.verdict.is_some()
    }

    /// What the policy that let it pass has to say besides.
    #[must_use]
    pub fn said(&self) -> Option<&Said> {
        self.verdict.as_ref()?.said().map(AsRef::as_ref)
    }

    /// What it rests on.
    #[must_use]
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// Whom the request is from, when that is known.
    #[must_use]
    pub fn identity(&self) -> Option<&VerifiedIdentity> {
        match &self.basis {
            Basis::Identified { identity, .. } => Some(identity),
            Basis::Anonymous | Basis::Bypassed | Basis::AuthDisabled => None,
        }
    }

    /// The stable name of what it rests on, where a denial has its reason code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.basis.code()
    }

    /// Whether nobody looked at what credentials there may be.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        match self.basis {
            Basis::Bypassed | Basis::AuthDisabled => true,
            Basis::Identified { .. } | Basis::Anonymous => false,
        }
    }
}

impl Basis {
    /// The stable name, where a denial has its reason code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Identified { .. } => "authenticated",
            Self::Anonymous => "anonymous",
            Self::Bypassed => "bypassed",
            Self::AuthDisabled => "auth_disabled",
        }
    }
}

/// A request that must not pass: why, and what its client may be told.
#[derive(Debug)]
pub struct Denial {
    /// What is wrong.
    pub fault: Fault,
    /// The issuer that the token names, once that is known to be one of ours.
    pub issuer: Option<IssuerId>,
    /// The scopes of which the route needs one, separated by spaces.
    pub scopes: Option<String>,
    /// Whom the token speaks of, where it is the policy that does not let them pass.
    pub identity: Option<Arc<VerifiedIdentity>>,
    /// What the policy that denies it has to say to the client.
    pub said: Option<Arc<Said>>,
}

impl Denial {
    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.fault.reason()
    }

    /// One of a token of `issuer`.
    pub(crate) fn of_issuer(fault: impl Into<Fault>, issuer: IssuerId) -> Self {
        Self { issuer: Some(issuer), ..Self::from(fault.into()) }
    }

    /// The same, where the client should come again with another token: one with one of these
    /// scopes (RFC 6750 §3), so that it asks for the right ones at once.
    pub(crate) fn asking_for(self, scopes: Option<&str>) -> Self {
        match self.fault {
            Fault::NoCredentials
            | Fault::NoCredentialsForOptions
            | Fault::Bearer(_)
            | Fault::Status(StatusFault::Inactive)
            | Fault::Token(_) => Self { scopes: scopes.map(str::to_owned), ..self },
            Fault::Request(_)
            | Fault::Keys(_)
            | Fault::Status(_)
            | Fault::Identity(_)
            | Fault::Rule(_)
            | Fault::Policy(_)
            | Fault::Overloaded
            | Fault::Internal => self,
        }
    }
}

impl From<Fault> for Denial {
    fn from(fault: Fault) -> Self {
        Self { fault, issuer: None, scopes: None, identity: None, said: None }
    }
}

/// What is wrong, by the step that found it. The text is for logs and `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no request.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// There are no credentials where some are required.
    #[error("the request has no `Authorization` header")]
    NoCredentials,
    /// The same, and it may be a CORS preflight, with which browsers never send any.
    #[error(
        "the request has no `Authorization` header; it is an OPTIONS request, which browsers send \
         without one (CORS preflight): `rules.cors_preflight: allow` lets those pass whose \
         `origin` and `access-control-request-method` reach Doorward"
    )]
    NoCredentialsForOptions,
    /// Its credentials are not one bearer token.
    #[error(transparent)]
    Bearer(#[from] BearerFault),
    /// Its token is not accepted.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The issuer's keys are not there.
    #[error(transparent)]
    Keys(#[from] KeysFault),
    /// It is not known that its token counts.
    #[error(transparent)]
    Status(#[from] StatusFault),
    /// Its token gives no identity.
    #[error(transparent)]
    Identity(#[from] IdentityFault),
    /// Its token is not enough for the route.
    #[error(transparent)]
    Rule(#[from] RuleFault),
    /// The policy does not let it pass.
    #[error(transparent)]
    Policy(#[from] PolicyFault),
    /// It would have to wait, and there is no room for it.
    #[error("unfinished calls have used up their memory budget")]
    Overloaded,
    /// A step panicked: the fault is Doorward's own.
    #[error("Doorward failed while deciding; see its log")]
    Internal,
}

impl Fault {
    /// The one map from what went wrong to the stable reason.
    #[must_use]
    pub fn reason(self) -> Reason {
        use TokenFault as T;
        match self {
            Self::Request(_) => Reason::MalformedRequest,
            Self::NoCredentials | Self::NoCredentialsForOptions => Reason::MissingToken,
            Self::Bearer(_) => Reason::MalformedHeader,
            Self::Token(fault) => match fault {
                T::TooLong | T::NotThreeParts | T::NotBase64Url => Reason::MalformedToken,
                T::HeaderNotAnObject | T::ClaimsNotAnObject => Reason::MalformedToken,
                T::NestedTooDeep => Reason::MalformedToken,
                T::Unsigned | T::UnknownAlgorithm | T::Critical => Reason::UnsupportedToken,
                T::WrongType | T::AlgorithmNotAllowed => Reason::UnsupportedToken,
                T::AnotherKind(_) | T::LikeIdToken(_) | T::BoundToKey => Reason::UnsupportedToken,
                T::NoIssuer | T::UnknownIssuer | T::UnknownTenant => Reason::UnknownIssuer,
                T::NoSuchKey => Reason::UnknownKey,
                T::WrongUse => Reason::UnsupportedToken,
                T::BadSignature => Reason::BadSignature,
                T::Expired => Reason::Expired,
                T::NotYetValid | T::IssuedInFuture => Reason::NotYetValid,
                T::WrongAudience | T::WrongClient => Reason::BadAudience,
                T::NoExpiry | T::ExpiryBeyondReason | T::BadTime | T::LivesTooLong => {
                    Reason::InvalidClaim
                }
                T::ClaimMissing(_) | T::NotAKeyId => Reason::InvalidClaim,
            },
            Self::Keys(_) => Reason::KeysUnavailable,
            Self::Status(StatusFault::Inactive) => Reason::Revoked,
            Self::Status(_) => Reason::StatusUnavailable,
            Self::Identity(fault) => match fault {
                IdentityFault::SubjectMissing
                | IdentityFault::SubjectUnfit
                | IdentityFault::SubjectAddress(_)
                | IdentityFault::ActorUnfit
                | IdentityFault::TenantMissing => Reason::InvalidClaim,
                IdentityFault::SubjectReserved
                | IdentityFault::EmailReserved
                | IdentityFault::ActorReserved => Reason::ReservedIdentity,
            },
            Self::Rule(fault) => match fault {
                RuleFault::WrongAudience => Reason::BadAudience,
                RuleFault::InsufficientScope
                | RuleFault::InsufficientEndpointScope
                | RuleFault::EndpointScopeLost => Reason::InsufficientScope,
                RuleFault::ClosedEndpoint | RuleFault::ClosedRoute => Reason::PolicyDenied,
                RuleFault::AmbiguousPath
                | RuleFault::AmbiguousRoute
                | RuleFault::EncodedSlash
                | RuleFault::StepsAside => Reason::MalformedRequest,
                RuleFault::UnknownMode
                | RuleFault::UnknownKey
                | RuleFault::EmptyValue
                | RuleFault::BehalfNotPassed
                | RuleFault::PolicyHeadersNotPassed => Reason::PolicyUnavailable,
            },
            Self::Policy(fault) => match fault {
                PolicyFault::Denied => Reason::PolicyDenied,
                PolicyFault::AmbiguousPath => Reason::MalformedRequest,
                PolicyFault::NotLoaded
                | PolicyFault::NoAnswer
                | PolicyFault::TookTooLong
                | PolicyFault::Failed
                | PolicyFault::Undefined
                | PolicyFault::NotAVerdict
                | PolicyFault::UnfitVerdict
                | PolicyFault::Crowded => Reason::PolicyUnavailable,
            },
            Self::Overloaded => Reason::Overloaded,
            Self::Internal => Reason::InternalError,
        }
    }
}
