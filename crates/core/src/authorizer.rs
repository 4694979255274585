//! One request, from what a gateway asks to allow or deny.
//!
//! [`Authorizer::decide`] is a plain function on borrowed bytes: no socket, no runtime,
//! no clock of its own, no waiting. When it lacks something it says [what](crate::needs), and
//! [`Authorizer::authorize`] waits for that and decides again.

mod identify;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::bearer::BearerToken;
use crate::clock::UnixTime;
use crate::decision::{Approval, Basis, Decision, Denial, Fault};
use crate::header_changes::{HeaderChanges, answer_bytes_of_name};
use crate::identity::{HeaderRules, IdentityHeaders, ProtectedHeaders};
use crate::issuers::{Issuer, Issuers};
use crate::needs::{Attempt, MissingVerdict, Needs, judged};
use crate::policy::{Consulted, Policy, PolicyFault, PolicyQuestion};
use crate::request::{HeaderView, RequestFault, RequestView};
use crate::rules::{Permit, Readings, RouteRule, Rules, TokenRequirement};
use crate::token::UnsignedTokens;
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
    cache: Option<Arc<TokenCache>>,
    policy: Option<Arc<dyn Policy>>,
}

/// What [`Authorizer::decide`] comes to.
pub enum Outcome<'a> {
    /// A decision: allow or deny.
    Decided(Decision),
    /// Not before somebody was asked.
    Needs(Needs<'a>),
}

