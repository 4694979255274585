//! `doorward policy`: tries the configured rules and policy on requests that somebody makes up.

mod rego;
mod table;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use doorward_core::clock::{Clock as _, SystemClock, UnixTime};
use serde_json::{Map, Value};

use self::table::{Row, Table};
use super::output::print;
use super::style::{BAD, DIM, GOOD, HEAD};
use super::{ConfigArgs, Exit, OUTPUT, explain, lines, print_error, refuse_config};
use crate::app::{MadeUp, Trial, TrialError};
use crate::config::{self, Loaded};
use crate::explain::{Answer, Explanation};
use crate::finding::Outcome;
use crate::printable::printable;

/// Try the configured rules and policy on made-up requests.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward policy eval --claims '{\"sub\": \"alice\"}' --path /v1/models
  doorward policy test requests.yaml

Nobody has to log in for it: tokens with the claims you give are made here, and the engine that
`serve` runs decides about them. No provider is asked.")]
pub(super) struct PolicyCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Eval(EvalArgs),
    Test(TestArgs),
}

/// Decide one request, and say which rule decided.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward policy eval --claims '{\"sub\": \"alice\", \"groups\": [\"ml\"]}' --path /v1/models
  doorward policy eval --claims claims.json --method POST --path /v1/models --json
  doorward policy eval --anonymous --path /health

A token gets `iss`, `aud`, `iat` and `exp` that are accepted, unless the claims have others; a claim
that is null is left out.

Exit codes: 0 allowed, 1 denied, 2 wrong usage or configuration.")]
struct EvalArgs {
    /// What the token claims: a JSON object, a file that has one, or `-` for standard input
    #[arg(long, value_name = "JSON", required_unless_present = "anonymous")]
    claims: Option<String>,
    /// A request without a token
    #[arg(long, conflicts_with = "claims")]
    anonymous: bool,
    /// The request's method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The request's path, as a client sends it
    #[arg(long, default_value = "/")]
    path: String,
    /// The host that the client names, for `rules.routes`
    #[arg(long, default_value = "", hide_default_value = true)]
    host: String,
    /// A further header of the request (repeatable)
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<explain::Header>,
    /// The issuer whose token it is; default: the first one
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Print JSON
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Run tables of requests, and the tests that a Rego policy brings along.
#[derive(Debug, Args)]
#[command(after_help = "\
A table is a YAML or JSON file:

  people:
    viewer: {sub: alice, groups: [ws1-viewers]}
  requests:
    - {as: viewer, path: /v2/workspaces/ws1/models, expect: allow}
    - {as: viewer, method: POST, path: /v2/workspaces/ws1/models, expect: policy_denied}
    - {claims: {sub: bob}, path: /v2/workspaces/ws1/models, expect: deny}
    - {path: /health, expect: bypassed}

With `provider: embedded`, every rule `test_…` of the `*_test.rego` in `policy.files` is run, too, and
the lines of the policy that none of them came to are listed.

`expect` is `allow`, `deny`, a reason (`policy_denied`) or what an approval rests on
(`authenticated`, `anonymous`, `bypassed`); `headers` lists headers that the upstream has to get.

Exit codes: 0 all as expected, 1 not, 2 wrong usage or configuration.")]
struct TestArgs {
    /// Tables of requests
    #[arg(value_name = "TABLE")]
    tables: Vec<PathBuf>,
    /// Show what is as expected, too
    #[arg(long, help_heading = OUTPUT)]
    all: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(command: &PolicyCommand) -> Exit {
    let done = match &command.verb {
        Verb::Eval(args) => eval(args),
        Verb::Test(args) => test(args),
    };
    done.unwrap_or_else(|exit| exit)
}

fn usage(error: &dyn Error) -> Exit {
    print_error(error);
    Exit::Usage
}

fn load(config: &ConfigArgs) -> Result<Loaded, Exit> {
    config::load(&config.sources().to_look_at()).map_err(|faults| refuse_config(&faults))
}

fn eval(args: &EvalArgs) -> Result<Exit, Exit> {
    let loaded = load(&args.config)?;
    let claims = match &args.claims {
        Some(given) => Some(claims(given).map_err(|error| usage(&error))?),
        None => None,
    };
    let now = SystemClock.now();
    let trial = Trial::new(loaded.settings, args.issuer.as_deref(), now);
    let trial = trial.map_err(|error| usage(&error))?;
    let headers = args.headers.iter().map(explain::Header::pair).collect();
    let (method, path, host) = (args.method.clone(), args.path.clone(), args.host.clone());
    let explanation = trial.explain(&MadeUp { claims, method, path, host, headers });
    Ok(explain::show(&explanation, args.json))
}

/// A test of nothing would pass.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is nothing to test: name a table with requests (`doorward policy test requests.yaml`), or \
     put `*_test.rego` beside the policy (`policy.provider: embedded`)"
)]
struct NothingToTest;

