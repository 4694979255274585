//! On which line of a file each key stands.

use std::collections::BTreeMap;
use std::iter::successors;

use serde_saphyr::granit_parser::{Event, Parser};

use super::key_path::KeyPath;

/// The lines, from 1, on which the keys and the list items of a text begin. What stood in no
/// file has none.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(BTreeMap<KeyPath, u64>);

impl Lines {
    /// The line of the key at `path`, or of the innermost one around it that has one.
    pub(super) fn of(&self, path: &KeyPath) -> Option<u64> {
        successors(Some(path.clone()), |path| (!path.is_root()).then(|| path.parent()))
            .find_map(|path| self.0.get(&path).copied())
    }

    /// The line of what is called so, names joined by dots, or of the innermost around it; below
    /// `section`, if there is one.
    pub(super) fn of_place(&self, section: &str, place: &str) -> Option<u64> {
        let is_around = |path: &KeyPath| {
            let name = path.steps().join(".");
            let name =
                name.strip_prefix(section).and_then(|name| name.strip_prefix('.')).unwrap_or(&name);
            let rest = place.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let around = self.0.iter().filter(|(path, _)| is_around(path));
        around.max_by_key(|(path, _)| path.steps().len()).map(|(_, line)| *line)
    }

    /// Notes where a key begins.
    pub(super) fn note(&mut self, path: KeyPath, line: u64) {
        self.0.insert(path, line);
    }

    /// The lines of a YAML text, JSON included, that is known to be sound.
    pub(super) fn of_yaml(text: &str) -> Self {
        let mut lines = Self::default();
        let mut open: Vec<(KeyPath, Next)> = Vec::new();
        for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
            if matches!(event, Event::MappingEnd | Event::SequenceEnd) {
                open.pop();
            }
            if !event.is_node() {
                continue;
            }
            let line = span.start.line() as u64;
            let path = match open.last_mut() {
                None => KeyPath::default(),
                Some((path, Next::Item(index))) => {
                    *index += 1;
                    path.join(*index - 1)
                }
                Some((path, next @ Next::Key)) => {
                    let Event::Scalar(name, ..) = &event else { return lines };
                    let key = path.join(name);
                    lines.note(key.clone(), line);
                    *next = Next::Value(key);
                    continue;
                }
                Some((_, next)) => match std::mem::replace(next, Next::Key) {
                    // The line of its key is noted: that of the value may be lower down.
                    Next::Value(key) => key,
                    Next::Key | Next::Item(_) => return lines,
                },
            };
            lines.0.entry(path.clone()).or_insert(line);
            if matches!(event, Event::MappingStart(..)) {
                open.push((path, Next::Key));
            } else if matches!(event, Event::SequenceStart(..)) {
                open.push((path, Next::Item(0)));
            }
        }
        lines
    }
}

/// What comes next in a collection that has begun.
enum Next {
    /// The item of this number.
    Item(usize),
    /// The name of a key.
    Key,
    /// The value of this key.
    Value(KeyPath),
}
