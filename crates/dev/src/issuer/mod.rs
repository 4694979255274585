//! A development issuer: OpenID Connect with every grant that Doorward's users meet, on loopback,
//! with users and passwords that everybody knows.
//!
//! | file | holds |
//! |---|---|
//! | `metadata` | the discovery document, the key set, and what no real issuer has: tokens for the asking, the switch that rotates its keys |
//! | `authorize`, `device`, `pages` | where a person says yes or no: authorization code with PKCE S256, device flow (RFC 8628) |
//! | `token` | the token endpoint, where every grant ends; userinfo and revocation |
//! | `ledger` | all that it remembers, bounded |
//! | `directory` | who can log in, and through which client |
//! | `this_machine` | turns away what only seems to come from here |

mod authorize;
mod device;
mod directory;
mod ledger;
mod metadata;
mod pages;
#[cfg(test)]
mod tests;
mod this_machine;
mod token;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::directory::{CLIENTS, profile, user};
use self::ledger::{Held, Ledger};
use crate::faults::{self, Answer, Asked, Faults};
use crate::server::{ListenError, MAX_BODY_BYTES, Server, lock};
use crate::signer::{Curve, Signer, secret};

/// How many keys the set has at most: the one in use, and older ones kept on rotation.
const MAX_KEYS: usize = 8;
/// The `aud` of access tokens.
const AUDIENCE: &str = "doorward";

/// What may differ from one development issuer to another. The defaults are those of the
/// demonstration.
#[derive(Clone)]
pub struct DevIssuerOptions {
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// How long access and ID tokens are good for.
    pub access_token_lifetime: Duration,
    /// Least time between two polls with a device code.
    pub device_interval: Duration,
    /// `max-age` of the key set; `None`: the issuer does not say.
    pub jwks_max_age: Option<Duration>,
    /// The seconds since 1970.
    pub clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Whether answers can be replaced, and every request is remembered. For tests.
    pub faults: bool,
}

impl Default for DevIssuerOptions {
    fn default() -> Self {
        Self {
            algorithm: SigningAlgorithm::default(),
            access_token_lifetime: Duration::from_secs(3600),
            device_interval: Duration::from_secs(5),
            jwks_max_age: Some(Duration::from_secs(60)),
            clock: Arc::new(system_clock),
            faults: false,
        }
    }
}

/// The one place of this crate that reads the clock.
fn system_clock() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// What the issuer signs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SigningAlgorithm {
    /// RSA, 2048 bits, PKCS #1 v1.5, SHA-256.
    #[default]
    Rs256,
    /// ECDSA on P-256, SHA-256.
    Es256,
}

/// What becomes of the key in use when a new one takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousKey {
    /// It leaves the key set: its tokens are to be refused.
    Withdraw,
    /// It stays published: its tokens pass until they expire, as with most providers.
    Keep,
}

/// The development issuer. It ends with its handle.
pub struct DevIssuer {
    issuer: Arc<Issuer>,
    faults: Arc<Faults>,
    server: Server,
}

/// Why there is no development issuer, or no token of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevIssuerError {
    /// Its address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No key could be made.
    #[error("cannot make a signing key")]
    KeyGeneration,
    /// Extra claims must be a JSON object.
    #[error("claims to mint must be a JSON object")]
    ClaimsNotAnObject,
}

/// All that the issuer is and remembers; its endpoints share it.
struct Issuer {
    /// `iss`, without a trailing slash.
    url: String,
    options: DevIssuerOptions,
    keys: Mutex<Keys>,
    ledger: Mutex<Ledger>,
}

struct Keys {
    current: Arc<Signer>,
    /// The members of the key set, the current key first.
    published: Vec<Value>,
}

impl DevIssuer {
    /// Listens on `address` (port 0: one that is free), with a key made for it.
    ///
    /// # Errors
    /// When `address` is not loopback or cannot be had, or no key can be made.
    pub async fn start(
        address: SocketAddr,
        options: DevIssuerOptions,
    ) -> Result<Self, DevIssuerError> {
        let current = generate(options.algorithm).await?;
        let faults = Arc::<Faults>::default();
        let mut made = None;
        let server = Server::start(address, |address| {
            let issuer = Issuer {
                url: format!("http://{address}"),
                keys: Mutex::new(Keys { published: vec![published(&current)], current }),
                ledger: Mutex::default(),
                options,
            };
            let issuer = made.insert(Arc::new(issuer));
            let router = issuer.router();
            // Outermost, so that it has the last word on everything.
            let inject = from_fn_with_state(Arc::clone(&faults), faults::inject);
            if issuer.options.faults { router.layer(inject) } else { router }
        });
        let server = server.await?;
        let issuer = made.ok_or(DevIssuerError::KeyGeneration)?;
        Ok(Self { issuer, faults, server })
    }

