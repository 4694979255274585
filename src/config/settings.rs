//! The checked settings: what the rest of the program is built from.
//!
//! Everything in here has been parsed and found meaningful; nothing is checked again
//! later. Raw configuration ([`super::raw`]) becomes this in `config::check`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward_core::identity::{HeaderRules, IdentityRules};
use doorward_core::request::RouteView;
use doorward_core::rules::{ConfiguredRoute, EndpointRules, PathRule, SlashPrefix};
use doorward_core::token::TokenRules;
use url::Url;

use super::raw::{Cache, DecisionLog, Mode};
use super::resource::ProtectedResource;
use crate::discovery::{Access, FetchPolicy, IntrospectionSpec, KeyLocation};
use crate::loopback::is_loopback_address;
use crate::policy::PolicySpec;
use crate::secret::ClientSecret;

/// Everything Doorward needs to know to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `false`: every request is allowed, trusted headers are still stripped.
    pub auth_enabled: bool,
    /// `true`: tokens with `alg: none` are accepted. Only with loopback listeners.
    pub allow_unsigned_jwt: bool,
    /// What tokens without a signature mean that name no issuer; only with `allow_unsigned_jwt`.
    pub unsigned: Option<UnsignedSettings>,
    /// The issuers, primary first, in the order of configuration. No two have the same
    /// `token.issuer`.
    pub issuers: Vec<IssuerSettings>,
    /// Tokens longer than this, in bytes, are refused unread.
    pub max_token_bytes: usize,
    /// Bounds of the verified-token cache; both hold at once.
    pub cache: Cache,
    /// When keys are fetched, the same for all issuers.
    pub fetch: FetchPolicy,
    /// How an identity becomes headers, and which names are trusted.
    pub headers: HeaderRules,
    /// Paths let through without a token.
    pub bypass: Vec<PathRule>,
    /// What routes ask for, by host, path and method; the first that is about a request counts.
    pub routes: Vec<ConfiguredRoute>,
    /// Below which paths encoded slashes may stand.
    pub encoded_slashes: Vec<SlashPrefix>,
    /// Whether CORS preflights pass without a token.
    pub lets_preflights_pass: bool,
    /// The scopes that endpoints ask for, when there is a table of them.
    pub endpoints: Option<EndpointRules>,
    /// Where a part of that table was read from.
    pub endpoints_file: Option<PathBuf>,
    /// Who else is asked whether a request may pass.
    pub policy: Option<PolicySpec>,
    /// The files that the policy was read from, or is fetched with, to be watched.
    pub policy_files: Vec<PathBuf>,
    /// `realm` of the `WWW-Authenticate` challenge.
    pub realm: String,
    /// RFC 9728: none unless configured.
    pub protected_resources: Vec<ProtectedResource>,
    /// What `/apis/auth/discovery` says.
    pub platform: PlatformSettings,
    /// Listeners and threads.
    pub server: ServerSettings,
    /// What is the module's alone; the server has none of it.
    pub module: ModuleSettings,
    /// What is logged, and how it looks.
    pub log: LogSettings,
    /// Where all this was found.
    pub provenance: Provenance,
}

/// Where settings were found, and what should not go unnoticed: for people who look at a server.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// The configuration files, in the order in which they are read.
    pub files: Vec<PathBuf>,
    /// The warnings of `config check`.
    pub warnings: Vec<String>,
}

/// What the module inside Envoy does beside deciding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleSettings {
    /// Whether it answers for the discovery document, `authenticate` and RFC 9728 itself.
    pub documents: bool,
    /// Whether it leaves dynamic metadata.
    pub metadata: bool,
    /// The cluster of Envoy's that keys are fetched through; `None`: by a thread of its own.
    pub envoy_cluster: Option<String>,
}

/// What one of Envoy's routes asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteSettings {
    pub(super) mode: Option<Mode>,
    pub(super) scopes: Option<Box<str>>,
    pub(super) audience: Option<Box<str>>,
}

