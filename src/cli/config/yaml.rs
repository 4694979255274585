//! The configuration as `config show` prints it.

use std::io::{self, Write};

use serde_json::Value;

use super::FAINT;
use crate::config::{Effective, Entry, EntryContent, Origin};

/// Where the comments of `config show` begin, lines permitting.
const COMMENT_COLUMN: usize = 44;

/// The configuration as YAML that can be read back, the sources as comments.
pub(super) fn write(out: &mut dyn Write, effective: &Effective) -> io::Result<()> {
    for entry in &effective.entries {
        yaml_entry(out, entry, "", "")?;
    }
    Ok(())
}

/// One entry; `first` is what stands before its name, `rest` before the lines below it.
fn yaml_entry(out: &mut dyn Write, entry: &Entry, first: &str, rest: &str) -> io::Result<()> {
    let name = scalar(&entry.name);
    match &entry.content {
        EntryContent::Section(entries) if entries.is_empty() => {
            writeln!(out, "{first}{name}: {{}}")
        }
        EntryContent::Section(entries) => {
            writeln!(out, "{first}{name}:")?;
            let indent = format!("{rest}  ");
            entries.iter().try_for_each(|entry| yaml_entry(out, entry, &indent, &indent))
        }
        EntryContent::Sections(sections) => {
            writeln!(out, "{first}{name}:")?;
            let (dash, indent) = (format!("{rest}  - "), format!("{rest}    "));
            for entries in sections {
                if entries.is_empty() {
                    writeln!(out, "{dash}{{}}")?;
                }
                for (index, entry) in entries.iter().enumerate() {
                    let first = if index == 0 { &dash } else { &indent };
                    yaml_entry(out, entry, first, &indent)?;
                }
            }
            Ok(())
        }
        EntryContent::Value(value, source, _) => {
            let line = if value.is_null() {
                format!("{first}{name}:")
            } else {
                format!("{first}{name}: {}", flow(value))
            };
            let is_open = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let source = match &entry.default {
                _ if source.origin != Origin::Default => source.to_string(),
                Some(words) => format!("default: {words}"),
                None if is_open => "not set".to_owned(),
                None => source.to_string(),
            };
            writeln!(out, "{line:<COMMENT_COLUMN$}  {FAINT}# {source}{FAINT:#}")
        }
    }
}

/// A value on one line. JSON is YAML: only strings and lists of them look nicer without.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<_> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// A string as YAML: bare where it cannot be read as anything else.
fn scalar(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "_-./:@+".contains(char);
    let starts_well = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '/');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null"
    );
    if starts_well && !word && !text.ends_with(':') && text.chars().all(plain) {
        return text.to_owned();
    }
    Value::from(text).to_string()
}
