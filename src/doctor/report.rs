//! What an examination says: one [`Finding`] a check, in [`Section`]s, the same for people
//! and for `--json`.

use serde::Serialize;

use crate::printable::printable;

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
    /// It could not be tried, so nobody knows.
    NotSeen,
    /// It does not work, or is not safe.
    Fail,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn pass(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Pass, found: printable(&found.into()), remedy: None }
    }

    /// Something to know, and what to do about it.
    #[must_use]
    pub fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::with_remedy(check, Outcome::Warn, &found.into(), &remedy.into())
    }

    /// Something that could not be tried, why, and how to see it.
    #[must_use]
    pub fn not_seen(check: &'static str, found: impl Into<String>, remedy: Option<&str>) -> Self {
        let (outcome, remedy) = (Outcome::NotSeen, remedy.map(printable));
        Self { check, outcome, found: printable(&found.into()), remedy }
    }

    /// Something to mend, and how.
    #[must_use]
    pub fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::with_remedy(check, Outcome::Fail, &found.into(), &remedy.into())
    }

    fn with_remedy(check: &'static str, outcome: Outcome, found: &str, remedy: &str) -> Self {
        Self { check, outcome, found: printable(found), remedy: Some(printable(remedy)) }
    }
}

impl Section {
    /// A section without findings yet.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: printable(title), findings: Vec::new() }
    }
}

impl Report {
    /// How many findings came out like this.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        let findings = self.sections.iter().flat_map(|section| &section.findings);
        findings.filter(|finding| finding.outcome == outcome).count()
    }

    /// The gravest outcome; a report without findings passes.
    #[must_use]
    pub fn worst(&self) -> Outcome {
        let findings = self.sections.iter().flat_map(|section| &section.findings);
        findings.map(|finding| finding.outcome).max().unwrap_or(Outcome::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_text_cannot_steer_the_terminal() {
        let finding = Finding::fail("x", "a\u{1b}[2Jb\u{202e}c\u{9b}d\r\n", "e\u{7}f é 漢");
        assert_eq!(finding.found, r"a\u{1b}[2Jb\u{202e}c\u{9b}d\u{d}\u{a}");
        assert_eq!(finding.remedy.as_deref(), Some(r"e\u{7}f é 漢"));
        let endless = Finding::pass("x", "é".repeat(1_000_000));
        assert_eq!(endless.found.chars().count(), 2001);
        assert_eq!(Section::new("issuer \u{1b}]0;x").title, r"issuer \u{1b}]0;x");
    }

    #[test]
    fn the_gravest_outcome_decides() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Outcome::Pass);
        let mut section = Section::new("one");
        section.findings = vec![Finding::pass("a", "b"), Finding::warn("c", "d", "e")];
        report.sections.push(section.clone());
        assert_eq!((report.worst(), report.count(Outcome::Warn)), (Outcome::Warn, 1));
        report.sections[0].findings.push(Finding::not_seen("i", "j", None));
        assert_eq!(report.worst(), Outcome::NotSeen);
        section.findings.push(Finding::fail("f", "g", "h"));
        report.sections.insert(0, section);
        assert_eq!((report.worst(), report.count(Outcome::Pass)), (Outcome::Fail, 2));
    }
}
