//! [`Sources`] → layers: files read, variables named, each checked by itself.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::conform::conform;
use super::environment::{
    NEMO_FILE, Variable, doorward_variable, is_nemos, nemo_variable, override_flag, variable_name,
};
use super::fault::{Fault, Origin, Source};
use super::format::Format;
use super::key_path::KeyPath;
use super::layer::Layer;
use super::nemo;
use super::problem::Problem;
use super::reader::Reader;
use super::sources::Sources;
use crate::regular_file::{Links, open};

/// No configuration is this long; a wrong path may well be.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A key of NeMo Platform's `auth` section that means nothing to Doorward, or such a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredKey {
    /// The key, or the name of the variable.
    pub name: String,
    /// Where it was written.
    pub source: Source,
    /// The key it may be a typo of.
    pub nearest: Option<KeyPath>,
    /// Whether it is a setting of NeMo Platform's own.
    pub is_nemos: bool,
}

/// The layers of a configuration, lowest first, and what was wrong with them.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) layers: Vec<Layer>,
    pub(super) faults: Vec<Fault>,
    pub(super) ignored: Vec<IgnoredKey>,
    pub(super) files: Vec<PathBuf>,
    reader: Reader,
}

impl Layers {
    /// Reads everything that `sources` name.
    pub(super) fn read(sources: &Sources) -> Self {
        let mut layers = Self { reader: sources.reader, ..Self::default() };
        for (name, path) in &sources.environment {
            if name == NEMO_FILE && !path.is_empty() {
                layers.nemo_file(Path::new(path));
            }
        }
        for path in &sources.files {
            let origin = Origin::File(path.clone());
            match Format::of(path) {
                None => layers.fault(origin, KeyPath::default(), Problem::UnknownFormat),
                Some(format) => layers.file(path, origin, format, Unknown::Refused),
            }
        }
        for (name, text) in &sources.inline {
            layers.text(
                Origin::Inline(name.clone()),
                Format::of_text(text),
                text,
                Unknown::Refused,
            );
        }
        for (name, value) in &sources.environment {
            layers.variable(name, nemo_variable(name, value), Unknown::Ignored);
        }
        for (name, value) in &sources.environment {
            layers.variable(name, doorward_variable(name, value), Unknown::Refused);
        }
        for text in &sources.overrides {
            match override_flag(text) {
                Ok(set) => {
                    layers.add(Layer::of(Origin::Set, &set.key, set.value), Unknown::Refused)
                }
                Err((key, _)) if nemo::owns(&key) => {
                    layers.ignore(key.to_string(), Origin::Set.into(), None, true);
                }
                Err((key, problem)) => layers.fault(Origin::Set, key, problem),
            }
        }
        layers
    }

    /// NeMo Platform's file: only what we know in it is ours.
    fn nemo_file(&mut self, path: &Path) {
        let format = Format::of(path).unwrap_or(Format::Yaml);
        self.file(path, Origin::NemoFile(path.to_owned()), format, Unknown::Ignored);
    }

    fn variable(&mut self, name: &str, found: Variable, unknown: Unknown) {
        let origin = Origin::Variable(name.to_owned());
        match found {
            Variable::None => {}
            Variable::Sets(set) => self.add(Layer::of(origin, &set.key, set.value), unknown),
            Variable::Misspelled(problem) => self.fault(origin, KeyPath::default(), problem),
            Variable::Meaningless => {
                self.ignore(name.to_owned(), origin.into(), None, is_nemos(name));
            }
        }
    }

    fn file(&mut self, path: &Path, origin: Origin, format: Format, unknown: Unknown) {
        if let Some(text) = self.contents(path, &origin) {
            self.text(origin, format, &text, unknown);
        }
    }

    fn text(&mut self, origin: Origin, format: Format, text: &str, unknown: Unknown) {
        match format.parse(text) {
            Ok(document) => self.add(Layer::new(origin, document), unknown),
            Err(error) => self.faults.push(Fault {
                key: KeyPath::default(),
                source: Source { origin, line: error.line },
                problem: Problem::Syntax(error.message),
            }),
        }
    }

    fn contents(&mut self, path: &Path, origin: &Origin) -> Option<String> {
        self.files.push(path.to_owned());
        let read = || {
            let mut text = String::new();
            // Envoy's main thread would wait at a pipe, and all of Envoy with it.
            let inside = self.reader == Reader::Module;
            let file = if inside { open(path, Links::Followed)? } else { File::open(path)? };
            file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
            Ok(text)
        };
        let problem = match read() {
            Ok(text) if text.len() as u64 <= MAX_FILE_BYTES => {
                // Some editors begin a file with a byte order mark.
                return Some(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned));
            }
            Ok(_) => Problem::TooLarge { limit: MAX_FILE_BYTES },
            Err(error) => Problem::Unreadable(error),
        };
        self.fault(origin.clone(), KeyPath::default(), problem);
        None
    }

    fn add(&mut self, mut layer: Layer, unknown: Unknown) {
        if let Origin::NemoFile(_) = &layer.origin {
            nemo::narrow(&mut layer.value);
        }
        for key in nemo::take_out(&mut layer) {
            self.ignore(key.to_string(), layer.source(&key), None, true);
        }
        for Fault { key, source, problem } in conform(&mut layer, self.reader) {
            match (unknown, problem) {
                (Unknown::Ignored, Problem::UnknownKey { nearest }) => {
                    self.ignore(key.to_string(), source, nearest, false);
                }
                (_, problem) => self.faults.push(Fault { key, source, problem }),
            }
        }
        self.layers.push(layer);
    }

    fn ignore(&mut self, name: String, source: Source, nearest: Option<KeyPath>, is_nemos: bool) {
        self.ignored.push(IgnoredKey { name, source, nearest, is_nemos });
    }

    fn fault(&mut self, origin: Origin, key: KeyPath, problem: Problem) {
        self.faults.push(Fault { key, source: origin.into(), problem });
    }
}

/// What becomes of unknown keys in a layer.
#[derive(Clone, Copy)]
enum Unknown {
    Refused,
    /// Another program's keys stand in the same layer.
    Ignored,
}

impl IgnoredKey {
    /// The variable that sets the key it may be a typo of.
    #[must_use]
    pub fn nearest_variable(&self) -> Option<String> {
        self.nearest.as_ref().map(variable_name)
    }
}
