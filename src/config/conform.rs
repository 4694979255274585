//! Holds one layer against the [`Shape`] of the configuration: unknown keys, wrong types.
//!
//! Each layer is checked by itself, before merging, so that a fault is named with the
//! layer it came from even when a later layer would have covered it. What does not fit is
//! taken out, so that the check of values can go on and name its faults at the same time.

use figment::value::{Dict, Value};

use super::bad_value::BadValue;
use super::fault::Fault;
use super::key_path::KeyPath;
use super::layer::Layer;
use super::nearest::nearest;
use super::plain;
use super::problem::Problem;
use super::reader::Reader;
use super::shape::{Key, Shape};
use crate::redact::Shown;

/// A key whose text is read word by word, whatever stands between them.
const WORDS: &str = "default_scopes";

/// Takes out of `layer` what does not fit the configuration or is not for `reader`, and says what
/// that was.
pub(super) fn conform(layer: &mut Layer, reader: Reader) -> Vec<Fault> {
    let mut value = std::mem::replace(&mut layer.value, Dict::new().into());
    // An empty file is a map without keys.
    if matches!(value, Value::Empty(..)) {
        return Vec::new();
    }
    let mut misfits = Misfits { layer, reader, faults: Vec::new() };
    let fits = misfits.fits(&KeyPath::default(), &mut value, reader.shape());
    let mut faults = misfits.faults;
    faults.sort_by_key(|fault| fault.source.line);
    if fits {
        layer.value = value;
    }
    faults
}

/// What does not fit in a layer.
struct Misfits<'l> {
    layer: &'l Layer,
    reader: Reader,
    faults: Vec<Fault>,
}

impl Misfits<'_> {
    /// Whether `value` may stay.
    fn fits(&mut self, path: &KeyPath, value: &mut Value, shape: &Shape) -> bool {
        match (shape, &mut *value) {
            (Shape::Section(_), Value::Dict(_, members)) => {
                members.retain(|name, value| self.member_fits(path, name, value, shape));
                return true;
            }
            (Shape::Table(item), Value::Dict(_, members)) => {
                members.retain(|name, value| {
                    self.may_stay(&path.join(Shown::new(name)), plain::check(name))
                        && self.fits(&path.join(name), value, item)
                });
                return true;
            }
            (Shape::List(item), Value::Array(_, items)) => {
                let mut index = 0;
                items.retain_mut(|value| {
                    let fits = self.fits(&path.join(index), value, item);
                    index += 1;
                    fits
                });
                return true;
            }
            (Shape::Either(shapes), value) => {
                // Name the fault inside the one alternative that is of this kind.
                if let Some(alike) = shapes.iter().find(|shape| same_kind(shape, value)) {
                    return self.fits(path, value, alike);
                }
            }
            _ => {}
        }
        if scalar_fits(shape, value) {
            return self.may_stay(path, plain(path, shape, value));
        }
        let (expected, found) = (shape.describe(), describe(shape, value));
        self.refuse(path, Problem::WrongType { expected, found, hint: hint(shape, value) })
    }

    fn member_fits(
        &mut self,
        section_path: &KeyPath,
        name: &str,
        value: &mut Value,
        section: &Shape,
    ) -> bool {
        let path = section_path.join(name);
        let key = section.key(name);
        if let (Some(_), Some(why)) = (key, self.reader.unserved(&path)) {
            return self.refuse(&path, why.into());
        }
        match key {
            None => {
                let nearest = nearest(&path, self.reader);
                self.refuse(&path, Problem::UnknownKey { nearest })
            }
            Some(key) if matches!(value, Value::Empty(..)) => {
                fill_blank(value, key);
                true
            }
            Some(key) => self.fits(&path, value, &key.shape),
        }
    }

    fn may_stay(&mut self, key: &KeyPath, checked: Result<(), BadValue>) -> bool {
        checked.map_or_else(|why| self.refuse(key, why.into()), |()| true)
    }

    fn refuse(&mut self, key: &KeyPath, problem: Problem) -> bool {
        self.faults.push(Fault { key: key.clone(), source: self.layer.source(key), problem });
        false
    }
}

/// A key without a value means its default, whatever an earlier layer said. A section
/// without keys says nothing.
fn fill_blank(value: &mut Value, key: &Key) {
    if key.nullable {
        return;
    }
    *value = if matches!(key.shape, Shape::Section(_) | Shape::Table(_)) {
        Dict::new().into()
    } else {
        key.default.clone()
    };
}

fn same_kind(shape: &Shape, value: &Value) -> bool {
    matches!(
        (shape, value),
        (Shape::List(_), Value::Array(..)) | (Shape::Section(_) | Shape::Table(_), Value::Dict(..))
    )
}

fn scalar_fits(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Anything, _)
        | (Shape::Truth, Value::Bool(..))
        | (Shape::Text | Shape::Secret, Value::String(..)) => true,
        (Shape::Number { max }, Value::Num(_, number)) => {
            number.to_u128_lossy().is_some_and(|number| number <= u128::from(*max))
        }
        (Shape::Choice(choices), Value::String(_, text)) => choices.contains(text),
        (Shape::Either(shapes), value) => shapes.iter().any(|shape| scalar_fits(shape, value)),
        _ => false,
    }
}

