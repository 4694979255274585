//! The configuration in force, value by value, each with where it came from; secrets
//! left out.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::thread::available_parallelism;

use figment::value::{Dict, Value};
use serde_json::{Map, Value as Json, json};

use super::fault::{Origin, Source};
use super::key_path::KeyPath;
use super::merge::Merged;
use super::reader::Reader;
use super::shape::Shape;
use crate::redact::{REDACTED, redact};

/// The configuration in force. Fit to be shown: secrets are redacted.
#[derive(Clone, Debug)]
pub struct Effective {
    /// Every value, in the order of the schema.
    pub entries: Vec<Entry>,
}

/// A value in force, and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The way to its key.
    pub steps: Vec<Step>,
    /// The value that is in force.
    pub value: Json,
    /// Where it was written.
    pub source: Source,
    /// A number that another value, secrets included, does not have.
    pub number: u64,
    /// What stands in for it where nothing is written, in words: `from discovery`.
    pub default: Option<String>,
}

/// One step on the way to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The key of this name.
    Key(String),
    /// The section of this number, in a list of sections.
    Item(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => f.write_str(name),
            Self::Item(index) => write!(f, "{index}"),
        }
    }
}

impl Effective {
    pub(super) fn new(merged: &Merged, reader: Reader) -> Self {
        let mut walk = Walk { merged, reader, entries: Vec::new() };
        walk.section(merged.value(), Shape::of_config(), &[]);
        Self { entries: walk.entries }
    }

    /// Where the value at a dotted key came from; `None` for a section or an unknown key.
    #[must_use]
    pub fn source(&self, dotted: &str) -> Option<&Source> {
        self.find(dotted).map(|entry| &entry.source)
    }

    /// The value at a dotted key.
    #[must_use]
    pub fn value(&self, dotted: &str) -> Option<&Json> {
        self.find(dotted).map(|entry| &entry.value)
    }

    fn find(&self, dotted: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| path(&entry.steps).to_string() == dotted)
    }

    /// Only what does not come from the built-in defaults.
    #[must_use]
    pub fn without_defaults(mut self) -> Self {
        self.entries.retain(|entry| entry.source.origin != Origin::Default);
        self
    }

    /// As a JSON object: with `sources`, each value becomes `{value, source}`.
    #[must_use]
    pub fn to_json(&self, sources: bool) -> Json {
        let mut root = Json::Object(Map::new());
        for Entry { steps, value, source, .. } in &self.entries {
            let place = steps.iter().try_fold(&mut root, below);
            if let Some(place) = place {
                *place = match sources {
                    true => json!({"value": value, "source": source.to_string()}),
                    false => value.clone(),
                };
            }
        }
        root
    }
}

/// The place of a step in what is, or becomes, an object or an array.
fn below<'j>(place: &'j mut Json, step: &Step) -> Option<&'j mut Json> {
    match step {
        Step::Key(name) => {
            if place.is_null() {
                *place = Json::Object(Map::new());
            }
            Some(place.as_object_mut()?.entry(name).or_insert(Json::Null))
        }
        Step::Item(index) => {
            if place.is_null() {
                *place = Json::Array(Vec::new());
            }
            let items = place.as_array_mut()?;
            items.resize(items.len().max(index + 1), Json::Null);
            items.get_mut(*index)
        }
    }
}

fn path(steps: &[Step]) -> KeyPath {
    steps.iter().fold(KeyPath::default(), |path, step| path.join(step))
}

struct Walk<'m> {
    merged: &'m Merged,
    reader: Reader,
    entries: Vec<Entry>,
}

impl Walk<'_> {
    fn section(&mut self, value: &Value, shape: &Shape, steps: &[Step]) {
        let Value::Dict(_, members) = value else { return };
        for key in shape.keys() {
            let Some(value) = members.get(&key.name) else { continue };
            let steps = [steps, &[Step::Key(key.name.clone())]].concat();
            if self.reader.unserved(&path(&steps)).is_some() {
                continue;
            }
            match (&key.shape, value) {
                (shape @ Shape::Section(_), Value::Dict(..)) => self.section(value, shape, &steps),
                (Shape::Table(_), Value::Dict(_, table)) if !table.is_empty() => {
                    for (name, value) in table {
                        let steps = [steps.as_slice(), &[Step::Key(name.clone())]].concat();
                        self.entry(value, None, steps, None);
                    }
                }
                (Shape::List(item), Value::Array(_, items))
                    if matches!(**item, Shape::Section(_)) && !items.is_empty() =>
                {
                    for (index, value) in items.iter().enumerate() {
                        self.section(
                            value,
                            item,
                            &[steps.as_slice(), &[Step::Item(index)]].concat(),
                        );
                    }
                }
                (Shape::Secret, Value::String(..)) => {
                    self.entry(value, None, steps, None);
                    if let Some(entry) = self.entries.last_mut() {
                        entry.value = REDACTED.into();
                    }
                }
                _ => {
                    let stand_in = value.to_empty().and_then(|_| stand_in(&key.name, members));
                    self.entry(value, stand_in, steps, key.default_in_words());
                }
            }
        }
    }

    fn entry(
        &mut self,
        written: &Value,
        stand_in: Option<Json>,
        steps: Vec<Step>,
        default: Option<&str>,
    ) {
        let value = stand_in.unwrap_or_else(|| json!(written));
        let mut hasher = DefaultHasher::new();
        value.to_string().hash(&mut hasher);
        self.entries.push(Entry {
            source: self.merged.source_of(written, &path(&steps)),
            steps,
            value: redact(&value),
            number: hasher.finish(),
            default: default.map(str::to_owned),
        });
    }
}

/// What counts where a key of a section has no value and another setting tells what does.
fn stand_in(key: &str, section: &Dict) -> Option<Json> {
    match key {
        "audience" if section.get("verify_audience")?.to_bool()? => {
            section.get("client_id")?.as_str().map(Json::from)
        }
        "workers" => available_parallelism().ok().map(|workers| workers.get().into()),
        _ => None,
    }
}