/// Why claims are none.
#[derive(Debug, thiserror::Error)]
enum ClaimsError {
    #[error("`--claims {0}` is neither a JSON object nor a file that can be read")]
    Unreadable(String, #[source] io::Error),
    #[error("the claims are not a JSON object")]
    NoObject(#[from] serde_json::Error),
}

fn claims(given: &str) -> Result<Map<String, Value>, ClaimsError> {
    if given.trim_start().starts_with('{') {
        return Ok(serde_json::from_str(given)?);
    }
    let text = match given {
        "-" => io::read_to_string(io::stdin()),
        file => fs::read_to_string(file),
    };
    let text = text.map_err(|error| ClaimsError::Unreadable(printable(given), error))?;
    Ok(serde_json::from_str(&text)?)
}

fn test(args: &TestArgs) -> Result<Exit, Exit> {
    let loaded = load(&args.config)?;
    let tables: Vec<Table> = args
        .tables
        .iter()
        .map(|path| Table::read(path))
        .collect::<Result<_, _>>()
        .map_err(|error| usage(&error))?;
    let rego = rego::run(&loaded).map_err(|error| usage(&error))?;
    let brings_tests = rego.as_ref().is_some_and(rego::has_tests);
    if !brings_tests && tables.iter().all(|table| table.rows.is_empty()) {
        return Err(usage(&NothingToTest));
    }
    let now = SystemClock.now();
    let mut trials = Trials { loaded: &loaded, now, made: BTreeMap::new() };
    let mut ran = Vec::new();
    for table in &tables {
        for row in &table.rows {
            let trial = trials.of(row.issuer.as_deref()).map_err(|error| usage(&error))?;
            ran.push((table, row, trial.explain(&row.request)));
        }
    }
    Ok(print(Exit::Failed, |out| {
        let passed = rego.as_ref().map_or(Ok(true), |report| rego::tell(out, report, args.all))?;
        let failed = report(out, &ran, args.all)?;
        Ok(if failed == 0 && passed { Exit::Done } else { Exit::Failed })
    }))
}

/// The settings at work, by issuer.
struct Trials<'l> {
    loaded: &'l Loaded,
    now: UnixTime,
    made: BTreeMap<Option<String>, Trial>,
}

impl Trials<'_> {
    fn of(&mut self, issuer: Option<&str>) -> Result<&Trial, TrialError> {
        use std::collections::btree_map::Entry;
        Ok(match self.made.entry(issuer.map(str::to_owned)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                place.insert(Trial::new(self.loaded.settings.clone(), issuer, self.now)?)
            }
        })
    }
}

/// Writes how requests came out; how many not as expected.
fn report(
    out: &mut dyn Write,
    ran: &[(&Table, &Row, Explanation)],
    all: bool,
) -> io::Result<usize> {
    let mut failed = 0;
    for (table, row, explanation) in ran {
        let problem = row.expected.problem(explanation);
        failed += usize::from(problem.is_some());
        if problem.is_none() && !all {
            continue;
        }
        let (word, colour) = if problem.is_some() { ("FAIL", BAD) } else { ("pass", GOOD) };
        let place = format!("{}: {}", table.name, row.name);
        writeln!(out, "{colour}{word}{colour:#}  {HEAD}{}{HEAD:#}", printable(&place))?;
        let answer = match explanation.decision {
            Answer::Allow => "allowed",
            Answer::Deny => "denied",
        };
        let got = format!("{answer}, {}", explanation.reason);
        match &problem {
            Some(problem) => writeln!(out, "      {problem}; it is {got}")?,
            None => writeln!(out, "      {DIM}{got}{DIM:#}")?,
        }
        let telling = explanation.steps.iter().rfind(|step| match explanation.decision {
            Answer::Allow => step.check == "policy",
            Answer::Deny => step.outcome == Outcome::Fail,
        });
        if let Some(step) = telling {
            let text = lines::broken(&format!("{}: {}", step.check, step.found), 6);
            writeln!(out, "      {DIM}{text}{DIM:#}")?;
        }
    }
    let passed = ran.len() - failed;
    let colour = if failed == 0 { GOOD } else { BAD };
    writeln!(out, "{colour}{passed} as expected, {failed} not{colour:#}")?;
    Ok(failed)
}
