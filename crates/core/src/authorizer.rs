//! One request, from what a gateway asks to allow or deny.
//!
//! [`Authorizer::decide`] is a plain function on borrowed bytes: no socket, no runtime,
//! no clock of its own, no waiting. When it lacks a key it says so, and
//! [`Authorizer::authorize`] waits for that key once and asks again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::bearer::BearerToken;
use crate::clock::UnixTime;
use crate::decision::{Approval, Basis, Decision, Denial, Fault};
use crate::header_changes::{HeaderChanges, answer_bytes_of_name};
use crate::identity::{HeaderRules, IdentityHeaders, ProtectedHeaders};
use crate::issuers::{Issuer, Issuers, KeysFault};
use crate::keys::{KeySetId, Refetch, RefetchCause};
use crate::request::{HeaderView, RequestFault, RequestView};
use crate::rules::{Permit, RouteRule, Rules, TokenRequirement};
use crate::token::{CompactJws, TokenFault, UnsignedTokens, UnverifiedToken, VerifiedToken};
use crate::token_cache::TokenCache;
use crate::verified_identity::VerifiedIdentity;

/// More than this in the headers of an answer is denied, in bytes. Over HTTP, names to remove are a
/// header of our answer, and Envoy takes 60 KiB of headers in an answer (`max_response_headers_kb`);
/// a larger one is a failure of ours to it, and with `failure_mode_allow` lets the request pass
/// with all that was forged. A client that may send more than that to Envoy can bring it about.
/// The same for gRPC, which has no such limit: both fronts decide the same.
const MAX_ANSWER_BYTES: usize = 56 * 1024;

/// Longer tokens are refused unread, where nothing else is said. In bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Decides requests under one configuration.
pub struct Authorizer {
    enabled: bool,
    issuers: Issuers,
    rules: Rules,
    headers: HeaderRules,
    protected: ProtectedHeaders,
    /// How many bytes of an answer the names take that are set or removed for everybody.
    names_bytes: usize,
    max_token_bytes: usize,
    unsigned: UnsignedTokens,
    cache: Option<TokenCache>,
}

/// What [`Authorizer::decide`] comes to.
pub enum Outcome<'a> {
    /// A decision: allow or deny.
    Decided(Decision),
    /// Not before its issuer was asked for newer keys.
    NeedsKey(MissingKey<'a>),
}

impl Outcome<'_> {
    /// The decision where nobody is asked: without newer keys the request is denied.
    #[must_use]
    pub fn or_deny(self) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::NeedsKey(missing) => Decision::Deny(missing.otherwise),
        }
    }
}

/// The token may be signed with a key that its issuer has published since.
///
/// Whoever can wait calls [`obtain`](Self::obtain). Others ask the [issuer](Self::issuer) in their
/// own way and hand in what became of it ([`resolve`](Self::resolve)). Either way the request is
/// decided again, at most once.
pub struct MissingKey<'a> {
    issuer: &'a Issuer,
    cause: RefetchCause,
    /// The keys that were tried.
    tried: Option<KeySetId>,
    /// The decision when asking brings nothing new.
    otherwise: Denial,
}

impl<'a> MissingKey<'a> {
    /// Whose key it is.
    #[must_use]
    pub fn issuer(&self) -> &'a Issuer {
        self.issuer
    }

    /// Why those at hand do not do.
    #[must_use]
    pub fn cause(&self) -> RefetchCause {
        self.cause
    }

    /// Asks the issuer, and waits at most `wait` for what comes of it.
    ///
    /// # Errors
    /// The decision, if it brings nothing new. Otherwise decide again.
    pub async fn obtain(self, wait: Duration) -> Result<(), Denial> {
        let refetch = self.issuer.keys().refetch(self.cause, wait).await;
        self.resolve(refetch)
    }

    /// Takes what became of asking the issuer.
    ///
    /// # Errors
    /// The decision, if it brought nothing new. Otherwise decide again.
    pub fn resolve(self, refetch: Refetch) -> Result<(), Denial> {
        let Self { issuer, tried, otherwise, .. } = self;
        match refetch {
            Refetch::Answered => Ok(()),
            Refetch::StillUnderWay => Err(KeysFault::StillUnderWay),
            Refetch::Crowded => Err(KeysFault::Crowded),
            // A fetch that others asked for may have ended while this one was refused.
            Refetch::NotDue | Refetch::Failed if issuer.key_set_id() != tried => Ok(()),
            Refetch::NotDue | Refetch::Failed => return Err(otherwise),
        }
        .map_err(|fault| Denial { fault: Fault::Keys(fault), ..otherwise })
    }
}

