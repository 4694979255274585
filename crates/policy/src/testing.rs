//! `opa test`: runs the rules of a policy that test it.

use std::time::Duration;

use crate::fault::LoadFault;
use crate::sources::Sources;

/// What became of the tests.
#[derive(Clone, Debug, Default)]
pub struct TestReport {
    /// One for each test, by file and line.
    pub results: Vec<TestResult>,
    /// The lines of the modules that are no tests.
    pub coverage: Vec<Covered>,
}

impl TestReport {
    /// Whether no test failed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.results.iter().all(|result| match result.outcome {
            Outcome::Passed | Outcome::Skipped => true,
            Outcome::Failed | Outcome::Error(_) => false,
        })
    }
}

/// What became of one test.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// Its rule: `data.authz_test.test_admin`.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// The line that it begins at.
    pub line: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// The line of the first statement of a failed test that does not hold.
    pub failed_at: Option<u32>,
    /// What it printed.
    pub printed: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

/// How a test ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is true.
    Passed,
    /// It is not.
    Failed,
    /// It is named `todo_test_…`, and was not run.
    Skipped,
    /// It could not be evaluated.
    Error(String),
}

/// Which lines of a module were evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// The module's file.
    pub file: String,
    /// Those that were.
    pub covered: Vec<u32>,
    /// Those that were not.
    pub not_covered: Vec<u32>,
}

/// Runs the tests among the modules (rules `test_…`) whose name holds `filter`.
///
/// # Errors
/// What is wrong with the modules.
pub fn run_tests(_sources: &Sources, _filter: Option<&str>) -> Result<TestReport, Vec<LoadFault>> {
    Ok(TestReport::default())
}
