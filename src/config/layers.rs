//! [`Sources`] → layers: files read, variables named, each checked by itself.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::conform::conform;
use super::environment::{
    NEMO_FILE, Variable, doorward_variable, nemo_variable, override_flag, variable_name,
};
use super::fault::{Fault, Origin, Source};
use super::format::Format;
use super::key_path::KeyPath;
use super::problem::Problem;
use super::sources::Sources;
use super::tree::{Content, Node};

/// No configuration is this long; a wrong path may well be.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// One layer, of which everything fits the configuration.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) origin: Origin,
    pub(super) tree: Node,
}

/// A key of NeMo Platform's `auth` section that means nothing to Doorward, or such a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredKey {
    /// The key, or the name of the variable.
    pub name: String,
    /// Where it was written.
    pub source: Source,
    /// The key it may be a typo of.
    pub nearest: Option<KeyPath>,
}

/// The layers of a configuration, lowest first, and what was wrong with them.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) layers: Vec<Layer>,
    pub(super) faults: Vec<Fault>,
    pub(super) ignored: Vec<IgnoredKey>,
    pub(super) files: Vec<PathBuf>,
}

impl Layers {
    /// Reads everything that `sources` name.
    pub(super) fn read(sources: &Sources) -> Self {
        let mut layers = Self::default();
        let variable = |(name, value): &(String, String)| (name.clone(), value.clone());
        let variables: Vec<_> = sources.environment.iter().map(variable).collect();
        for (name, path) in &variables {
            if name == NEMO_FILE && !path.is_empty() {
                layers.nemo_file(Path::new(path));
            }
        }
        for path in &sources.files {
            layers.file(path);
        }
        for (name, text) in &sources.inline {
            layers.text(Origin::Inline(name.clone()), Format::Yaml, text);
        }
        for (name, value) in &variables {
            layers.variable(name, nemo_variable(name, value), Unknown::Ignored);
        }
        for (name, value) in &variables {
            layers.variable(name, doorward_variable(name, value), Unknown::Refused);
        }
        for text in &sources.overrides {
            match override_flag(text) {
                Ok(tree) => layers.add(Origin::Set, tree, Unknown::Refused),
                Err((key, problem)) => layers.fault(Origin::Set, key, problem),
            }
        }
        layers
    }

    fn file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        let Some(format) = Format::of(path) else {
            self.fault(origin, KeyPath::default(), Problem::UnknownFormat);
            return;
        };
        if let Some(text) = self.contents(path, &origin) {
            self.text(origin, format, &text);
        }
    }

    /// NeMo Platform's file: only `auth` is ours, and in it only what we know.
    fn nemo_file(&mut self, path: &Path) {
        let origin = Origin::NemoFile(path.to_owned());
        let format = Format::of(path).unwrap_or(Format::Yaml);
        let Some(text) = self.contents(path, &origin) else { return };
        let Some(mut tree) = self.parsed(&origin, format, &text) else { return };
        if let Content::Map(members) = &mut tree.content {
            members.retain(|member| member.name == "auth");
        }
        self.add(origin, tree, Unknown::Ignored);
    }

    fn variable(&mut self, name: &str, found: Variable, unknown: Unknown) {
        let origin = Origin::Variable(name.to_owned());
        match found {
            Variable::None => {}
            Variable::Sets(tree) => self.add(origin, tree, unknown),
            Variable::Misspelled(problem) => self.fault(origin, KeyPath::default(), problem),
            Variable::Meaningless => self.ignored.push(IgnoredKey {
                name: name.to_owned(),
                source: origin.into(),
                nearest: None,
            }),
        }
    }

    fn text(&mut self, origin: Origin, format: Format, text: &str) {
        if let Some(tree) = self.parsed(&origin, format, text) {
            self.add(origin, tree, Unknown::Refused);
        }
    }

    fn parsed(&mut self, origin: &Origin, format: Format, text: &str) -> Option<Node> {
        match format.parse(text) {
            Ok(tree) => Some(tree),
            Err(error) => {
                self.faults.push(Fault {
                    key: KeyPath::default(),
                    source: Source { origin: origin.clone(), line: error.line },
                    problem: Problem::Syntax(error.message),
                });
                None
            }
        }
    }

    fn contents(&mut self, path: &Path, origin: &Origin) -> Option<String> {
        self.files.push(path.to_owned());
        let read = || {
            let mut text = String::new();
            File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
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

    fn add(&mut self, origin: Origin, mut tree: Node, unknown: Unknown) {
        let misfits = conform(&mut tree);
        let source = |line| Source { origin: origin.clone(), line };
        let mut faults: Vec<_> = misfits
            .wrong
            .into_iter()
            .map(|misfit| Fault {
                key: misfit.key,
                source: source(misfit.line),
                problem: misfit.problem,
            })
            .collect();
        for found in misfits.unknown {
            match unknown {
                Unknown::Refused => faults.push(Fault {
                    key: found.key,
                    source: source(found.line),
                    problem: Problem::UnknownKey { nearest: found.nearest },
                }),
                Unknown::Ignored => self.ignored.push(IgnoredKey {
                    name: found.key.to_string(),
                    source: source(found.line),
                    nearest: found.nearest,
                }),
            }
        }
        faults.sort_by_key(|fault| fault.source.line);
        self.faults.append(&mut faults);
        self.layers.push(Layer { origin, tree });
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
