//! What to do at the identity provider, in the words of its console: one table a trouble.
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

/// What helps against one trouble: a sentence for each product. `{client}` and the like stand for
/// what [`fill`](Self::fill) is given.
#[derive(Clone, Copy)]
pub(crate) struct Advice {
    entra_id: &'static str,
    okta: &'static str,
    keycloak: &'static str,
    auth0: &'static str,
    google: &'static str,
    zitadel: &'static str,
    authentik: &'static str,
    cognito: &'static str,
    other: &'static str,
}

impl Advice {
    /// What helps wherever nothing else is known.
    const fn general(text: &'static str) -> Self {
        Self {
            entra_id: text,
            okta: text,
            keycloak: text,
            auth0: text,
            google: text,
            zitadel: text,
            authentik: text,
            cognito: text,
            other: text,
        }
    }

    /// The sentence for this product.
    pub(crate) const fn of(&self, product: Product) -> &'static str {
        match product {
            Product::EntraId => self.entra_id,
            Product::Okta => self.okta,
            Product::Keycloak => self.keycloak,
            Product::Auth0 => self.auth0,
            Product::Google => self.google,
            Product::Zitadel => self.zitadel,
            Product::Authentik => self.authentik,
            Product::Cognito => self.cognito,
            Product::Other => self.other,
        }
    }

    /// The same, about this client.
    pub(crate) fn for_client(&self, product: Product, client: &str) -> String {
        self.fill(product, [("{client}", client)])
    }

    /// The same with these values in the place of names in braces.
    pub(crate) fn fill<const N: usize>(
        &self,
        product: Product,
        values: [(&str, &str); N],
    ) -> String {
        let text = self.of(product).to_owned();
        values.into_iter().fold(text, |text, (name, value)| text.replace(name, value))
    }
}

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
        audience: token::AUDIENCE.fill(product, [("{client}", client), ("{expected}", audience)]),
        email: claims::EMAIL.for_client(product, client),
        groups: claims::GROUPS.fill(product, [("{client}", client), ("{claim}", groups_claim)]),
    }
}

#[cfg(test)]
mod tests;
