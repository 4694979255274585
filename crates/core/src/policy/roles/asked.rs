//! What of a question the policy goes by.

use smallvec::SmallVec;

use super::data::Endpoint;
use crate::identity::Identity;
use crate::policy::PolicyQuestion;
use crate::request::RequestView;
use crate::rules::Readings;

/// What is asked, and for whom.
pub(super) struct Asked<'a> {
    pub(super) request: &'a RequestView<'a>,
    pub(super) path: &'a Readings<'a>,
    /// The principal, who calls, and whoever it acts for; empty for nobody. Each needs the rights.
    pub(super) askers: SmallVec<[Asker<'a>; 2]>,
    /// The scopes of the token, separated by spaces.
    pub(super) scopes: &'a str,
    pub(super) some_scopes_lost: bool,
}

/// Somebody for whom a request is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) id: &'a str,
    pub(super) email: Option<&'a str>,
    /// Joined by `,`.
    pub(super) groups: &'a str,
}

/// A name by which somebody may be among the principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) text: &'a str,
    pub(super) is_group: bool,
}

impl<'a> From<&PolicyQuestion<'a>> for Asked<'a> {
    fn from(question: &PolicyQuestion<'a>) -> Self {
        let identity = question.identity().map(|verified| verified.identity());
        Self {
            request: question.request(),
            path: question.readings(),
            askers: identity.into_iter().flat_map(askers_of).collect(),
            scopes: identity.map(Identity::joined_scopes).unwrap_or_default(),
            some_scopes_lost: identity.is_some_and(|identity| identity.losses.scopes > 0),
        }
    }
}

fn askers_of(identity: &Identity) -> impl Iterator<Item = Asker<'_>> {
    let (id, groups) = (identity.principal(), identity.joined_groups());
    let subject = identity.on_behalf_of().map(|of| Asker {
        id: of.subject,
        email: of.email,
        groups: of.joined_groups,
    });
    std::iter::once(Asker { id, email: identity.email(), groups }).chain(subject)
}

impl Asked<'_> {
    /// Whether the scopes of the token let it be used for this.
    pub(super) fn has_scope_of(&self, endpoint: &Endpoint) -> bool {
        let mut of_platform = self.scopes.split(' ').filter(|scope| scope.contains(':')).peekable();
        let is_limited = self.some_scopes_lost || of_platform.peek().is_some();
        !is_limited
            || endpoint.scopes.is_empty()
            || of_platform.any(|held| endpoint.scopes.iter().any(|scope| **scope == *held))
    }
}

impl<'a> Asker<'a> {
    /// The names, each of which has rights of its own.
    pub(super) fn names(&self) -> impl Iterator<Item = Name<'a>> + use<'a> {
        let groups = self.groups.split(',').filter(|group| !group.is_empty());
        let own = [Some(self.id), self.email].into_iter().flatten();
        own.map(|text| Name { text, is_group: false })
            .chain(groups.map(|text| Name { text, is_group: true }))
    }
}
