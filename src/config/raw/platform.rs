//! `platform` and the sections of `auth` about NeMo Platform's own tokens, in NeMo's names.
//!
//! What else NeMo writes there is listed in `config::nemo`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, Texts};

sections! {
    /// NeMo Platform.
    pub struct Platform {
        /// Where clients reach the platform: the gateway. Its own tokens are issued under
        /// `{base_url}/apis/auth`, and their keys are at `{base_url}/apis/auth/jwks`.
        pub base_url: Option<String>,
        /// PEM file of certificates to trust for the platform, in addition to the system's.
        pub ca_file: Option<PathBuf>,
        /// Also talk to the platform over plain http on other machines, such as inside a cluster:
        /// anyone on the network path can then replace its keys and read the tokens that it is
        /// asked about.
        pub allow_http: bool,
    }

    /// The tokens that the platform signs itself.
    pub struct TokenSigning {
        /// `iss` of these tokens. Default: `{platform.base_url}/apis/auth`.
        pub issuer: Option<String>,
        /// Their key set. Default: `{platform.base_url}/apis/auth/jwks`.
        pub jwks_uri: Option<String>,
    }

    /// Scoped Access Keys.
    pub struct AccessKeys {
        /// Whether they are accepted.
        pub enabled: bool,
        /// What `aud` of an access key must be.
        pub audience: String = "nemo-platform-access-key".into(),
        /// Where to ask whether an access key is still active: the platform's
        /// `/apis/auth/authenticate` at an internal address, not through the gateway. Required when
        /// access keys are enabled.
        pub status_url: Option<String>,
        /// How long an answer is used before the platform is asked again.
        pub recheck: Span = "15s".into(),
    }

    /// The exchange of workload tokens (RFC 8693), as members of `auth.oidc`.
    pub struct Workload {
        /// Whether the platform exchanges workload tokens. Its access tokens for workloads are then
        /// accepted.
        pub workload_token_exchange_enabled: bool,
        /// The client id that workloads name in the exchange. Default: `client_id`.
        pub workload_client_id: Option<String>,
        /// The token endpoint that the discovery document names for the exchange. Default:
        /// `{platform.base_url}/apis/auth/token`.
        pub workload_token_endpoint: Option<String>,
        /// The audience of access tokens for workloads. Default: `audience`, or `nemo-platform`.
        pub workload_audience: Option<String>,
        /// Further audiences of access tokens for workloads.
        pub workload_allowed_audiences: Texts,
        /// Scopes that workloads request, separated by spaces.
        pub workload_scope: Option<String>,
        /// `iss` of access tokens for workloads. Default: `auth.token_signing.issuer`.
        pub workload_token_issuer: Option<String>,
        /// The key set of workloads' own tokens, which are then accepted as they are.
        pub workload_subject_jwks_uri: Option<String>,
        /// The issuers of workloads' own tokens. Required with `workload_subject_jwks_uri`.
        pub workload_subject_issuers: Texts,
    }
}
