//! The story of one request: from what Envoy asks to allow or deny.
//!
//! [`Authorizer::decide`] is a plain function on borrowed bytes: no socket, no runtime,
//! no clock of its own, no waiting. When it lacks a key it says so, and
//! [`Authorizer::authorize`] waits for that key once and asks again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use smallvec::SmallVec;

use crate::bearer::{BearerToken, holds_opaque_bearer};
use crate::clock::UnixTime;
use crate::decision::{Admitted, Decision, Denial, Fault, Grant};
use crate::identity::{HeaderRules, Identity, IdentityHeaders, Profile, ProtectedHeaders};
use crate::issuers::{Issuer, Issuers, KeysFault};
use crate::keys::{KeySetId, Refetch, RefetchCause};
use crate::request::{HeaderView, RequestFault, RequestView};
use crate::rules::{Credentials, RouteRule, Rules};
use crate::token::{CompactJws, TokenFault, UnsignedTokens, UnverifiedToken, VerifiedToken};
use crate::token_cache::TokenCache;

/// More than this in the headers of an answer is denied, in bytes. Over HTTP, names to remove are a
/// header of our answer, and Envoy takes 60 KiB of headers in an answer (`max_response_headers_kb`);
/// a larger one is a failure of ours to it, and with `failure_mode_allow` lets the request pass
/// with all that was forged. A client that may send more than that to Envoy can bring it about.
/// The same for gRPC, which has no such limit: both fronts decide the same.
const MAX_ANSWER_BYTES: usize = 56 * 1024;
/// So many bytes of names fit whatever else there is to say.
const FITS_ANYHOW_BYTES: usize = 16 * 1024;

/// Names of headers that a client sent.
pub type Names<'r> = SmallVec<[&'r [u8]; 8]>;

/// Decides requests under one configuration.
pub struct Authorizer {
    /// `false`: everybody may pass, with nothing of what must be stripped.
    pub enabled: bool,
    /// Whom to believe.
    pub issuers: Issuers,
    /// What paths and routes ask for.
    pub rules: Rules,
    /// How an identity becomes headers.
    pub headers: HeaderRules,
    /// What clients must not send.
    pub protected: ProtectedHeaders,
    /// Longer tokens are refused unread, in bytes.
    pub max_token_bytes: usize,
    /// What becomes of `alg: none`.
    pub unsigned: UnsignedTokens,
    /// Tokens seen before.
    pub cache: TokenCache,
}

/// What [`Authorizer::decide`] comes to.
pub enum Verdict<'a> {
    /// A decision.
    Decided(Decision),
    /// Not yet.
    NeedsKey(MissingKey<'a>),
}

impl Verdict<'_> {
    /// The decision, when nothing is left to wait for.
    #[must_use]
    pub fn or_deny(self) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::NeedsKey(missing) => Decision::Deny(missing.otherwise),
        }
    }
}

/// The token may be signed with a key that its issuer has published since.
pub struct MissingKey<'a> {
    issuer: &'a Issuer,
    cause: RefetchCause,
    /// The keys that were tried.
    tried: Option<KeySetId>,
    /// The decision when asking brings nothing new.
    otherwise: Denial,
}

