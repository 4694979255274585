//! Where an issuer publishes its keys: a value that configuration fills in.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::bearer::KeyBearer;
use super::carrier::Cluster;
use super::emptied::EmptySet;

/// Where the key set of one issuer is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// In the `jwks_uri` of the OpenID Connect Discovery document at this URL.
    Discovery(Url),
    /// At this URL.
    JwksUri(Url),
    /// In this file, read again when it changes.
    File(PathBuf),
    /// In the configuration itself: a JWKS document.
    Inline(String),
    /// Nowhere: this is another name of the issuer that lends its keys.
    Borrowed,
}

/// All that decides how the keys of one issuer are obtained. Two equal ones obtain the
/// same keys: on a reload, those in force can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysSpec {
    /// The issuer, as configured.
    pub issuer: String,
    /// Where its keys are.
    pub location: KeyLocation,
    /// How to get there.
    pub access: Access,
    /// When, and for how long.
    pub policy: FetchPolicy,
}

/// How to reach an issuer that is not simply on the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// An HTTP proxy for this issuer alone.
    pub proxy: Option<Url>,
    /// A PEM file of certificates to trust besides the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// PEM files of a certificate to show, and of its key.
    pub client_cert: Option<ClientCertFiles>,
    /// A token to show when fetching keys, and to whom.
    pub key_bearer: Option<KeyBearer>,
    /// Whether the proxies that the environment names are none of ours: another program's.
    pub ignores_environment: bool,
    /// The cluster through which another program fetches instead; proxy and authorities are its own.
    pub cluster: Option<Cluster>,
}

/// A certificate to show to a server that asks for one: its chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// When keys are fetched and how long they are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPolicy {
    /// Shortest time between two background refreshes, whatever `Cache-Control` says.
    pub refresh_min: Duration,
    /// Longest time between two background refreshes, whatever `Cache-Control` says.
    pub refresh_max: Duration,
    /// Time between two background refreshes when the answer has no `Cache-Control`.
    pub refresh_default: Duration,
    /// Shortest time between two fetches made because of an unknown `kid`.
    pub cool_down: Duration,
    /// How long a request waits at most for a fetch that it asked for.
    pub wait: Duration,
    /// How long one HTTP request may take.
    pub timeout: Duration,
    /// How long the last good key set serves on when the issuer cannot be reached.
    pub max_stale: Duration,
    /// Whether an issuer can withdraw all its keys.
    pub empty_set: EmptySet,
    /// A directory where key sets survive a restart.
    pub cache_dir: Option<PathBuf>,
}
