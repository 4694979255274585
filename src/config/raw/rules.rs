//! The `rules` section: what paths, routes and endpoints ask for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Texts;

sections! {
    /// Rules by path.
    pub struct Rules {
        /// What a platform is known to need, behind the lists that are written here: `nemo` opens what
        /// NeMo Platform serves without a token, closes what its services keep to themselves, and
        /// allows encoded slashes in its Hugging Face API. `config show` prints it.
        pub preset: Option<RulesPreset>,
        /// Paths that need no token: exact (`/health`), or everything below one (`/public/*`).
        pub bypass: Texts,
        /// Whether a CORS preflight (OPTIONS with `Origin` and `Access-Control-Request-Method`)
        /// passes without a token, stripped of identity headers. The gateway has to send both headers
        /// to Doorward (docs/cors.md). A route's `doorward.mode` takes precedence; a closed endpoint
        /// stays closed.
        pub cors_preflight: CorsPreflight,
        /// Paths below which encoded slashes (`%2F`) are allowed, each ending in `/`; for NeMo
        /// Platform `/apis/files/v2/hf/`. There a path is checked in both readings, with `%2F` as
        /// part of a name and as a slash, and both have to be allowed. Anywhere else a path with one
        /// is then 400. Default: a path with one is ambiguous, like others.
        pub encoded_slashes: Texts,
        /// Scopes by endpoint, NeMo Platform's `authz.endpoints`: path pattern → method → `scopes`,
        /// of which a token needs one, or `deny: true`, which closes it to everyone. `{name}` stands
        /// for one segment, `/-/{name}` at the end for one or more. Where a token is optional, scopes
        /// are required of tokens only: requests without one pass anonymously.
        pub endpoints: BTreeMap<String, BTreeMap<String, Endpoint>>,
        /// The same table in a file (`authz.endpoints` in it, or the table alone). A path that
        /// `endpoints` has is not looked up in it.
        pub endpoints_file: Option<PathBuf>,
        /// Settings of routes by host, path and method, for gateways that cannot send
        /// `context_extensions` (Istio, HTTP ext_authz). The first that is about a request counts, but `deny` holds wherever it stands; what
        /// Envoy's own route sets takes the place of the same setting here.
        pub routes: Vec<Route>,
        /// Whether tokens without a platform scope (one with a `:`) need a scope, too.
        pub scopes: ScopeDemand,
    }

    /// The settings of one route. What opens it (`optional`, `bypass`) is for a request that is about
    /// it exactly as sent; what restricts it holds in every reading of the request: with another
    /// last slash, with parameters, for a `Host` that is missing or odd. Where a route of any path has
    /// `deny`, `scopes` or `audience`, a path that can be read in two ways is 400.
    pub struct Route {
        /// The hosts, without port (IPv6 addresses with or without brackets). Default: any. A client may name any host: what restricts one is
        /// safe only where the gateway leads each host elsewhere.
        pub host: Texts,
        /// The path: exact (`/health`), with any name in a place (`/models/{name}`), or everything
        /// below one (`/public/*`). Default: any.
        pub path: Option<String>,
        /// The methods; GET includes HEAD. Default: any.
        pub methods: Texts,
        /// Whether a token is needed: `required`, `optional` (none, or a valid one) or `bypass` (none is
        /// looked at). Default: what the other rules say of the path.
        pub mode: Option<Mode>,
        /// A token needs one of these scopes.
        pub scopes: Texts,
        /// A token needs one of these audiences, beside that of its issuer.
        pub audience: Texts,
        /// Closed to everyone, with a token or without, whatever Envoy's own route says.
        pub deny: bool,
    }

    /// What one of Envoy's routes says to the module, in its own configuration of the filter. It
    /// goes before what `rules` says.
    pub struct EnvoyRoute {
        /// Whether a token is needed. Default: what `rules` says.
        pub mode: Option<Mode>,
        /// A token needs one of these scopes.
        pub scopes: Texts,
        /// A token needs one of these audiences, beside that of its issuer.
        pub audience: Texts,
    }

    /// What one method of an endpoint asks for.
    // Read from the file of endpoints by serde alone.
    #[serde(deny_unknown_fields)]
    pub struct Endpoint {
        /// A token needs one of these. Empty: none.
        pub scopes: Texts,
        /// Closed to everyone, with a token or without, bypassed or not.
        pub deny: bool,
        /// For the policy; not used by Doorward.
        pub permissions: Texts,
        /// For the policy; not used by Doorward.
        pub callers: Texts,
    }
}

/// Rules of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RulesPreset {
    /// NVIDIA NeMo Platform.
    Nemo,
}

/// Whether a route needs a token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A valid one.
    Required,
    /// A valid one or none at all.
    Optional,
    /// None is looked at.
    Bypass,
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
