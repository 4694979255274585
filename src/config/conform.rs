//! Holds one layer against the [`Shape`] of the configuration: unknown keys, wrong types.
//!
//! Each layer is checked by itself, before merging, so that a fault is named with the
//! layer it came from even when a later layer would have covered it. What does not fit is
//! taken out, so that the check of values can go on and name its faults at the same time.

use super::bad_value::BadValue;
use super::key_path::KeyPath;
use super::nearest::nearest;
use super::plain;
use super::problem::Problem;
use super::shape::{Key, Shape};
use super::tree::{Content, Member, Node};
use crate::redact::Shown;

/// A key whose text is read word by word, whatever stands between them.
const WORDS: &str = "default_scopes";

/// What did not fit in one layer.
#[derive(Debug, Default)]
pub(super) struct Misfits {
    pub(super) wrong: Vec<Misfit>,
    pub(super) unknown: Vec<UnknownKey>,
}

/// A value of the wrong type.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) key: KeyPath,
    pub(super) line: Option<u64>,
    pub(super) problem: Problem,
}

/// A key that means nothing here.
#[derive(Debug)]
pub(super) struct UnknownKey {
    pub(super) key: KeyPath,
    pub(super) line: Option<u64>,
    pub(super) nearest: Option<KeyPath>,
}

/// Takes out of `layer` what does not fit the configuration, and says what that was.
pub(super) fn conform(layer: &mut Node) -> Misfits {
    let mut misfits = Misfits::default();
    let root = KeyPath::default();
    // An empty file is a map without keys.
    if layer.content == Content::Null {
        layer.content = Content::Map(Vec::new());
    }
    if !misfits.fits(&root, layer, Shape::of_config()) {
        layer.content = Content::Map(Vec::new());
    }
    misfits
}

impl Misfits {
    /// Whether `node` may stay.
    fn fits(&mut self, path: &KeyPath, node: &mut Node, shape: &Shape) -> bool {
        match (shape, &mut node.content) {
            (Shape::Section(_), Content::Map(members)) => {
                members.retain_mut(|member| self.member_fits(path, member, shape));
                return true;
            }
            (Shape::Table(value), Content::Map(members)) => {
                members.retain_mut(|member| {
                    let shown = path.join(Shown::new(&member.name));
                    self.may_stand(&shown, member.line, plain::check(&member.name))
                        && self.fits(&path.join(&member.name), &mut member.value, value)
                });
                return true;
            }
            (Shape::List(item), Content::List(items)) => {
                let mut index = 0;
                items.retain_mut(|node| {
                    let fits = self.fits(&path.join(index), node, item);
                    index += 1;
                    fits
                });
                return true;
            }
            (Shape::Either(shapes), content) => {
                // Name the fault inside the one alternative that is of this kind.
                if let Some(alike) = shapes.iter().find(|shape| same_kind(shape, content)) {
                    return self.fits(path, node, alike);
                }
            }
            _ => {}
        }
        if scalar_fits(shape, &node.content) {
            return self.may_stand(path, node.line, plain(path, shape, &node.content));
        }
        self.wrong.push(Misfit {
            key: path.clone(),
            line: node.line,
            problem: Problem::WrongType {
                expected: shape.describe(),
                found: describe(&node.content),
                hint: hint(shape, &node.content),
            },
        });
        false
    }

    fn may_stand(
        &mut self,
        key: &KeyPath,
        line: Option<u64>,
        checked: Result<(), BadValue>,
    ) -> bool {
        let Err(why) = checked else { return true };
        self.wrong.push(Misfit { key: key.clone(), line, problem: why.into() });
        false
    }

    fn member_fits(&mut self, path: &KeyPath, member: &mut Member, section: &Shape) -> bool {
        let key_path = path.join(&member.name);
        let Some(key) = section.key(&member.name) else {
            self.unknown.push(UnknownKey {
                key: key_path,
                line: member.line,
                nearest: nearest(path, section, &member.name),
            });
            return false;
        };
        if member.value.content == Content::Null {
            fill_blank(&mut member.value, key);
            return true;
        }
        if member.value.line.is_none() {
            member.value.line = member.line;
        }
        self.fits(&key_path, &mut member.value, &key.shape)
    }
}