    /// An issuer for tests, on a free port: its answers can be replaced, its requests are
    /// remembered, its key is made in no time, and it says nothing of how long its key set holds.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start_with_faults() -> Result<Self, DevIssuerError> {
        let options = DevIssuerOptions {
            algorithm: SigningAlgorithm::Es256,
            jwks_max_age: None,
            faults: true,
            ..DevIssuerOptions::default()
        };
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), options).await
    }

    /// The issuer's name: the `iss` of its tokens, `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn issuer_url(&self) -> &str {
        &self.issuer.url
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.url)
    }

    /// The `aud` of its access tokens.
    #[must_use]
    pub fn audience(&self) -> &str {
        AUDIENCE
    }

    /// The client that people log in with.
    #[must_use]
    pub fn client_id(&self) -> &str {
        CLIENTS[0].id
    }

    /// A really signed access token for `user` (one who is not known gets a token with that `sub`
    /// and no profile). Members of the object `claims` replace the usual claims, or remove them
    /// where they are `null`.
    ///
    /// # Errors
    /// When `claims` is no object.
    pub fn mint(&self, user: &str, claims: Value) -> Result<String, DevIssuerError> {
        self.issuer.minted_token(user, claims)
    }

    /// The `kid` of the key that signs now.
    #[must_use]
    pub fn current_kid(&self) -> String {
        lock(&self.issuer.keys).current.kid().to_owned()
    }

    /// Signs with a new key from now on; its `kid`.
    ///
    /// # Errors
    /// When no key can be made.
    pub async fn rotate(&self, previous: PreviousKey) -> Result<String, DevIssuerError> {
        self.issuer.rotate(self.issuer.options.algorithm, previous).await
    }

    /// Publishes these keys, and not its own, from now on; whatever was answered in place of the key
    /// set no longer is.
    pub fn publish<'s>(&self, signers: impl IntoIterator<Item = &'s Signer>) {
        self.faults.answer("/keys", []);
        lock(&self.issuer.keys).published = signers.into_iter().map(Signer::jwk).collect();
    }

    /// The discovery document.
    #[must_use]
    pub fn metadata(&self) -> Value {
        metadata::document(&self.issuer.url)
    }

    /// Answers requests for `path` like this from now on, where it was started for that.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.answers(path, [answer]);
    }

    /// Answers them with one after the other, and with the last for good.
    pub fn answers(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.faults.answer(path, answers);
    }

    /// What was asked so far, where it was started to remember that.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.faults.asked()
    }

    /// How often `path` was asked for.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path == path).count()
    }

    /// Refuses connections from now on.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }

    /// Takes connections again, at the same address and with the same keys.
    ///
    /// # Errors
    /// When somebody else listens there meanwhile.
    pub async fn restart(&mut self) -> Result<(), ListenError> {
        self.server.restart().await
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
            .merge(token::routes())
            .layer(from_fn(this_machine::only))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::clone(self))
    }

    fn now(&self) -> u64 {
        (self.options.clock)()
    }

    async fn rotate(
        &self,
        algorithm: SigningAlgorithm,
        previous: PreviousKey,
    ) -> Result<String, DevIssuerError> {
        let current = generate(algorithm).await?;
        let kid = current.kid().to_owned();
        let mut keys = lock(&self.keys);
        if previous == PreviousKey::Withdraw {
            keys.published.clear();
        }
        keys.published.insert(0, published(&current));
        keys.published.truncate(MAX_KEYS);
        keys.current = current;
        Ok(kid)
    }

    /// An access token (RFC 9068) for `subject`, who is a person or the client itself. It is
    /// remembered, for userinfo and until it is revoked.
    fn access_token(&self, subject: &str, client_id: &str, more: Map<String, Value>) -> String {
        let now = self.now();
        let until = now + self.options.access_token_lifetime.as_secs();
        let mut claims = json!({
            "iss": self.url, "sub": subject, "aud": AUDIENCE, "exp": until, "iat": now,
            "jti": secret(), "azp": client_id, "client_id": client_id, "scope": "",
        });
        put(&mut claims, user(subject).into_iter().flat_map(profile));
        put(&mut claims, more);
        // RFC 9068 §2.1: tells it from an ID token, whatever else they share.
        let token = self.sign("at+jwt", &claims);
        let held = Held::Access { subject: subject.into(), client_id: client_id.into() };
        lock(&self.ledger).put(token.clone(), held, until, now);
        token
    }

    fn minted_token(&self, subject: &str, claims: Value) -> Result<String, DevIssuerError> {
        let Value::Object(claims) = claims else { return Err(DevIssuerError::ClaimsNotAnObject) };
        Ok(self.access_token(subject, CLIENTS[0].id, claims))
    }

    /// OpenID Connect Core §2.
    fn id_token(&self, session: &ledger::Session) -> String {
        let now = self.now();
        let mut claims = json!({
            "iss": self.url, "sub": session.user.name, "aud": session.client_id,
            "exp": now + self.options.access_token_lifetime.as_secs(), "iat": now,
            "auth_time": session.authenticated_at,
        });
        put(&mut claims, profile(session.user));
        put(&mut claims, [("nonce".to_owned(), json!(session.nonce))]);
        self.sign("JWT", &claims)
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        let key = Arc::clone(&lock(&self.keys).current);
        key.token_with(json!({"alg": key.alg(), "kid": key.kid(), "typ": typ}), claims)
    }
}

/// Puts members into an object, and takes those out that are `null`.
fn put(claims: &mut Value, members: impl IntoIterator<Item = (String, Value)>) {
    let Value::Object(claims) = claims else { return };
    for (name, value) in members {
        if value.is_null() {
            claims.remove(&name);
        } else {
            claims.insert(name, value);
        }
    }
}

/// A new key, under a name that no other has. An RSA one takes long enough to stall the runtime
/// that serves everybody else, so it is made on a thread of its own.
async fn generate(algorithm: SigningAlgorithm) -> Result<Arc<Signer>, DevIssuerError> {
    let made = tokio::task::spawn_blocking(move || match algorithm {
        SigningAlgorithm::Rs256 => Signer::rsa(&secret()),
        SigningAlgorithm::Es256 => Signer::ec(&secret(), Curve::P256),
    });
    made.await.map(Arc::new).map_err(|_| DevIssuerError::KeyGeneration)
}

/// A key as the issuer publishes its own.
fn published(key: &Signer) -> Value {
    let mut jwk = key.jwk();
    put(&mut jwk, [("alg".to_owned(), json!(key.alg()))]);
    jwk
}
