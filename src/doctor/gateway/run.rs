//! What all probes of one gateway share.

use std::time::Instant;

use super::GatewayProbe;
use super::wire::Peer;
use crate::doctor::report::Finding;
use crate::printable::printable;

/// How to see what arrives.
pub(super) const NAME_AN_ECHO: &str = "pass with --echo a path whose upstream echoes the \
     request's headers, such as httpbin's /headers or the echo of `doorward demo`";

/// One examination of a gateway: whom it asks, and what it has found.
pub(super) struct Run<'a> {
    pub(super) probe: &'a GatewayProbe,
    pub(super) peer: &'a Peer,
    pub(super) started: Instant,
    pub(super) findings: Vec<Finding>,
}

/// What ordinary requests come to.
#[derive(Default)]
pub(super) struct Seen {
    /// Without a token they are refused.
    pub(super) guarded: bool,
    /// The refusal is Doorward's own.
    pub(super) by_doorward: bool,
    /// Without a token they are answered.
    pub(super) open: bool,
    /// With the token they go past the gateway, whatever is behind.
    pub(super) token_taken: bool,
    /// The answer without a token holds the headers that arrived.
    pub(super) tells_without: bool,
    /// The answer with the token does.
    pub(super) tells_with: bool,
    /// Whom the upstream takes the token's bearer for.
    pub(super) principal: Option<String>,
}

/// A text from outside, harmless to a terminal and short.
pub(super) fn shown(text: &str) -> String {
    printable(text).chars().take(120).collect()
}
