//! The configuration as people write it: every key, its type, its default and its
//! meaning, in one place.
//!
//! The JSON Schema (`config schema`), the reference in `docs/configuration.md`, the
//! check for unknown keys and the names of environment variables are all made from
//! these types; the comments are their text.

mod auth;
mod defaults;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::auth::{Auth, BoundTokens, Entra, Issuer, Oidc, Preset};

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
    /// Connections to the gRPC and HTTP ports together. Default: as many as the limit on open
    /// files leaves, and 4096 at most. The admin port has places of its own.
    pub max_connections: Option<usize>,
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
    /// Which values headers may hold. With `nemo`, bearer credentials that are no JWT are removed
    /// where nobody looks at the token.
    pub profile: Profile,
    /// Every header that starts with this is removed unless Doorward sets it, in any
    /// case and with any other sign, or several, for `-` (`x_nmp_`, `x.nmp.`, `x--nmp--`).
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
    /// Keep only groups that match one of these; `*` and `?` are wildcards. Default: all.
    pub groups_only: Texts,
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
    pub bypass: Texts,
    /// Whether a CORS preflight (OPTIONS with `Origin` and `Access-Control-Request-Method`) passes
    /// without a token, stripped of identity headers. The gateway has to show Doorward both headers
    /// (docs/cors.md). Where a route says `doorward.mode`, that goes first; a closed endpoint stays closed.
    pub cors_preflight: CorsPreflight,
    /// Paths below which encoded slashes (`%2F`) may stand, each with a `/` at its end; for NeMo
    /// Platform `/apis/files/v2/hf/`. There a path is judged in both its readings, with `%2F` within a
    /// name and with a slash in its place, and both have to be allowed. Anywhere else a path with one
    /// is then 400. Empty: such a path can be read in two ways, like others.
    pub encoded_slashes: Texts,
    /// Scopes by endpoint, NeMo Platform's `authz.endpoints`: path pattern → method →
    /// `scopes`, of which a token needs one, or `deny: true`, which closes it to everybody.
    /// `{name}` stands for one segment, `/-/{name}` at the end for one or more. Where a token is optional, scopes are asked of
    /// tokens: who sends none passes as nobody.
    pub endpoints: BTreeMap<String, BTreeMap<String, Endpoint>>,
    /// The same table in a file (`authz.endpoints` in it, or the table alone). A path that
    /// `endpoints` has is not looked up in it.
    pub endpoints_file: Option<PathBuf>,
    /// Whether tokens without a platform scope (one with a `:`) need one, too.
    pub scopes: ScopeDemand,
}

/// What becomes of CORS preflights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CorsPreflight {
    /// They need a token, which browsers do not send: 401.
    #[default]
    Deny,
    /// They pass.
    Allow,
}

/// What one method of an endpoint asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoint {
    /// A token needs one of these. Empty: none.
    pub scopes: Texts,
    /// Nobody may come here, with a token or without, bypassed or not.
    pub deny: bool,
    /// For the policy; not looked at here.
    pub permissions: Texts,
    /// For the policy; not looked at here.
    pub callers: Texts,
}

/// Which tokens need the scopes of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScopeDemand {
    /// Those with platform scopes.
    #[default]
    Optional,
    /// All.
    Required,
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
    /// What becomes of the last good keys when an issuer publishes a key set without any:
    /// `withdraw` refuses its tokens after three scheduled reads over at least a minute,
    /// `keep` lets them serve on for `max_stale`. Broken answers never count.
    pub empty_set: EmptySet,
    /// Shortest time between two fetches made because of an unknown `kid`.
    pub cool_down: Span,
    /// How long a request waits at most for a fetch of keys; never longer than three quarters
    /// of the time that its gateway gives it.
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

/// What becomes of keys that their issuer no longer publishes, when it publishes no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmptySet {
    /// They are withdrawn, once the issuer has said so for long enough.
    #[default]
    Withdraw,
    /// They serve on.
    Keep,
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
    /// The resource identifiers: the https URLs clients know the platform, or parts of it, by, each
    /// written as clients write it: it is told to the letter. Setting one turns the documents and
    /// `resource_metadata` in challenges on.
    pub resource: Texts,
    /// Authorization servers to name. Default: the configured issuers.
    pub authorization_servers: Texts,
    /// Scopes to name.
    pub scopes_supported: Texts,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A filter, such as `info` or `info,doorward=debug`. Release builds have no `trace`.
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

/// A list of texts, of which a single one may be written without brackets: the one type of
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
            server: Server {
                grpc: listener.clone(),
                http: listener.clone(),
                admin: listener,
                ..Server::default()
            },
            ..Self::default()
        }
    }
}
