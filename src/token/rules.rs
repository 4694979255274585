//! What an issuer's tokens must satisfy: values that configuration fills in.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::keys::AlgorithmSet;

/// The placeholder in an Azure multi-tenant issuer.
pub const TENANT_PLACEHOLDER: &str = "{tenantid}";

/// The rules for the tokens of one issuer.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// What `iss` must be, to the byte; with [`TENANT_PLACEHOLDER`] in it, what it must
    /// be once the token's `tid` is filled in.
    pub issuer: String,
    /// Which `alg` values are accepted.
    pub algorithms: AlgorithmSet,
    /// What `aud` must hold.
    pub audience: AudienceRule,
    /// Whose `tid` is welcome. Issuers without a placeholder mostly have
    /// [`TenantRule::NotChecked`].
    pub tenants: TenantRule,
    /// The clients (`azp`, `appid` or `client_id`) that may hold tokens; empty: any.
    pub allowed_clients: BTreeSet<String>,
    /// How far the issuer's clock may be off from ours.
    pub leeway: Duration,
}

impl TokenRules {
    /// Whether the issuer stands for one issuer a tenant.
    #[must_use]
    pub fn is_per_tenant(&self) -> bool {
        self.issuer.contains(TENANT_PLACEHOLDER)
    }
}

/// Which audiences are ours (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceRule {
    /// `aud` must be, or hold, one of these.
    AnyOf(BTreeSet<String>),
    /// `verify_audience: false`, written out by the operator.
    NotChecked,
}

/// Which tenants are ours (Azure's `tid`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantRule {
    /// `tid` must be one of these, in lower case.
    OneOf(BTreeSet<String>),
    /// Any well-formed tenant: `*`, written out by the operator.
    Any,
    /// The issuer has no tenants.
    NotChecked,
}
