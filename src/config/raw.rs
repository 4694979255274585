//! The configuration as people write it: every key, its type, its default and its
//! meaning, in one place.
//!
//! The JSON Schema (`config schema`), the reference in `docs/configuration.md`, the
//! check for unknown keys and the names of environment variables are all made from
//! these types; the comments are their text.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Doorward's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who may pass: NeMo Platform's `auth` section, and what Doorward adds to it.
    pub auth: Auth,
    /// Where Doorward listens.
    pub server: Server,
    /// The identity headers.
    pub headers: Headers,
    /// What a path may do.
    pub rules: Rules,
    /// Limits on tokens.
    pub token: Token,
    /// When keys are fetched and how long they are believed.
    pub keys: Keys,
    /// The verified-token cache.
    pub cache: Cache,
    /// What a denial says.
    pub denial: Denial,
    /// RFC 9728 metadata; not served unless `resource` is set.
    pub protected_resource: ProtectedResource,
    /// Logging.
    pub log: Log,
}

/// Who may pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// `false` allows every request, and still strips trusted headers.
    pub enabled: bool,
    /// Accept tokens with `alg: none`. For development: refused unless every listener is
    /// loopback or a unix socket.
    pub allow_unsigned_jwt: bool,
    /// The primary issuer.
    pub oidc: Oidc,
    /// Any number of further issuers, each with settings of its own.
    pub issuers: Vec<Issuer>,
    /// Spelled-out set-ups of well-known providers.
    pub preset: Preset,
}

/// The primary issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Oidc {
    /// `false` leaves the primary issuer out.
    pub enabled: bool,
    /// What `iss` must be, to the byte. May hold `{tenantid}` (Azure multi-tenant).
    pub issuer: Option<String>,
    /// Other names under which the same provider signs, such as Azure's v1 issuer. Each
    /// is discovered on its own; until that has worked once it borrows the primary
    /// issuer's keys.
    pub additional_issuers: Vec<String>,
    /// The client that people log in with.
    pub client_id: Option<String>,
    /// What `aud` must hold; any one of a list will do. Default: `client_id`.
    pub audience: Option<OneOrMany>,
    /// `false` is the only way to accept tokens made for somebody else.
    pub verify_audience: bool,
    /// The discovery document, when it is not at
    /// `{issuer}/.well-known/openid-configuration`.
    pub discovery_url: Option<String>,
    /// The key set. Default: from discovery.
    pub jwks_uri: Option<String>,
    /// The key set, in a file.
    pub jwks_file: Option<PathBuf>,
    /// The key set, written out: a JWKS document.
    pub jwks: Option<serde_json::Value>,
    /// Default: from discovery.
    pub authorization_endpoint: Option<String>,
    /// Default: from discovery.
    pub token_endpoint: Option<String>,
    /// Default: from discovery.
    pub device_authorization_endpoint: Option<String>,
    /// Default: from discovery.
    pub userinfo_endpoint: Option<String>,
    /// Accepted signature algorithms. Default: all asymmetric ones Doorward knows.
    pub algorithms: Option<Vec<String>>,
    /// The claim with the email address: a name, or a JSON pointer when it starts with
    /// `/`.
    pub email_claim: String,
    /// The claim with the principal; `sub` when a token lacks it.
    pub subject_claim: String,
    /// The claim with the groups: a string, an array, or an object's keys.
    pub groups_claim: String,
    /// A claim whose values count as scopes, such as Entra's `roles`.
    pub roles_claim: Option<String>,
    /// Cut off from the front of each scope.
    pub scope_prefix: Option<String>,
    /// Put in front of each principal; may hold `{tid}`.
    pub subject_prefix: Option<String>,
    /// Put in front of each group; may hold `{tid}`.
    pub groups_prefix: Option<String>,
    /// Tenants (`tid`) that may come. Needed with `{tenantid}`; `*` has to be written
    /// out.
    pub allowed_tenants: Vec<String>,
    /// Clients (`azp`, `appid`, `client_id`) that may hold tokens. Empty: any.
    pub allowed_clients: Vec<String>,
    /// Scopes that `auth login` asks for, separated by spaces.
    pub default_scopes: String,
    /// How long a discovery document is believed before it is fetched again.
    pub discovery_cache_ttl: Span,
    /// HTTP proxy to reach this issuer.
    pub proxy: Option<String>,
    /// PEM file of certificate authorities to trust for this issuer, besides the
    /// system's.
    pub ca_file: Option<PathBuf>,
}

