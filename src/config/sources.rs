//! Where configuration comes from: files, environment, flags. A value, so that nothing
//! below reads the process's own.

use std::fmt;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use super::reader::Reader;

/// The layers a configuration is made of, from [`load`](super::load)'s point of view.
/// Later ones win: NeMo's file, files, inline texts, NeMo's variables, Doorward's
/// variables, overrides.
#[derive(Clone, Default)]
pub struct Sources {
    pub(super) files: Vec<PathBuf>,
    pub(super) inline: Vec<(String, String)>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) overrides: Vec<String>,
    pub(super) log_to_terminal: bool,
    pub(super) reader: Reader,
}

/// What Kubernetes sets in every pod.
const OF_PODS: &str = "KUBERNETES_SERVICE_HOST";

impl Sources {
    /// The built-in defaults alone.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The built-in defaults of the module inside Envoy, which has no environment.
    #[must_use]
    pub fn of_module() -> Self {
        Self { reader: Reader::Module, ..Self::none() }
    }

    /// The environment of this process.
    ///
    /// Variables of other programs are not looked at, let alone kept.
    #[must_use]
    pub fn from_process() -> Self {
        // The one place that reads the environment; `vars` would panic on odd values.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let ours = name.starts_with("DOORWARD_") || name.starts_with("NMP_") || name == OF_PODS;
            // A value that is not Unicode fits no key: it is refused there, not here.
            ours.then(|| (name, value.to_string_lossy().into_owned()))
        });
        let log_to_terminal = std::io::stderr().is_terminal();
        Self { log_to_terminal, ..Self::none() }.environment(environment)
    }

    /// The same, to be looked at only: settings of the server and of the module may stand in it.
    #[must_use]
    pub fn to_look_at(self) -> Self {
        Self { reader: Reader::Onlooker, ..self }
    }

    /// Whether they are those of the module inside Envoy, which sees every header.
    #[must_use]
    pub fn are_of_module(&self) -> bool {
        self.reader == Reader::Module
    }

    /// Adds `--config` files, later ones over earlier ones.
    #[must_use]
    pub fn files(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files);
        self
    }

    /// Adds a YAML text as if it stood in a file of this name.
    #[must_use]
    pub fn inline_yaml(mut self, name: &str, text: &str) -> Self {
        self.inline.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds environment variables; names that are none of ours are left out.
    #[must_use]
    pub fn environment(mut self, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(pairs);
        // A stable order: the environment's own is not one.
        self.environment.sort();
        self
    }

    /// Whether this is a pod: Kubernetes sets this variable in each.
    pub(super) fn in_kubernetes(&self) -> bool {
        self.environment.iter().any(|(name, _)| name == OF_PODS)
    }

    /// Adds `--set KEY=VALUE`, later ones over earlier ones.
    #[must_use]
    pub fn overrides(mut self, overrides: impl IntoIterator<Item = String>) -> Self {
        self.overrides.extend(overrides);
        self
    }

    /// Whether `log.format: auto` means text. [`from_process`](Self::from_process) looks
    /// at standard error.
    #[must_use]
    pub fn log_to_terminal(mut self, terminal: bool) -> Self {
        self.log_to_terminal = terminal;
        self
    }
}

impl fmt::Debug for Sources {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inline: Vec<_> = self.inline.iter().map(|(name, _)| name).collect();
        let variables: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("Sources")
            .field("files", &self.files)
            .field("inline", &inline)
            .field("environment", &variables)
            .field("overrides", &self.overrides.len())
            .finish_non_exhaustive()
    }
}
