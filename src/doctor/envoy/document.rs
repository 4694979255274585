//! Text → documents, bounded.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use serde_saphyr::options::Options;

use super::{MOST_BYTES, NotEnvoy};
use crate::config::yaml_fault;

/// The documents of a YAML or JSON text; empty ones are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, NotEnvoy> {
    if text.len() > MOST_BYTES {
        return Err(NotEnvoy::TooLarge);
    }
    // A dump of Envoy's has more nodes than the bounds for YAML allow, and is JSON.
    if text.trim_start().starts_with(['{', '['])
        && let Ok(mut document) = serde_json::from_str(text)
    {
        unpack(&mut document);
        return Ok(vec![typed(document)]);
    }
    let mut documents = yaml(text).map_err(|error| {
        let (line, fault) = yaml_fault(&error);
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        NotEnvoy::Syntax(line + &fault)
    })?;
    documents.retain(|document| !document.is_null());
    documents.iter_mut().for_each(unpack);
    Ok(documents.into_iter().map(typed).collect())
}

/// Envoy takes a configuration in a `TypedStruct` for one of the type that it names.
fn typed(value: Value) -> Value {
    match value {
        Value::Object(mut members) => {
            let kind = members.get("@type").and_then(Value::as_str);
            if kind.is_some_and(|kind| kind.ends_with(".TypedStruct"))
                && let Some(inside) =
                    ["type_url", "typeUrl"].iter().find_map(|it| members.remove(*it))
            {
                let mut inner = match members.remove("value") {
                    Some(Value::Object(inner)) => inner,
                    Some(_) | None => serde_json::Map::new(),
                };
                inner.insert("@type".to_owned(), inside);
                members = inner;
            }
            members.retain(|name, _| !name.starts_with(IGNORED));
            members.into_iter().map(|(name, value)| (name, typed(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(typed).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn yaml(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    serde_saphyr::from_multiple_with_options(&with_ignored_keys(text), options())
}

/// In front of the name of a key that Envoy does not read.
const IGNORED: &str = "!ignore ";

/// Keys that are tagged `!ignore`, with the tag as a part of their names: in what is read, tags are
/// lost.
fn with_ignored_keys(text: &str) -> Cow<'_, str> {
    static TAGGED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(^|[ \t\n{,])!ignore +([A-Za-z0-9_.]+) *:").ok());
    match &*TAGGED {
        Some(tagged) => tagged.replace_all(text, "$1\"!ignore $2\":"),
        None => text.into(),
    }
}

/// A ConfigMap holds files as texts: Istio's `mesh`, an `envoy.yaml`.
fn unpack(document: &mut Value) {
    if let Some(Value::Array(items)) = document.get_mut("items") {
        items.iter_mut().for_each(unpack);
    }
    if document.get("kind").and_then(Value::as_str) != Some("ConfigMap") {
        return;
    }
    let Some(Value::Object(files)) = document.get_mut("data") else { return };
    for file in files.values_mut() {
        let Some(text) = file.as_str() else { continue };
        if let Ok(inside) = yaml(text)
            && let Some(inside) = inside.into_iter().find(Value::is_object)
        {
            *file = inside;
        }
    }
}

/// Room for any real configuration, and none for one that grows by aliases of aliases.
fn options() -> Options {
    serde_saphyr::options! {
        // The parser recurses, and threads have two megabytes of stack.
        budget: serde_saphyr::budget! { max_depth: 64 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        with_snippet: false,
    }
}