impl Outcome<'_> {
    /// The decision where nobody is asked: the request is denied.
    #[must_use]
    pub fn or_deny(self) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::Needs(needs) => Decision::Deny(needs.or_deny()),
        }
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
            policy: None,
        }
    }

    /// What paths and routes ask for.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Remembers verified tokens. A cache may be shared by authorizers that verify alike: with
    /// equal issuers in the same order, equal rules for their tokens and identities, and equal
    /// rules for headers. What paths and routes ask for may differ.
    #[must_use]
    pub fn with_cache(self, cache: impl Into<Arc<TokenCache>>) -> Self {
        Self { cache: Some(cache.into()), ..self }
    }

    /// Asks a policy, too, whether a request may pass: of every request that shows a token, or might
    /// have.
    #[must_use]
    pub fn with_policy(self, policy: Arc<dyn Policy>) -> Self {
        Self { policy: Some(policy), ..self }
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
        self.cache.as_ref().map_or(0, |cache| cache.len())
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

    /// The policy that is asked, too.
    #[must_use]
    pub fn policy(&self) -> Option<&dyn Policy> {
        self.policy.as_deref()
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

    /// Decides a request, waiting at most `wait` where somebody has to be asked.
    pub async fn authorize(
        &self,
        request: &RequestView<'_>,
        now: UnixTime,
        wait: Duration,
    ) -> Decision {
        self.settle(self.decide(request, now), request, now, wait).await
    }

    /// Goes on from an outcome of [`decide`](Self::decide) or its kin to a decision on the same
    /// request, waiting at most `wait` each time that somebody has to be asked.
    pub async fn settle<'a>(
        &'a self,
        mut outcome: Outcome<'a>,
        request: &RequestView<'_>,
        now: UnixTime,
        wait: Duration,
    ) -> Decision {
        loop {
            match outcome {
                Outcome::Decided(decision) => return decision,
                Outcome::Needs(needs) => match needs.obtain(wait).await {
                    Ok(attempt) => outcome = self.decide_again(request, now, attempt),
                    Err(denial) => return Decision::Deny(denial),
                },
            }
        }
    }

    /// Decides a request with what is at hand. Should a step panic, that is a denial: to
    /// Envoy a broken call can mean "let it pass".
    pub fn decide(&self, request: &RequestView<'_>, now: UnixTime) -> Outcome<'_> {
        self.decide_again(request, now, Attempt::default())
    }

    /// The same without the cache: the token is verified anew, and nothing of it is remembered.
    pub fn decide_uncached(&self, request: &RequestView<'_>, now: UnixTime) -> Outcome<'_> {
        self.decide_again(request, now, Attempt { uncached: true, ..Attempt::default() })
    }

    /// The same without the policy: for who asks nothing but whom the token speaks of.
    pub fn decide_unjudged(&self, request: &RequestView<'_>, now: UnixTime) -> Outcome<'_> {
        self.decide_again(request, now, Attempt { unjudged: true, ..Attempt::default() })
    }

    /// Decides a request for which something was obtained since it was decided before.
    pub fn decide_again(
        &self,
        request: &RequestView<'_>,
        now: UnixTime,
        attempt: Attempt,
    ) -> Outcome<'_> {
        let admission = catch_unwind(AssertUnwindSafe(|| {
            let approval = match attempt.approved {
                Some(approval) => approval,
                None => self.admit(request, now, attempt)?,
            };
            self.check_answer(&approval, request.headers)?;
            Ok(approval)
        }));
        match admission.unwrap_or_else(|_| Err(Fault::Internal.into())) {
            Ok(approval) => Outcome::Decided(Decision::Allow(approval)),
            Err(NotAdmitted::Denied(denial)) => Outcome::Decided(Decision::Deny(denial)),
            Err(NotAdmitted::Needs(needs)) => Outcome::Needs(*needs),
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
        let fits = approval.said().is_none()
            && self.names_bytes + sent + values <= MAX_ANSWER_BYTES
            || self.header_changes(approval, headers).answer_bytes() <= MAX_ANSWER_BYTES;
        if fits { Ok(()) } else { Err(RequestFault::TooMuchToChange) }
    }

    fn admit(
        &self,
        request: &RequestView<'_>,
        now: UnixTime,
        attempt: Attempt,
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
            let approval = Approval::new(basis, rule.permit_without_token()?);
            return if rule.requirement == TokenRequirement::Ignored {
                Ok(approval)
            } else {
                self.judge(approval, request, &rule, now, attempt.unjudged)
            };
        };
        let unjudged = attempt.unjudged;
        let identified = self.identify(request, bearer, now, attempt);
        let (identity, fresh) =
            identified.map_err(|not_admitted| not_admitted.asking_for(rule.scopes()))?;
        let permit = rule.permit(identity.audiences(), identity.scopes());
        let permit = permit.map_err(|refused| Denial {
            scopes: refused.scopes.map(str::to_owned),
            ..Denial::of_issuer(refused.fault, identity.issuer())
        })?;
        let approval = Approval::new(Basis::Identified { identity, fresh }, permit);
        self.judge(approval, request, &rule, now, unjudged)
    }

    /// Asks the policy, if there is one, about a request that is in order but for that.
    fn judge(
        &self,
        approval: Approval,
        request: &RequestView<'_>,
        rule: &RouteRule<'_>,
        now: UnixTime,
        unjudged: bool,
    ) -> Result<Approval, NotAdmitted<'_>> {
        let policy = self.policy.as_ref().filter(|_| !unjudged);
        let Some(policy) = policy else { return Ok(approval) };
        let question = self.question(request, rule.path(), approval.identity(), now);
        let consulted = match question {
            Ok(question) => policy.consult(&question),
            Err(fault) => Consulted::Answered(Err(fault)),
        };
        match consulted {
            Consulted::Answered(answer) => Ok(judged(approval, answer)?),
            Consulted::Later(inquiry) => {
                let missing = MissingVerdict { inquiry, approval };
                Err(Needs::Verdict(Box::new(missing)).into())
            }
        }
    }

    fn question<'a>(
        &'a self,
        request: &'a RequestView<'a>,
        path: &'a Readings<'a>,
        identity: Option<&'a VerifiedIdentity>,
        now: UnixTime,
    ) -> Result<PolicyQuestion<'a>, PolicyFault> {
        let issuer = self.issuer_name(identity);
        PolicyQuestion::new(request, path, identity, issuer, &self.protected, now)
    }

    /// The name of the issuer of a token: its `iss`.
    fn issuer_name<'a>(&'a self, identity: Option<&'a VerifiedIdentity>) -> Option<&'a str> {
        let identity = identity?;
        let of_configuration = || self.issuers.get(identity.issuer()).map(Issuer::name);
        identity.tenant_issuer().or_else(of_configuration)
    }

    /// What the policy, if there is one, goes by for a request of somebody's: a line each, for people.
    #[must_use]
    pub fn policy_reasons(
        &self,
        request: &RequestView<'_>,
        identity: Option<&VerifiedIdentity>,
        now: UnixTime,
    ) -> Vec<String> {
        let (Some(policy), Ok(rule)) = (&self.policy, self.rules.for_request(request)) else {
            return Vec::new();
        };
        match self.question(request, rule.path(), identity, now) {
            Ok(question) => policy.reasons(&question),
            Err(fault) => vec![fault.to_string()],
        }
    }
}

/// The denial of a request that shows nothing, where something has to be shown.
fn without_credentials(request: &RequestView<'_>, rule: &RouteRule<'_>) -> Denial {
    let is_options = request.method.eq_ignore_ascii_case(b"OPTIONS");
    let fault = if is_options { Fault::NoCredentialsForOptions } else { Fault::NoCredentials };
    Denial::from(fault).asking_for(rule.scopes())
}

/// Why [`Authorizer::admit`] does not admit.
enum NotAdmitted<'a> {
    Denied(Denial),
    /// Rare, and large beside the other.
    Needs(Box<Needs<'a>>),
}

impl NotAdmitted<'_> {
    fn asking_for(self, scopes: Option<&str>) -> Self {
        match self {
            Self::Denied(denial) => Self::Denied(denial.asking_for(scopes)),
            Self::Needs(needs) => Self::Needs(Box::new(needs.asking_for(scopes))),
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

impl<'a> From<Needs<'a>> for NotAdmitted<'a> {
    fn from(needs: Needs<'a>) -> Self {
        Self::Needs(Box::new(needs))
    }
}
