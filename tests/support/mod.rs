//! What the tests stand on.

pub mod check;
pub mod doorward;
pub mod signer;
