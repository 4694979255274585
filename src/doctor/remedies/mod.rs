//! How to mend it, in the words of each provider's console: one function a fault, one
//! match in it, so that a provider that is added is asked about every fault.
//!
//! Menus move. What a sentence names is the setting, which lives longer than the way there.

use crate::product::Product;

pub(super) mod claims;
pub(super) mod discovery;
pub(super) mod fetching;
pub(super) mod keys;
pub(super) mod login;
pub(super) mod token;

/// What access tokens have to hold for a request to pass with all that can be known of its
/// sender, and how each gets in there, by the menus of the provider's console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAdvice {
    /// `aud`.
    pub audience: String,
    /// The email address.
    pub email: String,
    /// The groups.
    pub groups: String,
}

/// Advice for the tokens of `client`, which are to be for `audience` and have their groups in
/// the claim `groups_claim`.
#[must_use]
pub fn token_advice(
    product: Product,
    client: &str,
    audience: &str,
    groups_claim: &str,
) -> TokenAdvice {
    TokenAdvice {
        audience: token::audience(product, client, audience),
        email: claims::email(product, client),
        groups: claims::groups(product, client, groups_claim),
    }
}

#[cfg(test)]
mod tests;