/// A further issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Issuer {
    /// What `iss` must be, to the byte. May hold `{tenantid}` (Azure multi-tenant).
    pub issuer: Option<String>,
    /// The discovery document, when it is not at
    /// `{issuer}/.well-known/openid-configuration`.
    pub discovery_url: Option<String>,
    /// The key set, at a URL.
    pub jwks_uri: Option<String>,
    /// The key set, in a file.
    pub jwks_file: Option<PathBuf>,
    /// The key set, written out: a JWKS document.
    pub jwks: Option<serde_json::Value>,
    /// The client that people log in with: the default of `audience`.
    pub client_id: Option<String>,
    /// What `aud` must hold; any one of a list will do.
    pub audience: Option<OneOrMany>,
    /// `false` is the only way to accept tokens made for somebody else.
    pub verify_audience: bool,
    /// Accepted signature algorithms. Default: all asymmetric ones Doorward knows.
    pub algorithms: Option<Vec<String>>,
    /// The claim with the email address.
    pub email_claim: String,
    /// The claim with the principal; `sub` when a token lacks it.
    pub subject_claim: String,
    /// The claim with the groups.
    pub groups_claim: String,
    /// A claim whose values count as scopes, such as Entra's `roles`.
    pub roles_claim: Option<String>,
    /// Cut off from the front of each scope.
    pub scope_prefix: Option<String>,
    /// Put in front of each principal; may hold `{tid}`.
    pub subject_prefix: Option<String>,
    /// Put in front of each group; may hold `{tid}`.
    pub groups_prefix: Option<String>,
    /// Tenants (`tid`) that may come. Needed with `{tenantid}`; `*` has to be written
    /// out.
    pub allowed_tenants: Vec<String>,
    /// Clients (`azp`, `appid`, `client_id`) that may hold tokens. Empty: any.
    pub allowed_clients: Vec<String>,
    /// HTTP proxy to reach this issuer.
    pub proxy: Option<String>,
    /// PEM file of certificate authorities to trust for this issuer, besides the
    /// system's.
    pub ca_file: Option<PathBuf>,
}

/// Spelled-out set-ups of well-known providers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Preset {
    /// Microsoft Entra ID (Azure AD): its v1 and v2 issuers, audiences and claims. Fills
    /// in what `auth.oidc` leaves open.
    pub entra: Option<Entra>,
}

/// Microsoft Entra ID.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entra {
    /// The one tenant (directory) id that may sign in.
    pub tenant: Option<String>,
    /// Several tenant ids; `["*"]` for any.
    pub tenants: Vec<String>,
    /// The application (client) id of the API.
    pub client_id: Option<String>,
}

/// Where Doorward listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Envoy's gRPC `Check`, gRPC health and reflection.
    pub grpc: Listener,
    /// Discovery document, HTTP ext_authz, authenticate.
    pub http: Listener,
    /// Health and metrics.
    pub admin: Listener,
    /// Threads that decide. Default: one a core.
    pub workers: Option<usize>,
    /// How long requests in flight get when Doorward is told to stop.
    pub drain: Span,
}

/// One listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// `host:port`, or `unix:/path`.
    pub listen: String,
    /// TLS on this listener.
    pub tls: Option<Tls>,
}

/// Certificates, as PEM files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Clients must show a certificate of one of these authorities.
    pub client_ca: Option<PathBuf>,
}

/// The identity headers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Headers {
    /// Which values headers may hold.
    pub profile: Profile,
    /// Every header that starts with this is removed unless Doorward sets it, in any
    /// case and with `_` for `-`.
    pub trusted_prefix: String,
    /// The header with the principal.
    pub principal_id: String,
    /// The header with the email address.
    pub principal_email: String,
    /// The header with the groups, joined by `,`.
    pub principal_groups: String,
    /// The header with the scopes, joined by a space.
    pub scopes: String,
    /// The header that says a policy engine allowed the request.
    pub authorized: String,
    /// Further claims to copy: header name → claim.
    pub claims: BTreeMap<String, String>,
    /// Keep only groups that match one of these; `*` and `?` are wildcards. Empty: all.
    pub groups_only: Vec<String>,
}

/// Which values headers may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// NeMo Platform's limits.
    #[default]
    Nemo,
    /// Any visible ASCII.
    Plain,
}

/// What a path may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Paths let through without a token: exact (`/health`), or everything below
    /// (`/public/*`).
    pub bypass: Vec<String>,
}

/// Limits on tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Token {
    /// Longer tokens are refused unread.
    pub max_token_bytes: usize,
    /// How far an issuer's clock may be off.
    pub leeway: Span,
}

/// When keys are fetched and how long they are believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// How long the last good key set serves on when the issuer cannot be reached.
    pub max_stale: Span,
    /// A directory where key sets survive a restart.
    pub key_cache_dir: Option<PathBuf>,
    /// Shortest time between two fetches made because of an unknown `kid`.
    pub cool_down: Span,
    /// How long a request waits for such a fetch.
    pub wait: Span,
    /// How long one request to an issuer may take.
    pub timeout: Span,
    /// Shortest time between two background refreshes, whatever `Cache-Control` says.
    pub refresh_min: Span,
    /// Longest time between two background refreshes, whatever `Cache-Control` says.
    pub refresh_max: Span,
    /// Time between two background refreshes when there is no `Cache-Control`.
    pub refresh_default: Span,
}

