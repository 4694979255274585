//! What is tried, and what each answer means.

use std::time::{Duration, Instant};

use super::GatewayProbe;
use super::echo::{folded, headers};
use super::paths::spellings;
use super::wire::{Peer, RawRequest, Reply};
use crate::doctor::report::Finding;

/// What spoofed headers claim; an upstream that shows it has believed it.
const FORGED: &str = "doorward-probe";
/// After this, what is left is not tried any more.
const ALL_TOLD: Duration = Duration::from_secs(80);

/// Names below the trusted prefix, each with what stands for the `-` of the prefix.
const PLAIN: [(&str, &str); 5] = [
    ("-", "Principal-Id"),
    ("-", "principal-email"),
    ("-", "PRINCIPAL-GROUPS"),
    ("-", "Principal-On-Behalf-Of"),
    ("-", "Anything"),
];
/// The same with other signs: one name to many upstreams.
const OTHER_SIGNS: [(&str, &str); 7] = [
    ("_", "principal_id"),
    ("_", "PRINCIPAL_ID"),
    ("_", "principal-id_"),
    ("_", "any_thing"),
    (".", "principal.id"),
    ("~", "principal~id"),
    ("--", "principal--id"),
];

/// Runs every probe.
pub(super) async fn run(probe: &GatewayProbe, peer: &Peer) -> Vec<Finding> {
    let mut run = Run { probe, peer, started: Instant::now(), findings: Vec::new() };
    if let Some(seen) = run.first_look().await {
        run.spoofed(&seen).await;
        run.repeated(&seen).await;
        run.hop_by_hop(&seen).await;
        run.two_tokens(&seen).await;
        run.service_names(&seen).await;
        run.paths(&seen).await;
    }
    run.findings
}

pub(super) struct Run<'a> {
    pub(super) probe: &'a GatewayProbe,
    pub(super) peer: &'a Peer,
    started: Instant,
    pub(super) findings: Vec<Finding>,
}

/// What ordinary requests come to.
pub(super) struct Seen {
    /// The echo answers without a token.
    pub(super) open: bool,
    /// Whom the upstream takes the token's bearer for.
    pub(super) principal: Option<String>,
}

