//! Whom a token speaks of: from the cache, by its signature, or by the word of its issuer.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::{Authorizer, NotAdmitted};
use crate::bearer::BearerToken;
use crate::clock::UnixTime;
use crate::decision::{Denial, Fault};
use crate::issuers::{Issuer, KeysFault};
use crate::keys::RefetchCause;
use crate::needs::{Attempt, MissingKey, MissingStatus, Needs};
use crate::request::RequestView;
use crate::status::{Active, Answered, StatusFault, StatusQuestion, is_question};
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
        let cache = self.cache.as_deref().filter(|_| of_length && !attempt.uncached);
        let entry = cache.and_then(|cache| Some((cache, cache.hash(bearer)?)));
        let still_holds = |identity: &VerifiedIdentity| self.still_holds(identity, now);
        if let Some(identity) = entry.and_then(|(cache, hash)| cache.find(hash, still_holds)) {
            return Ok((identity, false));
        }
        let decoded = CompactJws::decode(bearer, self.max_token_bytes);
        let identity = match self.opaque_issuer(bearer, &decoded) {
            Some(issuer) => self.introspect(issuer, request, bearer, now, attempt)?,
            None => self.verify(&decoded?, request, bearer, now, attempt)?,
        };
        if let Some((cache, hash)) = entry {
            cache.keep(hash, &identity);
        }
        Ok((identity, true))
    }

    /// The issuer of a token that is no JWT, not even a broken one: what its header says against it
    /// is not to be got around by breaking the rest.
    fn opaque_issuer(
        &self,
        bearer: BearerToken<'_>,
        decoded: &Result<CompactJws<'_>, TokenFault>,
    ) -> Option<&Issuer> {
        let readable = match decoded {
            Ok(jws) => jws.header().first() == Some(&b'{'),
            Err(TokenFault::NotThreeParts | TokenFault::NotBase64Url) => false,
            Err(_) => true,
        };
        if readable {
            return None;
        }
        self.issuers.of_opaque(bearer).filter(|_| !has_jose_header(bearer))
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
            let denial = Denial::of_issuer(fault, issuer.id());
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
            let attempt = answered(issuer, request, question, now, attempt)?;
            return self.verify(jws, request, bearer, now, attempt);
        }
        Ok(identity)
    }

    fn verify_with(
        &self,
        answer: Option<&Active>,
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
            Some(Active { document, good_until }) => {
                let answer = Claims::parse(document).map_err(|_| StatusFault::NoAnswer)?;
                if !verified.is_meant_by(&answer) {
                    return Err(StatusFault::AboutAnother.into());
                }
                verified.confirm(&answer, rules, now)?.min(*good_until)
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
        let Some(active) = attempt.status.as_ref().and_then(|status| status.about(bearer)) else {
            let question = StatusQuestion::new(bearer, false);
            let attempt = answered(issuer, request, question, now, attempt)?;
            return self.introspect(issuer, request, bearer, now, attempt);
        };
        let read = || -> Result<_, Fault> {
            let answer = Claims::parse(&active.document).map_err(|_| StatusFault::NoAnswer)?;
            let token = VerifiedToken::introspected(answer, issuer.rules(), now)?;
            let (headers, good_until) = (&self.headers, active.good_until);
            Ok(VerifiedIdentity::new(&token, issuer, headers, None, good_until)?)
        };
        read().map_err(|fault| Denial::of_issuer(fault, issuer.id()).into())
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

/// Whether a lenient reader could take the first part of a token for the header of a JWT or of an
/// encrypted one (RFC 7515 §4, RFC 7516 §4): JSON, in either alphabet of base64.
fn has_jose_header(bearer: BearerToken<'_>) -> bool {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let of_front = |byte: &u8| b".~_/+-".contains(byte);
    let token = bearer.as_bytes();
    let front = token.iter().take_while(|byte| of_front(byte)).count();
    let first = token.get(front..).and_then(|rest| rest.split(|byte| *byte == b'.').next());
    let in_one_alphabet: Vec<u8> = first
        .unwrap_or_default()
        .iter()
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect();
    let json = LENIENT.decode(in_one_alphabet).unwrap_or_default();
    let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&json);
    matches!(json.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The same attempt with what was answered on a token a short while ago.
fn answered<'a>(
    issuer: &'a Issuer,
    request: &RequestView<'_>,
    question: StatusQuestion,
    now: UnixTime,
    attempt: Attempt,
) -> Result<Attempt, NotAdmitted<'a>> {
    let Some(source) = issuer.status() else {
        return Err(StatusFault::NoAnswer.denial(issuer).into());
    };
    if is_question(request) {
        return Err(StatusFault::Circular.denial(issuer).into());
    }
    match source.known(&question, now) {
        Some(Ok(active)) => Ok(Attempt { status: Some(Answered { question, active }), ..attempt }),
        Some(Err(fault)) => Err(fault.denial(issuer).into()),
        None => {
            let otherwise = StatusFault::NoAnswer.denial(issuer);
            let missing = MissingStatus { issuer, source, question, otherwise, attempt };
            Err(Needs::Status(missing).into())
        }
    }
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
