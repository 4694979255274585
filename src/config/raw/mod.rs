//! The configuration as people write it: every key, its type, its default and its
//! meaning, in one place.
//!
//! The JSON Schema (`config schema`), the reference in `docs/configuration.md`, the
//! check for unknown keys and the names of environment variables are all made from
//! these types; the comments are their text.

#[macro_use]
mod sections;
mod auth;
mod platform;
mod policy;
mod rules;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::auth::{
    Auth, AuthMethod, BoundTokens, Delegation, Entra, Introspection, Issuer, Oidc, Preset,
};
pub use self::platform::{AccessKeys, Platform, TokenSigning, Workload};
pub use self::policy::{Bundle, Opa, Policy, PolicyProvider};
pub use self::rules::{
    CorsPreflight, Endpoint, EnvoyRoute, Mode, Route, Rules, RulesPreset, ScopeDemand,
};

fn listener(listen: &str) -> Listener {
    Listener { listen: listen.to_owned(), tls: None }
}

sections! {
    /// Doorward's configuration.
    pub struct Config {
        /// Who is allowed: NeMo Platform's `auth` section, and what Doorward adds to it.
        pub auth: Auth,
        /// NeMo Platform, where it issues tokens of its own.
        pub platform: Platform,
        /// Where Doorward listens.
        pub server: Server,
        /// The identity headers sent to the upstream.
        pub headers: Headers,
        /// Rules by path.
        pub rules: Rules,
        /// Roles, a Rego policy, or OPA (docs/policy.md).
        pub policy: Policy,
        /// Limits for tokens.
        pub token: Token,
        /// When keys are fetched and how long they are used.
        pub keys: Keys,
        /// The verified-token cache.
        pub cache: Cache,
        /// Content of denials.
        pub denial: Denial,
        /// RFC 9728 metadata; not served unless `resource` is set.
        pub protected_resource: ProtectedResource,
        /// Logging.
        pub log: Log,
        /// Inside Envoy only (docs/module.md).
        pub module: Module,
    }

    /// Where Doorward listens.
    pub struct Server {
        /// Envoy's gRPC `Check`, gRPC health and reflection.
        pub grpc: Listener = listener("127.0.0.1:9191"),
        /// Discovery document, HTTP ext_authz, authenticate.
        pub http: Listener = listener("127.0.0.1:8181"),
        /// Health and metrics.
        pub admin: Listener = listener("127.0.0.1:9192"),
        /// A page for people: issuers, keys, decisions, the last denials, `explain`.
        pub console: Console,
        /// Threads that make decisions. Default: one per core.
        pub workers: Option<usize>,
        /// Connections to the gRPC and HTTP ports together. Default: as many as the limit on open
        /// files allows, at most 4096. The admin port has its own limit.
        pub max_connections: Option<usize>,
        /// How long requests in flight may take to finish at shutdown.
        pub drain: Span = "10s".into(),
    }

    /// One listener.
    pub struct Listener {
        /// `host:port`, or `unix:/path`.
        pub listen: String,
        /// TLS on this listener.
        pub tls: Option<Tls>,
    }

    /// The console: a page in a browser (docs/console.md). Where nothing is said of it and its
    /// address is taken, the server runs without.
    pub struct Console {
        /// Whether there is one.
        pub enabled: bool = true,
        /// `host:port`, or `unix:/path`. Beyond loopback it needs `tls` with `client_ca`.
        pub listen: String = "127.0.0.1:9193".into(),
        /// TLS on this listener.
        pub tls: Option<Tls>,
    }

    /// Certificates, as PEM files.
    pub struct Tls {
        /// The certificate chain.
        pub cert: Option<PathBuf>,
        /// Its private key.
        pub key: Option<PathBuf>,
        /// Require client certificates signed by one of these authorities.
        pub client_ca: Option<PathBuf>,
    }

    /// The identity headers sent to the upstream.
    pub struct Headers {
        /// Which values headers may contain. With `nemo`, bearer credentials that are not a JWT are
        /// removed on requests whose token is not checked.
        pub profile: Profile,
        /// Every header that starts with this is removed unless Doorward sets it, in upper or lower
        /// case and with any other character, or several, in place of `-` (`x_nmp_`, `x.nmp.`,
        /// `x--nmp--`).
        pub trusted_prefix: String = "X-NMP-".into(),
        /// The header with the principal.
        pub principal_id: String = "X-NMP-Principal-Id".into(),
        /// The header with the email address.
        pub principal_email: String = "X-NMP-Principal-Email".into(),
        /// The header with the groups, joined by `,`.
        pub principal_groups: String = "X-NMP-Principal-Groups".into(),
        /// The header with the id for whom the principal acts (`delegation`). Default:
        /// `{trusted_prefix}Principal-On-Behalf-Of`.
        pub principal_on_behalf_of: Option<String>,
        /// The header with the email address of whom the principal acts for. Default:
        /// `{trusted_prefix}Principal-On-Behalf-Of-Email`.
        pub principal_on_behalf_of_email: Option<String>,
        /// The header with the groups of whom the principal acts for, joined by `,`. Default:
        /// `{trusted_prefix}Principal-On-Behalf-Of-Groups`.
        pub principal_on_behalf_of_groups: Option<String>,
        /// The header with the scopes, joined by a space.
        pub scopes: String = "X-NMP-Scopes".into(),
        /// The header that says a policy engine allowed the request.
        pub authorized: String = "X-NMP-Authorized".into(),
        /// Further claims to copy: header name → claim.
        pub claims: BTreeMap<String, String>,
        /// Keep only groups that match one of these; `*` and `?` are wildcards. Default: all.
        pub groups_only: Texts,
    }

    /// Limits for tokens.
    pub struct Token {
        /// Longer tokens are denied without being parsed.
        pub max_token_bytes: usize = 16 * 1024,
        /// Tolerated clock difference between issuer and Doorward.
        pub leeway: Span = "60s".into(),
    }

    /// When keys are fetched and how long they are used.
    pub struct Keys {
        /// How long the last good key set is used while the issuer cannot be reached.
        pub max_stale: Span = "24h".into(),
        /// A directory that keeps key sets across restarts.
        pub key_cache_dir: Option<PathBuf>,
        /// What to do with the last good keys when an issuer publishes a key set without any:
        /// `withdraw` denies its tokens after three scheduled reads over at least a minute, `keep`
        /// uses the keys for `max_stale`. Invalid responses never count.
        pub empty_set: EmptySet,
        /// Shortest time between two fetches made because of an unknown `kid`.
        pub cool_down: Span = "10s".into(),
        /// How long a request waits at most for a fetch of keys; never longer than three quarters of
        /// its gateway's timeout.
        pub wait: Span = "1s".into(),
        /// Timeout of one request to an issuer.
        pub timeout: Span = "5s".into(),
        /// Shortest time between two background refreshes, whatever `Cache-Control` says.
        pub refresh_min: Span = "1m".into(),
        /// Longest time between two background refreshes, whatever `Cache-Control` says.
        pub refresh_max: Span = "1h".into(),
        /// Time between two background refreshes when there is no `Cache-Control`.
        pub refresh_default: Span = "5m".into(),
        /// Inside Envoy only: the cluster of Envoy's through which keys are fetched, with its TLS,
        /// proxy and limits. Default: Doorward's own client.
        pub envoy_cluster: Option<String>,
    }

    /// Inside Envoy only (docs/module.md).
    pub struct Module {
        /// Whether the filter answers `/apis/auth/discovery`, `/apis/auth/authenticate` and the
        /// documents of RFC 9728 itself, as the server's HTTP port does. Otherwise requests for them
        /// go upstream like others.
        pub documents: bool,
        /// Whether decision, reason and identity are left in dynamic metadata, under the names that
        /// ext_authz has there, for access logs and for filters such as RBAC. Nobody else needs
        /// them, and to Envoy they are the larger part of what the filter costs.
        pub metadata: bool = true,
    }

    /// The verified-token cache.
    pub struct Cache {
        /// Most tokens in the cache; 0 turns it off.
        pub max_entries: u64 = 10_000,
        /// Most bytes in the cache.
        pub max_bytes: u64 = 32 * 1024 * 1024,
    }

    /// Content of denials.
    pub struct Denial {
        /// `realm` of the `WWW-Authenticate` challenge.
        pub realm: String = "doorward".into(),
    }

    /// RFC 9728 metadata.
    pub struct ProtectedResource {
        /// The resource identifiers: the https URLs by which clients know the platform, or parts of
        /// it, exactly as clients write them. Setting one enables the documents, and
        /// `resource_metadata` in challenges.
        pub resource: Texts,
        /// Authorization servers to list. Default: the configured issuers.
        pub authorization_servers: Texts,
        /// Scopes to list.
        pub scopes_supported: Texts,
    }

    /// Logging.
    pub struct Log {
        /// A filter, such as `info` or `info,doorward=debug`. Release builds have no `trace`.
        pub level: String = "info".into(),
        /// Format of log lines: `auto` is text on a terminal and JSON elsewhere; `serve --log-format`
        /// overrides it.
        pub format: LogFormat,
        /// Which decisions are logged.
        pub decisions: DecisionLog,
        /// Most decision lines per second; dropped ones are counted.
        pub decisions_per_second: u32 = 10,
    }
}