impl Authorizer {
    /// Believes tokens of `issuers`, and hands their identities on in the headers that `headers`
    /// names. Every request needs a token, of at most 16 KiB; no token is remembered.
    #[must_use]
    pub fn new(issuers: Issuers, headers: HeaderRules) -> Self {
        let protected = ProtectedHeaders::new(&headers);
        let nobody = IdentityHeaders::new(None, &headers);
        Self {
            enabled: true,
            issuers,
            rules: Rules::new(Vec::new()),
            names_bytes: protected.always(nobody).map(answer_bytes_of_name).sum(),
            protected,
            headers,
            max_token_bytes: MAX_TOKEN_BYTES,
            unsigned: UnsignedTokens::Refused,
            cache: None,
        }
    }

    /// What paths and routes ask for.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Remembers verified tokens.
    #[must_use]
    pub fn with_cache(self, cache: TokenCache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Refuses longer tokens unread.
    #[must_use]
    pub fn with_max_token_bytes(self, max_token_bytes: usize) -> Self {
        Self { max_token_bytes, ..self }
    }

    /// What becomes of `alg: none`.
    #[must_use]
    pub fn with_unsigned(self, unsigned: UnsignedTokens) -> Self {
        Self { unsigned, ..self }
    }

    /// Lets everybody pass, with nothing of what must be stripped.
    #[must_use]
    pub fn without_authentication(self) -> Self {
        Self { enabled: false, ..self }
    }

    /// Whether anybody is asked for a token at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// How many tokens are remembered, about.
    #[must_use]
    pub fn remembered_tokens(&self) -> u64 {
        self.cache.as_ref().map_or(0, TokenCache::len)
    }

    /// Longer tokens are refused unread, in bytes.
    #[must_use]
    pub fn max_token_bytes(&self) -> usize {
        self.max_token_bytes
    }

    /// Whom it believes.
    #[must_use]
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// What paths and routes ask for.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How an identity becomes headers.
    #[must_use]
    pub fn header_rules(&self) -> &HeaderRules {
        &self.headers
    }

    /// What clients must not send.
    #[must_use]
    pub fn protected(&self) -> &ProtectedHeaders {
        &self.protected
    }

    /// Decides a request, waiting at most `wait` when a key has to be fetched.
    pub async fn authorize(
        &self,
        request: &RequestView<'_>,
        now: UnixTime,
        wait: Duration,
    ) -> Decision {
        match self.decide(request, now) {
            Outcome::Decided(decision) => decision,
            Outcome::NeedsKey(missing) => match missing.obtain(wait).await {
                Ok(()) => self.decide(request, now).or_deny(),
                Err(denial) => Decision::Deny(denial),
            },
        }
    }

    /// Decides a request with the keys at hand. Should a step panic, that is a denial: to
    /// Envoy a broken call can mean "let it pass".
    pub fn decide(&self, request: &RequestView<'_>, now: UnixTime) -> Outcome<'_> {
        self.decide_with(self.cache.as_ref(), request, now)
    }

    /// The same without the cache: the token is verified anew, and nothing of it is remembered.
    pub fn decide_uncached(&self, request: &RequestView<'_>, now: UnixTime) -> Outcome<'_> {
        self.decide_with(None, request, now)
    }

    fn decide_with(
        &self,
        cache: Option<&TokenCache>,
        request: &RequestView<'_>,
        now: UnixTime,
    ) -> Outcome<'_> {
        let admission = catch_unwind(AssertUnwindSafe(|| {
            let approval = self.admit(cache, request, now)?;
            self.check_answer(&approval, request.headers)?;
            Ok(approval)
        }));
        match admission.unwrap_or_else(|_| Err(Fault::Internal.into())) {
            Ok(approval) => Outcome::Decided(Decision::Allow(approval)),
            Err(NotAdmitted::Denied(denial)) => Outcome::Decided(Decision::Deny(denial)),
            Err(NotAdmitted::NeedsKey(missing)) => Outcome::NeedsKey(missing),
        }
    }

    /// What becomes of the headers of a request that may pass, given those that its client sent.
    #[must_use]
    pub fn header_changes<'a>(
        &'a self,
        approval: &'a Approval,
        client: &'a [HeaderView<'a>],
    ) -> HeaderChanges<'a> {
        HeaderChanges::new(approval, client, &self.headers, &self.protected)
    }

    /// Whether gateways would take the answer, with all that it sets and removes. Nearly always a
    /// sum is enough: each name is counted that may be set or removed, and each text that may be a
    /// value.
    fn check_answer(
        &self,
        approval: &Approval,
        headers: &[HeaderView<'_>],
    ) -> Result<(), RequestFault> {
        let sent: usize = headers.iter().map(|header| answer_bytes_of_name(header.name)).sum();
        let values = approval.identity().map_or(0, |verified| verified.identity().text_bytes());
        let fits = self.names_bytes + sent + values <= MAX_ANSWER_BYTES
            || self.header_changes(approval, headers).answer_bytes() <= MAX_ANSWER_BYTES;
        if fits { Ok(()) } else { Err(RequestFault::TooMuchToChange) }
    }

    fn admit(
        &self,
        cache: Option<&TokenCache>,
        request: &RequestView<'_>,
        now: UnixTime,
    ) -> Result<Approval, NotAdmitted<'_>> {
        if !self.enabled {
            return Ok(Approval::new(Basis::AuthDisabled, Permit::without_rules()));
        }
        request.check_form()?;
        let rule = self.rules.for_request(request)?;
        let bearer = match rule.requirement {
            TokenRequirement::Ignored => None,
            TokenRequirement::Required | TokenRequirement::Optional => {
                BearerToken::from_request(request)
                    .map_err(|fault| Denial::from(Fault::from(fault)).asking_for(rule.scopes()))?
            }
        };
        let Some(bearer) = bearer else {
            let basis = match rule.requirement {
                TokenRequirement::Ignored => Basis::Bypassed,
                TokenRequirement::Optional => Basis::Anonymous,
                TokenRequirement::Required => {
                    return Err(without_credentials(request, &rule).into());
                }
            };
            return Ok(Approval::new(basis, rule.permit_without_token()?));
        };
        let identified = self.identify(cache, bearer, now);
        let (identity, fresh) =
            identified.map_err(|not_admitted| not_admitted.asking_for(rule.scopes()))?;
        let permit = rule.permit(identity.audiences(), identity.scopes());
        let permit = permit.map_err(|refused| Denial {
            fault: refused.fault.into(),
            issuer: Some(identity.issuer()),
            scopes: refused.scopes.map(str::to_owned),
        })?;
        Ok(Approval::new(Basis::Identified { identity, fresh }, permit))
    }

    /// Whom a token speaks of, and whether it had to be verified to know.
    fn identify(
        &self,
        cache: Option<&TokenCache>,
        bearer: BearerToken<'_>,
        now: UnixTime,
    ) -> Result<(Arc<VerifiedIdentity>, bool), NotAdmitted<'_>> {
        // Longer tokens are refused unread: they are not hashed either.
        let of_length = bearer.as_bytes().len() <= self.max_token_bytes;
        let cache = cache.filter(|_| of_length);
        let entry = cache.and_then(|cache| Some((cache, cache.hash(bearer)?)));
        let still_holds = |identity: &VerifiedIdentity| self.still_holds(identity, now);
        if let Some(identity) = entry.and_then(|(cache, hash)| cache.find(hash, still_holds)) {
            return Ok((identity, false));
        }
        let jws = CompactJws::decode(bearer, self.max_token_bytes)?;
        let unverified = UnverifiedToken::parse(&jws, self.unsigned)?;
        let issuer = self.issuers.named_by(&unverified)?;
        let tried = issuer.key_set_id();
        let identity = self.verify(unverified, issuer, now).map_err(|fault| {
            let denial = Denial { fault, issuer: Some(issuer.id()), scopes: None };
            let keys_may_change = |cause: &RefetchCause| {
                issuer.keys().may_refetch(*cause) || issuer.key_set_id() != tried
            };
            match refetch_cause(fault).filter(keys_may_change) {
                Some(cause) => {
                    NotAdmitted::NeedsKey(MissingKey { issuer, cause, tried, otherwise: denial })
                }
                None => NotAdmitted::Denied(denial),
            }
        })?;
        if let Some((cache, hash)) = entry {
            cache.keep(hash, &identity);
        }
        Ok((identity, true))
    }

    fn verify(
        &self,
        unverified: UnverifiedToken<'_>,
        issuer: &Issuer,
        now: UnixTime,
    ) -> Result<Arc<VerifiedIdentity>, Fault> {
        let keys = issuer.keys_in_force(now)?;
        let keys = keys.as_deref().ok_or(KeysFault::NeverObtained)?;
        let verified = VerifiedToken::verify(unverified, issuer.rules(), keys.set(), now)?;
        Ok(VerifiedIdentity::new(&verified, issuer, &self.headers, keys)?)
    }

    /// Whether a cached verification would come out the same now: the token is current
    /// and the very key set that verified it is in force.
    fn still_holds(&self, identity: &VerifiedIdentity, now: UnixTime) -> bool {
        identity.expires_at() > now
            && self.issuers.get(identity.issuer()).is_some_and(|issuer| {
                let keys = issuer.keys_in_force(now);
                keys.is_ok_and(|keys| {
                    keys.as_deref().is_some_and(|keys| keys.id() == identity.key_set())
                })
            })
    }
}

