//! One layer of the configuration, as figment takes it.

use figment::value::{Dict, Value};

use super::fault::{Origin, Source};
use super::format::Document;
use super::key_path::KeyPath;
use super::lines::Lines;

/// One layer, of which everything fits the configuration.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) origin: Origin,
    pub(super) value: Value,
    lines: Lines,
}

impl Layer {
    pub(super) fn new(origin: Origin, document: Document) -> Self {
        Self { origin, value: document.value, lines: document.lines }
    }

    /// A layer of one value at `path`, which stood in no file.
    pub(super) fn of(origin: Origin, path: &KeyPath, value: Value) -> Self {
        let nest = |value, name: &String| Dict::from([(name.clone(), value)]).into();
        let value: Value = path.steps().iter().rev().fold(value, nest);
        Self::new(origin, value.into())
    }

    /// Where the key at `path` stands in this layer.
    pub(super) fn source(&self, path: &KeyPath) -> Source {
        Source { origin: self.origin.clone(), line: self.lines.of(path) }
    }
}
