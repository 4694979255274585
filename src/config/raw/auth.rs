//! The `auth` section: NeMo Platform's keys, and what Doorward adds to them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessKeys, Span, Texts, TokenSigning, Workload};
use crate::secret::Secret;

sections! {
    /// Who may pass.
    pub struct Auth {
        /// `false` allows every request, and still strips trusted headers.
        pub enabled: bool = true,
        /// Accept tokens with `alg: none`, also without `iss` and `aud`, or without any issuer
        /// configured. For development only: refused unless every listener is loopback or a unix
        /// socket, inside Kubernetes, and beside an issuer that is not on loopback.
        pub allow_unsigned_jwt: bool,
        /// The primary issuer.
        pub oidc: Oidc,
        /// Further issuers, each with its own settings.
        pub issuers: Vec<Issuer>,
        /// Presets for well-known providers.
        pub preset: Preset,
        /// The tokens that NeMo Platform signs itself.
        pub token_signing: TokenSigning,
        /// NeMo Platform's Scoped Access Keys.
        pub access_keys: AccessKeys,
    }

    /// The primary issuer.
    pub struct Oidc {
        /// `false` leaves the primary issuer out.
        pub enabled: bool = true,
        /// What every issuer has.
        #[serde(flatten)]
        pub common: Issuer,
        /// Other issuer names of the same provider, such as Azure's v1 issuer. One that is a URL is
        /// discovered on its own; until that has worked once, and for one that is not a URL, the
        /// primary issuer's keys are used.
        pub additional_issuers: Texts,
        /// The authorization endpoint, where browsers log in. Default: from discovery.
        pub authorization_endpoint: Option<String>,
        /// The token endpoint. Default: from discovery.
        pub token_endpoint: Option<String>,
        /// The device authorization endpoint (RFC 8628), where `auth login` begins. Default: from discovery.
        pub device_authorization_endpoint: Option<String>,
        /// The UserInfo endpoint. Default: from discovery.
        pub userinfo_endpoint: Option<String>,
        /// Scopes that `auth login` requests, separated by spaces.
        pub default_scopes: String = "openid profile email offline_access".into(),
        /// How long a discovery document is used before it is fetched again.
        pub discovery_cache_ttl: Span = Span::Seconds(300),
        /// The secret of `client_id`, for `auth login` where the provider requires one. It is not
        /// shown and not in the discovery document.
        pub client_secret: Option<Secret>,
        /// The same in a file, read at each login; a line break at its end does not count.
        pub client_secret_file: Option<PathBuf>,
        /// The exchange of workload tokens.
        #[serde(flatten)]
        pub workload: Workload,
    }

    /// A further issuer.
    pub struct Issuer {
        /// What `iss` must be, exactly. May contain `{tenantid}` (Azure multi-tenant).
        pub issuer: Option<String>,
        /// The client id that users log in with.
        pub client_id: Option<String>,
        /// What `aud` must contain; with a list, any one of them. Default: `client_id`.
        pub audience: Option<Texts>,
        /// `false` is the only way to accept tokens that were issued for other audiences.
        pub verify_audience: bool = true,
        /// The discovery document. Default: `{issuer}/.well-known/openid-configuration`.
        pub discovery_url: Option<String>,
        /// The key set, at a URL. Default: from discovery.
        pub jwks_uri: Option<String>,
        /// The key set, in a file.
        pub jwks_file: Option<PathBuf>,
        /// The key set, inline: a JWKS document.
        pub jwks: Option<serde_json::Value>,
        /// Accepted signature algorithms. Default: all asymmetric ones that Doorward supports.
        pub algorithms: Option<Texts>,
        /// The claim with the email address: a name, or a JSON pointer when it starts with
        /// `/`.
        pub email_claim: String = "email".into(),
        /// The claim with the principal id; `sub` when a token lacks it.
        pub subject_claim: String = "sub".into(),
        /// The claim with the groups: a string, an array, or an object's keys.
        pub groups_claim: String = "groups".into(),
        /// A claim whose values count as scopes, such as Entra's `roles`.
        pub roles_claim: Option<String>,
        /// A prefix to remove from each scope: up to a `/` or `:` if it ends in a letter or digit,
        /// otherwise literally.
        pub scope_prefix: Option<String>,
        /// A prefix for each principal id; may contain `{tid}`.
        pub subject_prefix: Option<String>,
        /// A prefix for each group; may contain `{tid}`.
        pub groups_prefix: Option<String>,
        /// Allowed tenants (`tid`). Required with `{tenantid}`; to allow any, write `*`.
        pub allowed_tenants: Texts,
        /// Allowed clients (`azp`, `appid`, `client_id`, `cid`). Default: any.
        pub allowed_clients: Texts,
        /// Refuse tokens that look like ID tokens (`at_hash`, `c_hash`, `nonce`). Tokens that
        /// identify themselves as one (`typ`: `ID`, `Refresh`) are refused anyway.
        pub require_access_token: bool,
        /// What to do with tokens that are bound to a key (`cnf`: DPoP, mutual TLS).
        pub bound_tokens: BoundTokens,
        /// Longest lifetime of a token, from `iat`, or else from now, to `exp`. Default: any.
        pub max_lifetime: Option<Span>,
        /// Domains whose email addresses are accepted from this issuer. Default: any; for an issuer
        /// of several tenants, those that Entra has verified as the tenant's own (`xms_edov`).
        pub email_domains: Texts,
        /// What `act` in a token (RFC 8693: who acts for its subject) does: nothing, or what it does
        /// in NeMo Platform, where the actor becomes the principal, on behalf of the subject.
        pub delegation: Delegation,
        /// Whom to ask whether a token of this issuer is still active (RFC 7662). Default: nobody.
        pub introspection: Option<Introspection>,
        /// Also accept tokens that are no JWT, as this issuer's; `introspection` says what they are.
        /// One issuer can have such tokens.
        pub opaque: bool,
        /// What its opaque tokens begin with. The issuer is not asked about others.
        pub opaque_prefix: String,
        /// HTTP proxy for requests to this issuer.
        pub proxy: Option<String>,
        /// PEM file of certificates to trust for this issuer, in addition to the system's: of
        /// authorities, or the issuer's own.
        pub ca_file: Option<PathBuf>,
        /// File with a bearer token to send when fetching the discovery document and the keys, as
        /// Kubernetes' API server requires. Read at each fetch; sent only to the host of
        /// `discovery_url`, `jwks_uri` or `issuer`.
        pub key_bearer_file: Option<PathBuf>,
        /// Also fetch keys over plain http from other machines, such as inside a cluster: anyone on
        /// the network path can then replace them.
        pub allow_http: bool,
    }

    /// Whom to ask whether a token is active (RFC 7662).
    pub struct Introspection {
        /// The introspection endpoint.
        pub endpoint: Option<String>,
        /// The client id to ask with.
        pub client_id: Option<String>,
        /// The client secret to ask with.
        pub client_secret: Option<Secret>,
        /// A file with that secret. Read again for each question.
        pub client_secret_file: Option<PathBuf>,
        /// How client id and secret are sent.
        pub auth_method: AuthMethod,
        /// Whether it is asked about JWTs, too, once their signature is verified. Some providers
        /// answer on opaque tokens alone.
        pub jwts: bool = true,
        /// How long an answer counts, at most until the token expires.
        pub cache: Span = Span::Seconds(60),
        /// How long one question may take.
        pub timeout: Span = Span::Seconds(5),
        /// How many tokens a second it is asked about that nobody signed and that were not active
        /// in the last hour: anybody can make up such tokens.
        pub unknown_per_second: u32 = 20,
    }

    /// Presets for well-known providers.
    pub struct Preset {
        /// Microsoft Entra ID (Azure AD): its v1 and v2 issuers, audiences and claims. Fills in what
        /// `auth.oidc` does not set.
        pub entra: Option<Entra>,
    }

    /// Microsoft Entra ID.
    pub struct Entra {
        /// The tenant (directory) id whose users may sign in.
        pub tenant: Option<String>,
        /// Several tenant ids; `["*"]` for any.
        pub tenants: Texts,
        /// The application (client) id of the API.
        pub client_id: Option<String>,
    }
}

/// What becomes of tokens that are bound to a key of their client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BoundTokens {
    /// They are denied: a plain bearer does not prove possession of the key.
    #[default]
    Deny,
    /// They are accepted as plain bearer tokens.
    Ignore,
}

/// What `act` in a token does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delegation {
    /// Who acts is told in metadata and by `explain`.
    #[default]
    Ignore,
    /// The actor becomes the principal, on behalf of the subject.
    Nemo,
}

/// How a client shows who it is (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// In the `Authorization` header.
    #[default]
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
}