/// The denial of a request that shows nothing, where something has to be shown.
fn without_credentials(request: &RequestView<'_>, rule: &RouteRule<'_>) -> Denial {
    let is_options = request.method.eq_ignore_ascii_case(b"OPTIONS");
    let fault = if is_options { Fault::NoCredentialsForOptions } else { Fault::NoCredentials };
    Denial::from(fault).asking_for(rule.scopes())
}

/// Why newer keys could make the difference, if they could.
fn refetch_cause(fault: Fault) -> Option<RefetchCause> {
    if matches!(fault, Fault::Token(TokenFault::NoSuchKey) | Fault::Keys(_)) {
        Some(RefetchCause::UnknownKey)
    } else if fault == Fault::Token(TokenFault::BadSignature) {
        Some(RefetchCause::BadSignature)
    } else {
        None
    }
}

/// Why [`Authorizer::admit`] does not admit.
enum NotAdmitted<'a> {
    Denied(Denial),
    NeedsKey(MissingKey<'a>),
}

impl NotAdmitted<'_> {
    fn asking_for(self, scopes: Option<&str>) -> Self {
        match self {
            Self::Denied(denial) => Self::Denied(denial.asking_for(scopes)),
            Self::NeedsKey(missing) => Self::NeedsKey(MissingKey {
                otherwise: missing.otherwise.asking_for(scopes),
                ..missing
            }),
        }
    }
}

impl<F: Into<Fault>> From<F> for NotAdmitted<'_> {
    fn from(fault: F) -> Self {
        Self::Denied(Denial::from(fault.into()))
    }
}

impl From<Denial> for NotAdmitted<'_> {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
