//! Layers → one tree, by figment; each value remembers the layer it came from.

use figment::value::{Dict, Map, Num, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde_json::Value as Json;

use super::fault::{Origin, Source};
use super::key_path::KeyPath;
use super::layers::Layer;
use super::raw;
use super::tree::{Content, Node};

/// Layers on top of each other.
pub(super) struct Merged {
    figment: Figment,
    value: Value,
    layers: Vec<Layer>,
}

impl Merged {
    /// Puts `layers`, lowest first, on top of each other.
    pub(super) fn new(layers: Vec<Layer>) -> Result<Self, Box<figment::Error>> {
        let figment = layers.iter().enumerate().fold(Figment::new(), |figment, (index, layer)| {
            figment.merge(Numbered { index, layer })
        });
        // The empty path is the whole tree; extracting it would lose the tags.
        let value = figment.find_value("")?;
        Ok(Self { figment, value, layers })
    }

    /// Puts one more layer on top.
    pub(super) fn with(mut self, layer: Layer) -> Result<Self, Box<figment::Error>> {
        self.layers.push(layer);
        Self::new(self.layers)
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
        layer.map_or(Origin::Default.into(), |layer| Source {
            origin: layer.origin.clone(),
            line: layer.tree.line_of(path.steps()),
        })
    }

    /// The key as it is written: where one text stands for a list, it has no number.
    pub(super) fn as_written(&self, key: KeyPath) -> KeyPath {
        let list = key.parent();
        let is_text = matches!(self.find(&list), Some(Value::String(..)));
        if is_text { list } else { key }
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

/// The built-in defaults as a layer.
pub(super) fn defaults() -> Layer {
    let tree = serde_json::to_value(raw::Config::default()).unwrap_or_default();
    Layer { origin: Origin::Default, tree: Node::from(&tree) }
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
        let dict = value(&self.layer.tree).into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

fn value(node: &Node) -> Value {
    let tag = Tag::Default;
    match &node.content {
        Content::Null => Value::Empty(tag, figment::value::Empty::None),
        Content::Bool(truth) => Value::Bool(tag, *truth),
        Content::Number(number) => {
            let unsigned = || number.as_u64().map(Num::U64);
            let signed = || number.as_i64().map(Num::I64);
            let float = || number.as_f64().map(Num::F64);
            let number = unsigned().or_else(signed).or_else(float).unwrap_or(Num::U64(0));
            Value::Num(tag, number)
        }
        Content::Text(text) => Value::String(tag, text.clone()),
        Content::List(items) => Value::Array(tag, items.iter().map(value).collect()),
        Content::Map(members) => Value::Dict(
            tag,
            members.iter().map(|member| (member.name.clone(), value(&member.value))).collect(),
        ),
    }
}

/// A merged value as JSON.
pub(super) fn to_json(value: &Value) -> Json {
    match value {
        Value::String(_, text) => Json::String(text.clone()),
        Value::Char(_, char) => Json::String(char.to_string()),
        Value::Bool(_, truth) => Json::Bool(*truth),
        Value::Num(_, number) => match (number.to_u128(), number.to_i128()) {
            (Some(number), _) => u64::try_from(number).map_or(Json::Null, Json::from),
            (None, Some(number)) => i64::try_from(number).map_or(Json::Null, Json::from),
            (None, None) => number.to_f64().map_or(Json::Null, Json::from),
        },
        Value::Empty(..) => Json::Null,
        Value::Dict(_, members) => Json::Object(
            members.iter().map(|(name, value)| (name.clone(), to_json(value))).collect(),
        ),
        Value::Array(_, items) => Json::Array(items.iter().map(to_json).collect()),
    }
}
