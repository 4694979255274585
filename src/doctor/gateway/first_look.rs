//! What ordinary requests come to, with and without the token: what the probes go by.

use super::wire::{RawRequest, Reply};
use super::{NAME_AN_ECHO, Run, Seen, shown};
use crate::doctor::report::Finding;

impl Run<'_> {
    /// With and without the token, nothing odd. `None`: nobody answers.
    pub(super) async fn first_look(&mut self) -> Option<Seen> {
        let echo = &self.probe.echo;
        let without = match self.peer.send(&RawRequest::get(echo)).await {
            Ok(reply) => reply,
            Err(error) => {
                self.findings.push(Finding::fail(
                    "reachable",
                    format!("no answer from {}: {error}", self.peer.shown()),
                    "is this the address that clients use, and is the gateway running?",
                ));
                return None;
            }
        };
        self.findings.push(Finding::pass("reachable", format!("{} answers", self.peer.shown())));
        let mut seen = Seen {
            guarded: without.reason().is_some() || matches!(without.status.as_u16(), 401 | 403),
            by_doorward: without.reason().is_some(),
            open: without.status.is_success(),
            tells_without: self.tells_headers(&without),
            ..Seen::default()
        };
        self.findings.push(token_required(echo, &without));
        let Some(token) = &self.probe.token else {
            self.findings.push(Finding::not_seen(
                "token",
                "no token was given: attacks alongside a valid token were not tried",
                Some("pass one with --token"),
            ));
            return Some(seen);
        };
        let with = self.send(RawRequest::get(echo).bearer(token)).await;
        if let Some(with) = &with {
            seen.tells_with = self.tells_headers(with);
            seen.principal = self.principal(with);
            seen.token_taken = seen.guarded && !self.refused(with, &seen);
        }
        self.findings.push(self.token(with.as_ref(), &seen));
        Some(seen)
    }

    fn token(&self, with: Option<&Reply>, seen: &Seen) -> Finding {
        let unseen = |found: &str, remedy| Finding::not_seen("token", found, Some(remedy));
        let fail = |found: String, remedy: &str| Finding::fail("token", found, remedy);
        let (header, echo) = (&self.probe.principal, &self.probe.echo);
        let Some(with) = with else {
            return unseen("no answer with the token", "try again: without it there was one");
        };
        let status = with.status.as_u16();
        match (&seen.principal, seen.tells_with) {
            (Some(name), true) => {
                let found = format!("the upstream treats its bearer as {}", shown(name));
                return Finding::pass("token", found);
            }
            (None, true) if seen.open => {
                return unseen(
                    &format!("the upstream gets no {header}, even with the token"),
                    "tokens are not checked on a bypassed path: use an echo path that requires one \
                     to see the identity arrive",
                );
            }
            (None, true) => {
                let found = "it does not learn who sent the request";
                return fail(
                    format!("the upstream gets no {header}: {found}"),
                    "have Envoy ask Doorward on this route",
                );
            }
            (_, false) => {}
        }
        let refused = matches!(status, 401 | 403);
        if refused && seen.by_doorward && with.reason().is_none() {
            let found = "with the token, and not in Doorward's words: what is behind refuses";
            return unseen(
                &format!("{status} {found}"),
                "name a path that this token's user may read with --echo",
            );
        }
        if refused || with.reason().is_some() {
            return fail(
                format!("{status} with the token{}", reason(with)),
                "`doorward explain` says why; give a token that this gateway accepts",
            );
        }
        if !seen.guarded && !with.status.is_success() {
            let found = format!("{status} with the token, too{}", location(with));
            return Finding::not_seen("token", found, None);
        }
        let taken = if seen.guarded { "the token is accepted, " } else { "" };
        let (found, remedy) = match status {
            200..=299 => (
                format!("but the response at {echo} does not contain the headers that arrived"),
                NAME_AN_ECHO,
            ),
            300..=399 => (
                format!("and what is behind sends elsewhere: {status}{}", location(with)),
                "name the path that it leads to with --echo",
            ),
            404 => (
                format!("but nothing behind has {echo}: 404"),
                "name a path of the upstream with --echo",
            ),
            500.. => (
                format!("but what is behind does not answer, or fails: {status}"),
                "look after the upstream; it is not the token's fault",
            ),
            _ => (
                format!("and what is behind answers {status}"),
                "name a path that answers to GET with --echo",
            ),
        };
        unseen(&format!("{taken}{found}"), remedy)
    }
}

fn token_required(echo: &str, reply: &Reply) -> Finding {
    const CHECK: &str = "token_required";
    let warn = |found: &str, remedy: &str| Finding::warn(CHECK, found, remedy);
    let fail = |found: &str, remedy: &str| Finding::fail(CHECK, found, remedy);
    let unseen = |found: &str, remedy| Finding::not_seen(CHECK, found, Some(remedy));
    let (status, reason) = (reply.status.as_u16(), reason(reply));
    let without = format!("{status} without a token");
    let challenged = reply.header("www-authenticate").is_some();
    match status {
        200..=299 => warn(
            &format!("{echo} answers {without}"),
            "if that is intended, list it in rules.bypass or set doorward.mode on its route; \
             otherwise Doorward is not asked about it",
        ),
        401 if challenged && !reason.is_empty() => {
            Finding::pass(CHECK, format!("{without}{reason}, with a challenge"))
        }
        401 if challenged => warn(
            &format!("{without}, but not in Doorward's words"),
            "is it Doorward that refuses here, and not the upstream? Then leave its answers as \
             they are (local_reply_config)",
        ),
        401 | 403 => warn(
            &format!("{without}{reason}, without WWW-Authenticate"),
            "let the challenge through to clients (allowed_client_headers over HTTP)",
        ),
        _ if !reason.is_empty() => {
            fail(&format!("{without}{reason}: expected 401"), "Doorward's log says why")
        }
        300..=399 => {
            let before = "redirects before a token is required";
            unseen(
                &format!("{echo} {before}: {status}{}", location(reply)),
                "give the address that it leads to (--gateway, --echo)",
            )
        }
        404 => unseen(
            &format!("{without}: nothing is at {echo}, or no token is required there"),
            "name a path that the upstream has and the gateway guards with --echo",
        ),
        500.. => unseen(
            &format!("{without}, and not in Doorward's words"),
            "is Doorward running, and does the gateway reach it? Where Doorward is not asked, the \
             upstream is unreachable",
        ),
        _ => fail(&format!("{without}: expected 401"), "have Envoy ask Doorward on this route"),
    }
}

/// Doorward's reason code, when the answer has one.
fn reason(reply: &Reply) -> String {
    reply.reason().map(|reason| format!(" ({})", shown(&reason))).unwrap_or_default()
}

/// Where a redirect leads.
fn location(reply: &Reply) -> String {
    reply.header("location").map(|url| format!(" to {}", shown(url))).unwrap_or_default()
}
