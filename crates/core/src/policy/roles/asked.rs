//! What of a question the policy goes by.

use super::data::Endpoint;
use super::rights::Rights;
use crate::request::RequestView;
use crate::rules::Readings;

/// What is asked, and for whom.
pub(super) struct Asked<'a> {
    pub(super) request: &'a RequestView<'a>,
    pub(super) path: &'a Readings<'a>,
    /// The principal, who calls, and whoever it acts for; empty for nobody. Each needs the rights.
    pub(super) rights: &'a [Rights],
    /// The scopes of the token, separated by spaces.
    pub(super) scopes: &'a str,
    pub(super) some_scopes_lost: bool,
}

impl Asked<'_> {
    /// Whether the scopes of the token let it be used for this.
    pub(super) fn has_scope_of(&self, endpoint: &Endpoint) -> bool {
        let of_platform = || self.scopes.split(' ').filter(|scope| scope.contains(':'));
        let is_limited = self.some_scopes_lost || self.scopes.contains(':');
        !is_limited
            || endpoint.scopes.is_empty()
            || of_platform().any(|held| endpoint.scopes.iter().any(|scope| **scope == *held))
    }
}
