//! What one check found: a [`Finding`], the same for people and for `--json`, whether `explain` tells of
//! a request or `doctor` of a provider, a token or a gateway.

use serde::Serialize;

use crate::printable::printable;

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's stable name, for scripts: `discovery`, `device_grant`, `clock_skew`.
    pub check: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What would pass, where `found` does not say it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What was found, in one sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub found: String,
    /// How to mend it, in this provider or this file, or how to see it. Never where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// It works, with something one should know.
    Warn,
    /// Nobody looked: an earlier check failed, or none was asked for.
    NotReached,
    /// It could not be tried, so nobody knows.
    NotSeen,
    /// It does not work, or is not safe.
    Fail,
}

impl Finding {
    /// A check that came out like this.
    #[must_use]
    pub fn new(
        check: &'static str,
        outcome: Outcome,
        expected: &str,
        found: &str,
        remedy: Option<&str>,
    ) -> Self {
        let (expected, found) = (printable(expected), printable(found));
        Self { check, outcome, expected, found, remedy: remedy.map(printable) }
    }

    /// All is well.
    #[must_use]
    pub fn pass(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Outcome::Pass, "", &found.into(), None)
    }

    /// Something to know, and what to do about it.
    #[must_use]
    pub fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Outcome::Warn, "", &found.into(), Some(&remedy.into()))
    }

    /// Something that could not be tried, why, and how to see it.
    #[must_use]
    pub fn not_seen(check: &'static str, found: impl Into<String>, remedy: Option<&str>) -> Self {
        Self::new(check, Outcome::NotSeen, "", &found.into(), remedy)
    }

    /// Something to mend, and how.
    #[must_use]
    pub fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Outcome::Fail, "", &found.into(), Some(&remedy.into()))
    }
}
