//! Files and directories → sources.

use std::path::{Path, PathBuf};

use crate::fault::LoadFault;
use crate::sources::{Sources, parse_data};

/// More files than this below one directory are refused.
const MAX_FILES: usize = 10_000;

/// Directories nested deeper than this are refused: links may lead in a circle.
const MAX_DEPTH: usize = 32;

/// Larger files are refused: 256 MiB.
const MAX_FILE_BYTES: u64 = 256 << 20;

impl Sources {
    /// Reads files and directories, as `opa run` does: `.rego` are modules, `.json`, `.yaml` and
    /// `.yml` are data, a `.tar.gz` that is named itself is a bundle. Of a directory all below is
    /// read, and data belongs at the path of its directory: `roles/data.json` at `data.roles`.
    ///
    /// Left out are `*_test.rego`, and names that start with a dot: a volume of Kubernetes has
    /// everything twice, the second time below `..data`.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn from_paths(paths: &[PathBuf]) -> Result<Self, Vec<LoadFault>> {
        let mut sources = Self::with_tests_from_paths(paths)?;
        sources.modules.retain(|module| !module.name.ends_with("_test.rego"));
        Ok(sources)
    }

    /// The same with the tests, for [`run_tests`](crate::run_tests).
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn with_tests_from_paths(paths: &[PathBuf]) -> Result<Self, Vec<LoadFault>> {
        let (mut sources, mut faults) = (Self::default(), Vec::new());
        for path in paths {
            let mut files = Vec::new();
            if let Err(fault) = list(path, &mut Vec::new(), &mut files) {
                faults.push(fault);
            }
            files.sort();
            let is_named = path.is_file();
            for (file, at) in files {
                if let Err(mut of_file) = sources.add_file(&file, &at, is_named) {
                    faults.append(&mut of_file);
                }
            }
        }
        if faults.is_empty() { Ok(sources) } else { Err(faults) }
    }

    /// Adds one of many files: what is neither module nor data is left alone, unless it is the one
    /// file that was named.
    fn add_file(
        &mut self,
        file: &Path,
        at: &[String],
        is_named: bool,
    ) -> Result<(), Vec<LoadFault>> {
        let name = file.display().to_string();
        let fault = |text: String| vec![LoadFault::of_file(&name, text)];
        let kind = Kind::of(&name);
        if !is_named && matches!(kind, Kind::Other | Kind::Bundle) {
            return Ok(());
        }
        if kind == Kind::Other {
            let known = "it is no module, data or bundle: .rego, .json, .yaml, .tar.gz";
            return Err(fault(known.to_owned()));
        }
        let metadata = file.metadata().map_err(|error| fault(error.to_string()))?;
        if !metadata.is_file() {
            return Err(fault("it is no regular file".to_owned()));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(fault(format!("it has over {MAX_FILE_BYTES} bytes")));
        }
        let bytes = std::fs::read(file).map_err(|error| fault(error.to_string()))?;
        match kind {
            Kind::Module => self.add_module(name, &bytes).map_err(|fault| vec![fault]),
            Kind::Json | Kind::Yaml => {
                let data = parse_data(&name, &bytes).map_err(|fault| vec![fault])?;
                self.add_data(&name, at, data).map_err(|fault| vec![fault])
            }
            Kind::Bundle => {
                let bundle = Self::from_bundle(&name, &bytes, None)?;
                self.modules.extend(bundle.modules);
                self.revision = bundle.revision.or_else(|| self.revision.take());
                self.add_data(&name, &[], bundle.data).map_err(|fault| vec![fault])
            }
            Kind::Other => Ok(()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    Json,
    Yaml,
    Bundle,
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        let has = |ending: &str| name.ends_with(ending);
        match () {
            () if has(".rego") => Self::Module,
            () if has(".json") => Self::Json,
            () if has(".yaml") || has(".yml") => Self::Yaml,
            () if has(".tar.gz") || has(".tgz") => Self::Bundle,
            () => Self::Other,
        }
    }
}

/// The files at and below `path`, each with the names of its directories.
fn list(
    path: &Path,
    at: &mut Vec<String>,
    files: &mut Vec<(PathBuf, Vec<String>)>,
) -> Result<(), LoadFault> {
    let fault = |text: String| LoadFault::of_file(path.display().to_string(), text);
    let metadata = path.metadata().map_err(|error| fault(error.to_string()))?;
    if !metadata.is_dir() {
        files.push((path.to_owned(), at.clone()));
        return Ok(());
    }
    if at.len() > MAX_DEPTH || files.len() > MAX_FILES {
        return Err(fault(format!(
            "there are over {MAX_FILES} files, or directories over {MAX_DEPTH} deep"
        )));
    }
    for entry in path.read_dir().map_err(|error| fault(error.to_string()))? {
        let entry = entry.map_err(|error| fault(error.to_string()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let is_directory = entry.path().is_dir();
        if is_directory {
            at.push(name);
        }
        list(&entry.path(), at, files)?;
        if is_directory {
            at.pop();
        }
    }
    Ok(())
}
