//! Modules and data → an engine that can evaluate them; and what regorus says is wrong, as faults.

use std::num::{NonZeroU32, NonZeroUsize};

use regorus::{Engine, PolicyLengthConfig, Value};

use crate::builtins;
use crate::fault::LoadFault;
use crate::sources::{Module, Sources};

/// Longer lines are refused: 64 KiB.
const MAX_COLUMN: NonZeroU32 = NonZeroU32::MIN.saturating_add(64 * 1024);

/// Longer modules are refused: 8 MiB.
pub(crate) const MAX_MODULE_BYTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8 << 20);

/// More lines than this are refused.
const MAX_LINES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(200_000);

/// An engine with the modules and the data, and what is odd about them.
///
/// # Errors
/// All modules that cannot be parsed, or what is wrong with the data.
pub(crate) fn engine(sources: &Sources) -> Result<(Engine, Vec<LoadFault>), Vec<LoadFault>> {
    let mut engine = empty_engine();
    let (mut faults, mut remarks) = (Vec::new(), Vec::new());
    for module in &sources.modules {
        match add(&mut engine, module) {
            Ok(remark) => remarks.extend(remark),
            Err(fault) => faults.push(fault),
        }
    }
    // Text, as numbers of any size survive that way alone.
    let data = Value::from_json_str(&sources.data().to_string());
    if let Err(error) = data.and_then(|data| engine.add_data(data)) {
        faults.push(LoadFault::of_file("data", text_of(&error.to_string())));
    }
    if faults.is_empty() { Ok((engine, remarks)) } else { Err(faults) }
}

/// The package of a module: `data.authz`.
///
/// # Errors
/// It cannot be parsed.
pub(crate) fn package(module: &Module) -> Result<Vec<String>, LoadFault> {
    let mut engine = empty_engine();
    add(&mut engine, module)?;
    let modules = engine.get_modules();
    Ok(modules.first().map(|module| crate::ast::package(module)).unwrap_or_default())
}

fn empty_engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: MAX_COLUMN,
        max_file_bytes: MAX_MODULE_BYTES,
        max_lines: MAX_LINES,
    });
    // As OPA: a builtin function that fails has no value.
    engine.set_strict_builtin_errors(false);
    engine.set_gather_prints(true);
    let decode = |arguments: Vec<Value>| {
        Ok(arguments.first().map_or(Value::Undefined, builtins::jwt_decode))
    };
    // Fails only where there is one of that name already.
    let _ = engine.add_extension(builtins::JWT_DECODE.to_owned(), 1, Box::new(decode));
    engine
}

/// Parses a module as Rego v1, and if that lacks a word that only v1 asks for, as Rego v0, which is
/// worth a remark. Where it is neither, the fault is that of the version in which more of it could be
/// read.
fn add(engine: &mut Engine, module: &Module) -> Result<Option<LoadFault>, LoadFault> {
    let mut attempt = |is_v0: bool| {
        engine.set_rego_v0(is_v0);
        let added = engine.add_policy(module.name.clone(), module.text.clone());
        added.map_err(|error| fault(&module.name, &error.to_string()))
    };
    let as_v1 = match attempt(false) {
        Ok(_) => return Ok(None),
        // `if` in front of a body, `contains` in the head of a set.
        Err(fault) if fault.text.contains("keyword is required") => fault,
        Err(fault) => return Err(fault),
    };
    match attempt(true) {
        Ok(_) => {
            let text = format!("this is Rego v0, not v1 ({}): it is read as v0", as_v1.text);
            Ok(Some(LoadFault { text, ..as_v1 }))
        }
        Err(as_v0) => {
            let is_further = (as_v0.line, as_v0.column) > (as_v1.line, as_v1.column);
            Err(if is_further { as_v0 } else { as_v1 })
        }
    }
}

/// What regorus says: `--> file:line:column`, the line itself, and `error: …`.
pub(crate) fn fault(file: &str, error: &str) -> LoadFault {
    let place = error.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let mut parts = place.unwrap_or_default().rsplitn(3, ':');
    let column = parts.next().and_then(|column| column.parse().ok());
    let line = parts.next().and_then(|line| line.parse().ok());
    let file = parts.next().filter(|_| line.is_some()).unwrap_or(file).to_owned();
    LoadFault { file, line, column, text: text_of(error) }
}

/// What is wrong, without the place and the line that regorus shows.
fn text_of(error: &str) -> String {
    let text = error.rsplit_once("error: ").map_or(error, |(_, text)| text);
    text.split("\n-->").next().unwrap_or_default().trim().trim_end_matches(':').to_owned()
}
