//! A policy, compiled.

mod compile;
mod reasons;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorward_core::policy::{
    Consulted, Inquiry, Policy, PolicyAnswer, PolicyFault, PolicyQuestion, Verdict,
};
use tokio::sync::Semaphore;

use crate::analysis::Analysis;
use crate::decisions::Decisions;
use crate::evaluator::{EvaluationFault, Evaluator};
use crate::fault::LoadFault;
use crate::input::{Asked, Key};
use crate::limits::Limits;
use crate::parts::Parts;
use crate::throttle::Throttle;

/// A policy, compiled once and asked by every request.
pub struct Rego {
    core: Arc<Core>,
    limits: Limits,
    parts: Parts,
    analysis: Analysis,
    query: Vec<String>,
    has_default: bool,
    remarks: Vec<LoadFault>,
    /// Evaluations under way where waiting is in order.
    places: Arc<Semaphore>,
}

/// What evaluations on other threads share.
struct Core {
    evaluator: Evaluator,
    decisions: Option<Decisions>,
    /// Whether the last evaluation took longer than one may on the thread of who asks.
    is_slow: AtomicBool,
    inline: Duration,
    warnings: Throttle,
}

impl Policy for Rego {
    /// Each reading of the path has to be allowed; what the first one has to say counts.
    fn consult(&self, question: &PolicyQuestion<'_>) -> Consulted {
        let mut first = None;
        for path in question.paths() {
            let asked = Asked::new(question, &path);
            let key = self.key(&asked);
            let answer = match key.as_ref().and_then(|key| self.core.remembered(key)) {
                Some(verdict) => Ok(verdict),
                None if self.core.is_slow.load(Ordering::Relaxed) => return self.later(question),
                None => {
                    let input = asked.input(&self.parts);
                    self.core.answer(input, key.as_ref(), self.core.inline)
                }
            };
            match answer {
                Err(PolicyFault::TookTooLong) => return self.later(question),
                Ok(verdict) if verdict.is_allowed() => first = first.or(Some(verdict)),
                decided => return Consulted::Answered(decided),
            }
        }
        Consulted::Answered(first.ok_or(PolicyFault::Failed))
    }

    fn reasons(&self, question: &PolicyQuestion<'_>) -> Vec<String> {
        self.explain(question)
    }
}

impl Rego {
    fn key(&self, asked: &Asked<'_, '_>) -> Option<Key> {
        self.core.decisions.as_ref()?;
        asked.key(&self.parts)
    }

    /// The same where there is time.
    fn later(&self, question: &PolicyQuestion<'_>) -> Consulted {
        let readings: Vec<_> = question
            .paths()
            .map(|path| {
                let asked = Asked::new(question, &path);
                (self.key(&asked), asked.input(&self.parts))
            })
            .collect();
        let (core, places) = (Arc::clone(&self.core), Arc::clone(&self.places));
        let limit = self.limits.time;
        Consulted::Later(Inquiry::new(move |wait| async move {
            let Ok(place) = places.try_acquire_owned() else { return Err(PolicyFault::Crowded) };
            let work = tokio::task::spawn_blocking(move || {
                let _place = place;
                core.answer_all(readings, limit.min(wait))
            });
            match tokio::time::timeout(wait, work).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(PolicyFault::Failed),
                Err(_) => Err(PolicyFault::TookTooLong),
            }
        }))
    }
}

impl Core {
    fn remembered(&self, key: &Key) -> Option<Verdict> {
        self.decisions.as_ref()?.get(key)
    }

    fn answer_all(
        &self,
        readings: Vec<(Option<Key>, regorus::Value)>,
        limit: Duration,
    ) -> PolicyAnswer {
        let began = Instant::now();
        let mut first = None;
        for (key, input) in readings {
            let left = limit.saturating_sub(began.elapsed());
            let verdict = self.answer(input, key.as_ref(), left)?;
            if !verdict.is_allowed() {
                return Ok(verdict);
            }
            first = first.or(Some(verdict));
        }
        first.ok_or(PolicyFault::Failed)
    }

    fn answer(&self, input: regorus::Value, key: Option<&Key>, limit: Duration) -> PolicyAnswer {
        let began = Instant::now();
        let value = self.evaluator.evaluate(input, limit);
        self.is_slow.store(began.elapsed() > self.inline, Ordering::Relaxed);
        let verdict = match value {
            Ok(value) => self.verdict(&value)?,
            Err(EvaluationFault::TookTooLong) => return Err(PolicyFault::TookTooLong),
            Err(EvaluationFault::Failed(text)) => {
                self.warnings.warn(|| format!("the policy failed: {}", without_values(&text)));
                return Err(PolicyFault::Failed);
            }
        };
        if let (Some(decisions), Some(key)) = (&self.decisions, key) {
            decisions.put(key, &verdict);
        }
        Ok(verdict)
    }

    fn verdict(&self, value: &regorus::Value) -> PolicyAnswer {
        if *value == regorus::Value::Undefined {
            return Err(PolicyFault::Undefined);
        }
        if let Ok(allowed) = value.as_bool() {
            return Ok(if *allowed { Verdict::allow() } else { Verdict::deny() });
        }
        let json = serde_json::to_value(value).unwrap_or_default();
        let verdict = Verdict::from_json(&json);
        if let Err(fault) = verdict {
            let names = json.as_object().into_iter().flat_map(|members| members.keys());
            let names: Vec<_> = names.map(String::as_str).collect();
            let names = names.join(", ");
            self.warnings.warn(|| format!("{fault} (its members: {names})"));
        }
        verdict
    }
}

/// The text up to where regorus shows a value: that may be a secret.
fn without_values(text: &str) -> &str {
    text.split(['{', '[', '"']).next().unwrap_or_default()
}
