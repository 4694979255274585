//! What Envoy hands the module: its whole configuration, or what one of Envoy's routes says.
//!
//! Nothing of the process counts: neither its environment nor its arguments, which are Envoy's.

use std::path::PathBuf;

use super::check::{Checker, routes};
use super::conform::conform;
use super::fault::{ConfigFaults, Fault, Origin, Source};
use super::format::Format;
use super::key_path::KeyPath;
use super::layer::Layer;
use super::problem::Problem;
use super::reader::Reader;
use super::settings::RouteSettings;
use super::sources::Sources;
use super::{Loaded, does_not_fit, load, raw};

/// What faults are told of, as Envoy's field is called.
const NAME: &str = "filter_config";

/// Reads the `filter_config` of a listener's filter: Doorward's own keys, as JSON (which Envoy
/// makes of a `google.protobuf.Struct`) or YAML, or the path of a file that has them, on one line
/// that starts with `/` or `./`. Reads files: that one, and those that it names.
///
/// # Errors
/// Everything that is wrong, at once; also what is a setting of the server alone.
pub fn load_filter_config(given: &[u8]) -> Result<Loaded, ConfigFaults> {
    let text = text(given)?;
    load(&match path_of_file(text) {
        Some(file) => Sources::of_module().files([file]),
        None => Sources::of_module().inline_yaml(NAME, text),
    })
}

/// The file that a text names.
fn path_of_file(text: &str) -> Option<PathBuf> {
    let line = text.trim();
    let is_path = line.starts_with('/') || line.starts_with("./");
    (is_path && !line.contains('\n')).then(|| PathBuf::from(line))
}

/// Reads the `filter_config` of a route, a virtual host or the like: `mode`, `scopes` and
/// `audience`, as JSON or YAML. Scopes and audiences are lists, or words with spaces between them.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load_route(given: &[u8]) -> Result<RouteSettings, ConfigFaults> {
    let text = text(given)?;
    let document = Format::of_text(text).parse(text).map_err(|error| {
        let source = Source { origin: Origin::Inline(NAME.into()), line: error.line };
        one_fault(KeyPath::default(), source, Problem::Syntax(error.message))
    })?;
    let mut layer = Layer::new(Origin::Inline(NAME.into()), document);
    let mut faults = conform(&mut layer, Reader::Route);
    let raw: raw::EnvoyRoute = layer.value.deserialize().map_err(|error| {
        ConfigFaults::from(error.into_iter().map(does_not_fit).collect::<Vec<_>>())
    })?;
    let mut checker = Checker::default();
    let settings = routes::of_envoy(&mut checker, &raw);
    // What is missing may be what was taken out.
    let taken_out = !faults.is_empty();
    let found = checker.found.into_iter().filter(|found| !(taken_out && found.why.is_absence()));
    faults.extend(found.map(|found| Fault {
        source: layer.source(&found.written_at),
        key: found.key,
        problem: found.why.into(),
    }));
    if faults.is_empty() { Ok(settings) } else { Err(faults.into()) }
}

fn text(given: &[u8]) -> Result<&str, ConfigFaults> {
    str::from_utf8(given).map_err(|error| {
        let problem = Problem::Syntax(format!("not UTF-8: {error}"));
        one_fault(KeyPath::default(), Origin::Inline(NAME.into()).into(), problem)
    })
}

fn one_fault(key: KeyPath, source: Source, problem: Problem) -> ConfigFaults {
    vec![Fault { key, source, problem }].into()
}
