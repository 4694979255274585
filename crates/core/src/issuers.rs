//! The issuers Doorward trusts, and which of them a token names.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bearer::BearerToken;
use crate::clock::UnixTime;
use crate::identity::IdentityRules;
use crate::keys::{KeySetId, KeySource, Snapshot};
use crate::status::StatusSource;
use crate::token::{Claims, Signing, TENANT_PLACEHOLDER, TokenFault, TokenRules, UnverifiedToken};

/// One trusted issuer: what its tokens must satisfy, what they mean, and its keys.
///
/// Small, since cached tokens need the keys alone: those of a thousand issuers stay in the
/// processor's caches.
pub struct Issuer {
    id: IssuerId,
    keys: Arc<dyn KeySource>,
    rules: Box<TokenRules>,
    identity: Box<IdentityRules>,
    special: Option<Box<Special>>,
}

/// What only few issuers have.
#[derive(Default)]
struct Special {
    access_keys: Option<TokenRules>,
    status: Option<Arc<dyn StatusSource>>,
    /// What its opaque tokens begin with, if it has such tokens.
    opaque_prefix: Option<String>,
    /// Whether it stands for nobody: for tokens without a signature that name no issuer.
    is_for_unsigned: bool,
}

/// Position of an issuer in the configuration, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub usize);

impl Issuer {
    /// An issuer with these keys. Which one it is, is known when it is [added](Issuers::push).
    #[must_use]
    pub fn new(rules: TokenRules, identity: IdentityRules, keys: Arc<dyn KeySource>) -> Self {
        let (rules, identity) = (Box::new(rules), Box::new(identity));
        Self { id: IssuerId(0), keys, rules, identity, special: None }
    }

    /// Has other rules for tokens that say of themselves that they are
    /// [access keys](crate::token::ACCESS_KEY).
    #[must_use]
    pub fn with_access_keys(mut self, rules: TokenRules) -> Self {
        self.special.get_or_insert_default().access_keys = Some(rules);
        self
    }

    /// Has somebody to ask whether tokens are active, where [rules](TokenRules::asked_about)
    /// demand that.
    #[must_use]
    pub fn with_status(mut self, status: Arc<dyn StatusSource>) -> Self {
        self.special.get_or_insert_default().status = Some(status);
        self
    }

    /// Gives out tokens, too, that only itself can read, and that begin with `prefix`.
    #[must_use]
    pub fn with_opaque_tokens(mut self, prefix: impl Into<String>) -> Self {
        self.special.get_or_insert_default().opaque_prefix = Some(prefix.into());
        self
    }

    /// Stands for tokens without a signature, where those are accepted, that name no issuer; or
    /// name any, where there is no other issuer. No signed token is ever its own. For development.
    #[must_use]
    pub fn for_unsigned_tokens(mut self) -> Self {
        self.special.get_or_insert_default().is_for_unsigned = true;
        self
    }

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

    /// What its tokens must satisfy that say of themselves that they are
    /// [access keys](crate::token::ACCESS_KEY), where other rules hold for them.
    #[must_use]
    pub fn access_keys(&self) -> Option<&TokenRules> {
        self.special.as_ref()?.access_keys.as_ref()
    }

    /// What a token with these claims, not yet believed, must satisfy.
    #[must_use]
    pub fn rules_for(&self, claims: &Claims<'_>) -> &TokenRules {
        self.access_keys().filter(|_| claims.is_access_key()).unwrap_or(&self.rules)
    }

    /// Who is asked whether tokens are active.
    #[must_use]
    pub fn status(&self) -> Option<&dyn StatusSource> {
        self.special.as_ref()?.status.as_deref()
    }

    /// What its opaque tokens begin with, if it has such tokens.
    #[must_use]
    pub fn opaque_prefix(&self) -> Option<&str> {
        self.special.as_ref()?.opaque_prefix.as_deref()
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
    /// The one that opaque tokens are of.
    opaque: Option<usize>,
    /// The one for unsigned tokens that name none.
    unsigned: Option<usize>,
}

impl Issuers {
    /// Adds an issuer. A second one of the same name would never be found; configuration
    /// sees to it that there is none.
    pub fn add(&mut self, rules: TokenRules, identity: IdentityRules, keys: Arc<dyn KeySource>) {
        self.push(Issuer::new(rules, identity, keys));
    }

    /// The same for one that is more than that. Of several with opaque tokens, which do not name
    /// their issuer, the first has them.
    pub fn push(&mut self, issuer: Issuer) {
        let index = self.list.len();
        if issuer.special.as_ref().is_some_and(|special| special.is_for_unsigned) {
            self.unsigned = self.unsigned.or(Some(index));
        } else {
            self.by_name.entry(issuer.rules.issuer.clone()).or_insert(index);
        }
        self.any_per_tenant |= issuer.rules.is_per_tenant();
        self.opaque = self.opaque.or_else(|| issuer.opaque_prefix().map(|_| index));
        self.list.push(Issuer { id: IssuerId(index), ..issuer });
    }

    /// The issuer that an opaque token may be of: one in the form of RFC 6750 §2.1, with the
    /// prefix of that issuer's.
    #[must_use]
    pub fn of_opaque(&self, token: BearerToken<'_>) -> Option<&Issuer> {
        let issuer = self.list.get(self.opaque?)?;
        let token = token.as_bytes();
        let begins = token.starts_with(issuer.opaque_prefix()?.as_bytes());
        let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
        let text = token.get(..token.len() - padding).filter(|text| !text.is_empty())?;
        // No `:`, so never `service:…`.
        let in_form = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
        (begins && text.iter().all(in_form)).then_some(issuer)
    }

    /// The issuer that a token names in `iss`. Whether it really is from there is not
    /// known yet. Names are compared to the byte: no prefixes, no case folding, no
    /// trailing slash forgiven.
    ///
    /// # Errors
    /// The token names none, or none of ours.
    pub fn named_by(&self, token: &UnverifiedToken<'_>) -> Result<&Issuer, TokenFault> {
        let unsigned = self.unsigned.filter(|_| token.signing() == Signing::Unsigned);
        let unsigned = unsigned.and_then(|index| self.list.get(index));
        if let Some(issuer) = unsigned
            && (self.by_name.is_empty() || token.claims().json("iss").is_none())
        {
            return Ok(issuer);
        }
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
