//! OPA bundles: `.tar.gz` archives of modules and data.

/// What a bundle's signature is verified with.
#[derive(Clone, Debug)]
pub struct BundleKey {}

impl BundleKey {
    /// A public key in PEM (`BEGIN PUBLIC KEY`), RSA, P-256 or Ed25519.
    ///
    /// # Errors
    /// It is none of these.
    pub fn from_pem(_pem: &str) -> Result<Self, BundleKeyError> {
        Err(BundleKeyError)
    }
}

/// It is no public key that signatures of bundles can be verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key in PEM, of RSA (2048 bits or more), P-256 or Ed25519")]
pub struct BundleKeyError;
