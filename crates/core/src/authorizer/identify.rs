//! Whom a token speaks of: from the cache, by its signature, or by the word of its issuer.

use std::sync::Arc;
use std::time::Duration;

use super::{Authorizer, NotAdmitted};
use crate::bearer::BearerToken;
use crate::clock::UnixTime;
use crate::decision::{Denial, Fault};
use crate::issuers::{Issuer, KeysFault};
use crate::keys::RefetchCause;
use crate::needs::{Attempt, MissingKey, MissingStatus, Needs};
use crate::request::RequestView;
use crate::status::{StatusFault, StatusQuestion, StatusSource, is_question};
use crate::token::{Claims, CompactJws, TokenFault, TokenRules, UnverifiedToken, VerifiedToken};
use crate::verified_identity::VerifiedIdentity;

impl Authorizer {
    /// Whom a token speaks of, and whether it had to be verified to know.
    pub(super) fn identify(
        &self,
        request: &RequestView<'_>,
        bearer: BearerToken<'_>,
        now: UnixTime,
        attempt: Attempt,
    ) -> Result<(Arc<VerifiedIdentity>, bool), NotAdmitted<'_>> {
        // Longer tokens are refused unread: they are not hashed either.
        let of_length = bearer.as_bytes().len() <= self.max_token_bytes;
        let cache = self.cache.as_ref().filter(|_| of_length && !attempt.uncached);
        let entry = cache.and_then(|cache| Some((cache, cache.hash(bearer)?)));
        let still_holds = |identity: &VerifiedIdentity| self.still_holds(identity, now);
        if let Some(identity) = entry.and_then(|(cache, hash)| cache.find(hash, still_holds)) {
            return Ok((identity, false));
        }
        let identity = match CompactJws::decode(bearer, self.max_token_bytes) {
            Ok(jws) => self.verify(&jws, request, bearer, now, attempt)?,
            Err(fault @ (TokenFault::NotThreeParts | TokenFault::NotBase64Url)) => {
                let issuer = self.issuers.of_opaque(bearer).ok_or(fault)?;
                self.introspect(issuer, request, bearer, now, attempt)?
            }
            Err(fault) => return Err(fault.into()),
        };
        if let Some((cache, hash)) = entry {
            cache.keep(hash, &identity);
        }
        Ok((identity, true))
    }

    /// Whom a token speaks of that its issuer has signed.
    fn verify(
        &self,
        jws: &CompactJws<'_>,
        request: &RequestView<'_>,
        bearer: BearerToken<'_>,
        now: UnixTime,
        attempt: Attempt,
    ) -> Result<Arc<VerifiedIdentity>, NotAdmitted<'_>> {
        let unverified = UnverifiedToken::parse(jws, self.unsigned)?;
        let issuer = self.issuers.named_by(&unverified)?;
        let rules = issuer.rules_for(unverified.claims());
        let answer = attempt.status.as_ref().and_then(|answered| answered.about(bearer));
        let tried = issuer.key_set_id();
        let verified = self.verify_with(answer, unverified, issuer, rules, now);
        let identity = verified.map_err(|fault| {
            let denial = Denial { fault, issuer: Some(issuer.id()), scopes: None };
            let keys_may_change = |cause: &RefetchCause| {
                issuer.keys().may_refetch(*cause) || issuer.key_set_id() != tried
            };
            let cause = refetch_cause(fault).filter(|_| !attempt.keys_obtained);
            match cause.filter(keys_may_change) {
                Some(cause) => {
                    let (otherwise, attempt) = (denial, attempt.clone());
                    Needs::Key(MissingKey { issuer, cause, tried, otherwise, attempt }).into()
                }
                None => NotAdmitted::Denied(denial),
            }
        })?;
        if rules.asked_about && answer.is_none() {
            let question = StatusQuestion::new(bearer, true);
            return Err(ask(issuer, request, question, attempt));
        }
        Ok(identity)
    }

    fn verify_with(
        &self,
        answer: Option<&[u8]>,
        unverified: UnverifiedToken<'_>,
        issuer: &Issuer,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Result<Arc<VerifiedIdentity>, Fault> {
        let keys = issuer.keys_in_force(now)?;
        let keys = keys.as_deref().ok_or(KeysFault::NeverObtained)?;
        let verified = VerifiedToken::verify(unverified, rules, keys.set(), now)?;
        let good_until = match answer {
            None => UnixTime::NEVER,
            Some(answer) => {
                let answer = Claims::parse(answer).map_err(|_| StatusFault::NoAnswer)?;
                if !verified.claims().agree_with(&answer) {
                    return Err(StatusFault::AboutAnother.into());
                }
                verified.confirm(&answer, rules, now)?.min(recheck_at(issuer, now))
            }
        };
        let key_set = Some(keys.id());
        Ok(VerifiedIdentity::new(&verified, issuer, &self.headers, key_set, good_until)?)
    }

    /// Whom a token speaks of that its issuer alone can read.
    fn introspect<'a>(
        &'a self,
        issuer: &'a Issuer,
        request: &RequestView<'_>,
        bearer: BearerToken<'_>,
        now: UnixTime,
        attempt: Attempt,
    ) -> Result<Arc<VerifiedIdentity>, NotAdmitted<'a>> {
        let Some(answer) = attempt.status.as_ref().and_then(|status| status.about(bearer)) else {
            return Err(ask(issuer, request, StatusQuestion::new(bearer, false), attempt));
        };
        let read = || -> Result<_, Fault> {
            let answer = Claims::parse(answer).map_err(|_| StatusFault::NoAnswer)?;
            let token = VerifiedToken::introspected(answer, issuer.rules(), now)?;
            let good_until = recheck_at(issuer, now);
            Ok(VerifiedIdentity::new(&token, issuer, &self.headers, None, good_until)?)
        };
        let issuer = Some(issuer.id());
        read().map_err(|fault| Denial { fault, issuer, scopes: None }.into())
    }

    /// Whether a cached verification would come out the same now: the token is current
    /// and the very key set that verified it is in force.
    fn still_holds(&self, identity: &VerifiedIdentity, now: UnixTime) -> bool {
        identity.good_until() > now
            && self.issuers.get(identity.issuer()).is_some_and(|issuer| {
                let Some(key_set) = identity.key_set() else { return true };
                let keys = issuer.keys_in_force(now);
                keys.is_ok_and(|keys| keys.as_deref().is_some_and(|keys| keys.id() == key_set))
            })
    }
}

/// Until when an answer counts that a token of `issuer` is active.
fn recheck_at(issuer: &Issuer, now: UnixTime) -> UnixTime {
    now.plus(issuer.status().map_or(Duration::ZERO, StatusSource::recheck))
}

/// What a token needs that somebody has to be asked about.
fn ask<'a>(
    issuer: &'a Issuer,
    request: &RequestView<'_>,
    question: StatusQuestion,
    attempt: Attempt,
) -> NotAdmitted<'a> {
    let Some(source) = issuer.status() else {
        return StatusFault::NoAnswer.denial(issuer).into();
    };
    let circular = is_question(request).then_some(StatusFault::Circular);
    if let Some(fault) = circular.or_else(|| source.known(&question)) {
        return fault.denial(issuer).into();
    }
    let otherwise = StatusFault::NoAnswer.denial(issuer);
    Needs::Status(MissingStatus { issuer, source, question, otherwise, attempt }).into()
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
