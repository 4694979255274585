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
use doorward_core::rules::TokenRequirement;
use doorward_core::token::{TenantRule, TokenFault};

use super::anatomy::Anatomy;
use super::check::Check;
use super::words::moment;
use super::{Answer, Explanation, HeaderChanges, Step, StepOutcome};
use crate::discovery::{IssuerStatus, KeyLocation};
use crate::printable::printable;

/// What was asked, and what the engine said.
pub struct Asked<'a> {
    /// The engine.
    pub authorizer: &'a Authorizer,
    /// What is known of each issuer's keys, in the order of configuration.
    pub keys: &'a [KeyFacts],
    /// The request.
    pub request: &'a RequestView<'a>,
    /// The moment it was decided for.
    pub now: UnixTime,
    /// What the engine decided.
    pub decision: &'a Decision,
    /// The HTTP status of its answer.
    pub status: u16,
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

/// Tells how a decision came about.
#[must_use]
pub fn explain(asked: &Asked<'_>) -> Explanation {
    let story = Story::new(asked);
    let (decision, reason) = match asked.decision {
        Decision::Allow(approval) => (Answer::Allow, approval.code()),
        Decision::Deny(denial) => (Answer::Deny, denial.reason().code()),
    };
    Explanation {
        decision,
        reason,
        status: asked.status,
        issuer: story.issuer.map(|issuer| printable(issuer.name())),
        at: moment(asked.now),
        steps: story.steps(),
        headers: story.headers(),
        notes: story.notes(),
    }
}

/// What a check would pass, and what was there.
pub(super) struct Facts {
    pub(super) expected: String,
    pub(super) found: String,
}

impl Facts {
    pub(super) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into() }
    }
}

pub(super) struct Story<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) token: Anatomy,
    pub(super) issuer: Option<&'a Issuer>,
    pub(super) keys: Option<&'a KeyFacts>,
    pub(super) fault: Option<Fault>,
}

impl<'a> Story<'a> {
    fn new(asked: &'a Asked<'a>) -> Self {
        let token = match BearerToken::from_request(asked.request) {
            Ok(Some(token)) => Anatomy::of(token.as_bytes()),
            Ok(None) | Err(_) => Anatomy::default(),
        };
        let (id, fault) = match asked.decision {
            Decision::Allow(approval) => (approval.identity().map(VerifiedIdentity::issuer), None),
            Decision::Deny(denial) => (denial.issuer, Some(denial.fault)),
        };
        let issuer = id.and_then(|id| asked.authorizer.issuers().get(id));
        let keys = id.and_then(|id| asked.keys.get(id.0));
        Self { asked, token, issuer, keys, fault }
    }

