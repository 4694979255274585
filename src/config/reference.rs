//! `docs/configuration.md`, made from the schema and compared with what is checked in.

use std::fmt::Write as _;
use std::path::Path;

use super::environment::variable_name;
use super::key_path::KeyPath;
use super::raw;
use super::reader::Reader;
use super::shape::{Key, Shape};

const INTRODUCTION: &str = include_str!("reference.md");
const UPDATE: &str = "DOORWARD_UPDATE_DOCS=1 cargo test --lib config::reference";

fn reference() -> String {
    let mut page = INTRODUCTION.replace("{UPDATE}", UPDATE);
    for key in Shape::of_config().keys() {
        section(&mut page, key, &KeyPath::default().join(&key.name));
    }
    format!("{}\n", page.trim_end())
}

fn section(page: &mut String, key: &Key, path: &KeyPath) {
    let (keys, each) =
        key.shape.item().map_or_else(|| (key.shape.keys(), ""), |item| (item.keys(), "[]"));
    let _ = write!(page, "\n## `{path}{each}`\n\n{}\n\n", key.about);
    let (sections, values): (Vec<_>, Vec<_>) = keys.iter().partition(|key| is_section(&key.shape));
    if !values.is_empty() {
        page.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
        for key in values {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                key.name,
                key.shape.describe(),
                default(key, &path.join(&key.name)),
                meaning(key).replace('|', "\\|"),
            );
        }
    }
    if !Reader::Server.serves(path) {
        // The module reads no environment.
    } else if each.is_empty() && keys.iter().any(|key| !is_section(&key.shape)) {
        let example = keys.iter().find(|key| !is_section(&key.shape));
        if let Some(key) = example {
            let name = variable_name(&path.join(&key.name));
            let _ = write!(page, "\nVariables: `{name}` and so on.\n");
        }
    } else if !each.is_empty() {
        let _ = write!(page, "\nVariable: `{}`, a JSON array.\n", variable_name(path));
    }
    for key in sections {
        section(page, key, &path.join(&key.name));
    }
}

fn is_section(shape: &Shape) -> bool {
    matches!(shape.item().unwrap_or(shape), Shape::Section(_))
}

/// The default: the built-in value, else what the meaning says in words.
fn default(key: &Key, path: &KeyPath) -> String {
    let built_in = serde_json::to_value(raw::Config::default()).unwrap();
    let built_in = built_in.pointer(&format!("/{}", path.steps().join("/"))).cloned();
    let value = &built_in.unwrap_or_else(|| serde_json::json!(key.default));
    let none = value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty);
    if let Some(words) = key.default_in_words().filter(|_| value.is_null() || none) {
        words.into()
    } else if value.is_null() || none {
        "none".into()
    } else {
        format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

/// The meaning without the sentence that the column of defaults has.
fn meaning(key: &Key) -> String {
    match key.default_in_words() {
        None => key.about.clone(),
        Some(words) => key.about.replace(&format!("Default: {words}."), "").trim().to_owned(),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "says that the page is to be written, not compared")]
fn the_reference_is_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = reference();
    if std::env::var("DOORWARD_UPDATE_DOCS").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == page, "docs/configuration.md is out of date; run: {UPDATE}");
}
