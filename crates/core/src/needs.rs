//! What a decision lacks, and how to decide again when it is there.

use std::sync::Arc;
use std::time::Duration;

use crate::decision::{Approval, Basis, Denial, Fault};
use crate::issuers::{Issuer, KeysFault};
use crate::keys::{KeySetId, Refetch, RefetchCause};
use crate::policy::{Inquiry, PolicyAnswer, PolicyFault};
use crate::status::{Answered, StatusAnswer, StatusFault, StatusQuestion, StatusSource};

/// What is not known of a request's token.
///
/// Whoever can wait calls [`obtain`](Self::obtain). Others ask in their own way and hand in what
/// became of it ([`MissingKey::resolve`], [`MissingStatus::resolve`]). Either way the request is
/// [decided again](crate::Authorizer::decide_again), with the attempt that this gives: for each of
/// them at most once.
pub enum Needs<'a> {
    /// A key that its issuer may have published since.
    Key(MissingKey<'a>),
    /// Whether the token is active.
    Status(MissingStatus<'a>),
    /// What the policy thinks: all else is satisfied.
    Verdict(Box<MissingVerdict>),
}

/// The token may be signed with a key that its issuer has published since.
pub struct MissingKey<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) cause: RefetchCause,
    /// The keys that were tried.
    pub(crate) tried: Option<KeySetId>,
    /// The decision when asking brings nothing new.
    pub(crate) otherwise: Denial,
    pub(crate) attempt: Attempt,
}

/// The token counts only when whoever knows says so.
pub struct MissingStatus<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) source: &'a dyn StatusSource,
    pub(crate) question: StatusQuestion,
    /// The decision when there is no answer.
    pub(crate) otherwise: Denial,
    pub(crate) attempt: Attempt,
}

/// The request may pass only when the policy lets it.
pub struct MissingVerdict {
    pub(crate) inquiry: Inquiry,
    pub(crate) approval: Approval,
}

/// How a request is decided: what has been obtained for it since it was decided before.
#[derive(Clone, Default)]
pub struct Attempt {
    pub(crate) uncached: bool,
    /// Whether the policy is left out: whom the token speaks of is all that is asked.
    pub(crate) unjudged: bool,
    pub(crate) keys_obtained: bool,
    pub(crate) status: Option<Answered>,
    /// What all was found in order for, the policy included.
    pub(crate) approved: Option<Approval>,
}

impl<'a> Needs<'a> {
    /// The issuer that is asked, where it is one.
    #[must_use]
    pub fn issuer(&self) -> Option<&'a Issuer> {
        match self {
            Self::Key(missing) => Some(missing.issuer),
            Self::Status(missing) => Some(missing.issuer),
            Self::Verdict(_) => None,
        }
    }

    /// Asks for it, and waits at most `wait` for what comes of that.
    ///
    /// # Errors
    /// The decision, if nothing comes of it.
    pub async fn obtain(self, wait: Duration) -> Result<Attempt, Denial> {
        match self {
            Self::Key(missing) => {
                let refetch = missing.issuer.keys().refetch(missing.cause, wait).await;
                missing.resolve(refetch)
            }
            Self::Status(missing) => {
                let answer = missing.source.ask(&missing.question, wait).await;
                missing.resolve(answer)
            }
            Self::Verdict(missing) => missing.obtain(wait).await,
        }
    }

    /// The decision where nobody is asked.
    #[must_use]
    pub fn or_deny(self) -> Denial {
        match self {
            Self::Key(missing) => missing.otherwise,
            Self::Status(missing) => Denial { scopes: None, ..missing.otherwise },
            Self::Verdict(missing) => refused(&missing.approval, PolicyFault::NoAnswer),
        }
    }

    pub(crate) fn asking_for(self, scopes: Option<&str>) -> Self {
        match self {
            Self::Key(missing) => {
                Self::Key(MissingKey { otherwise: missing.otherwise.asking_for(scopes), ..missing })
            }
            // For the case that the token turns out to be revoked.
            Self::Status(missing) => Self::Status(MissingStatus {
                otherwise: Denial { scopes: scopes.map(str::to_owned), ..missing.otherwise },
                ..missing
            }),
            Self::Verdict(_) => self,
        }
    }
}

