//! What may stand at each key, read off the JSON Schema of [`raw::Config`].
//!
//! The check of files, the reading of environment variables, the suggestions for typos
//! and the reference in `docs/` all go by this one tree, which is made from the structs
//! themselves: none of them can drift from what is accepted.

use std::sync::OnceLock;

use figment::value::{Empty, Value};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use super::key_path::KeyPath;
use super::lines::Lines;
use super::raw;

/// What may stand somewhere.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Any JSON, whatever its type.
    Anything,
    /// `true` or `false`.
    Truth,
    /// A whole number up to this.
    Number { max: u64 },
    /// A text, whatever stands in it.
    Text,
    /// A text that is shown to nobody.
    Secret,
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
            let mut shape = Self::of::<raw::Config>();
            // A schema has its keys by name; people are shown them in the order of declaration.
            let declared = serde_json::to_string_pretty(&raw::Config::with_every_section());
            shape.order_by(&Lines::of_yaml(&declared.unwrap_or_default()), &KeyPath::default());
            shape
        })
    }

    /// What may stand where a `T` is read, its keys by name.
    pub(super) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>();
        shape(schema.as_value()).0
    }

    /// The keys of a section; of anything else none.
    pub(super) fn keys(&self) -> &[Key] {
        match self {
            Self::Section(keys) => keys,
            Self::Anything
            | Self::Truth
            | Self::Number { .. }
            | Self::Text
            | Self::Secret
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
            Self::Text | Self::Secret => "a string".into(),
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

    /// Puts keys into the order in which they stand in a text.
    fn order_by(&mut self, lines: &Lines, path: &KeyPath) {
        if let Self::Section(keys) = self {
            keys.sort_by_key(|key| lines.of(&path.join(&key.name)));
            for key in keys {
                key.shape.order_by(lines, &path.join(&key.name));
            }
        } else if let Self::List(item) = self {
            item.order_by(lines, &path.join(0));
        }
    }
}

/// Every key of the configuration but those in lists and tables, outermost first within its section.
pub(super) fn keys() -> &'static [(KeyPath, &'static Key)] {
    static KEYS: OnceLock<Vec<(KeyPath, &'static Key)>> = OnceLock::new();
    KEYS.get_or_init(|| keys_of(Shape::of_config()))
}

/// The same of what may stand elsewhere.
pub(super) fn keys_of(shape: &'static Shape) -> Vec<(KeyPath, &'static Key)> {
    fn collect(shape: &'static Shape, path: &KeyPath, all: &mut Vec<(KeyPath, &'static Key)>) {
        all.extend(shape.keys().iter().map(|key| (path.join(&key.name), key)));
        for key in shape.keys() {
            collect(&key.shape, &path.join(&key.name), all);
        }
    }
    let mut all = Vec::new();
    collect(shape, &KeyPath::default(), &mut all);
    all
}

/// The JSON Schema (draft 2020-12) of the configuration.
pub(super) fn json_schema() -> Json {
    schemars::schema_for!(raw::Config).to_value()
}

/// The shape that a schema describes, and whether it admits `null`.
fn shape(schema: &Json) -> (Shape, bool) {
    let alternatives = alternatives(schema);
    let nullable = alternatives.contains(&None);
    let mut shapes: Vec<_> = alternatives.into_iter().flatten().collect();
    match (shapes.pop(), shapes.is_empty()) {
        (Some(only), true) => (only, nullable),
        (Some(last), false) => (Shape::Either([shapes, vec![last]].concat()), nullable),
        (None, _) => (Shape::Anything, true),
    }
}

/// What a schema admits, one by one; `None` is `null`.
fn alternatives(schema: &Json) -> Vec<Option<Shape>> {
    if let Some(choices) = choices(schema) {
        return vec![Some(Shape::Choice(choices))];
    }
    if let Some(schemas) = schema.get("anyOf").and_then(Json::as_array) {
        return schemas.iter().flat_map(alternatives).collect();
    }
    match schema.get("type") {
        Some(Json::Array(names)) => names.iter().map(|name| of_type(name, schema)).collect(),
        Some(name) => vec![of_type(name, schema)],
        None => vec![Some(Shape::Anything), None],
    }
}

fn of_type(name: &Json, schema: &Json) -> Option<Shape> {
    let inner = |name| schema.get(name).map_or(Shape::Anything, |schema| shape(schema).0);
    Some(match name.as_str() {
        Some("null") => return None,
        Some("boolean") => Shape::Truth,
        Some("integer") if schema.get("format").is_some_and(|format| format == "uint32") => {
            Shape::Number { max: u32::MAX.into() }
        }
        Some("integer") => Shape::Number { max: u64::MAX },
        Some("string") if schema.get("writeOnly").is_some() => Shape::Secret,
        Some("string") => Shape::Text,
        Some("array") => Shape::List(Box::new(inner("items"))),
        Some("object") => match schema.get("properties").and_then(Json::as_object) {
            Some(keys) => {
                Shape::Section(keys.iter().map(|(name, schema)| key(name, schema)).collect())
            }
            None => Shape::Table(Box::new(inner("additionalProperties"))),
        },
        Some(_) | None => Shape::Anything,
    })
}

fn key(name: &str, schema: &Json) -> Key {
    let (shape, nullable) = shape(schema);
    let about = schema.get("description").and_then(Json::as_str).unwrap_or_default();
    let default = Value::serialize(schema.get("default"));
    Key {
        name: name.to_owned(),
        shape,
        nullable,
        about: about.split_whitespace().collect::<Vec<_>>().join(" "),
        default: default.unwrap_or_else(|_| Empty::None.into()),
    }
}

/// The texts of an enum: as `enum`, or as one `const` a variant when those have
/// comments.
fn choices(schema: &Json) -> Option<Vec<String>> {
    let texts = |values: &[Json], pick: fn(&Json) -> Option<&str>| {
        values.iter().map(|value| pick(value).map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    if let Some(values) = schema.get("enum").and_then(Json::as_array) {
        return texts(values, Json::as_str);
    }
    let variants = schema.get("oneOf").and_then(Json::as_array)?;
    texts(variants, |variant| variant.get("const").and_then(Json::as_str))
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
        assert_eq!(at(&["auth", "oidc", "email_claim"]).default.as_str(), Some("email"));
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
        assert_eq!(&names[..3], ["auth", "platform", "server"]);
        let names: Vec<_> =
            at(&["auth", "issuers"]).shape.describe().split(' ').map(str::to_owned).collect();
        assert_eq!(names.join(" "), "a list of sections");
    }
}
