//! `opa test`: runs the rules of a policy that test it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use regorus::{Engine, Value};

use crate::analysis::{Analysis, Node};
use crate::evaluator::{EvaluationFault, evaluate};
use crate::fault::LoadFault;
use crate::lines::{covered, stopped_at};
use crate::parse;
use crate::sources::Sources;

/// How long one test may take, as in OPA.
const MAX_TIME: Duration = Duration::from_secs(5);

/// What became of the tests.
#[derive(Clone, Debug, Default)]
pub struct TestReport {
    /// One for each test, by package and name.
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

    /// How much of the modules that are no tests was evaluated: percent of their lines.
    #[must_use]
    pub fn percent_covered(&self) -> f64 {
        let sum = |lines: fn(&Covered) -> &Vec<u32>| -> u32 {
            self.coverage.iter().map(|file| u32::try_from(lines(file).len()).unwrap_or(0)).sum()
        };
        let (covered, not) = (sum(|file| &file.covered), sum(|file| &file.not_covered));
        100.0 * f64::from(covered) / f64::from((covered + not).max(1))
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
    /// What it printed: `file:line: text`.
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

/// Runs the tests among the modules, rules `test_…`, whose name holds `filter`.
///
/// # Errors
/// What is wrong with the modules.
pub fn run_tests(sources: &Sources, filter: Option<&str>) -> Result<TestReport, Vec<LoadFault>> {
    let (mut engine, _) = parse::engine(sources)?;
    let analysis = Analysis::of(engine.get_modules());
    if !analysis.faults.is_empty() {
        return Err(analysis.faults);
    }
    let mut lines = Lines::default();
    let mut results = Vec::new();
    for (path, node) in &analysis.rules {
        let name = path.join(".");
        let Some(is_todo) = path.last().and_then(|name| todo(name)) else { continue };
        if filter.is_some_and(|filter| !name.contains(filter)) {
            continue;
        }
        results.push(if is_todo {
            result(&name, node, Outcome::Skipped)
        } else {
            run(&engine, &name, node, &mut lines)?
        });
    }
    Ok(TestReport { results, coverage: lines.report() })
}

/// Whether a test is one still to be written; `None`: it is none at all.
fn todo(name: &str) -> Option<bool> {
    let is_todo = name.starts_with("todo_test_");
    (is_todo || name.starts_with("test_")).then_some(is_todo)
}

fn result(name: &str, node: &Node, outcome: Outcome) -> TestResult {
    TestResult {
        name: name.to_owned(),
        file: node.span.source.get_path().clone(),
        line: node.span.line,
        outcome,
        failed_at: None,
        printed: Vec::new(),
        duration: Duration::ZERO,
    }
}

fn run(
    engine: &Engine,
    name: &str,
    node: &Node,
    lines: &mut Lines,
) -> Result<TestResult, Vec<LoadFault>> {
    let mut engine = engine.clone();
    engine
        .compile_with_entrypoint(&name.into())
        .map_err(|error| vec![parse::fault("policy", &error.to_string())])?;
    engine.set_enable_coverage(true);
    let began = Instant::now();
    let (value, printed) = evaluate(&mut engine, name, Value::new_object(), MAX_TIME);
    let duration = began.elapsed();
    lines.note(&engine);
    let outcome = match value {
        Ok(value) if holds(&value) => Outcome::Passed,
        Ok(_) => Outcome::Failed,
        Err(EvaluationFault::TookTooLong) => Outcome::Error(format!("it took over {MAX_TIME:?}")),
        Err(EvaluationFault::Failed(text)) => Outcome::Error(text),
    };
    let covered = covered(&engine, node.span.source.get_path());
    let stops = stopped_at(&node.rules, &covered);
    let failed_at = stops.first().map(|(line, _)| *line).filter(|_| outcome == Outcome::Failed);
    Ok(TestResult { failed_at, printed, duration, ..result(name, node, outcome) })
}

/// Whether a test passes: its value, or each of its values, is neither false nor undefined.
fn holds(value: &Value) -> bool {
    match value.as_object() {
        Ok(cases) => cases.values().all(holds),
        Err(_) => ![Value::Undefined, Value::Bool(false)].contains(value),
    }
}

/// The lines of the files, evaluated or not.
#[derive(Default)]
struct Lines(BTreeMap<String, [BTreeSet<u32>; 2]>);

impl Lines {
    fn note(&mut self, engine: &Engine) {
        let report = engine.get_coverage_report();
        for file in report.map(|report| report.files).unwrap_or_default() {
            let [covered, not_covered] = self.0.entry(file.path).or_default();
            covered.extend(file.covered);
            not_covered.extend(file.not_covered);
        }
    }

    fn report(self) -> Vec<Covered> {
        let files = self.0.into_iter().filter(|(file, _)| !file.ends_with("_test.rego"));
        let of_file = |(file, [covered, not_covered]): (String, [BTreeSet<u32>; 2])| Covered {
            not_covered: not_covered.difference(&covered).copied().collect(),
            covered: covered.into_iter().collect(),
            file,
        };
        files.map(of_file).collect()
    }
}
