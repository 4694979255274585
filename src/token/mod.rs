//! Bearer token → parsed → verified. Pure and synchronous.

mod rules;

pub use self::rules::{AudienceRule, TENANT_PLACEHOLDER, TenantRule, TokenRules};
