//! Text → figment's values, and the lines of their keys: YAML, TOML and JSON, each bounded in
//! depth and size.

use std::ops::Range;
use std::path::Path;

use figment::value::{Dict, Empty, Value};
use serde_saphyr::options::Options;
use toml::de::{DeTable, DeValue};

use super::key_path::KeyPath;
use super::lines::Lines;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Toml,
    Json,
}

/// A text that has been read.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) lines: Lines,
}

/// Why a text is not what its format asks for.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: Option<u64>,
    pub(super) message: String,
}

impl From<Value> for Document {
    /// What stood in no file.
    fn from(value: Value) -> Self {
        Self { value, lines: Lines::default() }
    }
}

impl Format {
    /// By the extension.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Of a text without a name: YAML, which people write, unless it is JSON, which programs do.
    pub(super) fn of_text(text: &str) -> Self {
        let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        if text.trim_start().starts_with('{') && is_json() { Self::Json } else { Self::Yaml }
    }

    /// Reads `text`; an empty one has an empty map or nothing.
    pub(super) fn parse(self, text: &str) -> Result<Document, SyntaxError> {
        match self {
            Self::Yaml => yaml(text).map_err(|error| syntax("YAML", &error)),
            Self::Toml => toml(text),
            Self::Json => json(text),
        }
    }
}

fn yaml(text: &str) -> Result<Document, serde_saphyr::Error> {
    // A document of comments alone is what is left of a file of which everything has
    // been commented out.
    if text.lines().all(|line| matches!(line.trim_start().chars().next(), None | Some('#'))) {
        return Ok(Document::from(Value::from(Empty::None)));
    }
    let value = serde_saphyr::from_str_with_options(text, yaml_options())?;
    Ok(Document { value, lines: Lines::of_yaml(text) })
}

fn json(text: &str) -> Result<Document, SyntaxError> {
    let value: Value = serde_json::from_str(text).map_err(|error| SyntaxError {
        line: Some(error.line() as u64).filter(|line| *line > 0),
        message: format!("not JSON: {error}"),
    })?;
    // The JSON parser has vouched for the text; the YAML parser, to which JSON is YAML, knows the
    // lines, and which key is there twice. Where it disagrees otherwise there are no lines, which
    // is no harm.
    match yaml(text) {
        Err(error @ serde_saphyr::Error::DuplicateMappingKey { .. }) => Err(syntax("JSON", &error)),
        Err(_) => Ok(Document::from(value)),
        // The one line of what a program has written tells nobody anything.
        Ok(_) if !text.trim().contains('\n') => Ok(Document::from(value)),
        Ok(document) => Ok(document),
    }
}

fn syntax(format: &str, error: &serde_saphyr::Error) -> SyntaxError {
    let (line, message) = yaml_fault(error);
    SyntaxError { line, message: format!("not {format}: {message}") }
}

/// What is wrong with a YAML text: the line, where one is known, and the fault in words
/// for whoever wrote it.
pub(crate) fn yaml_fault(error: &serde_saphyr::Error) -> (Option<u64>, String) {
    let text = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let text = first_line(&text);
    let place = error.location().filter(|place| place.line() > 0);
    let suffix = place.map(|at| format!(" at line {}, column {}", at.line(), at.column()));
    let text = suffix.and_then(|suffix| text.strip_suffix(&suffix)).unwrap_or(text);
    (place.map(|place| place.line()), text.to_owned())
}

/// Room for any real configuration, and none for one that grows by aliases of aliases.
fn yaml_options() -> Options {
    serde_saphyr::options! {
        // The parser recurses, and threads have two megabytes of stack.
        budget: serde_saphyr::budget! { max_depth: 32 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        // A client id of digits alone is a text to everybody but YAML.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    }
}

fn toml(text: &str) -> Result<Document, SyntaxError> {
    let table = DeTable::parse(text).map_err(|error| SyntaxError {
        line: error.span().map(|span| line_at(text, &span)),
        message: format!("not TOML: {}", first_line(error.message())),
    })?;
    let mut lines = Lines::default();
    let value = toml_table(text, &KeyPath::default(), table.get_ref(), &mut lines);
    Ok(Document { value, lines })
}

fn toml_table(text: &str, path: &KeyPath, table: &DeTable<'_>, lines: &mut Lines) -> Value {
    let mut members = Dict::new();
    for (key, value) in table {
        let path = path.join(key.get_ref());
        lines.note(path.clone(), line_at(text, &key.span()));
        members.insert(key.get_ref().to_string(), toml_value(text, &path, value, lines));
    }
    members.into()
}

fn toml_value(
    text: &str,
    path: &KeyPath,
    value: &toml::Spanned<DeValue<'_>>,
    lines: &mut Lines,
) -> Value {
    match value.get_ref() {
        DeValue::String(string) => string.to_string().into(),
        DeValue::Boolean(truth) => (*truth).into(),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| integer.to_string().into(), Value::from),
        DeValue::Float(float) => {
            float.as_str().parse::<f64>().map_or_else(|_| float.to_string().into(), Value::from)
        }
        // No key takes a date; as a text it is refused, or taken, like any other.
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(items) => {
            let mut values = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let path = path.join(index);
                lines.note(path.clone(), line_at(text, &item.span()));
                values.push(toml_value(text, &path, item, lines));
            }
            values.into()
        }
        DeValue::Table(table) => toml_table(text, path, table, lines),
    }
}

