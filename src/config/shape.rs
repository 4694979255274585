//! What may stand at each key, read off the JSON Schema of [`raw::Config`].
//!
//! The check of files, the reading of environment variables, the suggestions for typos
//! and the reference in `docs/` all go by this one tree, which is made from the structs
//! themselves: none of them can drift from what is accepted.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::format::Format;
use super::raw;
use super::tree::{Content, Node};

/// What may stand somewhere.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Any JSON.
    Anything,
    /// `true` or `false`.
    Truth,
    /// A whole number up to this.
    Number { max: u64 },
    /// A text.
    Text,
    /// One of these texts.
    Choice(Vec<String>),
    /// Any number of these.
    List(Box<Shape>),
    /// Names that the operator chooses, with such values.
    Table(Box<Shape>),
    /// These keys and no others.
    Section(Vec<Key>),
    /// One or the other.
    Either(Vec<Shape>),
}

/// One key of a section.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// Whether it may be left without a value (`key:`), and is by default.
    pub(super) nullable: bool,
    /// Its meaning, for people.
    pub(super) about: String,
    /// Its built-in default.
    pub(super) default: Value,
}

impl Key {
    /// The default in the words of its meaning, where it is no value: `Default: from discovery.`
    pub(super) fn default_in_words(&self) -> Option<&str> {
        let (_, default) = self.about.split_once("Default: ")?;
        Some(default.split_once(". ").map_or(default, |(default, _)| default).trim_end_matches('.'))
    }
}

impl Shape {
    /// The shape of the whole configuration.
    pub(super) fn of_config() -> &'static Self {
        static SHAPE: OnceLock<Shape> = OnceLock::new();
        SHAPE.get_or_init(|| {
            let schema = json_schema();
            let mut shape = Reader { definitions: schema.get("$defs") }.shape(&schema).0;
            // serde_json sorts keys by name; the order of declaration tells a story.
            let declared = serde_json::to_string(&raw::Config::with_every_section())
                .ok()
                .and_then(|text| Format::json_value(&text));
            if let Some(declared) = declared {
                shape.order_like(&declared);
            }
            shape
        })
    }

    /// The keys of a section; of anything else none.
    pub(super) fn keys(&self) -> &[Key] {
        match self {
            Self::Section(keys) => keys,
            Self::Anything
            | Self::Truth
            | Self::Number { .. }
            | Self::Text
            | Self::Choice(_)
            | Self::List(_)
            | Self::Table(_)
            | Self::Either(_) => &[],
        }
    }

    /// A key of a section by its name.
    pub(super) fn key(&self, name: &str) -> Option<&Key> {
        self.keys().iter().find(|key| key.name == name)
    }

    /// Whether this, or one of the alternatives, is such a shape.
    pub(super) fn admits(&self, wanted: fn(&Self) -> bool) -> bool {
        if let Self::Either(shapes) = self {
            return shapes.iter().any(|shape| shape.admits(wanted));
        }
        wanted(self)
    }

    /// What is expected, in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Anything => "any value".into(),
            Self::Truth => "true or false".into(),
            Self::Number { .. } => "an integer".into(),
            Self::Text => "a string".into(),
            Self::Choice(choices) => choices.join(" or "),
            Self::List(item) if **item == Self::Text => "a list of strings".into(),
            Self::List(_) => "a list of sections".into(),
            Self::Table(_) => "a map of names to values".into(),
            Self::Section(_) => "a section with its own keys".into(),
            Self::Either(shapes) => {
                shapes.iter().map(Self::describe).collect::<Vec<_>>().join(" or ")
            }
        }
    }

    /// The shape of a list's items.
    #[cfg(test)]
    pub(super) fn item(&self) -> Option<&Self> {
        if let Self::List(item) = self { Some(item) } else { None }
    }

    fn order_like(&mut self, declared: &Node) {
        if let (Self::Section(keys), Content::Map(members)) = (&mut *self, &declared.content) {
            let position = |key: &Key| members.iter().position(|member| member.name == key.name);
            keys.sort_by_key(|key| position(key).unwrap_or(usize::MAX));
            for key in keys {
                if let Some(member) = declared.member(&key.name) {
                    key.shape.order_like(&member.value);
                }
            }
        } else if let (Self::List(item), Content::List(items)) = (self, &declared.content)
            && let Some(first) = items.first()
        {
            item.order_like(first);
        }
    }
}

/// The JSON Schema (draft 2020-12) of the configuration.
pub(super) fn json_schema() -> Value {
    schemars::schema_for!(raw::Config).to_value()
}

struct Reader<'s> {
    definitions: Option<&'s Value>,
}

