//! What an examination says: one [`Finding`] a check, in [`Section`]s.

use serde::Serialize;

pub use crate::finding::{Finding, Outcome};
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
