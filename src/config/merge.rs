//! Layers → one tree, by figment; each value remembers the layer it came from.

use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::fault::{Origin, Source};
use super::key_path::KeyPath;
use super::layer::Layer;
use super::raw;

/// Layers on top of each other.
pub(super) struct Merged {
    value: Value,
    figment: Figment,
    layers: Vec<Layer>,
}

impl Merged {
    /// Puts `layers`, lowest first, on top of each other and of the built-in defaults.
    pub(super) fn new(layers: Vec<Layer>) -> Result<Self, Box<figment::Error>> {
        let defaults = Figment::from(Serialized::defaults(raw::Config::default()));
        let figment = layers
            .iter()
            .enumerate()
            .fold(defaults, |figment, (index, layer)| figment.merge(Numbered { index, layer }));
        // The empty path is the whole tree; extracting it would lose the tags.
        let value = figment.find_value("")?;
        Ok(Self { figment, value, layers })
    }

    /// Puts one more layer on top.
    pub(super) fn with(mut self, layer: Layer) -> Result<Self, Box<figment::Error>> {
        // On what is merged already: values taken over from another layer keep their source.
        let numbered = Numbered { index: self.layers.len(), layer: &layer };
        let figment = self.figment.merge(numbered);
        let value = figment.find_value("")?;
        self.layers.push(layer);
        Ok(Self { value, figment, layers: self.layers })
    }

    /// The configuration as it is written.
    pub(super) fn config(&self) -> Result<raw::Config, Box<figment::Error>> {
        self.figment.extract().map_err(Box::new)
    }

    /// The whole tree.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Where the value at `path` was written: in the uppermost layer that has it. For
    /// what stands nowhere, the default.
    pub(super) fn source(&self, path: &KeyPath) -> Source {
        self.find(path).map_or(Origin::Default.into(), |value| self.source_of(value, path))
    }

    /// Where `value`, which stands at `path`, was written.
    pub(super) fn source_of(&self, value: &Value, path: &KeyPath) -> Source {
        let layer = self
            .figment
            .get_metadata(value.tag())
            .and_then(|metadata| metadata.source.as_ref()?.custom()?.parse::<usize>().ok())
            .and_then(|index| self.layers.get(index));
        layer.map_or(Origin::Default.into(), |layer| layer.source(path))
    }

    /// The key as it is written: where one text stands for a list, it has no number.
    pub(super) fn as_written(&self, key: KeyPath) -> KeyPath {
        let list = key.parent();
        let is_text = matches!(self.find(&list), Some(Value::String(..)));
        if is_text { list } else { key }
    }

    /// The items of a list, of which a single text may stand without brackets.
    pub(super) fn items(&self, path: &KeyPath) -> Vec<Value> {
        match self.find(path) {
            Some(Value::Array(_, items)) => items.clone(),
            Some(text @ Value::String(..)) => vec![text.clone()],
            Some(_) | None => Vec::new(),
        }
    }

    fn find(&self, path: &KeyPath) -> Option<&Value> {
        path.steps().iter().try_fold(&self.value, |value, step| match value {
            Value::Array(_, items) => items.get(step.parse::<usize>().ok()?),
            Value::Dict(_, members) => members.get(step),
            // A text in the place of a list of one.
            Value::String(..) => (step == "0").then_some(value),
            Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => None,
        })
    }

    /// Whether nobody has said anything about the key: it has its default, or was left
    /// without a value.
    pub(super) fn is_open(&self, path: &KeyPath) -> bool {
        self.find(path).is_none_or(|value| {
            matches!(value, Value::Empty(..))
                || self.source_of(value, path).origin == Origin::Default
        })
    }
}

/// A layer as figment takes it; the number finds it again from a value's tag.
struct Numbered<'l> {
    index: usize,
    layer: &'l Layer,
}

impl Provider for Numbered<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.layer.origin.to_string())
            .source(figment::Source::Custom(self.index.to_string()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict = self.layer.value.as_dict().cloned().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}
