//! The configuration as `config show` prints it.

use std::io::{self, Write};

use serde_json::Value;

use crate::cli::style::DIM;
use crate::config::{Effective, Entry, Origin, Step};

/// Where the comments of `config show` begin, lines permitting.
const COMMENT_COLUMN: usize = 44;

/// The configuration as YAML that can be read back, the sources as comments.
pub(super) fn write(out: &mut dyn Write, effective: &Effective) -> io::Result<()> {
    let mut before: &[Step] = &[];
    for entry in &effective.entries {
        let shared =
            before.iter().zip(&entry.steps).take_while(|(one, other)| one == other).count();
        let mut dash = false;
        for (depth, step) in entry.steps.iter().enumerate().skip(shared) {
            let Step::Key(name) = step else {
                dash = true;
                continue;
            };
            let indent = "  ".repeat(if dash { depth - 1 } else { depth });
            let line = format!("{indent}{}{}:", if dash { "- " } else { "" }, scalar(name));
            dash = false;
            match depth + 1 == entry.steps.len() {
                true => write_value(out, line, entry)?,
                false => writeln!(out, "{line}")?,
            }
        }
        before = &entry.steps;
    }
    Ok(())
}

fn write_value(out: &mut dyn Write, mut line: String, entry: &Entry) -> io::Result<()> {
    let Entry { value, source, default, .. } = entry;
    if !value.is_null() {
        line = format!("{line} {}", flow(value));
    }
    let is_open = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let source = match default {
        _ if source.origin != Origin::Default => source.to_string(),
        Some(words) => format!("default: {words}"),
        None if is_open => "not set".to_owned(),
        None => source.to_string(),
    };
    writeln!(out, "{line:<COMMENT_COLUMN$}  {DIM}# {source}{DIM:#}")
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