/// Whether a text is one that can be meant. What is no text, and a span or a choice, is looked at
/// more closely anyway.
fn plain(path: &KeyPath, shape: &Shape, value: &Value) -> Result<(), BadValue> {
    let Value::String(_, text) = value else { return Ok(()) };
    if path.steps().last().is_some_and(|name| name == WORDS) {
        return plain::check_words(text);
    }
    let is_span = shape.admits(|shape| matches!(shape, Shape::Number { .. }));
    if is_span || !shape.admits(|shape| *shape == Shape::Text) {
        return Ok(());
    }
    plain::check(text)
}

fn describe(shape: &Shape, value: &Value) -> String {
    match value {
        Value::Num(..) if shape.admits(|shape| *shape == Shape::Secret) => "a number".into(),
        Value::Empty(..) => "nothing".into(),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => format!("the number {}", serde_json::json!(number)),
        Value::String(_, text) => format!("the string {:?}", Shown::new(text)),
        Value::Char(_, char) => format!("the string {:?}", Shown::new(&char.to_string())),
        Value::Array(..) => "a list".into(),
        Value::Dict(..) => "a section".into(),
    }
}

fn hint(shape: &Shape, value: &Value) -> Option<&'static str> {
    let wants_text = shape.admits(|shape| matches!(shape, Shape::Text | Shape::Secret));
    if wants_text && matches!(value, Value::Bool(..) | Value::Num(..)) {
        return Some("put it in quotes");
    }
    let text = value.as_str()?.trim_matches(['"', '\'']);
    let truth = || matches!(text.to_ascii_lowercase().as_str(), "true" | "false");
    match shape {
        Shape::Truth if truth() => Some("remove the quotes"),
        Shape::Number { .. } if text.parse::<u64>().is_ok() => Some("remove the quotes"),
        Shape::Section(_) | Shape::Table(_) => {
            Some("in a variable or `--set`, set one of its keys or write it as JSON")
        }
        Shape::Anything
        | Shape::Truth
        | Shape::Number { .. }
        | Shape::Text
        | Shape::Secret
        | Shape::Choice(_)
        | Shape::List(_)
        | Shape::Either(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fault::Origin;
    use super::super::format::Format;
    use super::*;

    /// What is left of a YAML text, and what was wrong with it.
    fn misfits(yaml: &str) -> (serde_json::Value, Vec<String>) {
        let document = Format::Yaml.parse(yaml).unwrap();
        let mut layer = Layer::new(Origin::Set, document);
        let faults = conform(&mut layer, Reader::Server);
        let line = |fault: &Fault| {
            format!("{}: {}: {}", fault.source.line.unwrap_or(0), fault.key, fault.problem)
        };
        (json!(layer.value), faults.iter().map(line).collect())
    }

    #[test]
    fn wrong_types_are_named_with_line_and_remedy() {
        let (_, lines) = misfits(
            "auth:\n  enabled: 'true'\n  oidc:\n    client_id: 12\n    audience: [a, 7]\n    \
             additional_issuers: {}\nserver: 5\nlog:\n  decisions_per_second: -1\n  format: xml\n\
             headers:\n  claims:\n    X-A: [b]\ntoken:\n  max_token_bytes: '9'\n  leeway: 1.5\n",
        );
        assert_eq!(
            lines,
            [
                "2: auth.enabled: expected true or false, found the string \"true\"; remove the \
                 quotes",
                "4: auth.oidc.client_id: expected a string, found the number 12; put it in quotes",
                "5: auth.oidc.audience.1: expected a string, found the number 7; put it in quotes",
                "6: auth.oidc.additional_issuers: expected a string or a list of strings, found a \
                 section",
                "7: server: expected a section with its own keys, found the number 5",
                "9: log.decisions_per_second: expected an integer, found the number -1",
                "10: log.format: expected auto or text or json, found the string \"xml\"",
                "13: headers.claims.X-A: expected a string, found a list",
                "15: token.max_token_bytes: expected an integer, found the string \"9\"; remove the \
                 quotes",
                "16: token.leeway: expected an integer or a string, found the number 1.5; put it in \
                 quotes",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_taken_out_and_the_rest_stays() {
        let (value, lines) =
            misfits("auth:\n  enabled: 7\n  odd: 1\n  oidc:\n    issuer: https://a\n");
        assert_eq!(lines.len(), 2);
        assert_eq!(value, json!({"auth": {"oidc": {"issuer": "https://a"}}}));
        let (value, lines) = misfits("- 1\n");
        assert_eq!(lines, ["1: : expected a section with its own keys, found a list"]);
        assert_eq!(value, json!({}));
    }

    #[test]
    fn a_key_without_a_value_means_its_default() {
        let (value, lines) = misfits("auth:\n  oidc:\n    issuer:\n    email_claim:\nserver:\n");
        assert_eq!(lines, Vec::<String>::new());
        let expected = json!({
            "auth": {"oidc": {"issuer": null, "email_claim": "email"}}, "server": {}
        });
        assert_eq!(value, expected);
        assert!(misfits("").1.is_empty());
    }
}
