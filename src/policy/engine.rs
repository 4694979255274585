//! Files and bundles → a policy that decides.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::policy::{GroupPattern, Policy, Roles, RolesFault};
use serde_json::Value;

/// Whether this build can read bundles and decide by Rego.
pub const HAS_REGO: bool = cfg!(feature = "policy");

/// How the sources of a policy decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Their data is NeMo Platform's, and these groups have a role by their name.
    Roles(Vec<GroupPattern>),
    /// Their modules are Rego, and this value is the decision.
    Rego {
        /// The value: `data.authz.allow`.
        query: String,
        /// How long a decision may take.
        timeout: Duration,
    },
}

/// A policy that can be put in force.
#[derive(Clone)]
pub struct Loaded {
    /// Who decides, by the name that the configuration has for it.
    pub provider: &'static str,
    /// Where it was found, for people.
    pub source: String,
    /// The files and directories that it was read from.
    pub paths: Vec<PathBuf>,
    /// What it decides by.
    pub policy: Arc<dyn Policy>,
    /// What a bundle calls itself.
    pub revision: Option<String>,
    /// What is no fault, and worth a look.
    pub remarks: Vec<String>,
}

/// All that is wrong with a policy, each with its file and line where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFaults(pub Vec<String>);

impl fmt::Display for LoadFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for LoadFaults {}

impl Engine {
    /// The name that the configuration has for it.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Roles(_) => "roles",
            Self::Rego { .. } => "embedded",
        }
    }

    /// The policy that these files and directories make.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn load_files(&self, paths: &[PathBuf]) -> Result<Loaded, LoadFaults> {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        let loaded = rego::files(self, &names.join(", "), paths)?;
        Ok(Loaded { paths: paths.to_vec(), ..loaded })
    }

    /// The policy of a bundle. With a key, it has to be signed.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load_bundle(
        &self,
        name: &str,
        archive: &[u8],
        key: Option<&str>,
    ) -> Result<Loaded, LoadFaults> {
        rego::bundle(self, name, archive, key)
    }

    /// The roles that are data, read from `source`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load_data(&self, source: &str, data: &Value) -> Result<Loaded, Vec<RolesFault>> {
        let groups = match self {
            Self::Roles(groups) => groups.clone(),
            Self::Rego { .. } => Vec::new(),
        };
        let roles = Roles::new(data, groups)?;
        Ok(self.loaded(source, Arc::new(roles), None))
    }

    fn loaded(&self, source: &str, policy: Arc<dyn Policy>, revision: Option<&str>) -> Loaded {
        Loaded {
            provider: self.provider(),
            source: source.to_owned(),
            paths: Vec::new(),
            policy,
            revision: revision.map(str::to_owned),
            remarks: Vec::new(),
        }
    }
}

impl PartialEq for Loaded {
    /// Whether it is the very same.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.policy, &other.policy)
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loaded({} of {})", self.provider, self.source)
    }
}

/// Whether this is a key that bundles can be signed with, in PEM.
///
/// # Errors
/// It is not.
pub fn check_bundle_key(pem: &str) -> Result<(), LoadFaults> {
    rego::check_key(pem)
}

#[cfg(feature = "policy")]
mod rego {
    use std::path::PathBuf;
    use std::sync::Arc;

    use doorward_policy::{BundleKey, Limits, Rego, Sources};

    use super::{Engine, LoadFaults, Loaded};

    pub(super) fn check_key(pem: &str) -> Result<(), LoadFaults> {
        BundleKey::from_pem(pem).map(drop).map_err(|error| LoadFaults(vec![error.to_string()]))
    }

    pub(super) fn files(
        engine: &Engine,
        name: &str,
        paths: &[PathBuf],
    ) -> Result<Loaded, LoadFaults> {
        load(engine, name, &Sources::from_paths(paths).map_err(told)?)
    }

    pub(super) fn bundle(
        engine: &Engine,
        name: &str,
        archive: &[u8],
        key: Option<&str>,
    ) -> Result<Loaded, LoadFaults> {
        let key = key.map(BundleKey::from_pem).transpose();
        let key = key.map_err(|error| LoadFaults(vec![error.to_string()]))?;
        load(engine, name, &Sources::from_bundle(name, archive, key.as_ref()).map_err(told)?)
    }

    fn load(engine: &Engine, name: &str, sources: &Sources) -> Result<Loaded, LoadFaults> {
        let loaded = match engine {
            Engine::Roles(_) => engine.load_data(name, sources.data()).map_err(told)?,
            Engine::Rego { query, timeout } => {
                let limits = Limits { time: *timeout, ..Limits::default() };
                let rego = Rego::compile(sources, query, limits).map_err(told)?;
                let mut remarks: Vec<_> = rego.remarks().iter().map(ToString::to_string).collect();
                if !rego.has_default() {
                    remarks.push(format!(
                        "{name}: `{query}` has no default: a request that none of its rules is \
                         about is 503; add `default allow := false`"
                    ));
                }
                Loaded { remarks, ..engine.loaded(name, Arc::new(rego), None) }
            }
        };
        Ok(Loaded { revision: sources.revision().map(str::to_owned), ..loaded })
    }

    fn told(faults: Vec<impl std::fmt::Display>) -> LoadFaults {
        LoadFaults(faults.iter().map(ToString::to_string).collect())
    }
}

/// What there is to say where none of it is built in.
#[cfg(not(feature = "policy"))]
mod rego {
    use std::path::PathBuf;

    use super::{Engine, LoadFaults, Loaded};

    fn absent<T>() -> Result<T, LoadFaults> {
        Err(LoadFaults(vec!["this build has no policy engine (feature `policy`)".to_owned()]))
    }

    pub(super) fn check_key(_pem: &str) -> Result<(), LoadFaults> {
        absent()
    }

    pub(super) fn files(_: &Engine, _: &str, _: &[PathBuf]) -> Result<Loaded, LoadFaults> {
        absent()
    }

    pub(super) fn bundle(
        _: &Engine,
        _: &str,
        _: &[u8],
        _: Option<&str>,
    ) -> Result<Loaded, LoadFaults> {
        absent()
    }
}
