//! Where an Envoy is, without running or fetching anything.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::ENVOY_VERSION;

/// Where to look. All of it is handed in: the environment is read elsewhere.
#[derive(Clone, Debug, Default)]
pub struct EnvoySearch {
    /// `DOORWARD_ENVOY`: this binary and no other.
    pub named: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// `XDG_CACHE_HOME`.
    pub cache_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

/// The outcome of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This binary is there.
    Binary(PathBuf),
    /// None, but one can be put into this directory by [`fetch`](super::fetch()).
    Nothing {
        /// The directory; it does not exist.
        fetch_into: PathBuf,
    },
}

/// Why there is nothing to run, and no use in fetching.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// `DOORWARD_ENVOY` names nothing that could be run.
    #[error("DOORWARD_ENVOY names {0}, which is not a file")]
    NamedIsMissing(PathBuf),
    /// No place to keep a fetched one.
    #[error("there is no cache directory: neither XDG_CACHE_HOME nor HOME is set")]
    NoCache,
}

impl EnvoySearch {
    /// Looks at `DOORWARD_ENVOY`, then `PATH`, then what was fetched before.
    ///
    /// # Errors
    /// When `DOORWARD_ENVOY` is wrong: somebody who names an Envoy wants that one.
    pub fn find(&self) -> Result<Found, SearchError> {
        if let Some(named) = &self.named {
            let is_there = named.is_file().then(|| Found::Binary(named.clone()));
            return is_there.ok_or_else(|| SearchError::NamedIsMissing(named.clone()));
        }
        let on_path = self.path.iter().flat_map(std::env::split_paths).map(|dir| dir.join("envoy"));
        if let Some(binary) = on_path.into_iter().find(|file| is_executable(file)) {
            return Ok(Found::Binary(binary));
        }
        let dir = self.tools().ok_or(SearchError::NoCache)?.join(format!("envoy-{ENVOY_VERSION}"));
        let binary = binary_in(&dir);
        let is_there = binary.is_file();
        Ok(if is_there { Found::Binary(binary) } else { Found::Nothing { fetch_into: dir } })
    }

    /// The place that `scripts/fetch` keeps tools in, too.
    fn tools(&self) -> Option<PathBuf> {
        // The XDG specification: a relative path is to be ignored.
        let cache = self.cache_home.clone().filter(|dir| dir.is_absolute());
        let cache = cache.or_else(|| Some(self.home.as_ref()?.join(".cache")))?;
        Some(cache.join("doorward").join("tools"))
    }
}

/// Where the package has its binary.
pub(super) fn binary_in(dir: &Path) -> PathBuf {
    dir.join("envoy").join("_bin").join("envoy")
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn put(file: &Path, mode: u32) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_named_one_then_path_then_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut search = EnvoySearch {
            named: None,
            path: Some(std::env::join_paths([at("a"), at("b")]).unwrap()),
            cache_home: None,
            home: Some(at("home")),
        };
        let kept = at("home/.cache/doorward/tools/envoy-1.40.0");
        assert_eq!(search.find(), Ok(Found::Nothing { fetch_into: kept.clone() }));

        put(&kept.join("envoy/_bin/envoy"), 0o755);
        assert_eq!(search.find(), Ok(Found::Binary(kept.join("envoy/_bin/envoy"))));

        put(&at("a/envoy"), 0o644); // not executable: a data file of that name
        put(&at("b/envoy"), 0o755);
        assert_eq!(search.find(), Ok(Found::Binary(at("b/envoy"))));

        search.named = Some(at("mine"));
        assert_eq!(search.find(), Err(SearchError::NamedIsMissing(at("mine"))));
        put(&at("mine"), 0o755);
        assert_eq!(search.find(), Ok(Found::Binary(at("mine"))));
    }

    #[test]
    fn the_cache_moves_with_xdg_cache_home() {
        let search = |cache_home: &str, home: Option<&str>| EnvoySearch {
            cache_home: Some(cache_home.into()),
            home: home.map(PathBuf::from),
            ..EnvoySearch::default()
        };
        let into = |dir: &str| {
            Ok(Found::Nothing { fetch_into: format!("{dir}/doorward/tools/envoy-1.40.0").into() })
        };
        assert_eq!(search("/nowhere/x", None).find(), into("/nowhere/x"));
        assert_eq!(search("relative", Some("/nowhere/h")).find(), into("/nowhere/h/.cache"));
        assert_eq!(search("relative", None).find(), Err(SearchError::NoCache));
    }
}
