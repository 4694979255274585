//! A decision told step by step: every check in its order, what it expected and what it
//! found, and the headers that come of it.
//!
//! Nothing is decided here. The decision comes from the engine that `serve` runs
//! ([`Authorizer::authorize`](doorward_core::authorizer::Authorizer::authorize)); its fault says
//! which check failed ([`Check::of`]), the checks before it have passed, and this module
//! looks up what each of them was about. `doctor` examines a token by the same steps.
//!
//! | file | holds |
//! |---|---|
//! | `check` | the checks, in order, and which of them a fault belongs to |
//! | `steps` | decision → steps |
//! | `token`, `times`, `keys`, `identity` | expected and found: of the token, its dates, of keys, of the identity |
//! | `remedy`, `near` | what to do about a fault, and about a value that is nearly right |
//! | `words` | values and moments as text that a terminal can show |

mod check;
mod identity;
mod keys;
mod near;
mod pasted;
mod remedy;
mod status;
mod steps;
mod times;
mod token;
mod words;

use serde::{Serialize, Serializer};

pub use self::check::Check;
pub use self::pasted::Pasted;
pub(crate) use self::steps::Evidence;
pub use self::steps::{Asked, IssuerFacts, KeyFacts, explain};
pub use self::words::moment;
use crate::finding::{Finding, Outcome};

/// A decision and how it came about. Its JSON is `doorward explain --json`; names are
/// stable. No text in it holds control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// May it pass?
    pub decision: Answer,
    /// The reason code of a denial, or the basis of an approval (`authenticated`).
    pub reason: &'static str,
    /// The HTTP status of the answer: 200 when the request may pass.
    pub status: u16,
    /// The configured issuer that the token names, when it names one.
    pub issuer: Option<String>,
    /// The moment the decision was made for, RFC 3339.
    pub at: String,
    /// Every check in its order.
    pub steps: Vec<Finding>,
    /// What becomes of the request's headers; only when it may pass.
    pub headers: Option<HeaderChanges>,
    /// What else the token's owner should know.
    pub notes: Vec<String>,
}

/// May a request pass?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The request may pass.
    Allow,
    /// The request must not pass.
    Deny,
}

/// What becomes of a request's headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderChanges {
    /// Names (lower case) and values that the upstream gets.
    #[serde(serialize_with = "as_map")]
    pub set: Vec<(String, String)>,
    /// Names that are taken away from the client's request.
    pub remove: Vec<String>,
}

impl Explanation {
    /// The check that decided against the request.
    #[must_use]
    pub fn failed(&self) -> Option<&Finding> {
        self.steps.iter().find(|step| step.outcome == Outcome::Fail)
    }
}

fn as_map<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}
