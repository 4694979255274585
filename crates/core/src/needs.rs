//! What a decision lacks, and how to decide again when it is there.

use std::time::Duration;

use crate::decision::{Denial, Fault};
use crate::issuers::{Issuer, KeysFault};
use crate::keys::{KeySetId, Refetch, RefetchCause};
use crate::status::{Answered, StatusAnswer, StatusFault, StatusQuestion, StatusSource};

/// What is not known of a request's token.
///
/// Whoever can wait calls [`obtain`](Self::obtain). Others ask in their own way and hand in what
/// became of it ([`MissingKey::resolve`], [`MissingStatus::resolve`]). Either way the request is
/// [decided again](crate::Authorizer::decide_again), with the attempt that this gives: for each of
/// the two at most once.
pub enum Needs<'a> {
    /// A key that its issuer may have published since.
    Key(MissingKey<'a>),
    /// Whether the token is active.
    Status(MissingStatus<'a>),
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

/// How a request is decided: what has been obtained for it since it was decided before.
#[derive(Clone, Default)]
pub struct Attempt {
    pub(crate) uncached: bool,
    pub(crate) keys_obtained: bool,
    pub(crate) status: Option<Answered>,
}

impl<'a> Needs<'a> {
    /// The issuer that the token names, or is taken to be of.
    #[must_use]
    pub fn issuer(&self) -> &'a Issuer {
        match self {
            Self::Key(missing) => missing.issuer,
            Self::Status(missing) => missing.issuer,
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
        }
    }

    /// The decision where nobody is asked.
    #[must_use]
    pub fn or_deny(self) -> Denial {
        match self {
            Self::Key(missing) => missing.otherwise,
            Self::Status(missing) => Denial { scopes: None, ..missing.otherwise },
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
                let scopes = otherwise.scopes.filter(|_| fault == StatusFault::Inactive);
                Err(Denial { fault: Fault::Status(fault), issuer: otherwise.issuer, scopes })
            }
        }
    }
}

impl StatusFault {
    /// The denial of a token of `issuer`.
    pub(crate) fn denial(self, issuer: &Issuer) -> Denial {
        Denial { fault: Fault::Status(self), issuer: Some(issuer.id()), scopes: None }
    }
}
