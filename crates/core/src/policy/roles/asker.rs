//! Those for whom a request is made, and the names by which they may be known.

use crate::identity::Identity;

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

impl<'a> Asker<'a> {
    /// The principal, and whoever it acts for.
    pub(super) fn all(identity: &'a Identity) -> impl Iterator<Item = Self> {
        let (id, groups) = (identity.principal(), identity.joined_groups());
        let subject = identity.on_behalf_of().map(|of| Self {
            id: of.subject,
            email: of.email,
            groups: of.joined_groups,
        });
        std::iter::once(Self { id, email: identity.email(), groups }).chain(subject)
    }

    /// The names, each of which has rights of its own.
    pub(super) fn names(&self) -> impl Iterator<Item = Name<'a>> + use<'a> {
        let groups = self.groups.split(',').filter(|group| !group.is_empty());
        let own = [Some(self.id), self.email].into_iter().flatten();
        own.map(|text| Name { text, is_group: false })
            .chain(groups.map(|text| Name { text, is_group: true }))
    }
}
