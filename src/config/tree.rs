//! Configuration text as a tree that remembers on which line each key stood.
//!
//! Every format becomes this before anything looks at it, so that a fault can be named
//! with its line whatever the file was written in.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

/// A value and the line it begins on, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: Option<u64>,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A key of a map, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    /// The line of the key itself: that of its value may be lower down.
    pub(super) line: Option<u64>,
    pub(super) value: Node,
}

impl Node {
    /// A value that stood in no file.
    pub(super) fn unlocated(content: Content) -> Self {
        Self { line: None, content }
    }

    /// `value`, under the sections that `path` names.
    pub(super) fn nested(path: &[String], value: Self) -> Self {
        path.iter().rev().fold(value, |value, name| {
            Self::unlocated(Content::Map(vec![Member { name: name.clone(), line: None, value }]))
        })
    }

    /// The member of a map by its name.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        match &self.content {
            Content::Map(members) => members.iter().find(|member| member.name == name),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::List(_) => None,
        }
    }

    /// The line of the key at `path`, or of the innermost one on the way that has one.
    pub(super) fn line_of<S: AsRef<str>>(&self, path: &[S]) -> Option<u64> {
        let mut line = None;
        let mut node = self;
        for step in path {
            let step = step.as_ref();
            if let Some(member) = node.member(step) {
                line = member.line.or(line);
                node = &member.value;
            } else if let (Content::List(items), Ok(index)) = (&node.content, step.parse::<usize>())
                && let Some(item) = items.get(index)
            {
                line = item.line.or(line);
                node = item;
            } else {
                break;
            }
        }
        line
    }

    /// The same without lines.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(truth) => Value::Bool(*truth),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(members) => Value::Object(
                members
                    .iter()
                    .map(|member| (member.name.clone(), member.value.to_json()))
                    .collect(),
            ),
        }
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        Self::unlocated(match value {
            Value::Null => Content::Null,
            Value::Bool(truth) => Content::Bool(*truth),
            Value::Number(number) => Content::Number(number.clone()),
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(items) => Content::List(items.iter().map(Self::from).collect()),
            Value::Object(members) => Content::Map(
                members
                    .iter()
                    .map(|(name, value)| Member {
                        name: name.clone(),
                        line: None,
                        value: value.into(),
                    })
                    .collect(),
            ),
        })
    }
}

/// A [`Node`] as a serde format hands it over; `K` is how the format gives its keys:
/// [`Spanned`] where they have lines, plain where it refuses that.
pub(super) struct Read<K> {
    node: Node,
    keys: PhantomData<K>,
}

impl<K> Read<K> {
    pub(super) fn into_node(self) -> Node {
        self.node
    }
}

/// A key of a map as a format gives it.
pub(super) trait KeyName: DeserializeOwned {
    fn into_parts(self) -> (String, Option<u64>);
}

impl KeyName for String {
    fn into_parts(self) -> (String, Option<u64>) {
        (self, None)
    }
}

impl KeyName for Spanned<String> {
    fn into_parts(self) -> (String, Option<u64>) {
        let line = known_line(&self);
        (self.value, line)
    }
}

impl<'de, K: KeyName> Deserialize<'de> for Read<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<ReadContent<K>>::deserialize(deserializer)?;
        let line = known_line(&spanned);
        let node = Node { line, content: spanned.value.content };
        Ok(Self { node, keys: PhantomData })
    }
}

struct ReadContent<K> {
    content: Content,
    keys: PhantomData<K>,
}

impl<'de, K: KeyName> Deserialize<'de> for ReadContent<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let content = deserializer.deserialize_any(ContentVisitor::<K>(PhantomData))?;
        Ok(Self { content, keys: PhantomData })
    }
}

/// Line 0 means that the format does not tell.
fn known_line<T>(spanned: &Spanned<T>) -> Option<u64> {
    Some(spanned.referenced.line()).filter(|line| *line > 0)
}

struct ContentVisitor<K>(PhantomData<K>);

impl<'de, K: KeyName> Visitor<'de> for ContentVisitor<K> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Content, E> {
        Ok(Content::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Content, E> {
        Ok(Content::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Content, E> {
        Number::from_f64(number)
            .map(Content::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Read<K>>()? {
            items.push(item.node);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut members = Vec::new();
        let mut names = HashSet::new();
        while let Some(key) = map.next_key::<K>()? {
            let (name, line) = key.into_parts();
            // Of two equal keys one would be dropped without a word: say so instead.
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("duplicate key `{name}`")));
            }
            members.push(Member { name, line, value: map.next_value::<Read<K>>()?.node });
        }
        Ok(Content::Map(members))
    }
}