impl RouteSettings {
    /// Whether a token is needed, in the word for it.
    #[must_use]
    pub fn mode(&self) -> Option<&'static str> {
        self.mode.map(|mode| match mode {
            Mode::Required => "required",
            Mode::Optional => "optional",
            Mode::Bypass => "bypass",
        })
    }

    /// What it asks of tokens, by key: words with a space between.
    pub fn asks(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let asks = [("scopes", self.scopes.as_deref()), ("audience", self.audience.as_deref())];
        asks.into_iter().filter_map(|(key, words)| Some((key, words?)))
    }

    /// The same as the decision takes it, as if it had come in `context_extensions`.
    #[must_use]
    pub fn view(&self) -> RouteView<'_> {
        RouteView {
            mode: self.mode().map(str::as_bytes),
            scopes: self.scopes.as_deref().map(str::as_bytes),
            audience: self.audience.as_deref().map(str::as_bytes),
            unknown: None,
        }
    }
}

/// Tokens without a signature and without an issuer, as NeMo Platform makes them for development.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedSettings {
    /// What they must satisfy: times alone.
    pub token: TokenRules,
    /// Where their claims are: where the primary issuer has them.
    pub identity: IdentityRules,
}

/// One issuer: which tokens it may sign, whom they name, where its keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// What its tokens must satisfy; `token.issuer` is its name.
    pub token: TokenRules,
    /// Where its claims are.
    pub identity: IdentityRules,
    /// Where its keys are.
    pub keys: KeyLocation,
    /// How to get there.
    pub access: Access,
    /// An `additional_issuers` entry: until its own keys were obtained once, it borrows
    /// those of the first issuer.
    pub borrows_from_primary: bool,
    /// What its tokens must satisfy that say of themselves that they are access keys, where other
    /// rules hold for them.
    pub access_keys: Option<TokenRules>,
    /// Who is asked whether its tokens are active.
    pub introspection: Option<IntrospectionSpec>,
    /// What its opaque tokens begin with, if it has such tokens.
    pub opaque_prefix: Option<String>,
}

/// NeMo Platform: what clients learn from `/apis/auth/discovery`, and the tokens that the platform
/// signs itself. Endpoints that are `None` come from the primary issuer's discovery.
#[derive(Clone, Debug, Default)]
pub struct PlatformSettings {
    /// The client that people log in with.
    pub client_id: Option<String>,
    /// Its secret, where it has one.
    pub client_secret: Option<ClientSecret>,
    /// The scopes that a login asks for, separated by spaces.
    pub default_scopes: String,
    /// As configured, in front of the platform's scopes.
    pub scope_prefix: Option<String>,
    /// The primary issuer's discovery document, wherever its keys come from; `None`
    /// without a primary issuer, or when its name is no URL.
    pub discovery_url: Option<Url>,
    /// Overrides the discovered one.
    pub authorization_endpoint: Option<Url>,
    /// Overrides the discovered one.
    pub token_endpoint: Option<Url>,
    /// Overrides the discovered one.
    pub device_authorization_endpoint: Option<Url>,
    /// Overrides the discovered one.
    pub userinfo_endpoint: Option<Url>,
    /// How long a discovery document is believed before it is fetched again.
    pub discovery_cache_ttl: Duration,
    /// What workloads learn about the exchange of their tokens.
    pub exchange: WorkloadExchange,
    /// Whom to trust over TLS besides the system's authorities when the platform is asked.
    pub ca_file: Option<PathBuf>,
    /// Scoped Access Keys, when they are accepted.
    pub access_keys: Option<AccessKeySettings>,
    /// The platform's access tokens for workloads, when they are accepted.
    pub workload_tokens: Option<WorkloadTokenSettings>,
    /// Workloads' own tokens, when they are accepted without an exchange.
    pub subject_tokens: Option<SubjectTokenSettings>,
}

