//! Why a key, a value or a whole layer is refused.

use super::bad_value::BadValue;
use super::key_path::KeyPath;
use super::reader::Unserved;
use crate::redact::Shown;

/// Why something is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// The file is larger than any configuration.
    #[error("larger than {limit} bytes: is this a configuration file?")]
    TooLarge {
        /// How large a file may be, in bytes.
        limit: u64,
    },
    /// The extension tells no format.
    #[error("unknown format: the name must end in .yaml, .yml, .toml or .json")]
    UnknownFormat,
    /// The text is not what its format asks for.
    #[error("{0}")]
    Syntax(String),
    /// No such key.
    #[error("unknown key{}", meant(nearest.as_ref()))]
    UnknownKey {
        /// The key that may have been meant.
        nearest: Option<KeyPath>,
    },
    /// No such key, in the name of an environment variable.
    #[error("is not the name of a key{}", meant_variable(nearest.as_deref()))]
    UnknownVariable {
        /// The variable that may have been meant.
        nearest: Option<String>,
    },
    /// `--set` without `=`.
    #[error("`{0}` is not KEY=VALUE, as in `--set auth.enabled=false`")]
    NotAnOverride(Shown),
    /// The key is for another reader of configurations.
    #[error(transparent)]
    Unserved(#[from] Unserved),
    /// The value is of another type than the key.
    #[error("expected {expected}, found {found}{}", hint.map_or(String::new(), |hint| format!("; {hint}")))]
    WrongType {
        /// What the key takes.
        expected: String,
        /// What stood there, secrets left out.
        found: String,
        /// How to mend it.
        hint: Option<&'static str>,
    },
    /// The type is right, the value is not.
    #[error(transparent)]
    Value(#[from] BadValue),
    /// The layers do not fit together. The check of types should have said so before.
    #[error("{0}")]
    DoesNotFit(String),
}

fn meant(nearest: Option<&KeyPath>) -> String {
    nearest.map_or(String::new(), |key| format!("; did you mean {key}?"))
}

fn meant_variable(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| format!("; did you mean {name}?"))
}