impl<'a> MissingKey<'a> {
    /// Whose key it is.
    #[must_use]
    pub fn issuer(&self) -> &'a Issuer {
        self.issuer
    }

    /// Why those at hand do not do.
    #[must_use]
    pub fn cause(&self) -> RefetchCause {
        self.cause
    }

    /// Takes what became of asking the issuer.
    ///
    /// # Errors
    /// The decision, if it brought nothing new.
    pub fn resolve(self, refetch: Refetch) -> Result<Attempt, Denial> {
        let Self { issuer, tried, otherwise, attempt, .. } = self;
        match refetch {
            Refetch::Answered => Ok(()),
            Refetch::StillUnderWay => Err(KeysFault::StillUnderWay),
            Refetch::Crowded => Err(KeysFault::Crowded),
            // A fetch that others asked for may have ended while this one was refused.
            Refetch::NotDue | Refetch::Failed if issuer.key_set_id() != tried => Ok(()),
            Refetch::NotDue | Refetch::Failed => return Err(otherwise),
        }
        .map(|()| Attempt { keys_obtained: true, ..attempt })
        .map_err(|fault| Denial { fault: Fault::Keys(fault), ..otherwise })
    }
}

impl<'a> MissingStatus<'a> {
    /// Whose token it is.
    #[must_use]
    pub fn issuer(&self) -> &'a Issuer {
        self.issuer
    }

    /// What is to be asked.
    #[must_use]
    pub fn question(&self) -> &StatusQuestion {
        &self.question
    }

    /// Takes what was answered.
    ///
    /// # Errors
    /// The decision, if the token is not active, or if that is still not known.
    pub fn resolve(self, answer: StatusAnswer) -> Result<Attempt, Denial> {
        let Self { question, otherwise, attempt, .. } = self;
        match answer {
            Ok(active) => Ok(Attempt { status: Some(Answered { question, active }), ..attempt }),
            Err(fault) => {
                let scopes = otherwise.scopes.clone().filter(|_| fault == StatusFault::Inactive);
                Err(Denial { fault: Fault::Status(fault), scopes, ..otherwise })
            }
        }
    }
}

impl MissingVerdict {
    async fn obtain(self, wait: Duration) -> Result<Attempt, Denial> {
        let approval = judged(self.approval, self.inquiry.ask(wait).await)?;
        Ok(Attempt { approved: Some(approval), ..Attempt::default() })
    }
}

/// The approval, if the policy's answer is yes.
pub(crate) fn judged(approval: Approval, answer: PolicyAnswer) -> Result<Approval, Denial> {
    match answer {
        Ok(verdict) if verdict.is_allowed() => Ok(approval.allowed_by(verdict)),
        Ok(verdict) => {
            let said = verdict.said().cloned();
            Err(Denial { said, ..refused(&approval, PolicyFault::Denied) })
        }
        Err(fault) => Err(refused(&approval, fault)),
    }
}

/// The denial of what is in order but for the policy.
fn refused(approval: &Approval, fault: PolicyFault) -> Denial {
    let identity = match approval.basis() {
        Basis::Identified { identity, .. } => Some(Arc::clone(identity)),
        Basis::Anonymous | Basis::Bypassed | Basis::AuthDisabled => None,
    };
    let issuer = identity.as_ref().map(|verified| verified.issuer());
    Denial { issuer, identity, ..Denial::from(Fault::from(fault)) }
}

impl StatusFault {
    /// The denial of a token of `issuer`.
    pub(crate) fn denial(self, issuer: &Issuer) -> Denial {
        Denial::of_issuer(self, issuer.id())
    }
}
