//! What is tried, and what each answer means.

use std::time::{Duration, Instant};

use super::GatewayProbe;
use super::echo::{folded, headers};
use super::paths::spellings;
use super::wire::{Peer, RawRequest, Reply};
use crate::doctor::report::{Finding, printable};

/// What spoofed headers claim; an upstream that shows it has believed it.
const FORGED: &str = "doorward-probe";
/// After this, what is left is not tried any more.
const ALL_TOLD: Duration = Duration::from_secs(80);

/// Spellings of trusted headers without the prefix, by class.
const SPOOFS: [(&str, &[&str], &str); 2] = [
    (
        "spoofed_headers",
        &[
            "Principal-Id",
            "principal-email",
            "PRINCIPAL-GROUPS",
            "Principal-On-Behalf-Of",
            "Anything",
        ],
        "have Envoy ask Doorward on every route, bypassed ones too, and never turn the filter off \
         in front of an upstream (envoy/envoy.yaml); `doorward doctor --envoy` finds the place",
    ),
    (
        "underscores",
        &["principal_id", "PRINCIPAL_ID", "principal-id_", "any_thing"],
        "let Doorward see these names (allowed_headers with both spellings), or set \
         headers_with_underscores_action: DROP_HEADER",
    ),
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

struct Run<'a> {
    probe: &'a GatewayProbe,
    peer: &'a Peer,
    started: Instant,
    findings: Vec<Finding>,
}

/// What ordinary requests come to.
struct Seen {
    /// The echo answers without a token.
    open: bool,
    /// Whom the upstream takes the token's bearer for.
    principal: Option<String>,
}

impl Run<'_> {
    /// With and without the token, nothing odd. `None`: there is nothing to go by.
    async fn first_look(&mut self) -> Option<Seen> {
        let echo = &self.probe.echo;
        let without = match self.peer.send(&RawRequest::get(echo)).await {
            Ok(reply) => reply,
            Err(error) => {
                self.findings.push(Finding::fail(
                    "reachable",
                    format!("no answer from {}: {error}", self.peer.shown()),
                    "is this where clients come in, and is the gateway running?",
                ));
                return None;
            }
        };
        self.findings.push(Finding::pass("reachable", format!("{} answers", self.peer.shown())));
        let open = without.got_through();
        self.findings.push(token_required(echo, &without));
        if open && !self.is_an_echo(&without) {
            return None;
        }
        let Some(token) = &self.probe.token else {
            self.findings.push(Finding::warn(
                "token",
                "no token was given: what gets through beside a valid token was not tried",
                "give one with --token",
            ));
            return Some(Seen { open, principal: None });
        };
        let with = self.send(RawRequest::get(echo).bearer(token)).await?;
        if !with.got_through() {
            self.findings.push(Finding::fail(
                "token",
                format!("{} with the token{}", answered(&with), reason(&with)),
                "`doorward explain` says why; give a token that this gateway accepts",
            ));
            return Some(Seen { open, principal: None });
        }
        if !self.is_an_echo(&with) {
            return None;
        }
        let principal = self.principal(&with);
        self.findings.push(match &principal {
            Some(name) => {
                Finding::pass("token", format!("the upstream takes its bearer for {}", shown(name)))
            }
            None if open => Finding::warn(
                "token",
                format!("the upstream gets no {}, even with the token", self.probe.principal),
                "nobody looks at a token on a path that is let through: name an echo path that \
                 needs one to see the identity arrive",
            ),
            None => Finding::fail(
                "token",
                format!("the upstream gets no {}: nobody tells it who asks", self.probe.principal),
                "have Envoy ask Doorward on this route",
            ),
        });
        Some(Seen { open, principal })
    }

    /// Whether an answer tells headers at all.
    fn is_an_echo(&mut self, reply: &Reply) -> bool {
        let told = headers(&reply.body).iter().any(|(name, _)| folded(name) == "user-agent");
        if !told {
            self.findings.push(Finding::fail(
                "echo",
                format!("the answer at {} does not hold the request's headers", self.probe.echo),
                "name a path whose upstream answers with the headers it got, such as httpbin's \
                 /headers or the echo of `doorward demo`",
            ));
        }
        told
    }

    async fn spoofed(&mut self, seen: &Seen) {
        let prefix = self.probe.trusted_prefix.clone();
        for (check, names, remedy) in SPOOFS {
            let mut through = Vec::new();
            for name in names {
                let name = if check == "underscores" {
                    format!("{}{name}", prefix.replace('-', "_"))
                } else {
                    format!("{prefix}{name}")
                };
                for with_token in self.ways(seen) {
                    let request = RawRequest::get(&self.probe.echo).header(&name, FORGED);
                    let Some(reply) = self.send_as(request, with_token).await else { continue };
                    if self.is_believed(&reply) {
                        through.push(format!("{name}{}", with(with_token)));
                    }
                }
            }
            self.judge(check, &through, "arrived as sent", "nothing forged arrives", remedy);
        }
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
    async fn send(&self, request: RawRequest) -> Option<Reply> {
        if self.is_over() { None } else { self.peer.send(&request).await.ok() }
    }

    fn is_over(&self) -> bool {
        self.started.elapsed() > ALL_TOLD
    }

    fn tells_headers(&self, reply: &Reply) -> bool {
        headers(&reply.body).iter().any(|(name, _)| folded(name) == "user-agent")
    }

    /// Whether the upstream got a trusted header, in whatever spelling, with our forgery.
    fn is_believed(&self, reply: &Reply) -> bool {
        headers(&reply.body).iter().any(|(name, value)| {
            folded(name).starts_with(&self.probe.trusted_prefix) && value.contains(FORGED)
        })
    }

    fn principal(&self, reply: &Reply) -> Option<String> {
        let told = headers(&reply.body);
        let name = folded(&self.probe.principal);
        told.into_iter().find(|(have, _)| folded(have) == name).map(|(_, value)| value)
    }
}

fn token_required(echo: &str, reply: &Reply) -> Finding {
    if reply.got_through() {
        return Finding::warn(
            "token_required",
            format!("{echo} answers {} without a token", reply.status),
            "is that meant? Then it is listed in rules.bypass, or its route says doorward.mode; \
             else nobody asks Doorward about it",
        );
    }
    let challenged = reply.header("www-authenticate").is_some();
    match reply.status {
        401 if challenged => Finding::pass(
            "token_required",
            format!("401 without a token{}, with a challenge", reason(reply)),
        ),
        401 | 403 => Finding::warn(
            "token_required",
            format!(
                "{} without a token{}, without WWW-Authenticate",
                answered(reply),
                reason(reply)
            ),
            "let the challenge through to clients (allowed_client_headers over HTTP)",
        ),
        _ => Finding::fail(
            "token_required",
            format!("{} without a token{}: expected 401", answered(reply), reason(reply)),
            "is the echo path right, and does Envoy reach Doorward?",
        ),
    }
}

fn answered(reply: &Reply) -> String {
    match reply.status {
        0 => "closed without an answer".to_owned(),
        status => status.to_string(),
    }
}

/// Doorward's reason code, when the answer has one.
fn reason(reply: &Reply) -> String {
    let body: Option<serde_json::Value> = serde_json::from_str(&reply.body).ok();
    let reason = body.as_ref().and_then(|body| body.get("reason")?.as_str());
    reason.map(|reason| format!(" ({})", shown(reason))).unwrap_or_default()
}

fn with(token: bool) -> &'static str {
    if token { " with the token" } else { " without a token" }
}

/// A text from outside, harmless to a terminal and short.
fn shown(text: &str) -> String {
    printable(text).chars().take(120).collect()
}
