//! What is wrong with a configuration: which key, from which layer, and why.

use std::fmt;
use std::path::PathBuf;

use super::key_path::KeyPath;
use super::problem::Problem;

/// A layer of configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is built in.
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
    /// The layer that has it.
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
