//! Configuration: raw text from its layers → checked [`Settings`], all faults at once.
//!
//! [`Sources`] → `layers` (each held against the schema by `conform`) → `merge` (figment)
//! → `preset` → `check` → [`Settings`]. What may stand in a file is declared in [`raw`]
//! and nowhere else.

mod bad_value;
mod check;
mod conform;
mod effective;
mod environment;
mod fault;
mod filter_config;
mod format;
mod key_path;
mod layer;
mod layers;
mod lines;
mod merge;
mod nearest;
mod nemo;
mod plain;
mod preset;
mod problem;
pub mod raw;
mod reader;
#[cfg(test)]
mod reference;
mod resource;
mod settings;
mod shape;
mod sources;
#[cfg(test)]
mod tests;
mod warning;

use std::path::PathBuf;

pub use self::bad_value::BadValue;
pub use self::effective::{Effective, Entry, Step};
pub use self::fault::{ConfigFaults, Fault, Origin, Source};
pub use self::filter_config::{load_filter_config, load_route};
pub(crate) use self::format::yaml_fault;
pub use self::key_path::KeyPath;
pub use self::layers::IgnoredKey;
pub use self::problem::Problem;
pub use self::raw::DecisionLog;
pub use self::reader::Unserved;
pub use self::resource::{ProtectedResource, ResourceId};
pub use self::settings::{
    AccessKeySettings, IssuerSettings, ListenAddress, ListenerSettings, LogSettings,
    ModuleSettings, PlatformSettings, Provenance, RouteSettings, ServerSettings, Settings,
    SubjectTokenSettings, TlsSettings, UnsignedSettings, WorkloadExchange, WorkloadTokenSettings,
};
pub use self::sources::Sources;
pub use self::warning::Warning;

use self::check::Checker;
use self::layers::Layers;
use self::merge::Merged;
use crate::secret::ClientSecret;

/// A configuration that is sound.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the program is built from.
    pub settings: Settings,
    /// What should not go unnoticed.
    pub warnings: Vec<Warning>,
    /// Keys of NeMo Platform's that mean nothing here, to be logged once.
    pub ignored: Vec<IgnoredKey>,
    /// Every value and where it came from, to be shown.
    pub effective: Effective,
    /// The configuration files that were read, to be watched.
    pub files: Vec<PathBuf>,
}

/// Reads, merges and checks a configuration. Reads files: the ones named in `sources`,
/// and those (key sets, certificates) that they name.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigFaults> {
    let Layers { layers, mut faults, ignored, files, .. } = Layers::read(sources);
    let mut checker = Checker {
        log_to_terminal: sources.log_to_terminal,
        in_kubernetes: sources.in_kubernetes(),
        ..Checker::default()
    };
    let (merged, settings) = match merge_and_check(layers, &mut checker) {
        Ok(done) => done,
        Err(error) => {
            // The check of types has let something pass that serde does not take.
            faults.extend(error.into_iter().map(does_not_fit));
            return Err(ConfigFaults::from(faults));
        }
    };
    // What is missing may be what was taken out.
    let taken_out = !faults.is_empty();
    let found = checker.found.into_iter().filter(|found| !(taken_out && found.why.is_absence()));
    faults.extend(found.map(|found| found.fault(&merged)));
    match settings {
        Some(mut settings) if faults.is_empty() => {
            let warnings = checker.warnings.iter().map(ToString::to_string).collect();
            settings.provenance = Provenance { files: files.clone(), warnings };
            let (warnings, effective) = (checker.warnings, Effective::new(&merged, sources.reader));
            Ok(Loaded { settings, warnings, ignored, effective, files })
        }
        None if faults.is_empty() => {
            // A check that refuses without saying why must not pass for silence.
            let what = "refused by a check that is not the name of a key";
            let problem = Problem::DoesNotFit(what.into());
            Err(vec![Fault { key: KeyPath::default(), source: Origin::Default.into(), problem }]
                .into())
        }
        _ => Err(faults.into()),
    }
}

/// The client that people log in with, as far as a configuration names it.
#[derive(Debug, Default)]
pub struct LoginClient {
    /// Whose client it is.
    pub issuer: Option<String>,
    /// Its id.
    pub id: Option<String>,
    /// Its secret.
    pub secret: Option<ClientSecret>,
}

/// The client that people log in with, whatever else is right or wrong with a configuration:
/// whoever logs in needs nothing more of it.
///
/// # Errors
/// The secret cannot be meant, or a file that may have it cannot be read.
pub fn login_client(sources: &Sources) -> Result<LoginClient, ConfigFaults> {
    let Layers { layers, mut faults, .. } = Layers::read(sources);
    faults.retain(|fault| {
        let is_file = fault.key.is_root() && matches!(fault.source.origin, Origin::File(_));
        is_file || fault.key.to_string().starts_with("auth.oidc.client_secret")
    });
    let unfit = |error: Box<figment::Error>| {
        ConfigFaults::from(error.into_iter().map(does_not_fit).collect::<Vec<_>>())
    };
    let merged = Merged::new(layers).map_err(unfit)?;
    let oidc = merged.config().map_err(unfit)?.auth.oidc;
    let mut checker = Checker::default();
    let secret = checker.client_secret(&oidc).flatten();
    faults.extend(checker.found.into_iter().map(|found| found.fault(&merged)));
    if !faults.is_empty() {
        return Err(faults.into());
    }
    Ok(LoginClient { issuer: oidc.common.issuer, id: oidc.common.client_id, secret })
}

/// The name of a file beside a configuration that holds its JSON Schema.
pub const SCHEMA_FILE: &str = "doorward.schema.json";
/// The first line of a configuration beside such a file: editors then complete its keys and mark
/// what is wrong, without a network.
pub const EDITORS: &str = "# yaml-language-server: $schema=doorward.schema.json";

/// The JSON Schema (draft 2020-12) of the configuration.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    shape::json_schema()
}

fn merge_and_check(
    layers: Vec<layer::Layer>,
    checker: &mut Checker,
) -> Result<(Merged, Option<Settings>), Box<figment::Error>> {
    let mut merged = Merged::new(layers)?;
    let mut config = merged.config()?;
    let layer = preset::layer(checker, &config, &merged);
    let found = checker.found.len();
    if let Some(layer) = layer {
        merged = merged.with(layer)?;
        config = merged.config()?;
    }
    if let Some(layer) = preset::rules(&config, &merged) {
        merged = merged.with(layer)?;
        config = merged.config()?;
    }
    let console = KeyPath::dotted("server.console");
    checker.is_console_asked_for =
        ["enabled", "listen", "tls"].iter().any(|key| !merged.is_open(&console.join(key)));
    let settings = checker.settings(&config);
    if found > 0 {
        // What the preset would have filled in is not missing.
        let rest = checker.found.split_off(found);
        checker.found.extend(rest.into_iter().filter(|found| !found.why.is_absence()));
    }
    Ok((merged, settings))
}

fn does_not_fit(error: figment::Error) -> Fault {
    let key = error.path.iter().fold(KeyPath::default(), |path, step| path.join(step));
    Fault {
        key,
        source: Origin::Default.into(),
        problem: Problem::DoesNotFit(error.kind.to_string()),
    }
}

impl Settings {
    /// Settings from a YAML text, for programs that bring their own configuration: no
    /// file, no environment.
    ///
    /// # Errors
    /// Everything that is wrong with it, named as if it stood in a file called `name`.
    pub fn from_yaml(name: &str, text: &str) -> Result<Self, ConfigFaults> {
        load(&Sources::none().inline_yaml(name, text)).map(|loaded| loaded.settings)
    }
}
