//! The tests that a Rego policy brings along: `*_test.rego`.

#[cfg(feature = "policy")]
pub(super) use self::with_engine::{has_tests, run, tell};
#[cfg(not(feature = "policy"))]
pub(super) use self::without_engine::{has_tests, run, tell};

#[cfg(feature = "policy")]
mod with_engine {
    use std::io::{self, Write};

    use doorward_policy::{Outcome, Sources, TestReport, run_tests};

    use crate::cli::style::{BAD, DIM, GOOD, HEAD, WARN};
    use crate::config::Loaded;
    use crate::policy::{LoadFaults, PolicySpec};
    use crate::printable::printable;

    /// Runs them; `None`: the policy is none in Rego, or not in files.
    pub(in super::super) fn run(loaded: &Loaded) -> Result<Option<TestReport>, LoadFaults> {
        let Some(PolicySpec::Loaded(policy)) = &loaded.settings.policy else { return Ok(None) };
        if policy.provider != "embedded" {
            return Ok(None);
        }
        let told = |faults: Vec<doorward_policy::LoadFault>| {
            LoadFaults(faults.iter().map(ToString::to_string).collect())
        };
        let sources = Sources::with_tests_from_paths(&policy.paths).map_err(told)?;
        Ok(Some(run_tests(&sources, None).map_err(told)?))
    }

    /// Whether there were any.
    pub(in super::super) fn has_tests(report: &TestReport) -> bool {
        !report.results.is_empty()
    }

    /// Writes how they came out; whether all passed.
    pub(in super::super) fn tell(
        out: &mut dyn Write,
        report: &TestReport,
        all: bool,
    ) -> io::Result<bool> {
        let mut counts = [0_usize; 3];
        for result in &report.results {
            let (word, colour, place) = match &result.outcome {
                Outcome::Passed => ("pass", GOOD, 0),
                Outcome::Failed | Outcome::Error(_) => ("FAIL", BAD, 1),
                Outcome::Skipped => ("todo", WARN, 2),
            };
            if let Some(count) = counts.get_mut(place) {
                *count += 1;
            }
            if place == 0 && !all {
                continue;
            }
            let line = result.failed_at.unwrap_or(result.line);
            let at = format!("{}:{line}: {}", result.file, result.name);
            writeln!(out, "{colour}{word}{colour:#}  {HEAD}{}{HEAD:#}", printable(&at))?;
            if let Outcome::Error(error) = &result.outcome {
                writeln!(out, "      {}", printable(error))?;
            }
            for printed in &result.printed {
                writeln!(out, "      {DIM}{}{DIM:#}", printable(printed))?;
            }
        }
        if report.results.is_empty() {
            return Ok(true);
        }
        for file in report.coverage.iter().filter(|file| !file.not_covered.is_empty()) {
            let lines: Vec<_> = file.not_covered.iter().map(ToString::to_string).collect();
            let text = format!("{}: lines that no test came to: {}", file.file, lines.join(", "));
            writeln!(out, "{DIM}{}{DIM:#}", printable(&text))?;
        }
        let [passed, failed, todo] = counts;
        let colour = if failed == 0 { GOOD } else { BAD };
        let covered = report.percent_covered();
        writeln!(
            out,
            "{colour}{passed} tests passed, {failed} failed{colour:#}, {todo} still to be written; \
             {covered:.0} % of the lines covered"
        )?;
        Ok(failed == 0)
    }
}

#[cfg(not(feature = "policy"))]
mod without_engine {
    use std::convert::Infallible;
    use std::io::{self, Write};

    use crate::config::Loaded;
    use crate::policy::LoadFaults;

    #[expect(clippy::unnecessary_wraps, reason = "with the engine there are faults")]
    pub(in super::super) fn run(_: &Loaded) -> Result<Option<Infallible>, LoadFaults> {
        Ok(None)
    }

    pub(in super::super) fn has_tests(never: &Infallible) -> bool {
        match *never {}
    }

    pub(in super::super) fn tell(
        _: &mut dyn Write,
        never: &Infallible,
        _: bool,
    ) -> io::Result<bool> {
        match *never {}
    }
}
