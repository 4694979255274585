//! What is wrong with a policy, and where.

use std::fmt;

/// One thing that keeps a policy from being loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoadFault {
    /// The file, as it was named to us or as the bundle names it.
    pub file: String,
    /// The line, from 1, where the fault has one.
    pub line: Option<u32>,
    /// The column, from 1, where the fault has one.
    pub column: Option<u32>,
    /// What is wrong, and what would mend it.
    pub text: String,
}

impl LoadFault {
    /// A fault of a whole file.
    pub(crate) fn of_file(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, column: None, text: text.into() }
    }
}

impl fmt::Display for LoadFault {
    /// `authz.rego:12:3: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for part in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{part}")?;
        }
        write!(f, ": {}", self.text)
    }
}

impl std::error::Error for LoadFault {}
