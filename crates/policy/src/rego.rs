//! A policy, compiled.

use doorward_core::policy::{Consulted, Policy, PolicyFault, PolicyQuestion};
use serde_json::Value;

use crate::fault::LoadFault;
use crate::limits::Limits;
use crate::sources::Sources;

/// A policy, compiled once and asked by every request.
#[derive(Debug)]
pub struct Rego {
    remarks: Vec<LoadFault>,
}

impl Rego {
    /// Compiles the policy whose decision is the value at `query`: `data.authz.allow`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn compile(
        _sources: &Sources,
        _query: &str,
        _limits: Limits,
    ) -> Result<Self, Vec<LoadFault>> {
        Ok(Self { remarks: Vec::new() })
    }

    /// Whether there is a decision for every request: the query's rule has a `default`.
    #[must_use]
    pub fn has_default(&self) -> bool {
        false
    }

    /// What is no fault, and worth a look: the policy reads a part of the input that is never there.
    #[must_use]
    pub fn remarks(&self) -> &[LoadFault] {
        &self.remarks
    }

    /// Evaluates the query with any input; `None`: it has no value.
    ///
    /// # Errors
    /// It fails, or takes too long.
    pub fn evaluate(&self, _input: &Value) -> Result<Option<Value>, EvaluationFault> {
        Ok(None)
    }

    /// The inputs that the policy gets for a request: one for each way that its path is read.
    #[must_use]
    pub fn inputs(&self, _question: &PolicyQuestion<'_>) -> Vec<Value> {
        Vec::new()
    }
}

impl Policy for Rego {
    fn consult(&self, _question: &PolicyQuestion<'_>) -> Consulted {
        Consulted::Answered(Err(PolicyFault::NotLoaded))
    }

    fn reasons(&self, _question: &PolicyQuestion<'_>) -> Vec<String> {
        Vec::new()
    }
}

/// Why an evaluation gives no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationFault {
    /// It took longer than it may.
    #[error("the policy took longer than `policy.timeout`")]
    TookTooLong,
    /// It failed: where and why.
    #[error("{0}")]
    Failed(String),
}