fn line_at(text: &str, span: &Range<usize>) -> u64 {
    let before = text.as_bytes().get(..span.start).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const YAML: &str =
        "# top\nauth:\n  enabled: false\n  oidc:\n    audience:\n      - a\n      - b\n";
    const TOML: &str =
        "# top\n[auth]\nenabled = false\n[auth.oidc]\naudience = [\n  'a',\n  'b']\n";
    const JSON: &str = "{\n  \"auth\": {\n    \"enabled\": false,\n    \"oidc\": {\n      \"audience\": [\"a\", \"b\"]\n    }\n  }\n}\n";

    #[test]
    fn the_three_formats_say_the_same_and_know_their_lines() {
        let expected = json!({"auth": {"enabled": false, "oidc": {"audience": ["a", "b"]}}});
        for (format, text, lines) in [
            (Format::Yaml, YAML, [3, 5, 7]),
            (Format::Toml, TOML, [3, 5, 7]),
            (Format::Json, JSON, [3, 5, 5]),
        ] {
            let read = format.parse(text).unwrap();
            assert_eq!(json!(read.value), expected, "{format:?}");
            let line = |path: &str| read.lines.of(&KeyPath::dotted(path)).unwrap();
            let found =
                [line("auth.enabled"), line("auth.oidc.audience"), line("auth.oidc.audience.1")];
            assert_eq!(found, lines, "{format:?}");
        }
    }

    #[test]
    fn bad_syntax_is_named_with_its_line() {
        for (format, text, line) in [
            (Format::Yaml, "a: 1\nb: [1\nc: 2\n", None),
            (Format::Yaml, "a: 1\na: 2\n", Some(2)),
            (Format::Toml, "a = 1\nb = \n", Some(2)),
            (Format::Json, "{\"a\": 1,\n \"b\" 2}", Some(2)),
            (Format::Json, "{\"a\": 1,\n \"a\": 2}", Some(2)),
        ] {
            let error = format.parse(text).unwrap_err();
            if line.is_some() {
                assert_eq!(error.line, line, "{error:?}");
            }
            assert!(error.message.starts_with("not "), "{error:?}");
            assert!(!error.message.contains('\n'), "{error:?}");
        }
        let twice = Format::Yaml.parse("a: 1\na: 2\n").unwrap_err();
        assert_eq!(twice.message, "not YAML: duplicate mapping key `a` is not allowed here");
    }

    #[test]
    fn an_empty_file_is_nothing() {
        for text in ["", "\n", "# only\n  # comments\n"] {
            assert_eq!(json!(Format::Yaml.parse(text).unwrap().value), json!(null));
        }
        assert_eq!(json!(Format::Toml.parse("").unwrap().value), json!({}));
    }

    #[test]
    fn bombs_are_errors_and_end_soon() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(Format::Yaml.parse(&laughs).is_err());
        let brackets = "[".repeat(100_000);
        for format in [Format::Yaml, Format::Json] {
            assert!(format.parse(&brackets).is_err());
        }
        assert!(Format::Toml.parse(&format!("a = {brackets}")).is_err());
        let braces = "{\"k\":".repeat(1_000);
        for format in [Format::Yaml, Format::Json] {
            assert!(format.parse(&braces).is_err());
        }
        let closed = format!("{}1{}", "{\"k\":".repeat(120), "}".repeat(120));
        assert!(Format::Yaml.parse(&closed).is_err() && Format::Json.parse(&closed).is_ok());
        let indented: String =
            (0..5_000).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect();
        assert!(Format::Yaml.parse(&indented).is_err());
        let many_keys: String = (0..20_000).map(|key| format!("k{key}: 1\n")).collect();
        assert!(Format::Yaml.parse(&many_keys).is_ok());
    }

    #[test]
    fn digits_that_are_no_number_stay_a_text() {
        let read = Format::Yaml.parse("a: 007\nb: 1_000\n").unwrap();
        assert_eq!(json!(read.value), json!({"a": "007", "b": "1_000"}));
    }
}
