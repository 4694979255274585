//! Whom a token speaks of, with the proof: what a front trusts and the cache keeps.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use smallvec::SmallVec;

use crate::clock::UnixTime;
use crate::identity::{HeaderRules, Identity, IdentityFault};
use crate::issuers::{Issuer, IssuerId};
use crate::keys::KeySetId;
use crate::rules::TokenScopes;
use crate::token::{TokenUse, VerifiedToken};

/// The identity behind a verified token, and what else of the token decisions need. There is no
/// way to one but through a [`VerifiedToken`].
///
/// ```compile_fail,E0451
/// use doorward_core::VerifiedIdentity;
///
/// let forged = VerifiedIdentity { identity: Default::default(), ..todo!() };
/// ```
#[derive(Debug)]
pub struct VerifiedIdentity {
    identity: Identity,
    issuer: IssuerId,
    tenant_issuer: Option<Box<str>>,
    audiences: SmallVec<[Box<str>; 1]>,
    good_until: UnixTime,
    key_set: Option<KeySetId>,
    token_use: TokenUse,
    /// What a front made of this for all requests with the same token.
    rendering: OnceLock<Box<dyn Any + Send + Sync>>,
    /// What the policy that was asked last looked up for this.
    looked_up: ArcSwapOption<LookedUp>,
}

#[derive(Debug)]
struct LookedUp {
    by: u64,
    value: Box<dyn Any + Send + Sync>,
}

impl VerifiedIdentity {
    /// Reads the identity out of a token of `issuer` that this key set verified; `None`: that its
    /// issuer was asked about. It is not to be believed from `good_until` on without another look.
    ///
    /// # Errors
    /// The token gives no identity.
    pub fn new(
        token: &VerifiedToken<'_>,
        issuer: &Issuer,
        headers: &HeaderRules,
        key_set: Option<KeySetId>,
        good_until: UnixTime,
    ) -> Result<Arc<Self>, IdentityFault> {
        Ok(Arc::new(Self {
            identity: Identity::from_token(token, issuer.identity(), headers)?,
            issuer: issuer.id(),
            tenant_issuer: token.tenant_issuer(issuer.rules()).map(Into::into),
            audiences: token.audiences().map(Into::into).collect(),
            good_until: good_until.min(token.expires_at()),
            key_set,
            token_use: token.token_use(),
            rendering: OnceLock::new(),
            looked_up: ArcSwapOption::empty(),
        }))
    }

    /// Whom the token speaks of.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The issuer whose key verified the token.
    #[must_use]
    pub fn issuer(&self) -> IssuerId {
        self.issuer
    }

    /// The token's `iss` where the issuer stands for one a tenant; elsewhere it is the issuer's
    /// name.
    #[must_use]
    pub fn tenant_issuer(&self) -> Option<&str> {
        self.tenant_issuer.as_deref()
    }

    /// The values of `aud`.
    pub fn audiences(&self) -> impl Iterator<Item = &str> + Clone {
        self.audiences.iter().map(AsRef::as_ref)
    }

    /// Until when the token counts without another look at it: until `exp`, without leeway, or
    /// until somebody is to be asked about it again.
    #[must_use]
    pub fn good_until(&self) -> UnixTime {
        self.good_until
    }

    /// The key set that verified the token; `None` where its issuer was asked instead.
    #[must_use]
    pub fn key_set(&self) -> Option<KeySetId> {
        self.key_set
    }

    /// What the token is for.
    #[must_use]
    pub fn token_use(&self) -> TokenUse {
        self.token_use
    }

    /// The scopes of the token, as rules look at them.
    pub fn scopes(&self) -> TokenScopes<impl Iterator<Item = &str> + Clone> {
        TokenScopes { held: self.identity.scopes(), some_lost: self.identity.losses.scopes > 0 }
    }

    /// A front's own encoding of this identity, made once and kept as long as the identity is;
    /// `None` where a front with another type of encoding was first.
    pub fn rendering<R: Any + Send + Sync>(&self, render: impl FnOnce() -> R) -> Option<&R> {
        self.rendering.get_or_init(|| Box::new(render())).downcast_ref()
    }

    /// Calls `then` with what the policy `by` looks up for this identity: once, for as long as no other
    /// one is asked.
    pub(crate) fn with_looked_up<V: Any + Send + Sync, T>(
        &self,
        by: u64,
        look_up: impl FnOnce() -> V,
        then: impl FnOnce(&V) -> T,
    ) -> T {
        let known = self.looked_up.load();
        let known = known.as_deref().filter(|known| known.by == by);
        if let Some(value) = known.and_then(|known| known.value.downcast_ref()) {
            return then(value);
        }
        let value = look_up();
        let result = then(&value);
        self.looked_up.store(Some(Arc::new(LookedUp { by, value: Box::new(value) })));
        result
    }

    /// How much memory its texts take, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        let audiences: usize = self.audiences.iter().map(|audience| audience.len() + 24).sum();
        let issuer = self.tenant_issuer.as_ref().map_or(0, |name| name.len());
        self.identity.text_bytes() + audiences + issuer
    }
}
