//! Decision → steps: which checks there were, which passed, and which was the first that
//! did not.

use std::time::Duration;

use doorward_core::VerifiedIdentity;
use doorward_core::authorizer::Authorizer;
use doorward_core::bearer::BearerToken;
use doorward_core::clock::UnixTime;
use doorward_core::decision::{Basis, Decision, Fault};
use doorward_core::issuers::Issuer;
use doorward_core::request::RequestView;
use doorward_core::rules::{RouteRule, TokenRequirement};
use doorward_core::token::{ACCESS_KEY, TenantRule, TokenFault, TokenRules, TokenUse};

use super::check::Check;
use super::words::moment;
use super::{Answer, Explanation, HeaderChanges};
use crate::discovery::{IssuerStatus, KeyLocation};
use crate::finding::{Finding, Outcome};
use crate::printable::printable;
use crate::product::Product;
use crate::token_parts::TokenParts;

/// What was asked, and what the engine said.
pub struct Asked<'a> {
    /// Decided the request.
    pub authorizer: &'a Authorizer,
    /// What is known of each issuer, in the order of configuration.
    pub issuers: &'a [IssuerFacts],
    /// The request that was decided.
    pub request: &'a RequestView<'a>,
    /// The moment it was decided for.
    pub now: UnixTime,
    /// What the engine decided.
    pub decision: &'a Decision,
}

/// What is known of an issuer beside its settings.
pub struct IssuerFacts {
    /// Whose product it is.
    pub product: Product,
    /// The client that people log in with, when one is configured.
    pub client: Option<String>,
    /// Its keys, for those who tell of them.
    pub keys: Option<KeyFacts>,
}

/// Where an issuer's keys come from and how that went.
pub struct KeyFacts {
    /// Where they are.
    pub location: KeyLocation,
    /// How it went.
    pub status: IssuerStatus,
    /// How long a server goes on with them when the issuer cannot be reached.
    pub max_stale: Duration,
}

/// Tells how a decision came about that is answered with this HTTP status.
#[must_use]
pub fn explain(asked: &Asked<'_>, status: u16) -> Explanation {
    let evidence = Evidence::new(asked);
    let (decision, reason) = match asked.decision {
        Decision::Allow(approval) => (Answer::Allow, approval.code()),
        Decision::Deny(denial) => (Answer::Deny, denial.reason().code()),
    };
    Explanation {
        decision,
        reason,
        status,
        issuer: evidence.issuer.map(|issuer| printable(issuer.name())),
        at: moment(asked.now),
        steps: evidence.steps(),
        headers: evidence.headers(),
        notes: evidence.notes(),
    }
}

/// What is looked at in a token itself, which nobody but its issuer can do with an opaque one.
const OF_JWTS: [Check; 15] = [
    Check::Header,
    Check::KeySet,
    Check::Tenant,
    Check::Kind,
    Check::Algorithm,
    Check::Key,
    Check::Signature,
    Check::Use,
    Check::Expiry,
    Check::NotBefore,
    Check::IssuedAt,
    Check::Lifetime,
    Check::Audience,
    Check::Client,
    Check::Actor,
];

/// What a check would pass, and what was there.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) expected: String,
    pub(super) found: String,
}

impl Facts {
    pub(super) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into() }
    }
}

/// A decision, and all that can be looked up about it.
pub(crate) struct Evidence<'a> {
    pub(super) asked: &'a Asked<'a>,
    /// The token, as far as it can be read.
    pub(crate) token: TokenParts,
    /// The configured issuer that the token names.
    pub(crate) issuer: Option<&'a Issuer>,
    pub(super) keys: Option<&'a KeyFacts>,
    /// What is wrong; `None` when the request may pass.
    pub(crate) fault: Option<Fault>,
}

impl<'a> Evidence<'a> {
    /// Looks at a decision and at the request that it is about.
    pub(crate) fn new(asked: &'a Asked<'a>) -> Self {
        let token = match BearerToken::from_request(asked.request) {
            Ok(Some(token)) => TokenParts::of(token.as_bytes()),
            Ok(None) | Err(_) => TokenParts::default(),
        };
        let (id, fault) = match asked.decision {
            Decision::Allow(grant) => (grant.identity().map(VerifiedIdentity::issuer), None),
            Decision::Deny(denial) => (denial.issuer, Some(denial.fault)),
        };
        let issuer = id.and_then(|id| asked.authorizer.issuers().get(id));
        let keys = id.and_then(|id| asked.issuers.get(id.0)).and_then(|it| it.keys.as_ref());
        Self { asked, token, issuer, keys, fault }
    }

