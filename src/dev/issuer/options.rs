//! How a development issuer may differ from the built-in one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::clock::{Clock, SystemClock};

use super::directory::{DevClient, DevUser, built_in_clients, built_in_users};
use super::keys::SigningAlgorithm;

/// Everything about a development issuer that is not its address. The defaults work.
#[derive(Clone)]
pub struct DevIssuerOptions {
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// The `aud` of access tokens.
    pub audience: String,
    /// Who can log in.
    pub users: Vec<DevUser>,
    /// Which programs can ask for tokens. The first is the one people log in with.
    pub clients: Vec<DevClient>,
    /// How long access and ID tokens are good for.
    pub access_token_lifetime: Duration,
    /// How long an unused refresh token is good for.
    pub refresh_token_lifetime: Duration,
    /// How long a device code can be answered.
    pub device_code_lifetime: Duration,
    /// Least time between two polls with a device code.
    pub device_interval: Duration,
    /// `max-age` of the key set.
    pub jwks_max_age: Duration,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl DevIssuerOptions {
    pub(super) fn client_id(&self) -> &str {
        self.clients.first().map_or("", |client| &client.id)
    }
}

impl Default for DevIssuerOptions {
    fn default() -> Self {
        Self {
            algorithm: SigningAlgorithm::default(),
            audience: "doorward".into(),
            users: built_in_users(),
            clients: built_in_clients(),
            access_token_lifetime: Duration::from_secs(3600),
            refresh_token_lifetime: Duration::from_secs(30 * 24 * 3600),
            device_code_lifetime: Duration::from_secs(600),
            device_interval: Duration::from_secs(5),
            jwks_max_age: Duration::from_secs(60),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for DevIssuerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevIssuerOptions")
            .field("algorithm", &self.algorithm)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