/// A key without a value means its default, whatever an earlier layer said. A section
/// without keys says nothing.
fn fill_blank(value: &mut Node, key: &Key) {
    if key.nullable {
        return;
    }
    value.content = if matches!(key.shape, Shape::Section(_) | Shape::Table(_)) {
        Content::Map(Vec::new())
    } else {
        Node::from(&key.default).content
    };
}

fn same_kind(shape: &Shape, content: &Content) -> bool {
    matches!(
        (shape, content),
        (Shape::List(_), Content::List(_)) | (Shape::Section(_) | Shape::Table(_), Content::Map(_))
    )
}

fn scalar_fits(shape: &Shape, content: &Content) -> bool {
    match (shape, content) {
        (Shape::Anything, _)
        | (Shape::Truth, Content::Bool(_))
        | (Shape::Text, Content::Text(_)) => true,
        (Shape::Number { max }, Content::Number(number)) => {
            number.as_u64().is_some_and(|number| number <= *max)
        }
        (Shape::Choice(choices), Content::Text(text)) => choices.contains(text),
        (Shape::Either(shapes), content) => shapes.iter().any(|shape| scalar_fits(shape, content)),
        _ => false,
    }
}

/// Whether a text is one that can be meant. What is no text, and a span or a choice, is looked at
/// more closely anyway.
fn plain(path: &KeyPath, shape: &Shape, content: &Content) -> Result<(), BadValue> {
    let Content::Text(text) = content else { return Ok(()) };
    if path.steps().last().is_some_and(|name| name == WORDS) {
        return plain::check_words(text);
    }
    let is_span = shape.admits(|shape| matches!(shape, Shape::Number { .. }));
    if is_span || !shape.admits(|shape| *shape == Shape::Text) {
        return Ok(());
    }
    plain::check(text)
}

fn describe(content: &Content) -> String {
    match content {
        Content::Null => "nothing".into(),
        Content::Bool(truth) => truth.to_string(),
        Content::Number(number) => format!("the number {number}"),
        Content::Text(text) => {
            format!("the string {:?}", Shown::new(text))
        }
        Content::List(_) => "a list".into(),
        Content::Map(_) => "a section".into(),
    }
}

fn hint(shape: &Shape, content: &Content) -> Option<&'static str> {
    let wants_text = shape.admits(|shape| *shape == Shape::Text);
    if wants_text && matches!(content, Content::Bool(_) | Content::Number(_)) {
        return Some("put it in quotes");
    }
    let Content::Text(text) = content else { return None };
    let text = text.trim_matches(['"', '\'']);
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
        | Shape::Choice(_)
        | Shape::List(_)
        | Shape::Either(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Format;
    use super::*;

    fn misfits(yaml: &str) -> (Node, Vec<String>) {
        let mut node = Format::Yaml.parse(yaml).unwrap();
        let misfits = conform(&mut node);
        let mut lines: Vec<String> = misfits
            .wrong
            .iter()
            .map(|misfit| {
                format!("{}: {}: {}", misfit.line.unwrap_or(0), misfit.key, misfit.problem)
            })
            .collect();
        lines.extend(
            misfits
                .unknown
                .iter()
                .map(|unknown| format!("{}: {}: unknown", unknown.line.unwrap_or(0), unknown.key)),
        );
        (node, lines)
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
        let (node, lines) =
            misfits("auth:\n  enabled: 7\n  odd: 1\n  oidc:\n    issuer: https://a\n");
        assert_eq!(lines.len(), 2);
        assert_eq!(node.to_json(), serde_json::json!({"auth": {"oidc": {"issuer": "https://a"}}}));
        let (node, lines) = misfits("- 1\n");
        assert_eq!(lines, ["1: : expected a section with its own keys, found a list"]);
        assert_eq!(node.to_json(), serde_json::json!({}));
    }

    #[test]
    fn a_key_without_a_value_means_its_default() {
        let (node, lines) = misfits("auth:\n  oidc:\n    issuer:\n    email_claim:\nserver:\n");
        assert_eq!(lines, Vec::<String>::new());
        let expected = serde_json::json!({
            "auth": {"oidc": {"issuer": null, "email_claim": "email"}}, "server": {}
        });
        assert_eq!(node.to_json(), expected);
        assert!(misfits("").1.is_empty());
    }
}
