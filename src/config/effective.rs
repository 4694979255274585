//! The configuration in force, value by value, each with where it came from; secrets
//! left out.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::thread::available_parallelism;

use figment::value::{Dict, Value};
use serde_json::Value as Json;

use super::fault::{Origin, Source};
use super::key_path::KeyPath;
use super::merge::{Merged, to_json};
use super::shape::{Key, Shape};
use crate::redact::redact;

/// The configuration in force. Fit to be shown: secrets are redacted.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The top-level sections, in the order of the schema.
    pub entries: Vec<Entry>,
}

/// A key, and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name within its section.
    pub name: String,
    /// What it holds.
    pub content: EntryContent,
    /// What stands in for it where nothing is written, in words: `from discovery`.
    pub default: Option<String>,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryContent {
    /// Keys of its own.
    Section(Vec<Entry>),
    /// Several sections.
    Sections(Vec<Vec<Entry>>),
    /// A value, where it was written, and a number that another value, secrets included, does
    /// not have.
    Value(Json, Source, u64),
}

impl Effective {
    pub(super) fn new(merged: &Merged) -> Self {
        let walk = Walk { merged };
        Self { entries: walk.section(merged.value(), Shape::of_config(), &KeyPath::default()) }
    }

    /// Where the value at a dotted key came from; `None` for a section or an unknown key.
    #[must_use]
    pub fn source(&self, dotted: &str) -> Option<&Source> {
        self.find(dotted).map(|(_, source)| source)
    }

    /// The value at a dotted key.
    #[must_use]
    pub fn value(&self, dotted: &str) -> Option<&Json> {
        self.find(dotted).map(|(value, _)| value)
    }

    fn find(&self, dotted: &str) -> Option<(&Json, &Source)> {
        fn find<'e>(entries: &'e [Entry], dotted: &str) -> Option<(&'e Json, &'e Source)> {
            entries.iter().find_map(|entry| {
                let rest = dotted.strip_prefix(entry.name.as_str())?;
                match (&entry.content, rest.strip_prefix('.')) {
                    (EntryContent::Value(value, source, _), None) if rest.is_empty() => {
                        Some((value, source))
                    }
                    (EntryContent::Section(entries), Some(rest)) => find(entries, rest),
                    (EntryContent::Sections(sections), Some(rest)) => {
                        let (index, rest) = rest.split_once('.')?;
                        find(sections.get(index.parse::<usize>().ok()?)?, rest)
                    }
                    _ => None,
                }
            })
        }
        find(&self.entries, dotted)
    }

    /// Only what does not come from the built-in defaults.
    #[must_use]
    pub fn without_defaults(&self) -> Self {
        Self { entries: without_defaults(&self.entries) }
    }

    /// As a JSON object: with `sources`, each value becomes `{value, source}`.
    #[must_use]
    pub fn to_json(&self, sources: bool) -> Json {
        section_to_json(&self.entries, sources)
    }
}

fn without_defaults(entries: &[Entry]) -> Vec<Entry> {
    let kept = |entry: &Entry| {
        let content = match &entry.content {
            EntryContent::Value(_, source, _) if source.origin == Origin::Default => return None,
            EntryContent::Section(entries) => EntryContent::Section(without_defaults(entries)),
            written @ (EntryContent::Sections(_) | EntryContent::Value(..)) => written.clone(),
        };
        let empty = matches!(&content, EntryContent::Section(entries) if entries.is_empty());
        (!empty).then(|| Entry { content, ..entry.clone() })
    };
    entries.iter().filter_map(kept).collect()
}

fn section_to_json(entries: &[Entry], sources: bool) -> Json {
    let member = |entry: &Entry| {
        let value = match &entry.content {
            EntryContent::Section(entries) => section_to_json(entries, sources),
            EntryContent::Sections(sections) => Json::Array(
                sections.iter().map(|entries| section_to_json(entries, sources)).collect(),
            ),
            EntryContent::Value(value, source, _) if sources => {
                serde_json::json!({"value": value, "source": source.to_string()})
            }
            EntryContent::Value(value, ..) => value.clone(),
        };
        (entry.name.clone(), value)
    };
    Json::Object(entries.iter().map(member).collect())
}

struct Walk<'m> {
    merged: &'m Merged,
}

impl Walk<'_> {
    fn section(&self, value: &Value, shape: &Shape, path: &KeyPath) -> Vec<Entry> {
        let Value::Dict(_, members) = value else { return Vec::new() };
        let known = shape.keys().iter().filter_map(|key| {
            let path = path.join(&key.name);
            let mut content = self.content(members.get(&key.name)?, key, &path);
            if let EntryContent::Value(Json::Null, source, _) = &content
                && let Some(value) = stand_in(&key.name, members)
            {
                content = Self::shown(&value, source.clone());
            }
            let default = key.default_in_words().map(str::to_owned);
            Some(Entry { name: key.name.clone(), content, default })
        });
        known.collect()
    }

    fn content(&self, value: &Value, key: &Key, path: &KeyPath) -> EntryContent {
        match (&key.shape, value) {
            (shape @ Shape::Section(_), Value::Dict(..)) => {
                EntryContent::Section(self.section(value, shape, path))
            }
            (Shape::Table(_), Value::Dict(_, members)) if !members.is_empty() => {
                let entry = |(name, value): (&String, &Value)| Entry {
                    name: name.clone(),
                    content: self.leaf(value, &path.join(name)),
                    default: None,
                };
                EntryContent::Section(members.iter().map(entry).collect())
            }
            (Shape::List(item), Value::Array(_, items))
                if matches!(**item, Shape::Section(_)) && !items.is_empty() =>
            {
                let section =
                    |(index, value): (usize, &Value)| self.section(value, item, &path.join(index));
                EntryContent::Sections(items.iter().enumerate().map(section).collect())
            }
            _ => self.leaf(value, path),
        }
    }

    fn leaf(&self, value: &Value, path: &KeyPath) -> EntryContent {
        Self::shown(&to_json(value), self.merged.source_of(value, path))
    }

    fn shown(value: &Json, source: Source) -> EntryContent {
        let mut hasher = DefaultHasher::new();
        value.to_string().hash(&mut hasher);
        EntryContent::Value(redact(value), source, hasher.finish())
    }
}

/// What counts where a key of a section has no value and another setting tells what does.
fn stand_in(key: &str, section: &Dict) -> Option<Json> {
    match key {
        "audience" if section.get("verify_audience")?.to_bool()? => {
            section.get("client_id").map(to_json).filter(Json::is_string)
        }
        "workers" => available_parallelism().ok().map(|workers| workers.get().into()),
        _ => None,
    }
}
