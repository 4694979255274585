//! Decides requests by their bearer tokens.

pub mod authorizer;
pub mod bearer;
pub mod clock;
pub mod decision;
pub mod header_changes;
pub mod identity;
pub mod issuers;
pub mod json_object;
pub mod keys;
pub mod request;
pub mod rules;
pub mod scope_prefix;
pub mod token;
pub mod token_cache;
pub mod verified_identity;

pub use self::verified_identity::VerifiedIdentity;
