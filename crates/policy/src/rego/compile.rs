//! Sources → a policy, or all that is wrong with them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use doorward_core::policy::PolicyQuestion;
use regorus::Engine;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{Core, Rego};
use crate::analysis::Analysis;
use crate::builtins::nearest;
use crate::decisions::Decisions;
use crate::evaluator::{EvaluationFault, Evaluator};
use crate::fault::LoadFault;
use crate::input::Asked;
use crate::limits::Limits;
use crate::parse;
use crate::sources::Sources;
use crate::throttle::Throttle;

/// A package of ours, whose one rule is the query.
const PACKAGE: &str = "doorward_query";

impl Rego {
    /// Compiles the policy whose decision is the value at `query`: a rule (`data.authz.allow`), a
    /// package, or something below one. Modules are read as Rego v1, and those that are none as v0.
    ///
    /// # Errors
    /// All that is wrong with it, also what regorus itself would find out only while it evaluates:
    /// functions that there are not, rules that need themselves, a query that leads nowhere.
    pub fn compile(sources: &Sources, query: &str, limits: Limits) -> Result<Self, Vec<LoadFault>> {
        let (mut engine, mut remarks) = parse::engine(sources)?;
        let mut analysis = Analysis::of(engine.get_modules());
        let path = path_of(query).filter(|path| leads_somewhere(path, &analysis, sources));
        let mut faults = std::mem::take(&mut analysis.faults);
        if path.is_none() {
            faults.push(LoadFault::of_file("policy.query", leads_nowhere(query, &analysis)));
        }
        let Some(path) = path.filter(|_| faults.is_empty()) else { return Err(faults) };
        let evaluator = evaluator(&mut engine, &path, &analysis).map_err(|fault| vec![fault])?;
        remarks.append(&mut analysis.remarks);
        let parts = analysis.parts.clone();
        let remembers = limits.remembered > 0 && analysis.is_steady;
        let core = Core {
            evaluator,
            decisions: remembers.then(|| Decisions::new(limits.remembered)),
            is_slow: AtomicBool::new(limits.inline.is_zero()),
            inline: limits.inline,
            warnings: Throttle::default(),
        };
        Ok(Self {
            core: Arc::new(core),
            limits,
            parts,
            has_default: analysis.rules.get(&path).is_some_and(|node| node.has_default),
            analysis,
            query: path,
            remarks,
            places: Arc::new(Semaphore::new(limits.at_once)),
        })
    }

    /// Whether there is a decision for every request: the query's rule has a `default`.
    #[must_use]
    pub fn has_default(&self) -> bool {
        self.has_default
    }

    /// Whether decisions are remembered: they depend on nothing but parts of the input that are
    /// known beforehand, and not on all headers.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.core.decisions.is_some() && self.parts.headers != crate::parts::Headers::All
    }

    /// What is no fault, and worth a look: Rego v0, parts of the input that are never there, members
    /// of a result that say nothing.
    #[must_use]
    pub fn remarks(&self) -> &[LoadFault] {
        &self.remarks
    }

    /// Evaluates the query with any input; `None`: it has no value.
    ///
    /// # Errors
    /// It fails, or takes too long.
    pub fn evaluate(&self, input: &Value) -> Result<Option<Value>, EvaluationFault> {
        let value = self.core.evaluator.evaluate(input.clone().into(), self.limits.time)?;
        if value == regorus::Value::Undefined {
            return Ok(None);
        }
        let json = serde_json::to_value(value);
        json.map(Some).map_err(|error| EvaluationFault::Failed(error.to_string()))
    }

    /// The inputs that the policy gets for a request, with no more than it reads: one for each way
    /// that the path is read.
    #[must_use]
    pub fn inputs(&self, question: &PolicyQuestion<'_>) -> Vec<Value> {
        let input = |path: &str| Asked::new(question, path).input(&self.parts);
        let json = |input: regorus::Value| serde_json::to_value(input).unwrap_or_default();
        question.paths().map(|path| json(input(&path))).collect()
    }
}

/// Evaluates the query, and so finds what regorus has against the modules. What is no rule itself, a
/// package or a part of a value, is the value of a rule of ours.
fn evaluator(
    engine: &mut Engine,
    path: &[String],
    analysis: &Analysis,
) -> Result<Evaluator, LoadFault> {
    let fault = |error: &dyn std::fmt::Display| parse::fault("policy", &error.to_string());
    let is_rule = analysis.deciding(path) == [path];
    let is_plain = path
        .iter()
        .all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    let rule = if is_rule && is_plain {
        path.join(".")
    } else {
        let names = path.iter().skip(1).map(|name| Value::from(name.as_str()));
        let names: String = names.map(|name| format!("[{name}]")).collect();
        let text = format!("package {PACKAGE}\n\nvalue := data{names}\n");
        engine.set_rego_v0(false);
        let added = engine.add_policy("policy.query".to_owned(), text);
        added.map_err(|error| fault(&error))?;
        format!("data.{PACKAGE}.value")
    };
    let compiled = engine.compile_with_entrypoint(&rule.as_str().into());
    compiled.map_err(|error| fault(&error))?;
    Ok(Evaluator::new(engine.clone(), rule))
}

/// `data.authz["allow"]` → its names; `None`: it is no such path.
fn path_of(query: &str) -> Option<Vec<String>> {
    let mut engine = Engine::new();
    let module = format!("package query\n\nvalue := {query}\n");
    engine.add_policy("query".to_owned(), module).ok()?;
    let module = engine.get_modules().first()?;
    let [rule] = module.policy.as_slice() else { return None };
    let reads = crate::ast::Reads::of(rule);
    let [reference] = reads.references.as_slice() else { return None };
    let is_all = reads.calls.is_empty() && reference.span.text() == query.trim();
    let path = &reference.path;
    let is_data = path.first().is_some_and(|root| root == "data") && path.len() > 1;
    (is_all && is_data).then(|| path.clone())
}

/// Whether rules decide the value at the path, or there is data.
fn leads_somewhere(path: &[String], analysis: &Analysis, sources: &Sources) -> bool {
    let deciding = analysis.deciding(path);
    let is_value =
        |rule: &&Vec<String>| analysis.rules.get(*rule).is_some_and(|node| !node.is_function);
    let mut names = path.iter().skip(1);
    deciding.iter().any(is_value)
        || names.try_fold(sources.data(), |data, name| data.get(name)).is_some()
}

fn leads_nowhere(query: &str, analysis: &Analysis) -> String {
    let rules = analysis.rules.keys().chain(&analysis.packages);
    let nearest = nearest(query, rules.map(|path| path.join(".")));
    format!("there is no rule or package `{query}`{nearest}")
}
