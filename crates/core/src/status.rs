//! Whether a token still counts, where that is known to somebody else alone: the registry that can
//! revoke it, or the issuer of tokens that only it can read (RFC 7662).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::bearer::BearerToken;
use crate::clock::UnixTime;
use crate::request::RequestView;

/// A parameter in the query of a question that is itself a request through a gateway. It stays in
/// the path that a gateway shows, whatever headers it hides.
pub const QUESTION_PARAMETER: &str = "doorward-question";

/// Who is asked about the tokens of an issuer.
pub trait StatusSource: Send + Sync {
    /// What can be said at once: what was answered a short while ago, or that nobody can be asked
    /// about the token now. No I/O, no waiting.
    fn known(&self, question: &StatusQuestion, now: UnixTime) -> Option<StatusAnswer>;

    /// Asks, and waits at most `wait`. However many requests have the same token, one question
    /// about it is under way; dropping the future leaves that one to the others.
    fn ask<'s>(
        &'s self,
        question: &StatusQuestion,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = StatusAnswer> + Send + 's>>;

    /// How long an answer that a token is active counts, at most until the token expires.
    fn recheck(&self) -> Duration;
}

/// What is asked about.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusQuestion {
    token: Box<[u8]>,
    signed: bool,
}

impl StatusQuestion {
    pub(crate) fn new(token: BearerToken<'_>, signed: bool) -> Self {
        Self { token: token.as_bytes().into(), signed }
    }

    /// The token, as it came.
    #[must_use]
    pub fn token(&self) -> BearerToken<'_> {
        BearerToken::new(&self.token)
    }

    /// Whether a key of the issuer's signed it. Tokens that are not signed can be made up, as many
    /// as somebody likes.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signed
    }
}

impl fmt::Debug for StatusQuestion {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusQuestion").field("signed", &self.signed).finish_non_exhaustive()
    }
}

/// That a token is active, or why that is not known.
pub type StatusAnswer = Result<Active, StatusFault>;

/// A token is active.
#[derive(Clone, Debug)]
pub struct Active {
    /// What else was said of it: a JSON object.
    pub document: Arc<[u8]>,
    /// Until when that counts, at most until the token expires.
    pub good_until: UnixTime,
}

/// An answer, and the token that it is about.
#[derive(Clone)]
pub(crate) struct Answered {
    pub(crate) question: StatusQuestion,
    pub(crate) active: Active,
}

impl Answered {
    pub(crate) fn about(&self, token: BearerToken<'_>) -> Option<&Active> {
        (self.question.token() == token).then_some(&self.active)
    }
}

/// Whether this request is a question of ours, about a token, that came back to us.
pub(crate) fn is_question(request: &RequestView<'_>) -> bool {
    memchr::memmem::find(request.path, QUESTION_PARAMETER.as_bytes()).is_some()
}

/// Why it is not known that a token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusFault {
    /// It does not: revoked, suspended, ended, or never issued.
    #[error("the token is not active: revoked, suspended, expired or unknown where it was issued")]
    Inactive,
    /// There was no answer, or none that makes sense.
    #[error("nobody could say whether the token is active; see the log")]
    NoAnswer,
    /// The answer takes longer than a request waits.
    #[error("whether the token is active is still being asked")]
    StillUnderWay,
    /// As many questions are under way, or were asked lately, as may.
    #[error("too many tokens have to be asked about")]
    Crowded,
    /// The answer speaks of another token.
    #[error("the answer on whether the token is active is about another token (`jti`)")]
    AboutAnother,
    /// The question came back to us: where it is asked, this server is asked.
    #[error(
        "this request is a question of Doorward's own about a token: where it asks is behind the \
         gateway that asks Doorward"
    )]
    Circular,
}