/// Which values headers may contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// NeMo Platform's limits.
    #[default]
    Nemo,
    /// Any visible ASCII.
    Plain,
}

/// What becomes of keys that their issuer no longer publishes, when it publishes no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmptySet {
    /// They are withdrawn, once the issuer has published none for long enough.
    #[default]
    Withdraw,
    /// They stay in use.
    Keep,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecisionLog {
    /// None.
    Off,
    /// Denials.
    #[default]
    Denials,
    /// All.
    All,
}

/// A list of strings, of which a single one may be written without brackets: the one type of
/// every such list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrMany")]
#[schemars(with = "OneOrMany")]
pub struct Texts(Vec<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Texts {
    fn from(written: OneOrMany) -> Self {
        Self(match written {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        })
    }
}

impl Deref for Texts {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

/// A duration: seconds, or a string such as `10s`, `5m`, `24h`.
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

impl Config {
    /// A configuration in which every section is present, those that default to nothing
    /// included: the order in which keys are declared can be read off it.
    pub(super) fn with_every_section() -> Self {
        let listener = Listener { listen: String::new(), tls: Some(Tls::default()) };
        Self {
            auth: Auth {
                issuers: vec![Issuer::default()],
                preset: Preset { entra: Some(Entra::default()) },
                ..Auth::default()
            },
            rules: Rules { routes: vec![Route::default()], ..Rules::default() },
            policy: Policy {
                bundle: Some(Bundle::default()),
                opa: Some(Opa::default()),
                ..Policy::default()
            },
            server: Server {
                grpc: listener.clone(),
                http: listener.clone(),
                admin: listener,
                console: Console { tls: Some(Tls::default()), ..Console::default() },
                ..Server::default()
            },
            ..Self::default()
        }
    }
}
