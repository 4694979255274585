//! Engines that wait for somebody to evaluate with them.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::parse;

/// After how many steps the time is looked at.
const STEPS: NonZeroU32 = NonZeroU32::MIN.saturating_add(63);

/// Engines kept for later, at most: as many as evaluate at once, for all but the rarest moments.
const MAX_IDLE: usize = 64;

/// Evaluates one rule, on as many threads as like.
pub(crate) struct Evaluator {
    prototype: Engine,
    idle: Mutex<Vec<Engine>>,
    rule: String,
}

/// Why an evaluation gives no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationFault {
    /// It took longer than it may.
    #[error("the policy took longer than it may")]
    TookTooLong,
    /// It failed: where and why.
    #[error("{0}")]
    Failed(String),
}

impl Evaluator {
    /// Evaluates the rule at this path, with engines like this one.
    pub(crate) fn new(prototype: Engine, rule: String) -> Self {
        Self { prototype, idle: Mutex::new(Vec::new()), rule }
    }

    /// The engine that the others are like.
    pub(crate) fn prototype(&self) -> &Engine {
        &self.prototype
    }

    /// The rule's value; undefined where it has none.
    pub(crate) fn evaluate(&self, input: Value, limit: Duration) -> Result<Value, EvaluationFault> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut engine = kept.unwrap_or_else(|| self.prototype.clone());
        let (value, prints) = evaluate(&mut engine, &self.rule, input, limit);
        for line in prints {
            tracing::debug!(target: "doorward::policy", "print: {line}");
        }
        let value = value?;
        // Not after a fault: who knows what it left behind.
        let mut idle = idle();
        if idle.len() < MAX_IDLE {
            idle.push(engine);
        }
        Ok(value)
    }
}

/// The value of a rule, and what was printed on the way.
pub(crate) fn evaluate(
    engine: &mut Engine,
    rule: &str,
    input: Value,
    limit: Duration,
) -> (Result<Value, EvaluationFault>, Vec<String>) {
    engine.set_input(input);
    engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval: STEPS });
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| engine.eval_rule(rule.to_owned())));
    // By our own clock: where a function fails, here of the time, regorus may go on without it.
    let value = if began.elapsed() > limit {
        Err(EvaluationFault::TookTooLong)
    } else {
        let failed = |text: String| Err(EvaluationFault::Failed(text));
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => failed(parse::fault("policy", &error.to_string()).to_string()),
            Err(_) => failed("evaluating it panicked".to_owned()),
        }
    };
    (value, engine.take_prints().unwrap_or_default())
}
