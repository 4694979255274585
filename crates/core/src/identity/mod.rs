//! Verified token → [`Identity`] → headers. Never sees an unverified token.
//!
//! To change how a claim is mapped: where it is found is in `identity.rs` and `lists.rs`, what a header
//! may carry in `value.rs`, which headers there are in `headers.rs`, and which names
//! clients must not send in `protected.rs`.

mod address;
mod claim_path;
mod claim_value;
mod headers;
#[expect(clippy::module_inception, reason = "the room is named after its product")]
mod identity;
mod joined;
mod lists;
mod protected;
mod rules;
mod value;

pub use self::address::{AddressFault, says_yes};
pub use self::claim_path::{ClaimPath, ClaimPathError};
pub use self::headers::IdentityHeaders;
pub use self::identity::{Identity, IdentityFault, Losses, OnBehalfOf};
pub use self::lists::OTHER_GROUPS_CLAIMS;
pub use self::protected::{ProtectedHeaders, folded};
pub use self::rules::{Delegation, EmailDomains, HeaderNames, HeaderRules, IdentityRules};
pub use self::value::{Profile, is_reserved};
