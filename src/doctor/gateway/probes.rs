//! What is tried, and what each answer means.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::echo::{folded, headers};
use super::paths::spellings;
use super::wire::{Peer, RawRequest, Reply};
use super::{GatewayProbe, NAME_AN_ECHO, Run, Seen};
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

/// What one request of a probe came to.
enum Attempt {
    /// What it tried to get through got through.
    Through,
    /// That was seen not to get through.
    Stopped,
    /// No telling, with what was answered, if anything.
    Unclear(Option<StatusCode>),
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
            self.each_forged(&plain),
            seen,
            ARRIVED,
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
        let forged = self.each_forged(&other_signs);
        self.forge("underscores", forged, seen, ARRIVED, &remedy).await;
    }

    /// A request for each of these names, which it gives our value.
    fn each_forged(&self, names: &[String]) -> Vec<(String, RawRequest)> {
        let request = |name: &String| RawRequest::get(&self.probe.echo).header(name, FORGED);
        names.iter().map(|name| (name.clone(), request(name))).collect()
    }

    /// Sends each without a token, and with it: none of what is forged in it may arrive.
    async fn forge(
        &mut self,
        check: &'static str,
        requests: Vec<(String, RawRequest)>,
        seen: &Seen,
        words: [&str; 2],
        remedy: &str,
    ) {
        let mut attempts = Vec::new();
        for (what, request) in requests {
            for with_token in self.ways() {
                let attempt = self.arrival(request.clone(), with_token, seen).await;
                attempts.push((format!("{what}{}", with(with_token)), attempt));
            }
        }
        // With a token, the line about it has said so.
        let first = check == "spoofed_headers" && self.probe.token.is_none();
        self.judge(check, attempts, unseen(seen, first.then_some(NAME_AN_ECHO)), words, remedy);
    }

    async fn repeated(&mut self, seen: &Seen) {
        let name = &self.probe.principal;
        let twice = RawRequest::get(&self.probe.echo)
            .header(name, FORGED)
            .header(&name.to_ascii_uppercase(), FORGED);
        self.forge(
            "repeated",
            vec![(format!("{name} twice"), twice)],
            seen,
            ["arrived", "no second value arrives next to Doorward's"],
            "have Doorward's headers overwrite the client's, never append",
        )
        .await;
    }

    /// A header listed in `Connection` ends at the next hop (RFC 9110 §7.6.1): that must
    /// not take the identity away from the upstream.
    async fn hop_by_hop(&mut self, seen: &Seen) {
        let mut attempts = Vec::new();
        for name in [self.probe.principal.as_str(), "authorization"] {
            let request = RawRequest::get(&self.probe.echo).hop_by_hop(name);
            let reply = self.send_as(request, true).await;
            let attempt = match &reply {
                Some(reply) if self.tells_headers(reply) => {
                    let lost = self.principal(reply) != seen.principal;
                    if lost { Attempt::Through } else { Attempt::Stopped }
                }
                reply => self.refusal(reply.as_ref(), seen),
            };
            attempts.push((format!("Connection: {name}"), attempt));
        }
        let unseen = seen.principal.is_none();
        self.judge(
            "connection",
            attempts,
            unseen.then_some(("no identity arrives that could be dropped", None)),
            ["removes the identity", "clients cannot have the identity dropped on the way"],
            "have the proxy behind the gateway keep identity headers, whatever Connection lists",
        );
    }

    async fn two_tokens(&mut self, seen: &Seen) {
        let good = self.probe.token.as_deref().unwrap_or("a.b.c");
        let mut attempts = Vec::new();
        for (first, second) in [(good, "x.y.z"), ("x.y.z", good), (good, good)] {
            let request = RawRequest::get(&self.probe.echo).bearer(first).bearer(second);
            let attempt = self.passing(request, seen).await;
            attempts.push(("two Authorization headers".to_owned(), attempt));
        }
        let unseen = "no single token is accepted, so two rejected ones prove nothing";
        self.judge(
            "two_tokens",
            attempts,
            unguarded(seen).or((!seen.token_taken).then_some((unseen, None))),
            [
                "pass: Doorward and the upstream may each pick a different one",
                "two Authorization headers are refused",
            ],
            "let Doorward see both (`authorization` in allowed_headers), with nothing picking one \
             before it",
        );
    }

    /// NeMo's files API takes `Bearer service:<name>` for an identity.
    async fn service_names(&mut self, seen: &Seen) {
        let mut attempts = Vec::new();
        for bearer in ["service:doorward-probe", "service:jobs", "*"] {
            let request = RawRequest::get(&self.probe.echo).bearer(bearer);
            attempts.push((format!("Bearer {bearer}"), self.passing(request, seen).await));
        }
        self.judge(
            "service_bearer",
            attempts,
            unguarded(seen),
            ["passes", "a name instead of a token is rejected"],
            "have Envoy ask Doorward on this route",
        );
    }

    /// Without a token, with a forged identity: neither the token nor the stripping may be
    /// got around by another spelling.
    async fn paths(&mut self, seen: &Seen) {
        let mut attempts = Vec::new();
        for path in spellings(&self.probe.echo, &self.peer.shown(), &self.probe.open) {
            let request = RawRequest::get(&path).header(&self.probe.principal, FORGED);
            let mut attempt = self.arrival(request, false, seen).await;
            // Where an echo is known to answer, what holds no headers comes from elsewhere.
            let echoes = unseen(seen, None).is_none();
            if let Attempt::Unclear(Some(status)) = attempt
                && echoes
                && !status.is_server_error()
            {
                attempt = Attempt::Stopped;
            }
            attempts.push((path, attempt));
        }
        self.judge(
            "paths",
            attempts,
            (!seen.guarded && !seen.tells_without).then_some((NOBODY_REFUSES, None)),
            [
                "reach the upstream without a token",
                "no odd spelling of the path avoids the token or the stripping",
            ],
            "set normalize_path, merge_slashes and path_with_escaped_slashes_action: \
             REJECT_REQUEST, and turn the filter off nowhere",
        );
    }

    /// One line: what got through fails it; what nobody can tell, or `unseen` because of what
    /// ordinary requests come to, leaves it open. `words`: what was done, and all is well.
    fn judge(
        &mut self,
        check: &'static str,
        attempts: Vec<(String, Attempt)>,
        unseen: Option<(&str, Option<&str>)>,
        words: [&str; 2],
        remedy: &str,
    ) {
        let (mut through, mut unclear) = (Vec::new(), Vec::new());
        for (what, attempt) in attempts {
            match attempt {
                Attempt::Through => through.push(what),
                Attempt::Unclear(answer) => {
                    let answer = answer.as_ref().map_or("no answer", StatusCode::as_str);
                    unclear.push(format!("{what} ({answer})"));
                }
                Attempt::Stopped => {}
            }
        }
        through.dedup();
        self.findings.push(if let [_, ..] = through.as_slice() {
            Finding::fail(check, format!("{} {}", through.join(", "), words[0]), remedy)
        } else if self.is_over() {
            Finding::not_seen(
                check,
                "not completed: the gateway responds too slowly",
                Some("try again when it is less busy"),
            )
        } else if let Some((found, remedy)) = unseen {
            Finding::not_seen(check, found, remedy)
        } else if let Some(first) = unclear.first() {
            let more = match unclear.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let found = format!("no telling what became of {first}{more}");
            Finding::not_seen(check, found, Some("make the gateway answer these, and try again"))
        } else {
            Finding::pass(check, words[1])
        });
    }

    /// Without a token, and with it.
    fn ways(&self) -> impl Iterator<Item = bool> + use<> {
        [false].into_iter().chain(self.probe.token.is_some().then_some(true))
    }

    async fn send_as(&self, request: RawRequest, with_token: bool) -> Option<Reply> {
        match (&self.probe.token, with_token) {
            (Some(token), true) => self.send(request.bearer(token)).await,
            _ => self.send(request).await,
        }
    }

    /// `None`: no answer.
    pub(super) async fn send(&self, request: RawRequest) -> Option<Reply> {
        if self.is_over() { None } else { self.peer.send(&request).await.ok() }
    }

    /// Sends a request with something forged: does that arrive, or a request that needs a token?
    async fn arrival(&self, request: RawRequest, with_token: bool, seen: &Seen) -> Attempt {
        let reply = self.send_as(request, with_token).await;
        match &reply {
            Some(reply) if self.tells_headers(reply) => {
                let let_in = with_token || seen.tells_without;
                if self.is_believed(reply) || !let_in { Attempt::Through } else { Attempt::Stopped }
            }
            reply => self.refusal(reply.as_ref(), seen),
        }
    }

    /// Sends a request that is to be refused: whatever else answers has let it in.
    async fn passing(&self, request: RawRequest, seen: &Seen) -> Attempt {
        let reply = self.send(request).await;
        match &reply {
            // Envoy answers 403 when it cannot ask.
            Some(reply)
                if reply.status.is_server_error() || reply.status == StatusCode::FORBIDDEN =>
            {
                self.refusal(Some(reply), seen)
            }
            Some(reply) if seen.guarded && !self.refused(reply, seen) => Attempt::Through,
            reply => self.refusal(reply.as_ref(), seen),
        }
    }

    fn refusal(&self, reply: Option<&Reply>, seen: &Seen) -> Attempt {
        match reply {
            Some(reply) if self.refused(reply, seen) => Attempt::Stopped,
            reply => Attempt::Unclear(reply.map(|reply| reply.status)),
        }
    }

    /// Whether the gateway let nothing in. Where refusals are Doorward's, others are not taken
    /// for it, but for those of what no server reads.
    pub(super) fn refused(&self, reply: &Reply, seen: &Seen) -> bool {
        let status = reply.status.as_u16();
        reply.reason().is_some()
            || matches!(status, 400 | 431)
            || (matches!(status, 401 | 403) && !seen.by_doorward)
    }

    fn is_over(&self) -> bool {
        self.started.elapsed() > ALL_TOLD
    }

    pub(super) fn tells_headers(&self, reply: &Reply) -> bool {
        let told = || headers(&reply.body).iter().any(|(name, _)| folded(name) == "user-agent");
        reply.status.is_success() && told()
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

/// What is said of forged headers.
const ARRIVED: [&str; 2] = ["arrived as sent", "no forged header arrives"];
const NOBODY_REFUSES: &str = "an ordinary request without a token is not denied here";

/// Why nothing can be said of what arrives.
fn unseen(
    seen: &Seen,
    remedy: Option<&'static str>,
) -> Option<(&'static str, Option<&'static str>)> {
    let told = seen.tells_with || seen.tells_without;
    (!told).then_some(("no response contains the headers that arrived", remedy))
}

/// Why nothing can be said of what is refused.
fn unguarded(seen: &Seen) -> Option<(&'static str, Option<&'static str>)> {
    (!seen.guarded).then_some((NOBODY_REFUSES, None))
}

fn with(token: bool) -> &'static str {
    if token { " with the token" } else { " without a token" }
}
