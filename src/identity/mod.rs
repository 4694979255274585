//! Verified token → identity → headers.

mod claim_path;
mod rules;

pub use self::claim_path::{ClaimPath, ClaimPathError};
pub use self::rules::{HeaderNames, HeaderRules, IdentityRules, Profile};