/// The `workload_*` members of the discovery document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadExchange {
    /// Whether there is an exchange.
    pub enabled: bool,
    /// The client that workloads name.
    pub client_id: Option<String>,
    /// Where to exchange: the platform's own endpoint unless another one is configured.
    pub token_endpoint: Option<Url>,
    /// The audience to ask for.
    pub audience: Option<String>,
    /// The scopes to ask for, separated by spaces.
    pub scope: Option<String>,
}

/// Scoped Access Keys: tokens that the platform signs, and can revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeySettings {
    /// What `iss` must be.
    pub issuer: String,
    /// Where the platform's key set is.
    pub jwks_uri: Url,
    /// What `aud` must be.
    pub audience: String,
    /// Where to ask whether one is still active; never the gateway of `platform.base_url`.
    pub status_url: Url,
    /// How long an answer is used.
    pub recheck: Duration,
}

/// Access tokens that the platform signs for workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadTokenSettings {
    /// What `iss` must be; may be that of access keys.
    pub issuer: String,
    /// Where the platform's key set is.
    pub jwks_uri: Url,
    /// `aud` must contain one of these.
    pub audiences: Vec<String>,
}

/// Tokens that workloads bring from their own issuer, such as Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectTokenSettings {
    /// Where their key set is.
    pub jwks_uri: Url,
    /// `iss` must be one of these; never empty.
    pub issuers: Vec<String>,
    /// What `aud` must contain.
    pub audience: String,
}

/// Listeners and threads.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Envoy's gRPC `Check`.
    pub grpc: ListenerSettings,
    /// Discovery, HTTP ext_authz, authenticate.
    pub http: ListenerSettings,
    /// Health and metrics.
    pub admin: ListenerSettings,
    /// The page for people, unless it is switched off.
    pub console: Option<ListenerSettings>,
    /// Whether the configuration says anything of it. Else a server does without when the address
    /// is taken: nobody is to lose one for a page that nobody asked for.
    pub is_console_asked_for: bool,
    /// Threads that decide; each runs the gRPC and the HTTP front.
    pub workers: usize,
    /// How many connections the gRPC and HTTP ports have together. `None`: as many as there
    /// are files for, within reason.
    pub max_connections: Option<usize>,
    /// How long in-flight requests get at SIGTERM.
    pub drain: Duration,
}

impl ServerSettings {
    /// All listeners, each with its name below `server`.
    pub fn listeners(&self) -> impl Iterator<Item = (&'static str, &ListenerSettings)> {
        let always = [("grpc", &self.grpc), ("http", &self.http), ("admin", &self.admin)];
        always.into_iter().chain(self.console.as_ref().map(|console| ("console", console)))
    }

    /// The files with certificates and keys of all listeners.
    pub fn tls_files(&self) -> impl Iterator<Item = &Path> {
        self.listeners().filter_map(|(_, listener)| listener.tls.as_ref()).flat_map(|tls| {
            [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]
                .into_iter()
                .flatten()
                .map(PathBuf::as_path)
        })
    }
}

/// One listener: an address, and TLS or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The address to bind; port 0 means any that is free.
    pub listen: ListenAddress,
    /// TLS, when configured.
    pub tls: Option<TlsSettings>,
}

/// `host:port` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP. Port 0: one that is free.
    Tcp(SocketAddr),
    /// A unix socket at this path.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => is_loopback_address(address.ip()),
            Self::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Certificates, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Our certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// When given, clients must show a certificate of one of these authorities.
    pub client_ca: Option<PathBuf>,
}

/// What is logged, and how it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// A `tracing` filter, such as `info` or `doorward=debug`.
    pub level: String,
    /// Whether each line is a JSON object; else they are for people.
    pub json: bool,
    /// Which decisions get a line.
    pub decisions: DecisionLog,
    /// At most so many decision lines a second; what is left out is counted.
    pub decisions_per_second: u32,
}
