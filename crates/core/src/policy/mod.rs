//! Whether an identified request may pass: asked of a policy, after everything else.
//!
//! What a policy is made of is not known here: a [`Policy`] is consulted with what is known of a
//! request, and says what it thinks at once or after some work.

mod input;
mod result;
mod roles;
mod verdict;

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::VerifiedIdentity;
use crate::clock::UnixTime;
use crate::identity::ProtectedHeaders;
use crate::request::{HeaderView, RequestView};
use crate::rules::{Readings, without_path_parameters};

pub use self::input::{parsed_path, parsed_query, told_scopes};
pub use self::roles::{GroupPattern, GroupPatternFault, Roles, RolesFault, RolesProblem};
pub use self::verdict::{Said, UnfitVerdict, Verdict};

/// Says whether requests may pass that all other rules let through.
pub trait Policy: Send + Sync {
    /// What the policy thinks of a request. No I/O and no waiting: what takes long is handed back, to
    /// be [asked](Inquiry::ask) for where there is time.
    ///
    /// Of a path that can be read in two ways, each [reading](PolicyQuestion::paths) has to be
    /// allowed.
    fn consult(&self, question: &PolicyQuestion<'_>) -> Consulted;

    /// Which rule, binding or line makes the difference, and what would be needed where the answer
    /// is no: a line each, for people.
    fn reasons(&self, question: &PolicyQuestion<'_>) -> Vec<String>;
}

/// What a policy is asked about.
#[derive(Clone, Copy, Debug)]
pub struct PolicyQuestion<'a> {
    request: &'a RequestView<'a>,
    path: &'a Readings<'a>,
    identity: Option<&'a VerifiedIdentity>,
    issuer: Option<&'a str>,
    protected: &'a ProtectedHeaders,
    now: UnixTime,
}

impl<'a> PolicyQuestion<'a> {
    /// A question.
    ///
    /// # Errors
    /// The path may be another one to those who read it.
    pub fn new(
        request: &'a RequestView<'a>,
        path: &'a Readings<'a>,
        identity: Option<&'a VerifiedIdentity>,
        issuer: Option<&'a str>,
        protected: &'a ProtectedHeaders,
        now: UnixTime,
    ) -> Result<Self, PolicyFault> {
        if path.is_ambiguous() {
            return Err(PolicyFault::AmbiguousPath);
        }
        Ok(Self { request, path, identity, issuer, protected, now })
    }

    /// The request, with all headers that its client sent.
    #[must_use]
    pub fn request(&self) -> &'a RequestView<'a> {
        self.request
    }

    /// The path as it may be read, each without its query.
    #[must_use]
    pub fn readings(&self) -> &'a Readings<'a> {
        self.path
    }

    /// The client's headers but for those that are ours to send: a policy that reads one of these would
    /// believe whatever a client forges.
    pub fn headers(&self) -> impl Iterator<Item = &'a HeaderView<'a>> {
        let protected = self.protected;
        self.request.headers.iter().filter(move |header| !protected.covers(header.name))
    }

    /// From whom it is; `None`: nobody said so, and nobody had to.
    #[must_use]
    pub fn identity(&self) -> Option<&'a VerifiedIdentity> {
        self.identity
    }

    /// The name of the token's issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&'a str> {
        self.issuer
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.now
    }

    /// The path without its query, in each way that it is read: as it stands, and where it has
    /// parameters (`;v=1`), without them. An encoded slash, where one may be, is part of a name
    /// (`%EF%BF%BD`), and separates names.
    pub fn paths(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        let each = self.path.each().filter_map(|path| str::from_utf8(path).ok());
        each.flat_map(|path| {
            let without = without_path_parameters(path);
            let further = matches!(without, Cow::Owned(_)).then_some(without);
            std::iter::once(Cow::Borrowed(path)).chain(further)
        })
    }
}

/// What a policy thinks.
pub type PolicyAnswer = Result<Verdict, PolicyFault>;

/// What consulting a policy comes to.
#[derive(Debug)]
pub enum Consulted {
    /// An answer.
    Answered(PolicyAnswer),
    /// There is one after some work.
    Later(Inquiry),
}

/// Work that an answer of a policy takes: it owns all that it needs.
pub struct Inquiry(Box<dyn FnOnce(Duration) -> Waiting + Send + Sync>);

type Waiting = Pin<Box<dyn Future<Output = PolicyAnswer> + Send>>;

impl Inquiry {
    /// Work that is begun when somebody has time to wait for it.
    pub fn new<F>(begin: impl FnOnce(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = PolicyAnswer> + Send + 'static,
    {
        Self(Box::new(move |wait| Box::pin(begin(wait))))
    }

    /// Waits for the answer, at most so long. Should the work panic, that is a failure of it: to Envoy
    /// a broken call can mean "let it pass".
    pub async fn ask(self, wait: Duration) -> PolicyAnswer {
        const FAILED: PolicyAnswer = Err(PolicyFault::Failed);
        let begun = catch_unwind(AssertUnwindSafe(|| (self.0)(wait)));
        let Ok(mut waiting) = begun else { return FAILED };
        poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| waiting.as_mut().poll(context)));
            polled.unwrap_or(Poll::Ready(FAILED))
        })
        .await
    }
}

impl fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inquiry")
    }
}

/// Why a policy does not let a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// It says no.
    #[error("the policy says no")]
    Denied,
    /// The path can be read in two ways.
    #[error("the path can be read in two ways, and the policy depends on the path")]
    AmbiguousPath,
    /// None has been loaded yet.
    #[error("no policy has been loaded yet; see the log")]
    NotLoaded,
    /// There was no answer, or none in time.
    #[error("the policy engine did not answer; see the log")]
    NoAnswer,
    /// Deciding took longer than it may.
    #[error("the policy took longer than `policy.timeout`")]
    TookTooLong,
    /// Deciding failed.
    #[error("the policy failed; see the log")]
    Failed,
    /// What was asked for has no value for this request.
    #[error("the policy has no value at `policy.query` for this request; give it a default")]
    Undefined,
    /// The answer is none that makes sense.
    #[error("the policy's answer is neither a boolean nor an object with `allowed`; see the log")]
    NotAVerdict,
    /// The answer names a header, status or body that cannot be one.
    #[error("the policy's answer has a header or a status that cannot be one; see the log")]
    UnfitVerdict,
    /// As many questions are under way as may be.
    #[error("too many requests wait for the policy")]
    Crowded,
}
