//! What is wrong with a configuration: which key, from which layer, and why.

use std::fmt;
use std::path::PathBuf;

use super::problem::Problem;

/// A layer of configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// What a preset stands for.
    Preset(&'static str),
    /// The file that `NMP_CONFIG_FILE_PATH` names.
    NemoFile(PathBuf),
    /// A `--config` file, as it was given.
    File(PathBuf),
    /// Text handed over by the program itself, by its name.
    Inline(String),
    /// An environment variable.
    Variable(String),
    /// `--set`.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::NemoFile(path) | Self::File(path) => write!(f, "{}", path.display()),
            Self::Inline(name) | Self::Variable(name) => f.write_str(name),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The layer.
    pub origin: Origin,
    /// The line in it, from 1, when the layer has lines.
    pub line: Option<u64>,
}

impl From<Origin> for Source {
    fn from(origin: Origin) -> Self {
        Self { origin, line: None }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// The way to a key: `auth.oidc.issuer`, `auth.issuers.0.issuer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The key that `dotted` names. Names that hold a dot themselves are reached with
    /// [`join`](Self::join).
    #[must_use]
    pub fn dotted(dotted: &str) -> Self {
        Self(dotted.split('.').map(str::to_owned).collect())
    }

    /// The key `name` (or the item of that number) below this one.
    #[must_use]
    pub fn join(&self, name: impl fmt::Display) -> Self {
        let mut steps = self.0.clone();
        steps.push(name.to_string());
        Self(steps)
    }

    /// The key that this one stands in; of the root, itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0.split_last().map(|(_, above)| above.to_vec()).unwrap_or_default())
    }

    /// The names on the way, outermost first.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// Whether this is the whole configuration.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Fault {
    /// The key; the root when the whole layer is meant.
    pub key: KeyPath,
    /// Where it was written.
    pub source: Source,
    /// Why it cannot be.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    /// `doorward.yaml:7: auth.oidc.isuer: unknown key; did you mean auth.oidc.issuer?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.origin != Origin::Default {
            write!(f, "{}: ", self.source)?;
        }
        if !self.key.is_root() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.problem)
    }
}

/// Everything that is wrong with a configuration, at once; never empty.
#[derive(Debug, thiserror::Error)]
pub struct ConfigFaults(Vec<Fault>);

impl From<Vec<Fault>> for ConfigFaults {
    fn from(faults: Vec<Fault>) -> Self {
        Self(faults)
    }
}

impl ConfigFaults {
    /// The faults, in the order of their layers.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for ConfigFaults {
    /// One line a fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}
