//! A real Envoy for development: found, fetched when there is none, started, stopped.
//!
//! [`EnvoySearch::find`] says where one is, [`fetch`] gets one,
//! [`EnvoyProcess::start`] runs it.

mod fetch;
mod find;
mod process;

pub use self::fetch::{FetchError, fetch};
pub use self::find::{EnvoySearch, Found, SearchError};
pub use self::process::{EnvoyError, EnvoyProcess};

/// The version that is fetched, and that Doorward is tested with.
pub const ENVOY_VERSION: &str = "1.40.0";
