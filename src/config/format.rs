//! Text → [`Node`]: YAML, TOML and JSON, each bounded in depth and size.

use std::ops::Range;
use std::path::Path;

use serde_saphyr::Spanned;
use serde_saphyr::options::Options;
use toml::de::{DeString, DeTable, DeValue};

use super::tree::{Content, Member, Node, Read};

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Toml,
    Json,
}

/// Why a text is not what its format asks for.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: Option<u64>,
    pub(super) message: String,
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

    /// One JSON value, as variables and flags hold them.
    pub(super) fn json_value(text: &str) -> Option<Node> {
        serde_json::from_str::<Read<String>>(text).ok().map(Read::into_node)
    }

    /// Reads `text`; an empty one is an empty map or `null`.
    pub(super) fn parse(self, text: &str) -> Result<Node, SyntaxError> {
        match self {
            Self::Yaml => yaml(text),
            Self::Toml => toml(text),
            Self::Json => json(text),
        }
    }
}

fn yaml(text: &str) -> Result<Node, SyntaxError> {
    // A document of comments alone is what is left of a file of which everything has
    // been commented out.
    if text.lines().all(|line| matches!(line.trim_start().chars().next(), None | Some('#'))) {
        return Ok(Node::unlocated(Content::Null));
    }
    let read = serde_saphyr::from_str_with_options::<Read<Spanned<String>>>(text, yaml_options());
    read.map(Read::into_node).map_err(|error| {
        let (line, message) = yaml_fault(&error);
        SyntaxError { line, message: format!("not YAML: {message}") }
    })
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

fn json(text: &str) -> Result<Node, SyntaxError> {
    let read = serde_json::from_str::<Read<String>>(text).map_err(|error| SyntaxError {
        line: Some(error.line() as u64).filter(|line| *line > 0),
        message: format!("not JSON: {error}"),
    })?;
    // The JSON parser has vouched for the text; the YAML parser, to which JSON is YAML,
    // knows the lines. Where it disagrees there are none, which is no harm.
    Ok(yaml(text).unwrap_or_else(|_| read.into_node()))
}

fn toml(text: &str) -> Result<Node, SyntaxError> {
    let table = DeTable::parse(text).map_err(|error| SyntaxError {
        line: error.span().map(|span| line_at(text, &span)),
        message: format!("not TOML: {}", first_line(error.message())),
    })?;
    let line = line_at(text, &table.span());
    Ok(Node { line: Some(line), content: toml_table(text, table.get_ref()) })
}

fn toml_table(text: &str, table: &DeTable<'_>) -> Content {
    let member =
        |(key, value): (&toml::Spanned<DeString<'_>>, &toml::Spanned<DeValue<'_>>)| Member {
            name: key.get_ref().to_string(),
            line: Some(line_at(text, &key.span())),
            value: toml_value(text, value),
        };
    let mut members: Vec<_> = table.iter().map(member).collect();
    members.sort_by_key(|member| member.line);
    Content::Map(members)
}

fn toml_value(text: &str, value: &toml::Spanned<DeValue<'_>>) -> Node {
    let content = match value.get_ref() {
        DeValue::String(string) => Content::Text(string.to_string()),
        DeValue::Boolean(truth) => Content::Bool(*truth),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Content::Number(number.into()),
            Err(_) => Content::Text(integer.to_string()),
        },
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            number.map_or_else(|| Content::Text(float.to_string()), Content::Number)
        }
        // No key takes a date; as a text it is refused, or taken, like any other.
        DeValue::Datetime(date) => Content::Text(date.to_string()),
        DeValue::Array(items) => {
            Content::List(items.iter().map(|item| toml_value(text, item)).collect())
        }
        DeValue::Table(table) => toml_table(text, table),
    };
    Node { line: Some(line_at(text, &value.span())), content }
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
    use super::*;

    const YAML: &str =
        "# top\nauth:\n  enabled: false\n  oidc:\n    audience:\n      - a\n      - b\n";
    const TOML: &str =
        "# top\n[auth]\nenabled = false\n[auth.oidc]\naudience = [\n  'a',\n  'b']\n";
    const JSON: &str = "{\n  \"auth\": {\n    \"enabled\": false,\n    \"oidc\": {\n      \"audience\": [\"a\", \"b\"]\n    }\n  }\n}\n";

    #[test]
    fn the_three_formats_say_the_same_and_know_their_lines() {
        let expected =
            serde_json::json!({"auth": {"enabled": false, "oidc": {"audience": ["a", "b"]}}});
        for (format, text, lines) in [
            (Format::Yaml, YAML, [3, 5, 7]),
            (Format::Toml, TOML, [3, 5, 7]),
            (Format::Json, JSON, [3, 5, 5]),
        ] {
            let node = format.parse(text).unwrap();
            assert_eq!(node.to_json(), expected, "{format:?}");
            let line = |path: &[&str]| node.line_of(path).unwrap();
            let found = [
                line(&["auth", "enabled"]),
                line(&["auth", "oidc", "audience"]),
                line(&["auth", "oidc", "audience", "1"]),
            ];
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
            assert_eq!(Format::Yaml.parse(text).unwrap().content, Content::Null);
        }
        assert_eq!(Format::Toml.parse("").unwrap().content, Content::Map(vec![]));
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
        let node = Format::Yaml.parse("a: 007\nb: 1_000\n").unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"a": "007", "b": "1_000"}));
    }
}
