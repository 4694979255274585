//! The `policy` section: who else is asked whether a request may pass.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, Texts};

sections! {
    /// Whether a request may pass that all other rules let through: roles, a Rego policy, or OPA. A
    /// request that is allowed carries `headers.authorized`; where the policy cannot say, it is 503.
    pub struct Policy {
        /// Who decides.
        pub provider: PolicyProvider,
        /// The value that is the decision: true or false, or an object with `allowed`, as NeMo
        /// Platform's policies and OPA's plugin for Envoy have it. Default: `data.authz.allow`.
        pub query: Option<String>,
        /// How long a decision may take; never longer than `keys.wait`. Default: 100ms.
        pub timeout: Option<Span>,
        /// The policy's files, read again when they change. With `embedded`, `.rego` files, data
        /// (`.json`, `.yaml`) and directories of them; with `roles`, one file with the data.
        pub files: Texts,
        /// A bundle of OPA's instead: `.tar.gz`.
        pub bundle: Option<Bundle>,
        /// An OPA that is asked over its REST API.
        pub opa: Option<Opa>,
        /// With `roles`: patterns of groups that have a role in a workspace by their name alone,
        /// such as `nmp-{workspace}-{role}`.
        pub group_roles: Texts,
    }

    /// A bundle of OPA's. The last good one stays in use while a newer one cannot be fetched or is
    /// refused.
    pub struct Bundle {
        /// The URL, or the path of a file. Unsigned, a URL has to be https or on loopback.
        pub source: Option<String>,
        /// Time between two looks at the URL; one that is unchanged (`ETag`) is not sent again.
        pub poll: Span = "60s".into(),
        /// How long one fetch may take.
        pub timeout: Span = "30s".into(),
        /// PEM file of the key that the bundle must be signed with.
        pub public_key: Option<PathBuf>,
        /// A directory that keeps the last good bundle across restarts.
        pub cache_dir: Option<PathBuf>,
        /// File with a bearer token to send; read at each fetch.
        pub bearer_file: Option<PathBuf>,
        /// PEM file of certificates to trust, in addition to the system's.
        pub ca_file: Option<PathBuf>,
        /// PEM file of a certificate to show.
        pub client_cert: Option<PathBuf>,
        /// PEM file of its private key.
        pub client_key: Option<PathBuf>,
        /// Also fetch a signed bundle over plain http from another machine.
        pub allow_http: bool,
    }

    /// An OPA that is asked over its REST API: `POST {url}/v1/data/authz/allow`, by `policy.query`.
    pub struct Opa {
        /// Its base URL, such as `http://127.0.0.1:8282`.
        pub url: Option<String>,
        /// File with a bearer token to send; read for each question.
        pub bearer_file: Option<PathBuf>,
        /// PEM file of certificates to trust, in addition to the system's.
        pub ca_file: Option<PathBuf>,
        /// PEM file of a certificate to show.
        pub client_cert: Option<PathBuf>,
        /// PEM file of its private key.
        pub client_key: Option<PathBuf>,
        /// Also ask over plain http on another machine: anyone on the network path can then allow
        /// requests, and read their tokens.
        pub allow_http: bool,
    }
}

/// Who decides, besides the other rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PolicyProvider {
    /// Nobody.
    #[default]
    None,
    /// NeMo Platform's data model: roles in workspaces, and what endpoints need.
    Roles,
    /// A Rego policy, in the process.
    Embedded,
    /// An OPA.
    Opa,
}