    /// What is known of the token's issuer; of the first one where it names none of ours.
    fn issuer_facts(&self) -> Option<&'a IssuerFacts> {
        self.asked.issuers.get(self.issuer.map_or(0, |issuer| issuer.id().0))
    }

    /// The product that issued the token: its own `iss` may tell more than a custom domain.
    pub(crate) fn product(&self) -> Product {
        let named = Product::recognise(self.token.text("iss").unwrap_or_default(), None);
        if self.token.of_google {
            Product::Google
        } else if named == Product::Other {
            self.issuer_facts().map_or(Product::Other, |facts| facts.product)
        } else {
            named
        }
    }

    /// Whose registration a remedy is about: at Keycloak what a token holds is a matter of the
    /// client that asked for it, elsewhere of the one that is configured.
    pub(crate) fn registered_client(&self) -> String {
        let configured = self.issuer_facts().and_then(|facts| facts.client.as_deref());
        let asked = self.token.client();
        let is_askers = self.product() == Product::Keycloak;
        let client = if is_askers { asked.or(configured) } else { configured.or(asked) };
        printable(client.unwrap_or("the client"))
    }

    /// Whom the token speaks of, when it was believed.
    pub(crate) fn verified(&self) -> Option<&'a VerifiedIdentity> {
        match self.asked.decision {
            Decision::Allow(approval) => approval.identity(),
            Decision::Deny(_) => None,
        }
    }

    /// What the token must satisfy.
    pub(super) fn rules(&self) -> Option<&'a TokenRules> {
        let (name, value) = ACCESS_KEY;
        let issuer = self.issuer?;
        let access_keys = issuer.access_keys().filter(|_| self.token.text(name) == Some(value));
        Some(access_keys.unwrap_or(issuer.rules()))
    }

    /// Whether the token is one that only its issuer can read.
    pub(super) fn is_opaque(&self) -> bool {
        self.issuer.is_some() && self.token.claims.is_none()
    }

    /// Whether it was allowed without a look at any token.
    pub(super) fn is_without_token(&self) -> bool {
        matches!(self.asked.decision, Decision::Allow(approval) if approval.identity().is_none())
    }

    /// Every check in its order.
    pub(crate) fn steps(&self) -> Vec<Finding> {
        let passed = |check| self.step(check, Outcome::Pass);
        let alone = match self.asked.decision {
            Decision::Allow(approval) if matches!(approval.basis(), Basis::AuthDisabled) => {
                Some(passed(Check::Enabled))
            }
            Decision::Deny(denial)
                if matches!(denial.fault, Fault::Overloaded | Fault::Internal) =>
            {
                Some(self.step(Check::Engine, Outcome::Fail))
            }
            Decision::Allow(_) | Decision::Deny(_) => None,
        };
        if let Some(step) = alone {
            return vec![step];
        }
        let (failed, last) = self.reached();
        let relevant = Check::of_requests().filter(|check| self.is_asked(*check, failed));
        relevant
            .map(|check| match failed {
                Some(failed) if check == failed => self.step(check, Outcome::Fail),
                _ if check <= last => passed(check),
                // Closed endpoints are closed to those without a token, too.
                None if matches!(check, Check::Endpoint | Check::Policy) => passed(check),
                _ => self.step(check, Outcome::NotReached),
            })
            .collect()
    }

    /// The check that failed, and the last that was made before it or of the token.
    fn reached(&self) -> (Option<Check>, Check) {
        match self.asked.decision {
            Decision::Allow(approval) => match approval.basis() {
                Basis::Bypassed | Basis::AuthDisabled => (None, Check::Route),
                Basis::Anonymous => (None, Check::Credentials),
                Basis::Identified { .. } => (None, Check::Policy),
            },
            Decision::Deny(denial) => {
                // One fault for both dates; the engine reads `nbf` first.
                let bad_time = denial.fault == Fault::Token(TokenFault::BadTime);
                let failed = if bad_time && (!self.has("nbf") || self.token.date("nbf").is_some()) {
                    Check::IssuedAt
                } else {
                    Check::of(denial.fault)
                };
                let last = match (failed, denial.issuer) {
                    (Check::Endpoint | Check::Policy, None) => self.last_without_token(),
                    _ => failed,
                };
                (Some(failed), last)
            }
        }
    }

    /// Nobody looked at the token, or there was none.
    fn last_without_token(&self) -> Check {
        let rule = self.asked.authorizer.rules().for_request(self.asked.request);
        match rule.map(|rule| rule.requirement) {
            Ok(TokenRequirement::Optional | TokenRequirement::Required) => Check::Credentials,
            Ok(TokenRequirement::Ignored) | Err(_) => Check::Route,
        }
    }

    /// Whether anybody would ask: most issuers have no tenants, most routes no audience.
    fn is_asked(&self, check: Check, failed: Option<Check>) -> bool {
        let rule = self.asked.authorizer.rules().for_request(self.asked.request).ok();
        let asks = |ask: fn(&RouteRule<'_>) -> bool| rule.as_ref().is_some_and(ask);
        let of_issuer = |ask: fn(&TokenRules) -> bool| self.rules().is_some_and(ask);
        if self.is_opaque() && OF_JWTS.contains(&check) {
            return failed == Some(check);
        }
        let only_sometimes = [
            (
                Check::Tenant,
                of_issuer(|rules| rules.tenants != TenantRule::NotChecked || rules.is_per_tenant()),
            ),
            (Check::Client, of_issuer(|rules| !rules.allowed_clients.is_empty())),
            (Check::Use, of_issuer(|rules| rules.token_use != TokenUse::OidcAccessToken)),
            (Check::Actor, self.has("act")),
            (Check::Status, self.is_opaque() || of_issuer(|rules| rules.asked_about)),
            (Check::NotBefore, self.has("nbf")),
            (Check::IssuedAt, self.has("iat")),
            (Check::Lifetime, of_issuer(|rules| rules.max_lifetime.is_some())),
            (Check::RouteAudience, asks(|rule| rule.route_audiences().next().is_some())),
            (Check::RouteScopes, asks(|rule| rule.route_scopes().next().is_some())),
            (Check::Endpoint, self.asked.authorizer.rules().endpoints().is_some()),
            (Check::Policy, self.is_judged()),
        ];
        failed == Some(check)
            || only_sometimes.iter().all(|(other, is_asked)| *other != check || *is_asked)
    }

    /// Whether the policy had a say.
    fn is_judged(&self) -> bool {
        match self.asked.decision {
            Decision::Allow(approval) => approval.is_authorized(),
            Decision::Deny(_) => self.asked.authorizer.policy().is_some(),
        }
    }

    fn policy(&self) -> Facts {
        let Asked { authorizer, request, now, decision, .. } = self.asked;
        let (identity, said) = match decision {
            Decision::Allow(approval) => (approval.identity(), approval.said()),
            Decision::Deny(denial) => (denial.identity.as_deref(), denial.said.as_deref()),
        };
        let fault = self.fault.filter(|fault| Check::of(*fault) == Check::Policy);
        let fault = fault.map(|fault| fault.to_string());
        let reasons = authorizer.policy_reasons(request, identity, *now);
        let status = said.and_then(|said| said.status).map(|status| format!("status {status}"));
        let found: Vec<_> = fault.into_iter().chain(reasons).chain(status).collect();
        Facts::new("the policy lets it pass", printable(&found.join("; ")))
    }

    /// Whether the claim is there, be it `null`: a date that says nothing is none.
    fn has(&self, name: &str) -> bool {
        self.token.claims.as_ref().is_some_and(|claims| claims.contains_key(name))
    }

    fn step(&self, check: Check, outcome: Outcome) -> Finding {
        if outcome == Outcome::NotReached {
            return Finding::new(check.name(), outcome, "", "", None);
        }
        let Facts { expected, found } = self.facts(check, outcome);
        let remedy = self.fault.filter(|_| outcome == Outcome::Fail).map(|it| self.remedy(it));
        Finding::new(check.name(), outcome, &expected, &found, remedy.as_deref())
    }

    fn facts(&self, check: Check, outcome: Outcome) -> Facts {
        let failed = outcome == Outcome::Fail;
        match check {
            Check::Enabled => {
                Facts::new("", "`auth.enabled` is false: every request passes, without an identity")
            }
            Check::Request => self.request(),
            Check::Route => self.route(),
            Check::Credentials => self.credentials(),
            Check::Form => self.form(),
            Check::Header => self.header(),
            Check::Issuer => self.issuer(),
            Check::KeySet => self.key_set(),
            Check::Tenant => self.tenant(),
            Check::Kind => self.kind(),
            Check::Algorithm => self.algorithm(),
            Check::Key => self.key(),
            Check::Signature => self.signature(failed),
            Check::Use => self.token_use(),
            Check::Expiry => self.expiry(),
            Check::NotBefore => self.not_in_the_future("nbf"),
            Check::IssuedAt => self.not_in_the_future("iat"),
            Check::Lifetime => self.lifetime(),
            Check::Audience => self.audience(),
            Check::Client => self.client(),
            Check::Subject => self.subject(),
            Check::Email => self.email(),
            Check::Groups => self.groups(),
            Check::Scopes => self.scopes(),
            Check::Actor => self.actor(),
            Check::Status => self.status(),
            Check::RouteAudience => self.route_audience(),
            Check::RouteScopes => self.route_scopes(),
            Check::Endpoint => self.endpoint(),
            Check::Policy => self.policy(),
            Check::Engine => Facts::new("a decision", "Doorward failed while deciding"),
        }
    }

    /// What every front does to the headers of a request that may pass.
    fn headers(&self) -> Option<HeaderChanges> {
        let Decision::Allow(approval) = self.asked.decision else { return None };
        let changes = self.asked.authorizer.header_changes(approval, self.asked.request.headers);
        let shown = |name: &[u8]| printable(&String::from_utf8_lossy(name));
        let remove = changes.remove().map(shown).collect();
        let set = changes.set().map(|(name, value)| (name.to_owned(), printable(value))).collect();
        Some(HeaderChanges { set, remove })
    }
}
