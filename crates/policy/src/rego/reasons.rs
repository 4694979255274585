//! Which rules made the difference.

use std::time::{Duration, Instant};

use doorward_core::policy::PolicyQuestion;
use regorus::Value;

use super::Rego;
use crate::evaluator::evaluate;
use crate::input::Asked;
use crate::lines::{covered, stopped_at};

/// More rules than this are not told of.
const MAX_RULES: usize = 40;

/// For more than this nobody wants to wait.
const MAX_TIME: Duration = Duration::from_secs(2);

impl Rego {
    /// A line for each rule that the query needs, nearest first: what it comes to, where it stands,
    /// and where it stops.
    pub(super) fn explain(&self, question: &PolicyQuestion<'_>) -> Vec<String> {
        let began = Instant::now();
        let mut lines = Vec::new();
        let paths: Vec<_> = question.paths().collect();
        for path in &paths {
            if paths.len() > 1 {
                lines.push(format!("path `{path}`"));
            }
            let input = Asked::new(question, path).input(&self.parts);
            for rule in self.needed() {
                if began.elapsed() > MAX_TIME {
                    lines.push("… (there is more)".to_owned());
                    return lines;
                }
                lines.extend(self.line(rule, &input));
            }
        }
        lines
    }

    /// The rules that decide the query, and those that they need, nearest first.
    fn needed(&self) -> Vec<&Vec<String>> {
        let mut needed = self.analysis.deciding(&self.query);
        let mut next = 0;
        while let Some(path) = needed.get(next).copied() {
            next += 1;
            let Some(node) = self.analysis.rules.get(path) else { continue };
            for further in self.analysis.needed_by(node) {
                if needed.len() < MAX_RULES && !needed.contains(&further) {
                    needed.push(further);
                }
            }
        }
        needed
    }

    /// What one rule comes to; `None` of a function, which has no value of its own.
    fn line(&self, path: &[String], input: &Value) -> Option<String> {
        let node = self.analysis.rules.get(path).filter(|node| !node.is_function)?;
        let name = path.join(".");
        let file = node.span.source.get_path();
        let line = node.span.line;
        let mut engine = self.core.evaluator.prototype().clone();
        engine.set_enable_coverage(true);
        let (value, _) = evaluate(&mut engine, &name, input.clone(), self.limits.time);
        let (is, holds) = match value {
            Err(fault) => (format!("cannot be evaluated: {fault}"), false),
            Ok(Value::Bool(truth)) => (format!("is {truth}"), truth),
            Ok(Value::Undefined) => ("has no value".to_owned(), false),
            Ok(value) if value.as_set().is_ok_and(|items| items.is_empty()) => {
                ("is empty".to_owned(), false)
            }
            Ok(_) => ("has a value".to_owned(), true),
        };
        let mut told = format!("{file}:{line}: `{name}` {is}");
        if !holds {
            for (line, text) in stopped_at(&node.rules, &covered(&engine, file)) {
                told.push_str(&format!("; stops at line {line}, `{text}`"));
            }
        }
        Some(told)
    }
}