/// The verified-token cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// How many tokens at most; 0 turns the cache off.
    pub max_entries: u64,
    /// How many bytes at most.
    pub max_bytes: u64,
}

/// What a denial says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Denial {
    /// `realm` of the `WWW-Authenticate` challenge.
    pub realm: String,
}

/// RFC 9728 metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectedResource {
    /// The resource identifier: the https URL clients know the platform by. Setting it
    /// turns the document and `resource_metadata` in challenges on.
    pub resource: Option<String>,
    /// Authorization servers to name. Default: the configured issuers.
    pub authorization_servers: Vec<String>,
    /// Scopes to name.
    pub scopes_supported: Vec<String>,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A filter, such as `info` or `info,doorward=debug`.
    pub level: String,
    /// How lines look. Default: text on a terminal, JSON elsewhere.
    pub format: LogFormat,
    /// Which decisions get a line.
    pub decisions: Decisions,
    /// At most so many decision lines a second; those left out are counted.
    pub decisions_per_second: u32,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `text` on a terminal, `json` elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which decisions get a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decisions {
    /// None.
    Off,
    /// Denials.
    #[default]
    Denials,
    /// All.
    All,
}

/// One value or a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Any of these.
    Many(Vec<String>),
}

/// A time span: seconds, or a text such as `10s`, `5m`, `24h`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Span {
    /// Seconds.
    Seconds(u64),
    /// With its unit.
    Text(String),
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            enabled: true,
            allow_unsigned_jwt: false,
            oidc: Oidc::default(),
            issuers: Vec::new(),
            preset: Preset::default(),
        }
    }
}

impl Default for Oidc {
    fn default() -> Self {
        let issuer = Issuer::default();
        Self {
            enabled: true,
            issuer: None,
            additional_issuers: Vec::new(),
            client_id: None,
            audience: None,
            verify_audience: issuer.verify_audience,
            discovery_url: None,
            jwks_uri: None,
            jwks_file: None,
            jwks: None,
            authorization_endpoint: None,
            token_endpoint: None,
            device_authorization_endpoint: None,
            userinfo_endpoint: None,
            algorithms: None,
            email_claim: issuer.email_claim,
            subject_claim: issuer.subject_claim,
            groups_claim: issuer.groups_claim,
            roles_claim: None,
            scope_prefix: None,
            subject_prefix: None,
            groups_prefix: None,
            allowed_tenants: Vec::new(),
            allowed_clients: Vec::new(),
            default_scopes: "openid profile email offline_access".into(),
            discovery_cache_ttl: Span::Seconds(300),
            proxy: None,
            ca_file: None,
        }
    }
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            issuer: None,
            discovery_url: None,
            jwks_uri: None,
            jwks_file: None,
            jwks: None,
            client_id: None,
            audience: None,
            verify_audience: true,
            algorithms: None,
            email_claim: "email".into(),
            subject_claim: "sub".into(),
            groups_claim: "groups".into(),
            roles_claim: None,
            scope_prefix: None,
            subject_prefix: None,
            groups_prefix: None,
            allowed_tenants: Vec::new(),
            allowed_clients: Vec::new(),
            proxy: None,
            ca_file: None,
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        let listener = |listen: &str| Listener { listen: listen.into(), tls: None };
        Self {
            grpc: listener("127.0.0.1:9191"),
            http: listener("127.0.0.1:8181"),
            admin: listener("127.0.0.1:9192"),
            workers: None,
            drain: "10s".into(),
        }
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            profile: Profile::Nemo,
            trusted_prefix: "X-NMP-".into(),
            principal_id: "X-NMP-Principal-Id".into(),
            principal_email: "X-NMP-Principal-Email".into(),
            principal_groups: "X-NMP-Principal-Groups".into(),
            scopes: "X-NMP-Scopes".into(),
            authorized: "X-NMP-Authorized".into(),
            claims: BTreeMap::new(),
            groups_only: Vec::new(),
        }
    }
}

impl Default for Token {
    fn default() -> Self {
        Self { max_token_bytes: 16 * 1024, leeway: "60s".into() }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            max_stale: "24h".into(),
            key_cache_dir: None,
            cool_down: "10s".into(),
            wait: "150ms".into(),
            timeout: "5s".into(),
            refresh_min: "1m".into(),
            refresh_max: "1h".into(),
            refresh_default: "5m".into(),
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { max_entries: 10_000, max_bytes: 32 * 1024 * 1024 }
    }
}

impl Default for Denial {
    fn default() -> Self {
        Self { realm: "doorward".into() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Auto,
            decisions: Decisions::Denials,
            decisions_per_second: 10,
        }
    }
}
