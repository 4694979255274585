//! OPA bundles: `.tar.gz` archives of modules and data.

mod signature;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

use crate::fault::LoadFault;
use crate::parse;
use crate::sources::{Sources, parse_data};

pub use self::signature::{BundleKey, BundleKeyError};

/// Larger archives are refused: 64 MiB.
const MAX_ARCHIVE_BYTES: usize = 64 << 20;

/// Archives that are larger unpacked are refused: 256 MiB.
const MAX_UNPACKED_BYTES: u64 = 256 << 20;

/// More files than this are refused.
const MAX_FILES: usize = 10_000;

const MANIFEST: &str = ".manifest";

/// The files of a bundle, by their paths in it.
type Files = BTreeMap<String, Vec<u8>>;

/// What a bundle says of itself. Its `metadata` is for others.
#[derive(Deserialize)]
#[serde(default)]
struct Manifest {
    revision: String,
    /// Below which paths of `data` all is that it holds.
    roots: Vec<String>,
    /// Modules as WebAssembly.
    wasm: Vec<serde::de::IgnoredAny>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { revision: String::new(), roots: vec![String::new()], wasm: Vec::new() }
    }
}

impl Sources {
    /// Reads an OPA bundle: its modules, without `*_test.rego`, and its data. With a key, it has to
    /// be signed.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_bundle(
        name: &str,
        archive: &[u8],
        key: Option<&BundleKey>,
    ) -> Result<Self, Vec<LoadFault>> {
        read(name, archive, key)
    }
}

/// Reads a bundle, and verifies its signature where there is a key for that.
fn read(name: &str, archive: &[u8], key: Option<&BundleKey>) -> Result<Sources, Vec<LoadFault>> {
    let mut files = unpack(archive).map_err(|text| vec![LoadFault::of_file(name, text)])?;
    let signatures = files.remove(signature::FILE);
    if let Some(key) = key {
        signature::verify(name, &files, signatures.as_deref(), key)?;
    }
    let manifest = manifest(name, files.get(MANIFEST)).map_err(|fault| vec![fault])?;
    let (mut sources, mut faults) = (Sources::default(), Vec::new());
    for (path, bytes) in &files {
        faults.extend(add(&mut sources, name, path, bytes).err());
    }
    if faults.is_empty() {
        faults = outside_roots(name, &sources, &manifest);
    }
    sources.revision = Some(manifest.revision).filter(|revision| !revision.is_empty());
    if faults.is_empty() { Ok(sources) } else { Err(faults) }
}

fn unpack(archive: &[u8]) -> Result<Files, String> {
    if archive.len() > MAX_ARCHIVE_BYTES {
        return Err(format!("the archive has over {MAX_ARCHIVE_BYTES} bytes"));
    }
    let unreadable = |error: std::io::Error| format!("it is no complete .tar.gz archive: {error}");
    let mut archive = tar::Archive::new(GzDecoder::new(archive).take(MAX_UNPACKED_BYTES));
    let mut files = Files::new();
    let entries = archive.entries().map_err(unreadable)?;
    for entry in entries {
        let mut entry = entry.map_err(unreadable)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !kind.is_file() {
            return Err(format!("`{shown}` is neither a file nor a directory"));
        }
        let path = inner_path(&shown).ok_or_else(|| format!("`{shown}` is no path in a bundle"))?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(unreadable)?;
        if files.insert(path, bytes).is_some() {
            return Err(format!("it holds `{shown}` twice"));
        }
        if files.len() > MAX_FILES {
            return Err(format!("it has over {MAX_FILES} files"));
        }
    }
    // To the end, where the checksum is.
    let mut rest = archive.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(unreadable)?;
    if rest.limit() == 0 {
        return Err(format!("it is over {MAX_UNPACKED_BYTES} bytes when it is unpacked"));
    }
    Ok(files)
}

/// The path in the bundle, without a leading `/` or `./`; `None`: it leads elsewhere.
fn inner_path(shown: &str) -> Option<String> {
    let mut names = Vec::new();
    for component in Path::new(shown).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!names.is_empty()).then(|| names.join("/"))
}

fn manifest(name: &str, file: Option<&Vec<u8>>) -> Result<Manifest, LoadFault> {
    let Some(file) = file else { return Ok(Manifest::default()) };
    let path = format!("{name}:{MANIFEST}");
    let manifest: Manifest = serde_json::from_slice(file)
        .map_err(|error| LoadFault::of_file(path.clone(), error.to_string()))?;
    if manifest.wasm.is_empty() {
        Ok(manifest)
    } else {
        Err(LoadFault::of_file(path, "it has modules as WebAssembly, which are not run here"))
    }
}

/// Adds what OPA takes out of a bundle, too: modules, and `data.json` or `data.yaml`.
fn add(sources: &mut Sources, name: &str, path: &str, bytes: &[u8]) -> Result<(), LoadFault> {
    let shown = format!("{name}:{path}");
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "data.json" | "data.yaml" | "data.yml" => {
            let data = parse_data(&shown, bytes)?;
            sources.add_data(&shown, &names(directory), data)
        }
        "patch.json" if directory.is_empty() => {
            Err(LoadFault::of_file(shown, "it is a delta bundle; only whole ones can be read"))
        }
        _ if file.ends_with(".rego") && !file.ends_with("_test.rego") => {
            sources.add_module(shown, bytes)
        }
        _ => Ok(()),
    }
}

fn names(path: &str) -> Vec<String> {
    path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What is not below a root of the bundle.
fn outside_roots(name: &str, sources: &Sources, manifest: &Manifest) -> Vec<LoadFault> {
    let roots: Vec<_> = manifest.roots.iter().map(|root| names(root)).collect();
    if roots.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    if let Some(path) = data_outside(sources.data(), &mut Vec::new(), &roots) {
        let text = format!("there is data at `{path}`, which is outside of the manifest's roots");
        faults.push(LoadFault::of_file(name, text));
    }
    for module in &sources.modules {
        match parse::package(module) {
            Err(fault) => faults.push(fault),
            Ok(package) => {
                let path = package.get(1..).unwrap_or_default();
                if !roots.iter().any(|root| path.starts_with(root)) {
                    let text = format!(
                        "the package `{}` is outside of the manifest's roots",
                        path.join(".")
                    );
                    faults.push(LoadFault::of_file(module.name.clone(), text));
                }
            }
        }
    }
    faults
}

/// Where there is data that is below no root: a value is, or leads to one.
fn data_outside(data: &Value, at: &mut Vec<String>, roots: &[Vec<String>]) -> Option<String> {
    if roots.iter().any(|root| at.starts_with(root)) {
        return None;
    }
    let Value::Object(members) = data else { return Some(at.join("/")) };
    if !roots.iter().any(|root| root.starts_with(at)) {
        return Some(at.join("/"));
    }
    members.iter().find_map(|(name, value)| {
        at.push(name.clone());
        let outside = data_outside(value, at, roots);
        at.pop();
        outside
    })
}