impl Reader<'_> {
    /// The shape a schema describes, and whether it admits `null`.
    fn shape(&self, schema: &Value) -> (Shape, bool) {
        let Some(schema) = schema.as_object() else { return (Shape::Anything, true) };
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let definition = name
                .strip_prefix("#/$defs/")
                .and_then(|name| self.definitions.and_then(|definitions| definitions.get(name)));
            return definition.map_or((Shape::Anything, true), |schema| self.shape(schema));
        }
        if let Some(choices) = choices(schema) {
            return (Shape::Choice(choices), false);
        }
        if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
            return self.either(alternatives);
        }
        match schema.get("type") {
            Some(Value::String(name)) => (self.of_type(name, schema), false),
            Some(Value::Array(names)) => {
                let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
                let mut shapes: Vec<_> = names
                    .iter()
                    .filter(|name| **name != "null")
                    .map(|name| self.of_type(name, schema))
                    .collect();
                let nullable = names.contains(&"null");
                match (shapes.pop(), shapes.is_empty()) {
                    (Some(only), true) => (only, nullable),
                    (Some(last), false) => {
                        shapes.push(last);
                        (Shape::Either(shapes), nullable)
                    }
                    (None, _) => (Shape::Anything, nullable),
                }
            }
            _ => (Shape::Anything, true),
        }
    }

    fn either(&self, alternatives: &[Value]) -> (Shape, bool) {
        let is_null = |schema: &&Value| schema.get("type").is_some_and(|name| name == "null");
        let nullable = alternatives.iter().any(|schema| is_null(&schema));
        let mut shapes: Vec<_> = alternatives
            .iter()
            .filter(|schema| !is_null(schema))
            .map(|schema| self.shape(schema).0)
            .collect();
        match shapes.len() {
            1 => (shapes.remove(0), nullable),
            _ => (Shape::Either(shapes), nullable),
        }
    }

    fn of_type(&self, name: &str, schema: &Map<String, Value>) -> Shape {
        match name {
            "boolean" => Shape::Truth,
            "integer" => {
                let max = match schema.get("format").and_then(Value::as_str) {
                    Some("uint32") => u64::from(u32::MAX),
                    _ => u64::MAX,
                };
                Shape::Number { max }
            }
            "string" => Shape::Text,
            "array" => {
                let item = schema.get("items").map_or(Shape::Anything, |item| self.shape(item).0);
                Shape::List(Box::new(item))
            }
            "object" => match schema.get("properties").and_then(Value::as_object) {
                Some(properties) => Shape::Section(
                    properties.iter().map(|(name, schema)| self.key(name, schema)).collect(),
                ),
                None => Shape::Table(Box::new(
                    schema
                        .get("additionalProperties")
                        .map_or(Shape::Anything, |value| self.shape(value).0),
                )),
            },
            _ => Shape::Anything,
        }
    }

    fn key(&self, name: &str, schema: &Value) -> Key {
        let (shape, nullable) = self.shape(schema);
        Key {
            name: name.to_owned(),
            shape,
            nullable,
            about: schema
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            default: schema.get("default").cloned().unwrap_or_default(),
        }
    }
}

/// The texts of an enum: as `enum`, or as one `const` a variant when those have
/// comments.
fn choices(schema: &Map<String, Value>) -> Option<Vec<String>> {
    let texts = |values: &[Value], pick: fn(&Value) -> Option<&str>| {
        values.iter().map(|value| pick(value).map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return texts(values, Value::as_str);
    }
    let variants = schema.get("oneOf").and_then(Value::as_array)?;
    texts(variants, |variant| variant.get("const").and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &[&str]) -> Key {
        let (last, above) = path.split_last().unwrap();
        let mut shape = Shape::of_config();
        for step in above {
            let found = &shape.key(step).unwrap().shape;
            shape = found.item().unwrap_or(found);
        }
        shape.key(last).unwrap().clone()
    }

    #[test]
    fn the_tree_says_what_the_structs_say() {
        assert_eq!(at(&["auth", "enabled"]).shape, Shape::Truth);
        assert_eq!(at(&["auth", "oidc", "issuer"]).shape, Shape::Text);
        assert!(at(&["auth", "oidc", "issuer"]).nullable);
        assert_eq!(at(&["auth", "oidc", "email_claim"]).default, "email");
        assert!(!at(&["auth", "oidc", "email_claim"]).nullable);
        assert_eq!(at(&["auth", "oidc", "jwks"]).shape, Shape::Anything);
        let audience = at(&["auth", "oidc", "audience"]);
        let texts = Shape::List(Box::new(Shape::Text));
        assert_eq!(audience.shape, Shape::Either(vec![Shape::Text, texts]));
        assert!(audience.nullable);
        assert_eq!(
            at(&["headers", "profile"]).shape,
            Shape::Choice(vec!["nemo".into(), "plain".into()])
        );
        assert_eq!(at(&["headers", "claims"]).shape, Shape::Table(Box::new(Shape::Text)));
        assert_eq!(
            at(&["log", "decisions_per_second"]).shape,
            Shape::Number { max: u32::MAX.into() }
        );
        assert_eq!(at(&["auth", "issuers", "issuer"]).shape, Shape::Text);
        assert_eq!(at(&["server", "grpc", "tls", "cert"]).shape, Shape::Text);
        assert!(at(&["auth", "preset", "entra"]).nullable);
    }

    #[test]
    fn keys_come_in_the_order_of_declaration_and_each_has_a_meaning() {
        fn walk(shape: &Shape, path: &str) {
            for key in shape.keys() {
                let path = format!("{path}.{}", key.name);
                assert!(!key.about.is_empty(), "{path} says nothing");
                assert!(key.shape != Shape::Anything || key.name == "jwks", "{path}");
                walk(&key.shape, &path);
                if let Some(item) = key.shape.item() {
                    walk(item, &path);
                }
            }
        }
        let shape = Shape::of_config();
        walk(shape, "");
        let names: Vec<_> = shape.keys().iter().map(|key| key.name.as_str()).collect();
        assert_eq!(&names[..3], ["auth", "server", "headers"]);
        let names: Vec<_> =
            at(&["auth", "issuers"]).shape.describe().split(' ').map(str::to_owned).collect();
        assert_eq!(names.join(" "), "a list of sections");
    }
}
