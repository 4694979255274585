//! Values of the right type that cannot be meant.

use std::time::Duration;

use doorward_core::identity::ClaimPathError;
use doorward_core::keys::KeySetError;
use doorward_core::policy::GroupPatternFault;
use doorward_core::rules::{NotAHost, PathPatternError, PathRuleError, UnknownMethod};

use crate::discovery::{BearerError, SetupError};
use crate::policy::{LoadFaults, QueryError};
use crate::redact::Shown;
use crate::secret::SecretError;
use crate::tls_files::TlsError;

/// Why a value is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is what its message says")]
pub enum BadValue {
    // -- texts --
    #[error("must not be empty")]
    Empty,
    #[error("`{0}` is still a placeholder: replace it with your own value")]
    Placeholder(Shown),
    #[error("`{0}` contains a space, so nothing would ever match it")]
    Space(Shown),
    #[error(
        "`{0}` contains a line break or another invisible character, so nothing would ever match \
         it: remove it"
    )]
    Unprintable(Shown),
    #[error("`{0}` begins or ends with a space, so nothing would ever match it: remove it")]
    Blanks(Shown),
    #[error("`{found}` includes quotes, which are compared too: write {without}")]
    Quoted { found: Shown, without: Shown },
    #[error(
        "`{0}` is a list written as one string, and would be compared as is: write a list, in a \
         variable as a,b or as JSON: [\"a\",\"b\"]"
    )]
    ListInText(Shown),
    #[error(
        "contains a key, a certificate or a token itself: put it in a file and give the path of \
         the file (or, where no file is expected, a name)"
    )]
    KeyMaterial,
    #[error("`{0}` contains a `\"`, a `\\` or a character other than visible ASCII and space")]
    NotQuotable(Shown),

    // -- URLs --
    #[error("`{found}` is not a URL: {error}")]
    NotAUrl { found: Shown, error: url::ParseError },
    #[error("`{found}` must be an https URL (plain http is allowed for loopback addresses only)")]
    NotHttps { found: Shown },
    #[error(
        "`{found}` must be an https URL (plain http is allowed for loopback addresses, and for an \
         issuer with allow_http: true)"
    )]
    NotHttpsOfIssuer { found: Shown },
    #[error(
        "`{found}` must be an https URL (plain http is allowed for loopback addresses, and with \
         platform.allow_http: true)"
    )]
    NotHttpsOfPlatform { found: Shown },
    #[error("`{0}` must not have a query or a fragment")]
    QueryOrFragment(Shown),
    #[error("`{0}` must not contain credentials")]
    Credentials(Shown),
    #[error("`{0}` is not an http or https URL of a proxy")]
    NotAProxy(Shown),
    #[error("has no effect with keys.envoy_cluster: set it in that cluster of Envoy's")]
    OfCluster,

    // -- issuers --
    #[error("no issuer: set auth.oidc.issuer, auth.issuers or auth.preset, or auth.enabled: false")]
    NoIssuer,
    #[error(
        "other names of the issuer in auth.oidc.issuer, which is not set: set it, or give each of \
         these an entry in auth.issuers"
    )]
    NoPrimaryIssuer,
    #[error("missing: every entry of auth.issuers needs an issuer")]
    IssuerUnnamed,
    #[error("`{issuer}` is already the issuer of {elsewhere}")]
    DuplicateIssuer { issuer: Shown, elsewhere: String },
    #[error(
        "missing: set the audience that tokens must have (or client_id, its default); only \
         verify_audience: false accepts tokens issued for others"
    )]
    NoAudience,
    #[error(
        "`{found}` is the URL of the issuer's discovery document, not its name, so no token has \
         it as `iss`: write {without}; the document is found from there"
    )]
    DiscoveryAsIssuer { found: Shown, without: Shown },
    #[error("an empty list accepts nothing: remove it to use the default")]
    EmptyList,
    #[error("the only placeholder is {{tenantid}}, once, as a whole segment of the path")]
    BadPlaceholder,
    #[error("the only placeholder here is {{tid}}")]
    BadPrefixPlaceholder,
    #[error(
        "missing: an issuer with {{tenantid}} accepts any customer of Azure: list the allowed \
         tenants, or write [\"*\"] for all"
    )]
    NoTenants,
    #[error("`{0}` is not a tenant id (a GUID such as 72f988bf-86f1-41af-91ab-2d7cd011db47)")]
    NotATenant(Shown),
    #[error("`*` means every tenant: remove the others, or remove `*`")]
    TenantsAndAll,
    #[error(
        "an issuer with {{tenantid}} has no discovery document of its own: give discovery_url, \
         jwks_uri, jwks_file or jwks"
    )]
    NoDiscoveryForTemplate,
    #[error(
        "`{0}` is not a domain: write the part after the `@` of an address, such as corp.example"
    )]
    NotADomain(Shown),
    #[error("`{0}` begins with `service:`, which is reserved: every request would be denied")]
    ReservedPrefix(Shown),
    #[error("`{0}` contains a character that headers.profile does not allow")]
    PrefixOutsideProfile(Shown),

    // -- the platform's own tokens --
    #[error(
        "missing: the platform's own tokens are issued under it; set it, or \
         auth.token_signing.issuer and auth.token_signing.jwks_uri"
    )]
    NoPlatform,
    #[error(
        "missing: access keys can be revoked, and only the platform knows which are; set the URL of \
         its /apis/auth/authenticate at an internal address. It is not derived from \
         platform.base_url: that is the gateway, which would ask Doorward again"
    )]
    NoStatusUrl,
    #[error(
        "`{url}` leads back to the gateway at platform.base_url, which would ask Doorward again: \
         give the platform's internal address"
    )]
    StatusAtGateway { url: Shown },
    #[error(
        "`{issuer}` is configured as an issuer, and is also that of the platform's own tokens, or of \
         its workloads': each needs a name of its own"
    )]
    IssuerOfPlatform { issuer: Shown },
    #[error("client_secret is set as well: keep one")]
    TwoSecrets,
    #[error(
        "only the issuer can read opaque tokens: set introspection, with its endpoint and the client \
         to ask with"
    )]
    OpaqueWithoutIntrospection,
    #[error(
        "{other} is set as well: an opaque token does not say whose it is, so one issuer has them"
    )]
    TwoOpaque { other: String },
    #[error(
        "tokens of several tenants name theirs, and opaque ones name nothing: set `opaque` elsewhere"
    )]
    OpaqueOfTenants,
    #[error("is for opaque tokens: set `opaque: true` as well")]
    PrefixWithoutOpaque,
    #[error("`{0}` contains a character that no bearer token has (RFC 6750 §2.1)")]
    NotOfTokens(Shown),
    #[error("without `opaque: true` nothing is left to ask about: leave introspection out")]
    AskedAboutNothing,
    #[error("missing: the URL of the issuer's introspection endpoint (RFC 7662)")]
    NoIntrospectionEndpoint,
    #[error("missing: issuers answer only clients that they know")]
    NoIntrospectionClient,
    #[error(transparent)]
    Secret(#[from] SecretError),

    // -- the policy --
    #[error("has no effect here: it is for policy.provider {providers}")]
    OfOtherProvider { providers: &'static str },
    #[error("this build has no policy engine (feature `policy`)")]
    NoPolicyEngine,
    #[error("missing: set policy.files, or policy.bundle with the source of a bundle")]
    NoPolicySource,
    #[error("policy.bundle is set as well: keep one")]
    FilesAndBundle,
    #[error("with provider roles, give one file with the data, or a bundle")]
    OneDataFile,
    #[error("missing: set the URL of the bundle, or the path of its file")]
    NoBundleSource,
    #[error("has no effect: the bundle is a file, and is not fetched")]
    BundleIsAFile,
    #[error("missing: set the base URL of the OPA, such as http://127.0.0.1:8282")]
    NoOpa,
    #[error(
        "`{found}` is Doorward's own server.http: OPA listens on 8181 unless told otherwise, and so \
         does Doorward; give one of them another port"
    )]
    OpaIsDoorward { found: Shown },
    #[error(
        "`{found}` must be an https URL (plain http is allowed for loopback addresses, and with \
         allow_http: true)"
    )]
    NotHttpsOfPolicy { found: Shown },
    #[error(
        "`{found}`: unsigned over https or loopback only: a bundle decides access; set public_key, \
         or use https"
    )]
    UnsignedOverHttp { found: Shown },
    #[error("`{path}` is no key that signs bundles: {faults}")]
    NotABundleKey { path: Shown, faults: LoadFaults },
    #[error("`{found}` {error}")]
    NotAQuery { found: Shown, error: QueryError },
    #[error("`{found}`: {error}")]
    NotAGroupPattern { found: Shown, error: GroupPatternFault },
    #[error("missing: {other} is set, and one needs the other")]
    NoClientKey { other: &'static str },
    #[error("{0}")]
    Policy(String),

    // -- algorithms, claims, keys --
    #[error(
        "`{0}` is symmetric: anyone who can verify with its key can also sign with it, so \
         Doorward does not accept HS*"
    )]
    SymmetricAlgorithm(Shown),
    #[error(
        "`none` is not a signature algorithm; for development use auth.allow_unsigned_jwt, with \
         listeners on loopback"
    )]
    NoneAlgorithm,
    #[error("`{found}` is not a signature algorithm Doorward knows: {known}")]
    UnknownAlgorithm { found: Shown, known: String },
    #[error(transparent)]
    Claim(#[from] ClaimPathError),
    #[error("`{found}` is JSONPath; write the path to a claim as a JSON pointer: {pointer}")]
    JsonPath { found: Shown, pointer: Shown },
    #[error("sets where the keys are, and so does {other}: keep one")]
    TwoKeyLocations { other: String },
    #[error("not a key set: {0}")]
    NotAKeySet(#[source] KeySetError),
    #[error("it contains no usable key{}", first_reason.as_deref().map_or(String::new(), |reason| format!(": {reason}")))]
    NoUsableKey { first_reason: Option<String> },

    // -- files --
    #[error("`{path}` cannot be read: {error}")]
    UnreadableFile { path: Shown, error: std::io::Error },
    #[error(transparent)]
    CaFile(#[from] SetupError),
    #[error(transparent)]
    Bearer(#[from] BearerError),
    #[error("would send its token to {to} in cleartext: https is required")]
    BearerInTheClear { to: Shown },
    #[error("`{path}` contains no PEM {wanted}")]
    NotPem { path: Shown, wanted: &'static str },
    #[error("`{0}` is not a directory")]
    NotADirectory(Shown),

    #[error("{error}{}", cause(.error))]
    Tls {
        #[from]
        error: TlsError,
    },

    // -- listeners --
    #[error(
        "`{0}` does not exist: create the directory, or choose another; the socket is created \
             in it"
    )]
    NoSocketDirectory(Shown),
    #[error("`{0}` is not an address: write IP:PORT, localhost:PORT or unix:/path")]
    NotAnAddress(Shown),
    #[error("the path of a unix socket must be absolute and at most 107 bytes long")]
    BadSocketPath,
    #[error("`{address}` is already taken by {elsewhere}")]
    AddressTaken { address: String, elsewhere: &'static str },
    #[error(
        "the console would be open to everybody who can reach it: listen on loopback or on a unix \
         socket, or ask for client certificates (server.console.tls.client_ca)"
    )]
    ConsoleForEverybody,
    #[error("missing: tls.{other} is set, and one needs the other")]
    TlsIncomplete { other: &'static str },
    #[error(
        "tokens without a signature would be accepted from the network: {listener} is neither \
         loopback nor a unix socket"
    )]
    UnsignedBeyondLoopback { listener: &'static str },
    #[error(
        "tokens without a signature would be accepted in a cluster (KUBERNETES_SERVICE_HOST is set), \
         where loopback is the whole pod's: they are for development on one machine"
    )]
    UnsignedInKubernetes,
    #[error(
        "tokens without a signature would be accepted beside those of {issuer}, which is not on this \
         machine: remove one of the two"
    )]
    UnsignedBesideIssuer { issuer: Shown },

    // -- headers and paths --
    #[error("`{0}` is not a header name")]
    NotAHeader(Shown),
    #[error("`{0}` is reserved by HTTP or Envoy: identity cannot be sent in it")]
    ForbiddenHeader(Shown),
    #[error("use `-` instead of `_` in `{0}`: servers treat the two as the same")]
    Underscore(Shown),
    #[error("`{name}` is already the header of {elsewhere}")]
    DuplicateHeader { name: Shown, elsewhere: String },
    #[error("`{0}` is too short: a trusted prefix has 4 characters or more and ends in `-`")]
    PrefixTooShort(Shown),
    #[error("`{prefix}` would remove `{victim}` from every request")]
    PrefixTooWide { prefix: Shown, victim: &'static str },
    #[error("`{found}`: {error}")]
    Path { found: Shown, error: PathRuleError },
    #[error("`{found}`: {error}")]
    Pattern { found: Shown, error: PathPatternError },
    #[error("`{found}` {error}")]
    NotAMethod { found: Shown, error: UnknownMethod },
    #[error("`{found}` {error}")]
    NotAHost { found: Shown, error: NotAHost },
    #[error("closes the route to everyone: remove mode, scopes and audience, or `deny`")]
    ClosedAndMore,
    #[error("with `bypass` no token is looked at: remove scopes and audience, or use `optional`")]
    NoTokenToAsk,
    #[error("says nothing about this route: give it mode, scopes, audience or deny")]
    RouteOfNothing,
    #[error("says nothing about this route: give it mode, scopes or audience")]
    EnvoyRouteOfNothing,
    #[error("{0}")]
    NotAnEndpoint(String),
    #[error(
        "contains no endpoints: expected `authz: {{endpoints: {{/path/{{name}}: {{get: {{scopes: \
         […]}}}}}}}}`, or the table alone"
    )]
    NoEndpoints,
    #[error("no methods: expected `get: {{scopes: […]}}` or the like")]
    NoMethods,
    #[error("{place}: {fault}")]
    InFile { place: String, fault: String },

    // -- numbers and spans --
    #[error("{found} is out of range: from {min} to {max}")]
    OutOfRange { found: u64, min: u64, max: u64 },
    #[error("`{0}` is not a duration: write seconds, or a string such as 10s, 5m, 24h")]
    NotASpan(Shown),
    #[error("{} is out of range: from {} to {}", span(*found), span(*min), span(*max))]
    SpanOutOfRange { found: Duration, min: Duration, max: Duration },
    #[error("{} is longer than {other} ({})", span(*found), span(*limit))]
    LongerThan { found: Duration, other: &'static str, limit: Duration },

    // -- the rest --
    #[error(
        "`{0}` is not a level: write off, error, warn, info or debug, and for one module \
         doorward::discovery=debug"
    )]
    NotALevel(Shown),
    #[error("`{found}` is not a log filter: {error}")]
    NotAFilter { found: Shown, error: String },
    #[error("missing: set the client (application) id of the API")]
    NoClient,
    #[error("missing: set the tenant, or tenants, that may sign in")]
    NoTenant,
    #[error("set tenant or tenants, not both")]
    TenantAndTenants,
    #[error("has no effect without protected_resource.resource")]
    NoResource,
}

impl BadValue {
    /// Whether something is missing. What is missing may be what another fault took out:
    /// next to one, this is noise.
    pub(super) fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NoIssuer
                | Self::IssuerUnnamed
                | Self::NoPlatform
                | Self::NoStatusUrl
                | Self::NoIntrospectionEndpoint
                | Self::NoIntrospectionClient
                | Self::NoPolicySource
                | Self::NoBundleSource
                | Self::NoOpa
                | Self::NoClientKey { .. }
                | Self::NoAudience
                | Self::NoTenants
                | Self::TlsIncomplete { .. }
                | Self::NoClient
                | Self::NoTenant
                | Self::NoResource
                | Self::EnvoyRouteOfNothing
        )
    }
}

/// What is behind an error that does not say so itself.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or(String::new(), |source| format!(": {source}"))
}

fn span(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}