impl MissingKey<'_> {
    /// Asks the issuer, and waits at most `wait` for what comes of it.
    ///
    /// # Errors
    /// The decision, if it brings nothing new. Otherwise decide again.
    pub async fn obtain(self, wait: Duration) -> Result<(), Denial> {
        let Self { issuer, cause, tried, otherwise } = self;
        match issuer.keys().refetch(cause, wait).await {
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
    /// Decides a request, waiting at most `wait` when a key has to be fetched.
    pub async fn authorize(
        &self,
        request: &RequestView<'_>,
        now: UnixTime,
        wait: Duration,
    ) -> Decision {
        match self.decide(request, now) {
            Verdict::Decided(decision) => decision,
            Verdict::NeedsKey(missing) => match missing.obtain(wait).await {
                Ok(()) => self.decide(request, now).or_deny(),
                Err(denial) => Decision::Deny(denial),
            },
        }
    }

    /// Decides a request with the keys at hand. Should a step panic, that is a denial: to
    /// Envoy a broken call can mean "let it pass".
    pub fn decide(&self, request: &RequestView<'_>, now: UnixTime) -> Verdict<'_> {
        let admission = catch_unwind(AssertUnwindSafe(|| {
            let grant = self.admit(request, now)?;
            self.check_answer(&grant, request.headers)?;
            Ok(grant)
        }));
        match admission.unwrap_or_else(|_| Err(Fault::Internal.into())) {
            Ok(grant) => Verdict::Decided(Decision::Allow(grant)),
            Err(Refusal::Denied(denial)) => Verdict::Decided(Decision::Deny(denial)),
            Err(Refusal::NeedsKey(missing)) => Verdict::NeedsKey(missing),
        }
    }

    /// The headers that the upstream gets.
    #[must_use]
    pub fn headers_of<'a>(&'a self, grant: &'a Grant) -> IdentityHeaders<'a> {
        let identity = grant.admitted().map(|admitted| &admitted.identity);
        IdentityHeaders::new(identity, &self.headers)
    }

    /// The names, of those that the client sent, to remove from a request that may pass; on top
    /// of those that are [always](ProtectedHeaders::always) removed.
    #[must_use]
    pub fn to_remove<'r>(&self, grant: &Grant, headers: &'r [HeaderView<'r>]) -> Names<'r> {
        let set = self.headers_of(grant);
        let forged = |name: &&[u8]| self.protected.forged(name, set);
        let mut names: Names<'_> =
            headers.iter().map(|header| header.name).filter(forged).collect();
        // NeMo's files API takes `Bearer service:jobs` for an identity. What is no JWT goes where
        // nobody has looked at it; it may be somebody's password elsewhere.
        if grant.is_unseen() && self.headers.profile == Profile::Nemo {
            let opaque = headers.iter().find(|header| {
                header.name.eq_ignore_ascii_case(b"authorization")
                    && holds_opaque_bearer(header.value)
            });
            names.extend(opaque.map(|header| header.name));
        }
        names
    }

    /// Whether gateways would take the answer, with all that it sets and removes.
    fn check_answer(&self, grant: &Grant, headers: &[HeaderView<'_>]) -> Result<(), RequestFault> {
        let sent: usize = headers.iter().map(|header| header.name.len()).sum();
        if sent <= FITS_ANYHOW_BYTES {
            return Ok(());
        }
        let set = self.headers_of(grant);
        let set_bytes: usize = set.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let always = self.protected.always(set).map(str::as_bytes);
        let removed = self.to_remove(grant, headers);
        let list: usize = always.chain(removed.iter().copied()).map(|name| name.len() + 1).sum();
        if set_bytes + list > MAX_ANSWER_BYTES {
            Err(RequestFault::TooMuchToRemove)
        } else {
            Ok(())
        }
    }

    fn admit(&self, request: &RequestView<'_>, now: UnixTime) -> Result<Grant, Refusal<'_>> {
        if !self.enabled {
            return Ok(Grant::AuthDisabled);
        }
        request.check_form()?;
        let rule = self.rules.for_request(request)?;
        let bearer = match rule.credentials {
            Credentials::Ignored => None,
            Credentials::Required | Credentials::Optional => BearerToken::from_request(request)?,
        };
        let Some(bearer) = bearer else {
            let grant = match rule.credentials {
                Credentials::Ignored => Grant::Bypassed,
                Credentials::Optional => Grant::Anonymous,
                Credentials::Required => return Err(without_credentials(request, &rule).into()),
            };
            rule.permit_without_token()?;
            return Ok(grant);
        };
        let (admitted, fresh) = self.identify(bearer, now)?;
        let audiences = admitted.audiences.iter().map(AsRef::as_ref);
        rule.permit(audiences, admitted.scopes()).map_err(|refused| Denial {
            fault: refused.fault.into(),
            issuer: Some(admitted.issuer),
            scopes: refused.scopes.map(str::to_owned),
        })?;
        Ok(Grant::Identified { admitted, fresh })
    }

    /// Whom a token speaks of, and whether it had to be verified to know.
    fn identify(
        &self,
        bearer: BearerToken<'_>,
        now: UnixTime,
    ) -> Result<(Arc<Admitted>, bool), Refusal<'_>> {
        // Longer tokens are refused unread: they are not hashed either.
        let of_length = bearer.as_bytes().len() <= self.max_token_bytes;
        let hash = of_length.then(|| self.cache.hash(bearer)).flatten();
        let still_holds = |admitted: &Admitted| self.still_holds(admitted, now);
        if let Some(admitted) = hash.and_then(|hash| self.cache.find(hash, still_holds)) {
            return Ok((admitted, false));
        }
        let jws = CompactJws::decode(bearer, self.max_token_bytes)?;
        let unverified = UnverifiedToken::parse(&jws, self.unsigned)?;
        let issuer = self.issuers.named_by(&unverified)?;
        let tried = issuer.key_set_id();
        let admitted = self.verify(unverified, issuer, now).map_err(|fault| {
            let denial = Denial { fault, issuer: Some(issuer.id()), scopes: None };
            let keys_may_change = |cause: &RefetchCause| {
                issuer.keys().may_refetch(*cause) || issuer.key_set_id() != tried
            };
            match refetch_cause(fault).filter(keys_may_change) {
                Some(cause) => {
                    Refusal::NeedsKey(MissingKey { issuer, cause, tried, otherwise: denial })
                }
                None => Refusal::Denied(denial),
            }
        })?;
        if let Some(hash) = hash {
            self.cache.keep(hash, &admitted);
        }
        Ok((admitted, true))
    }

    fn verify(
        &self,
        unverified: UnverifiedToken<'_>,
        issuer: &Issuer,
        now: UnixTime,
    ) -> Result<Arc<Admitted>, Fault> {
        let keys = issuer.keys_in_force(now)?;
        let keys = keys.as_deref().ok_or(KeysFault::NeverObtained)?;
        let verified = VerifiedToken::verify(unverified, issuer.rules(), keys.set(), now)?;
        let identity = Identity::from_token(&verified, issuer.identity(), &self.headers)?;
        Ok(Arc::new(Admitted {
            identity,
            issuer: issuer.id(),
            tenant_issuer: verified.tenant_issuer(issuer.rules()).map(Into::into),
            audiences: verified.audiences().map(Into::into).collect(),
            expires_at: verified.expires_at(),
            key_set: keys.id(),
            rendering: OnceLock::new(),
        }))
    }

    /// Whether a cached verification would come out the same now: the token is current
    /// and the very key set that verified it is in force.
    fn still_holds(&self, admitted: &Admitted, now: UnixTime) -> bool {
        admitted.expires_at > now
            && self.issuers.get(admitted.issuer).is_some_and(|issuer| {
                let keys = issuer.keys_in_force(now);
                keys.is_ok_and(|keys| {
                    keys.as_deref().is_some_and(|keys| keys.id() == admitted.key_set)
                })
            })
    }
}

/// The denial of a request that shows nothing, where something has to be shown.
fn without_credentials(request: &RequestView<'_>, rule: &RouteRule<'_>) -> Denial {
    let is_options = request.method.eq_ignore_ascii_case(b"OPTIONS");
    let fault = if is_options { Fault::NoCredentialsForOptions } else { Fault::NoCredentials };
    // RFC 6750 §3: so that the client asks for the right ones at once.
    Denial { scopes: rule.scopes().map(str::to_owned), ..Denial::from(fault) }
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
enum Refusal<'a> {
    Denied(Denial),
    NeedsKey(MissingKey<'a>),
}

impl<F: Into<Fault>> From<F> for Refusal<'_> {
    fn from(fault: F) -> Self {
        Self::Denied(Denial::from(fault.into()))
    }
}

impl From<Denial> for Refusal<'_> {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
