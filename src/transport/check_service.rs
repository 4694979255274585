//! What all fronts share: one configuration's authorizer and all that answers need.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_core::VerifiedIdentity;
use doorward_core::authorizer::Authorizer;
use doorward_core::clock::{Clock, UnixTime};
use doorward_core::decision::{Approval, Decision, Fault};
use doorward_core::request::{HeaderView, RequestFault, RequestView};
use doorward_core::rules::RuleFault;
use smallvec::SmallVec;

use super::denial::{DenialPages, Resource};
use super::envoy::Encoder;
use crate::config::ResourceId;
use crate::telemetry::{DecisionLines, RecentDenials, Recorder};

/// Everything a front needs to answer, under one configuration.
pub struct CheckService {
    parts: CheckServiceParts,
    encoder: Encoder,
}

/// Is told of every decision, with the request's method and path: the demo's live view.
pub type Watcher = Arc<dyn Fn(&RequestView<'_>, &Decision) + Send + Sync>;

/// JSON documents that the HTTP front serves, made when they are asked for: what an
/// issuer publishes changes.
pub struct Documents {
    /// `GET /apis/auth/discovery`.
    pub discovery: Box<dyn Fn() -> String + Send + Sync>,
    /// `GET /.well-known/oauth-protected-resource`, with the path of a resource behind: each with
    /// the resource it is about.
    pub protected_resources: Vec<(ResourceId, String)>,
}

impl Documents {
    /// The document at this path, of the resource that the host has there (RFC 9728 §3): of any
    /// host when only one has that path. Envoy may have been asked under another name than people
    /// know.
    pub(super) fn protected_resource(&self, path: &str, authority: &str) -> Option<&str> {
        let there: SmallVec<[_; 4]> =
            self.protected_resources.iter().filter(|(id, _)| id.metadata_path() == path).collect();
        let of_host = there.iter().find(|(id, _)| id.is_at(authority));
        let only = there.first().filter(|_| there.len() == 1);
        of_host.or(only).map(|(_, document)| document.as_str())
    }
}

/// What a [`CheckService`] is made of.
pub struct CheckServiceParts {
    /// Decides every request of both fronts.
    pub authorizer: Authorizer,
    /// What denials look like.
    pub pages: DenialPages,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How long a request may wait for keys.
    pub wait: Duration,
    /// Where decisions are counted.
    pub recorder: Recorder,
    /// Where decisions are logged.
    pub lines: DecisionLines,
    /// Where the last denials are kept, when there is a console to show them.
    pub denials: Option<Arc<RecentDenials>>,
    /// What the HTTP front serves besides decisions.
    pub documents: Documents,
    /// Who else is told of decisions.
    pub watcher: Option<Watcher>,
}

impl CheckService {
    /// Prepares all that is the same for every request.
    #[must_use]
    pub fn new(parts: CheckServiceParts) -> Self {
        let encoder = Encoder::new(&parts.authorizer, parts.pages.clone());
        Self { parts, encoder }
    }

    /// Decides a request and takes note of it. `patience` is the time that the caller has.
    pub(super) async fn decide(
        &self,
        request: &RequestView<'_>,
        patience: Option<Duration>,
    ) -> Decision {
        let started = Instant::now();
        let wait = self.wait(patience);
        let decision = self.parts.authorizer.authorize(request, self.now(), wait).await;
        self.take_note(request, &decision, started);
        decision
    }

    /// The same for Envoy's HTTP ext_authz.
    pub(super) async fn decide_over_http(
        &self,
        request: &RequestView<'_>,
        patience: Option<Duration>,
    ) -> Decision {
        let started = Instant::now();
        let wait = self.wait(patience);
        let decision = self.parts.authorizer.authorize(request, self.now(), wait).await;
        let decision = self.unless_behalf_is_lost(request, decision);
        let decision = unless_grants_are_lost(request, decision);
        self.take_note(request, &decision, started);
        decision
    }

    /// Whom the token of a request speaks of, whatever the policy says of the request.
    pub(super) async fn identify(
        &self,
        request: &RequestView<'_>,
        patience: Option<Duration>,
    ) -> Decision {
        let (started, now) = (Instant::now(), self.now());
        let authorizer = &self.parts.authorizer;
        let outcome = authorizer.decide_unjudged(request, now);
        let decision = authorizer.settle(outcome, request, now, self.wait(patience)).await;
        self.take_note(request, &decision, started);
        decision
    }

    /// Over HTTP, Envoy sets of our headers only those that its file lists, and what we set is not
    /// among those that we have it remove: with a file that lists the usual four, the client's own
    /// on-behalf-of headers arrive, or none at all and the actor acts as itself. So the gateway has to
    /// say that it lets ours through, and what is seen of the client's is denied.
    fn unless_behalf_is_lost(&self, request: &RequestView<'_>, decision: Decision) -> Decision {
        let Decision::Allow(approval) = &decision else { return decision };
        if !delegates(approval) {
            return decision;
        }
        let names = &self.parts.authorizer.header_rules().names;
        let behalf = [
            &names.principal_on_behalf_of,
            &names.principal_on_behalf_of_email,
            &names.principal_on_behalf_of_groups,
        ];
        let is_sent = request.headers.iter().any(|header| {
            behalf.iter().any(|name| header.name.eq_ignore_ascii_case(name.as_bytes()))
        });
        if is_sent {
            Decision::Deny(Fault::from(RequestFault::BehalfSent).into())
        } else if passes_behalf(request) {
            decision
        } else {
            Decision::Deny(Fault::from(RuleFault::BehalfNotPassed).into())
        }
    }

    /// How long a request may wait for keys whose caller has this much time: three quarters
    /// of it, since an answer that comes too late is an error to Envoy.
    pub fn wait(&self, patience: Option<Duration>) -> Duration {
        patience.map_or(self.parts.wait, |patience| {
            (patience.saturating_mul(3) / 4).min(self.parts.wait)
        })
    }

    /// Counts a decision that was `started` on then, and tells of it where that is asked for.
    pub(super) fn take_note(
        &self,
        request: &RequestView<'_>,
        decision: &Decision,
        started: Instant,
    ) {
        self.parts.recorder.record_duration(started.elapsed());
        self.take_untimed_note(request, decision);
    }

    /// The same where nobody is told how long decisions take: to look at the clock has its price.
    pub(super) fn take_untimed_note(&self, request: &RequestView<'_>, decision: &Decision) {
        self.parts.recorder.record(decision);
        if self.parts.lines.want(decision) {
            let issuer = match decision {
                Decision::Allow(approval) => approval.identity().map(VerifiedIdentity::issuer),
                Decision::Deny(denial) => denial.issuer,
            };
            self.parts.lines.write(
                decision,
                self.parts.recorder.issuer_name(issuer),
                request,
                self.now(),
            );
        }
        if let (Decision::Deny(denial), Some(denials)) = (decision, &self.parts.denials) {
            denials.note(
                denial,
                self.parts.recorder.issuer_name(denial.issuer),
                request,
                self.now(),
            );
        }
        if let Some(watcher) = &self.parts.watcher {
            watcher(request, decision);
        }
    }

    /// The HTTP status of the answer to a decision; 200 where the request may pass.
    #[must_use]
    pub fn status(&self, decision: &Decision) -> u16 {
        match decision {
            Decision::Allow(_) => 200,
            Decision::Deny(denial) => {
                self.parts.pages.told(denial, Resource::FIRST).status.as_u16()
            }
        }
    }

    /// Decides every request of both fronts.
    #[must_use]
    pub fn authorizer(&self) -> &Authorizer {
        &self.parts.authorizer
    }

    /// The time that decisions are made by.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.parts.clock.now()
    }

    /// A decision as the `CheckResponse` to a request for this `resource` with these `headers`,
    /// the five bytes that gRPC puts in front of a message included.
    #[must_use]
    pub fn encode(
        &self,
        decision: &Decision,
        headers: &[HeaderView<'_>],
        resource: impl FnOnce(&DenialPages) -> Resource,
    ) -> Bytes {
        match decision {
            Decision::Allow(approval) => self
                .encoder
                .allow(approval, &self.parts.authorizer.header_changes(approval, headers)),
            Decision::Deny(denial) => self.encoder.deny(denial, resource(&self.parts.pages)),
        }
    }

    pub(super) fn pages(&self) -> &DenialPages {
        &self.parts.pages
    }

    pub(super) fn documents(&self) -> &Documents {
        &self.parts.documents
    }
}

/// Whether somebody acts for another.
pub(super) fn delegates(approval: &Approval) -> bool {
    approval.identity().is_some_and(|verified| verified.identity().on_behalf_of().is_some())
}

/// Over HTTP, a header that a policy sets is lost in the same way, and the client's own of that name
/// arrives.
fn unless_grants_are_lost(request: &RequestView<'_>, decision: Decision) -> Decision {
    match &decision {
        Decision::Allow(approval)
            if approval.said().is_some_and(|said| !said.headers.is_empty())
                && !passes(request, b"policy") =>
        {
            Decision::Deny(Fault::from(RuleFault::PolicyHeadersNotPassed).into())
        }
        Decision::Allow(_) | Decision::Deny(_) => decision,
    }
}

/// Whether the gateway says that it lets the on-behalf-of headers through.
pub(super) fn passes_behalf(request: &RequestView<'_>) -> bool {
    passes(request, b"on-behalf-of")
}

/// What the gateway says that it lets through: by a header that it adds to what it asks us, in place of
/// one that the client sent.
fn passes(request: &RequestView<'_>, headers: &[u8]) -> bool {
    let mut values = request.header_values("x-doorward-upstream");
    let (value, further) = (values.next().unwrap_or_default(), values.next());
    further.is_none() && value.split(|byte| *byte == b',').any(|it| it.trim_ascii() == headers)
}
