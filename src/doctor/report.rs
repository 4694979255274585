//! What an examination says: one [`Finding`] a check, in [`Section`]s, the same for people
//! and for `--json`.

use serde::Serialize;

/// Everything that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order in which they were examined.
    pub sections: Vec<Section>,
}

/// The findings about one thing: an issuer, a token, a file, a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// What was examined, as people name it: `issuer https://idp.example`.
    pub title: String,
    /// One a check, in the order of the checks.
    pub findings: Vec<Finding>,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's stable name, for scripts: `discovery`, `device_grant`, `clock_skew`.
    pub check: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, in one sentence; for a failure, what was expected too.
    pub found: String,
    /// How to mend it, in this provider or this file. Only beside a warning or a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// It works, with something one should know.
    Warn,
    /// It does not work, or is not safe.
    Fail,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn pass(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Pass, found: found.into(), remedy: None }
    }

    /// Something to know, and what to do about it.
    #[must_use]
    pub fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// Something to mend, and how.
    #[must_use]
    pub fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }
}

impl Report {
    /// The gravest outcome; a report without findings passes.
    #[must_use]
    pub fn worst(&self) -> Outcome {
        let findings = self.sections.iter().flat_map(|section| &section.findings);
        findings.map(|finding| finding.outcome).max().unwrap_or(Outcome::Pass)
    }
}
