//! The issuers Doorward trusts, and which of them a token names.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::identity::IdentityRules;
use crate::keys::{KeySetId, KeySource, Snapshot};
use crate::token::{TENANT_PLACEHOLDER, TokenFault, TokenRules, UnverifiedToken};

/// One trusted issuer: what its tokens must satisfy, what they mean, and its keys.
///
/// Small, since cached tokens need the keys alone: those of a thousand issuers stay in the
/// processor's caches.
pub struct Issuer {
    id: IssuerId,
    keys: Arc<dyn KeySource>,
    rules: Box<TokenRules>,
    identity: Box<IdentityRules>,
}

/// Position of an issuer in the configuration, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub usize);

impl Issuer {
    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> IssuerId {
        self.id
    }

    /// Its name: `iss` as configured.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.rules.issuer
    }

    /// What its tokens must satisfy.
    #[must_use]
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    /// What its claims mean.
    #[must_use]
    pub fn identity(&self) -> &IdentityRules {
        &self.identity
    }

    /// Where its keys come from.
    #[must_use]
    pub fn keys(&self) -> &dyn KeySource {
        self.keys.as_ref()
    }

    /// Which key set is in force, fresh or not.
    #[must_use]
    pub fn key_set_id(&self) -> Option<KeySetId> {
        self.keys.snapshot().as_ref().map(|snapshot| snapshot.id())
    }

    /// The keys that may be believed at `now`.
    ///
    /// # Errors
    /// There are none, or they are too old.
    pub fn keys_in_force(
        &self,
        now: UnixTime,
    ) -> Result<arc_swap::Guard<Option<Arc<Snapshot>>>, KeysFault> {
        let guard = self.keys.snapshot();
        match guard.as_deref() {
            None => Err(KeysFault::NeverObtained),
            Some(snapshot) if snapshot.usable_until() <= now => Err(KeysFault::TooOld),
            Some(_) => Ok(guard),
        }
    }
}

/// Why an issuer's keys cannot be used. That is our trouble, not the token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysFault {
    /// The issuer has not answered since the start.
    #[error("the issuer's keys were never obtained")]
    NeverObtained,
    /// The issuer has not answered for longer than `keys.max_stale`.
    #[error("the issuer's keys are older than `keys.max_stale`")]
    TooOld,
    /// The fetch that the token made necessary takes longer than a request waits.
    #[error("the issuer's keys are still being fetched")]
    StillUnderWay,
    /// As many requests wait for that fetch as may.
    #[error("the issuer's keys are being fetched, and too many requests are waiting for them")]
    Crowded,
}

/// All trusted issuers.
#[derive(Default)]
pub struct Issuers {
    list: Vec<Issuer>,
    /// By `iss`; those that stand for one issuer a tenant by their template.
    by_name: HashMap<String, usize>,
    any_per_tenant: bool,
}

impl Issuers {
    /// Adds an issuer. A second one of the same name would never be found; configuration
    /// sees to it that there is none.
    pub fn add(&mut self, rules: TokenRules, identity: IdentityRules, keys: Arc<dyn KeySource>) {
        let index = self.list.len();
        self.by_name.entry(rules.issuer.clone()).or_insert(index);
        self.any_per_tenant |= rules.is_per_tenant();
        let (rules, identity) = (Box::new(rules), Box::new(identity));
        self.list.push(Issuer { id: IssuerId(index), keys, rules, identity });
    }

    /// The issuer that a token names in `iss`. Whether it really is from there is not
    /// known yet. Names are compared to the byte: no prefixes, no case folding, no
    /// trailing slash forgiven.
    ///
    /// # Errors
    /// The token names none, or none of ours.
    pub fn named_by(&self, token: &UnverifiedToken<'_>) -> Result<&Issuer, TokenFault> {
        let name = token.issuer()?;
        let exact = self.by_name.get(name.as_ref());
        let found = exact.or_else(|| {
            // `iss` with the tenant taken out again is the template; verification will
            // fill it in once more and compare.
            let tenant = token.tenant().filter(|tid| self.any_per_tenant && !tid.is_empty())?;
            self.by_name.get(&name.replacen(tenant.as_ref(), TENANT_PLACEHOLDER, 1))
        });
        found.and_then(|index| self.list.get(*index)).ok_or(TokenFault::UnknownIssuer)
    }

    /// The issuer with this id.
    #[must_use]
    pub fn get(&self, id: IssuerId) -> Option<&Issuer> {
        self.list.get(id.0)
    }

    /// All, in the order of configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.list.iter()
    }
}