impl Run<'_> {
    /// Every trusted name as it is, and with other signs for `-`.
    async fn spoofed(&mut self, seen: &Seen) {
        let protected = self.probe.protected.clone();
        let below = |(sign, name): &(&str, &str)| {
            format!("{}{name}", protected.prefix().replace('-', sign))
        };
        let elsewhere = protected.elsewhere();
        let plain: Vec<_> = PLAIN.iter().map(below).chain(elsewhere.iter().cloned()).collect();
        self.forge(
            "spoofed_headers",
            &plain,
            seen,
            "have Envoy ask Doorward on every route, bypassed ones too, and never turn the filter \
             off in front of an upstream (envoy/envoy.yaml); `doorward doctor --envoy` finds the \
             place",
        )
        .await;
        let signs = ["_", ".", "--"];
        let respelled = elsewhere.iter().filter(|name| name.contains('-')).flat_map(|name| {
            let last = name.rsplit_once('-').map(|(front, end)| format!("{front}_{end}"));
            signs.map(|sign| name.replace('-', sign)).into_iter().chain(last)
        });
        let other_signs: Vec<_> = OTHER_SIGNS.iter().map(below).chain(respelled).collect();
        let matchers: Vec<_> = protected
            .to_see()
            .iter()
            .map(|regex| format!("{{safe_regex: {{regex: \"{regex}\"}}}}"))
            .collect();
        let remedy = format!(
            "let Doorward see every spelling of these names (allowed_headers): {}; \
             headers_with_underscores_action: DROP_HEADER drops those with `_`",
            matchers.join(", ")
        );
        self.forge("underscores", &other_signs, seen, &remedy).await;
    }

    async fn forge(&mut self, check: &'static str, names: &[String], seen: &Seen, remedy: &str) {
        let mut through = Vec::new();
        for name in names {
            for with_token in self.ways(seen) {
                let request = RawRequest::get(&self.probe.echo).header(name, FORGED);
                let Some(reply) = self.send_as(request, with_token).await else { continue };
                if self.is_believed(&reply) {
                    through.push(format!("{name}{}", with(with_token)));
                }
            }
        }
        self.judge(check, &through, "arrived as sent", "nothing forged arrives", remedy);
    }

    async fn repeated(&mut self, seen: &Seen) {
        let name = self.probe.principal.clone();
        let mut through = Vec::new();
        for with_token in self.ways(seen) {
            let request = RawRequest::get(&self.probe.echo)
                .header(&name, FORGED)
                .header(&name.to_ascii_uppercase(), FORGED);
            let Some(reply) = self.send_as(request, with_token).await else { continue };
            if self.is_believed(&reply) {
                through.push(format!("{name} twice{}", with(with_token)));
            }
        }
        self.judge(
            "repeated",
            &through,
            "arrived",
            "no second value arrives beside ours",
            "have Doorward's headers overwrite the client's, never append",
        );
    }

    /// A header listed in `Connection` ends at the next hop (RFC 9110 §7.6.1): that must
    /// not take the identity away from the upstream.
    async fn hop_by_hop(&mut self, seen: &Seen) {
        let (Some(principal), true) = (&seen.principal, self.probe.token.is_some()) else { return };
        let mut through = Vec::new();
        for name in [self.probe.principal.as_str(), "authorization"] {
            let request = RawRequest::get(&self.probe.echo).hop_by_hop(name);
            let Some(reply) = self.send_as(request, true).await else { continue };
            if reply.got_through() && self.principal(&reply).as_ref() != Some(principal) {
                through.push(format!("Connection: {name}"));
            }
        }
        self.judge(
            "connection",
            &through,
            "takes the identity away",
            "a client cannot have the identity dropped on the way",
            "have the proxy behind the gateway keep identity headers, whatever Connection lists",
        );
    }

    async fn two_tokens(&mut self, seen: &Seen) {
        if seen.open {
            return;
        }
        let good = self.probe.token.as_deref().unwrap_or("a.b.c");
        let mut through = Vec::new();
        for (first, second) in [(good, "x.y.z"), ("x.y.z", good), (good, good)] {
            let request = RawRequest::get(&self.probe.echo).bearer(first).bearer(second);
            if self.send(request).await.is_some_and(|reply| reply.got_through()) {
                through.push("two Authorization headers".to_owned());
            }
        }
        through.dedup();
        self.judge(
            "two_tokens",
            &through,
            "pass: Doorward and the upstream may each choose another one",
            "two Authorization headers are refused",
            "let Doorward see both (`authorization` in allowed_headers), and nothing choose before",
        );
    }

    /// NeMo's files API takes `Bearer service:<name>` for an identity.
    async fn service_names(&mut self, seen: &Seen) {
        if seen.open {
            return;
        }
        let mut through = Vec::new();
        for bearer in ["service:doorward-probe", "service:jobs", "*"] {
            let request = RawRequest::get(&self.probe.echo).bearer(bearer);
            if self.send(request).await.is_some_and(|reply| reply.got_through()) {
                through.push(format!("Bearer {bearer}"));
            }
        }
        self.judge(
            "service_bearer",
            &through,
            "passes",
            "a name in the place of a token is refused",
            "have Envoy ask Doorward on this route",
        );
    }

    /// Without a token, with a forged identity: neither the token nor the stripping may be
    /// got around by another spelling.
    async fn paths(&mut self, seen: &Seen) {
        let mut through = Vec::new();
        for path in spellings(&self.probe.echo, &self.peer.shown(), &self.probe.open) {
            let request = RawRequest::get(&path).header(&self.probe.principal, FORGED);
            let Some(reply) = self.send(request).await else { continue };
            let reached = reply.got_through() && self.tells_headers(&reply);
            if self.is_believed(&reply) || (reached && !seen.open) {
                through.push(path);
            }
        }
        self.judge(
            "paths",
            &through,
            "reach the upstream without a token",
            "no odd spelling of the path gets around the token or the stripping",
            "set normalize_path, merge_slashes and path_with_escaped_slashes_action: \
             REJECT_REQUEST, and turn the filter off nowhere",
        );
    }

    fn judge(
        &mut self,
        check: &'static str,
        through: &[String],
        what: &str,
        well: &str,
        remedy: &str,
    ) {
        self.findings.push(match through {
            _ if self.is_over() => Finding::warn(
                check,
                "not tried to the end: the gateway answers too slowly",
                "try again when it is less busy",
            ),
            [] => Finding::pass(check, well),
            through => Finding::fail(check, format!("{} {what}", through.join(", ")), remedy),
        });
    }

    /// Without a token, and with it when there is one that is taken.
    fn ways(&self, seen: &Seen) -> Vec<bool> {
        let with = self.probe.token.is_some() && (seen.principal.is_some() || seen.open);
        if with { vec![false, true] } else { vec![false] }
    }

    async fn send_as(&self, request: RawRequest, with_token: bool) -> Option<Reply> {
        match (&self.probe.token, with_token) {
            (Some(token), true) => self.send(request.bearer(token)).await,
            _ => self.send(request).await,
        }
    }

    /// `None`: no answer, so nothing got through.
    pub(super) async fn send(&self, request: RawRequest) -> Option<Reply> {
        if self.is_over() { None } else { self.peer.send(&request).await.ok() }
    }

    fn is_over(&self) -> bool {
        self.started.elapsed() > ALL_TOLD
    }

    pub(super) fn tells_headers(&self, reply: &Reply) -> bool {
        headers(&reply.body).iter().any(|(name, _)| folded(name) == "user-agent")
    }

    /// Whether the upstream got a trusted header, in whatever spelling, with our forgery.
    fn is_believed(&self, reply: &Reply) -> bool {
        headers(&reply.body).iter().any(|(name, value)| {
            self.probe.protected.covers(folded(name).as_bytes()) && value.contains(FORGED)
        })
    }

    pub(super) fn principal(&self, reply: &Reply) -> Option<String> {
        let told = headers(&reply.body);
        let name = folded(&self.probe.principal);
        told.into_iter().find(|(have, _)| folded(have) == name).map(|(_, value)| value)
    }
}

fn with(token: bool) -> &'static str {
    if token { " with the token" } else { " without a token" }
}
