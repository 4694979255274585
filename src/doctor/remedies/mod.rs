//! How to mend it, in the words of each provider's console: one function a fault, one
//! match in it, so that a provider that is added is asked about every fault.
//!
//! Menus move. What a sentence names is the setting, which lives longer than the way there.

pub(super) mod claims;
pub(super) mod discovery;
pub(super) mod fetching;
pub(super) mod keys;
pub(super) mod login;
pub(super) mod token;

#[cfg(test)]
mod tests;
