//! What to do at the identity provider, in the words of its console: one function a trouble, one match
//! in it, so that a provider that is added is asked about every trouble.
//!
//! `doctor`, `auth login`, `explain` and `init` say the same because they ask here. Menus move. What a
//! sentence names is the setting, which lives longer than the way there.

use crate::product::Product;

pub(crate) mod claims;
pub(crate) mod discovery;
pub(crate) mod fetching;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod token;

/// What access tokens have to hold for a request to pass with all that can be known of its
/// sender, and how each gets in there, by the menus of the provider's console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAdvice {
    /// `aud`.
    pub audience: String,
    /// The email address.
    pub email: String,
    /// The claim with the groups, as the configuration names it.
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
