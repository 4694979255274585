//! What ordinary requests come to, with and without the token: what the probes go by.

use super::probes::{Run, Seen};
use super::wire::{RawRequest, Reply};
use crate::doctor::report::Finding;
use crate::printable::printable;

impl Run<'_> {
    /// With and without the token, nothing odd. `None`: there is nothing to go by.
    pub(super) async fn first_look(&mut self) -> Option<Seen> {
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
        let told = self.tells_headers(reply);
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

/// A text from outside, harmless to a terminal and short.
fn shown(text: &str) -> String {
    printable(text).chars().take(120).collect()
}
