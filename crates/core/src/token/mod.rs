//! Bearer token → taken apart → parsed → verified. Pure and synchronous: no I/O, no
//! clock, no configuration.
//!
//! Each step is a type that only the step before can make: [`CompactJws`],
//! [`UnverifiedToken`], [`VerifiedToken`]. Whoever holds the last holds the proof.

mod answer;
mod claims;
mod fault;
mod jws;
mod kind;
mod rules;
mod unverified;
mod verified;

pub use self::claims::{Claims, WrongType, numeric_date};
pub use self::fault::TokenFault;
pub use self::jws::CompactJws;
pub use self::kind::{OtherKind, Sign, TokenKind};
pub use self::rules::{
    ACCESS_KEY, AudienceRule, BoundTokens, CLIENT_CLAIMS, TENANT_PLACEHOLDER, TenantRule,
    TokenRules, TokenUse, is_guid,
};
pub use self::unverified::{Signing, UnsignedTokens, UnverifiedToken};
pub use self::verified::VerifiedToken;
