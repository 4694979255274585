//! The built-in defaults, the lowest layer.

use std::collections::BTreeMap;

use super::{
    Auth, BoundTokens, Cache, Decisions, Denial, EmptySet, Headers, Issuer, Keys, Listener, Log,
    LogFormat, Oidc, Preset, Profile, Server, Span, Texts, Token,
};

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
            additional_issuers: Texts::default(),
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
            allowed_tenants: Texts::default(),
            allowed_clients: Texts::default(),
            require_access_token: false,
            bound_tokens: BoundTokens::Deny,
            max_lifetime: None,
            email_domains: Texts::default(),
            default_scopes: "openid profile email offline_access".into(),
            discovery_cache_ttl: Span::Seconds(300),
            proxy: None,
            ca_file: None,
            key_bearer_file: None,
            allow_http: false,
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
            allowed_tenants: Texts::default(),
            allowed_clients: Texts::default(),
            require_access_token: false,
            bound_tokens: BoundTokens::Deny,
            max_lifetime: None,
            email_domains: Texts::default(),
            proxy: None,
            ca_file: None,
            key_bearer_file: None,
            allow_http: false,
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
            max_connections: None,
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
            groups_only: Texts::default(),
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
            empty_set: EmptySet::Withdraw,
            wait: "1s".into(),
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