    /// Whom the token speaks of, when it was believed.
    pub(super) fn verified(&self) -> Option<&'a VerifiedIdentity> {
        match self.asked.decision {
            Decision::Allow(approval) => approval.identity(),
            Decision::Deny(_) => None,
        }
    }

    /// Whether it was allowed without a look at any token.
    pub(super) fn is_without_token(&self) -> bool {
        matches!(self.asked.decision, Decision::Allow(approval) if approval.identity().is_none())
    }

    fn steps(&self) -> Vec<Step> {
        let passed = |check| self.step(check, StepOutcome::Pass);
        let alone = match self.asked.decision {
            Decision::Allow(approval) if matches!(approval.basis(), Basis::AuthDisabled) => {
                Some(passed(Check::Enabled))
            }
            Decision::Deny(denial)
                if matches!(denial.fault, Fault::Overloaded | Fault::Internal) =>
            {
                Some(self.step(Check::Engine, StepOutcome::Fail))
            }
            Decision::Allow(_) | Decision::Deny(_) => None,
        };
        if let Some(step) = alone {
            return vec![step];
        }
        let (failed, last) = self.reached();
        let relevant = Check::OF_TOKENS.into_iter().filter(|check| self.is_asked(*check, failed));
        relevant
            .map(|check| match failed {
                Some(failed) if check == failed => self.step(check, StepOutcome::Fail),
                _ if check <= last => passed(check),
                // Closed endpoints are closed to those without a token, too.
                None if check == Check::Endpoint => passed(check),
                _ => self.step(check, StepOutcome::NotReached),
            })
            .collect()
    }

    /// The check that failed, and the last that was made before it or of the token.
    fn reached(&self) -> (Option<Check>, Check) {
        match self.asked.decision {
            Decision::Allow(approval) => match approval.basis() {
                Basis::Bypassed | Basis::AuthDisabled => (None, Check::Route),
                Basis::Anonymous => (None, Check::Credentials),
                Basis::Identified { .. } => (None, Check::Endpoint),
            },
            Decision::Deny(denial) => {
                // One fault for both dates; the engine reads `nbf` first.
                let bad_time = denial.fault == Fault::Token(TokenFault::BadTime);
                let failed = if bad_time && self.is_date_or_absent("nbf") {
                    Check::IssuedAt
                } else {
                    Check::of(denial.fault)
                };
                let last = match (failed, denial.issuer) {
                    (Check::Endpoint, None) => self.last_without_token(),
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
        let rules = self.issuer.map(Issuer::rules);
        let route = self.asked.request.route;
        failed == Some(check)
            || match check {
                Check::Tenant => {
                    rules.is_some_and(|r| r.tenants != TenantRule::NotChecked || r.is_per_tenant())
                }
                Check::Client => rules.is_some_and(|rules| !rules.allowed_clients.is_empty()),
                Check::NotBefore => {
                    self.token.claims.as_ref().is_some_and(|c| c.contains_key("nbf"))
                }
                Check::IssuedAt => {
                    self.token.claims.as_ref().is_some_and(|c| c.contains_key("iat"))
                }
                Check::Lifetime => rules.is_some_and(|rules| rules.max_lifetime.is_some()),
                Check::RouteAudience => route.audience.is_some(),
                Check::RouteScopes => route.scopes.is_some(),
                Check::Endpoint => self.asked.authorizer.rules().endpoints().is_some(),
                Check::Enabled
                | Check::Request
                | Check::Route
                | Check::Credentials
                | Check::Form
                | Check::Header
                | Check::Issuer
                | Check::KeySet
                | Check::Kind
                | Check::Algorithm
                | Check::Key
                | Check::Signature
                | Check::Expiry
                | Check::Audience
                | Check::Subject
                | Check::Email
                | Check::Groups
                | Check::Scopes
                | Check::Engine => true,
            }
    }

    fn is_date_or_absent(&self, name: &str) -> bool {
        let claims = self.token.claims.as_ref();
        claims.and_then(|claims| claims.get(name)).is_none_or(serde_json::Value::is_number)
    }

    fn step(&self, check: Check, outcome: StepOutcome) -> Step {
        let facts = match outcome {
            StepOutcome::NotReached => Facts::new("", ""),
            StepOutcome::Pass | StepOutcome::Fail => self.facts(check, outcome),
        };
        let remedy = match (outcome, self.fault) {
            (StepOutcome::Fail, Some(fault)) => Some(self.remedy(fault)),
            _ => None,
        };
        Step {
            check,
            outcome,
            expected: printable(&facts.expected),
            found: printable(&facts.found),
            remedy: remedy.map(|remedy| printable(&remedy)),
        }
    }

    fn facts(&self, check: Check, outcome: StepOutcome) -> Facts {
        let failed = outcome == StepOutcome::Fail;
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
            Check::RouteAudience => self.route_audience(),
            Check::RouteScopes => self.route_scopes(),
            Check::Endpoint => self.endpoint(),
            Check::Engine => Facts::new("a decision", "Doorward failed while deciding"),
        }
    }

    /// What every front does to the headers of a request that may pass.
    fn headers(&self) -> Option<HeaderChanges> {
        let Decision::Allow(approval) = self.asked.decision else { return None };
        let changes = self.asked.authorizer.header_changes(approval, self.asked.request.headers);
        let shown = |name: &[u8]| printable(&String::from_utf8_lossy(name));
        let remove = changes.remove().map(shown).collect();
        let set = changes.set().iter();
        let set = set.map(|(name, value)| (name.to_owned(), printable(value))).collect();
        Some(HeaderChanges { set, remove })
    }
}
