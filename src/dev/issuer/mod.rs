//! A development issuer: OpenID Connect with every grant that Doorward's users meet, on
//! loopback, with users and passwords that everybody knows.
//!
//! | grant | file |
//! |---|---|
//! | authorization code, PKCE S256 | [`authorize`], [`codes`] |
//! | device (RFC 8628) | [`device`], [`devices`] |
//! | password, client credentials, refresh (rotating) | [`token_endpoint`], [`refresh`] |
//!
//! Keys ([`keys`]) are made at start and rotated on demand, by [`DevIssuer::rotate`] or
//! `POST /dev/rotate`. Whatever is remembered is bounded ([`shelf`]).

mod account;
mod authorize;
mod codes;
mod device;
mod devices;
mod directory;
mod fault;
mod keys;
mod metadata;
mod options;
mod pages;
mod refresh;
mod session;
mod shelf;
#[cfg(test)]
mod tests;
mod token_endpoint;
mod tokens;
mod visitors;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use doorward_core::clock::{Clock, UnixTime};
use serde_json::Value;

use self::codes::Codes;
use self::devices::Devices;
pub use self::directory::{DevClient, DevUser};
use self::keys::KeyRing;
pub use self::keys::{PreviousKey, SigningAlgorithm};
pub use self::options::DevIssuerOptions;
use self::refresh::RefreshTokens;
use self::shelf::Shelf;
use super::loopback::{ListenError, listen};

const MAX_BODY_BYTES: usize = 64 * 1024;
const MAX_REVOKED: usize = 4096;

/// The development issuer. Cheap to clone; all clones are the same issuer.
#[derive(Clone)]
pub struct DevIssuer {
    issuer: Arc<Issuer>,
    listener: Arc<Mutex<Option<TcpListener>>>,
}

/// Why the development issuer does not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevIssuerError {
    /// Its address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Serving failed.
    #[error("the development issuer stopped")]
    Serve(#[source] std::io::Error),
    /// [`DevIssuer::serve`] was called before.
    #[error("the development issuer is serving already")]
    AlreadyServing,
    /// No key could be made.
    #[error("cannot make a signing key")]
    KeyGeneration,
    /// The system has no random numbers.
    #[error("cannot get random numbers")]
    Randomness,
    /// The library refuses to sign.
    #[error("cannot sign")]
    Signing(#[source] jsonwebtoken::errors::Error),
    /// Extra claims must be a JSON object.
    #[error("claims to mint must be a JSON object")]
    ClaimsNotAnObject,
}

/// All the issuer is and remembers; its endpoints share it.
struct Issuer {
    /// `iss`, without a trailing slash.
    url: String,
    options: DevIssuerOptions,
    users: Vec<Arc<DevUser>>,
    clock: Arc<dyn Clock>,
    keys: KeyRing,
    codes: Mutex<Codes>,
    devices: Mutex<Devices>,
    refresh: Mutex<RefreshTokens>,
    /// `jti` of access tokens that were revoked.
    revoked: Mutex<Shelf<()>>,
}

impl DevIssuer {
    /// Binds `address` (port 0: one that is free) and makes the first key. Connections
    /// wait until [`serve`](Self::serve) runs.
    ///
    /// # Errors
    /// When `address` is not loopback or cannot be had, or no key can be made.
    pub async fn bind(
        address: SocketAddr,
        options: DevIssuerOptions,
    ) -> Result<Self, DevIssuerError> {
        let (listener, address) = listen(address)?;
        let issuer = Issuer {
            url: format!("http://{address}"),
            users: options.users.iter().cloned().map(Arc::new).collect(),
            clock: Arc::clone(&options.clock),
            keys: KeyRing::generate(options.algorithm).await?,
            codes: Mutex::new(Codes::new()),
            devices: Mutex::new(Devices::new()),
            refresh: Mutex::new(RefreshTokens::new()),
            revoked: Mutex::new(Shelf::with_capacity(MAX_REVOKED)),
            options,
        };
        Ok(Self { issuer: Arc::new(issuer), listener: Arc::new(Mutex::new(Some(listener))) })
    }

    /// The issuer's name: the `iss` of its tokens, `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn issuer_url(&self) -> &str {
        &self.issuer.url
    }

    /// The `aud` of its access tokens.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.issuer.options.audience
    }

    /// The client that people log in with.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.issuer.options.client_id()
    }

    /// A really signed access token for `user` (one who is not known gets a token with
    /// that `sub` and no profile). Members of the object `claims` replace the usual
    /// claims, or remove them where they are `null`.
    ///
    /// # Errors
    /// When `claims` is no object, or signing fails.
    pub fn mint(&self, user: &str, claims: Value) -> Result<String, DevIssuerError> {
        self.issuer.minted_token(user, claims)
    }

    /// The `kid` of the key that signs now.
    #[must_use]
    pub fn current_kid(&self) -> String {
        self.issuer.keys.current_kid()
    }

    /// Signs with a new key from now on; its `kid`.
    ///
    /// # Errors
    /// When no key can be made.
    pub async fn rotate(&self, previous: PreviousKey) -> Result<String, DevIssuerError> {
        self.issuer.keys.rotate(self.issuer.options.algorithm, previous).await
    }

    /// Answers requests until `shutdown` resolves; afterwards connections are refused.
    ///
    /// # Errors
    /// When it was called before, or the listener cannot be driven.
    pub fn serve(
        &self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = Result<(), DevIssuerError>> + Send + 'static {
        let listener = lock(&self.listener).take();
        let router = self.issuer.router();
        async move {
            let listener = listener.ok_or(DevIssuerError::AlreadyServing)?;
            let listener =
                tokio::net::TcpListener::from_std(listener).map_err(DevIssuerError::Serve)?;
            axum::serve(listener, router)
                .with_graceful_shutdown(shutdown)
                .await
                .map_err(DevIssuerError::Serve)
        }
    }
}

impl std::fmt::Debug for DevIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevIssuer").field("url", &self.issuer.url).finish_non_exhaustive()
    }
}

impl Issuer {
    fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .merge(metadata::routes())
            .merge(authorize::routes())
            .merge(device::routes())
            .merge(token_endpoint::routes())
            .merge(account::routes())
            .layer(axum::middleware::from_fn(visitors::from_this_machine))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::clone(self))
    }

    fn user(&self, name: &str) -> Option<Arc<DevUser>> {
        self.users.iter().find(|user| user.name == name).cloned()
    }

    fn revoke(&self, jti: &str, until: UnixTime) {
        lock(&self.revoked).put(jti.to_owned(), (), until, self.clock.now());
    }

    fn is_revoked(&self, jti: &str) -> bool {
        lock(&self.revoked).look(jti, self.clock.now()).is_some()
    }
}

/// A panic elsewhere leaves nothing half-written here, so its poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
