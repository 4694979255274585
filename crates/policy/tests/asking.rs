//! Policies from text, and authorizers that ask them.

use std::path::PathBuf;
use std::sync::Arc;

use doorward_core::authorizer::Authorizer;
use doorward_core::policy::{Consulted, Policy, PolicyQuestion, Verdict};
use doorward_policy::{Limits, LoadFault, Rego, Sources};
use serde_json::Value;

use crate::support::{Ask, Setup};

/// A directory with these files.
pub(crate) fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

/// Sources of these files.
pub(crate) fn sources(files: &[(&str, &str)]) -> Result<Sources, Vec<LoadFault>> {
    let directory = directory(files);
    Sources::from_paths(&[directory.path().to_owned()])
}

/// Faults or remarks, with the names of files alone.
pub(crate) fn shown<'f>(faults: impl IntoIterator<Item = &'f LoadFault>) -> Vec<String> {
    let show = |fault: &LoadFault| {
        let file = PathBuf::from(&fault.file);
        let file = file.file_name().unwrap().to_string_lossy().into_owned();
        LoadFault { file, ..fault.clone() }.to_string()
    };
    faults.into_iter().map(show).collect()
}

/// The policy of one module and data.
pub(crate) fn compiled(module: &str, data: &Value, query: &str) -> Result<Rego, Vec<String>> {
    let sources = sources(&[("policy.rego", module), ("data.json", &data.to_string())]);
    let compiled = sources.and_then(|sources| Rego::compile(&sources, query, patient()));
    compiled.map_err(|faults| shown(&faults))
}

/// The same of a module alone, that decides by `data.authz.allow`.
pub(crate) fn rego(module: &str) -> Rego {
    compiled(module, &serde_json::json!({}), "data.authz.allow").unwrap()
}

/// Limits that a busy machine does not reach.
pub(crate) fn patient() -> Limits {
    Limits {
        time: std::time::Duration::from_secs(20),
        inline: std::time::Duration::from_secs(10),
        ..Limits::default()
    }
}

/// An authorizer that asks this policy.
pub(crate) fn authorizer(policy: impl Policy + 'static) -> Authorizer {
    Setup::new().authorizer().with_policy(Arc::new(policy))
}

/// Asks of the core what it asks of any policy.
pub(crate) fn with_question<T: Send + 'static>(
    ask: &Ask,
    look: impl Fn(&PolicyQuestion<'_>) -> T + Send + Sync + 'static,
) -> T {
    let seen = Arc::new(std::sync::Mutex::new(None));
    let spy = Spy { look: Box::new(look), seen: Arc::clone(&seen) };
    ask.decision(&authorizer(spy));
    seen.lock().unwrap().take().expect("the policy was not asked")
}

struct Spy<T> {
    look: Box<dyn Fn(&PolicyQuestion<'_>) -> T + Send + Sync>,
    seen: Arc<std::sync::Mutex<Option<T>>>,
}

impl<T: Send> Policy for Spy<T> {
    fn consult(&self, question: &PolicyQuestion<'_>) -> Consulted {
        *self.seen.lock().unwrap() = Some((self.look)(question));
        Consulted::Answered(Ok(Verdict::allow()))
    }

    fn reasons(&self, _: &PolicyQuestion<'_>) -> Vec<String> {
        Vec::new()
    }
}
