//! What one of those who ask has, in all workspaces: looked up once for each token.

use std::sync::Arc;

use super::Roles;
use super::asker::{Asker, Name};
use super::data::{Bindings, PLATFORM_ADMIN, Permission, Role, SERVICE_PREFIX, SYSTEM};

/// What somebody has.
#[derive(Debug)]
pub(super) struct Rights {
    /// Whose they are.
    pub(super) id: Box<str>,
    /// Of each of the names that has something, in their order.
    pub(super) held: Box<[Held]>,
}

/// What one name has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) name: Box<str>,
    pub(super) is_admin: bool,
    bindings: Option<Arc<Bindings>>,
    /// What it has besides, and in which workspace; in all of them: `*`.
    others: Vec<(Box<str>, Arc<Role>)>,
}

impl Rights {
    pub(super) fn of(roles: &Roles, asker: &Asker<'_>) -> Self {
        Self {
            id: asker.id.into(),
            held: asker.names().filter_map(|name| Held::of(roles, name)).collect(),
        }
    }

    pub(super) fn are_of_service(&self) -> bool {
        self.id.starts_with(SERVICE_PREFIX)
    }

    /// The name by which somebody is an administrator of the platform.
    pub(super) fn admin(&self) -> Option<&Held> {
        self.held.iter().find(|held| held.is_admin)
    }
}

impl Held {
    fn of(roles: &Roles, name: Name<'_>) -> Option<Self> {
        let bindings = roles.principals.get(name.text).cloned();
        let is_other_service = bindings.is_none() && name.text.starts_with(SERVICE_PREFIX);
        let of_services = roles.of_services.iter().filter(|_| is_other_service);
        let of_groups = roles.groups.iter().filter(|_| name.is_group);
        let others: Vec<_> = of_groups
            .filter_map(|rule| rule.gives(name.text, &roles.roles))
            .chain(of_services.map(|role| ("*", role)))
            .map(|(workspace, role)| (workspace.into(), Arc::clone(role)))
            .collect();
        let is_of_admin = |(workspace, role): &(Box<str>, Arc<Role>)| {
            **workspace == *SYSTEM && *role.name == *PLATFORM_ADMIN
        };
        let is_admin = bindings.as_ref().is_some_and(|bindings| bindings.are_of_admin)
            || others.iter().any(is_of_admin);
        (bindings.is_some() || !others.is_empty()).then(|| Self {
            name: name.text.into(),
            is_admin,
            bindings,
            others,
        })
    }

    /// Whether one of the roles in a workspace has a permission.
    pub(super) fn grants(&self, workspace: &str, permission: &Permission) -> bool {
        self.bindings.as_ref().is_some_and(|bound| bound.grant(workspace, permission))
            || self.others_in(workspace).any(|role| role.permissions.has(permission))
    }

    /// The roles in a workspace.
    pub(super) fn roles_in(&self, workspace: &str) -> impl Iterator<Item = &Role> {
        let bound = self.bindings.iter().flat_map(move |bindings| bindings.roles_in(workspace));
        bound.flatten().map(AsRef::as_ref).chain(self.others_in(workspace))
    }

    fn others_in(&self, workspace: &str) -> impl Iterator<Item = &Role> {
        let is_there = move |of: &str| of == workspace || of == "*";
        let others = self.others.iter().filter(move |(of, _)| is_there(of));
        others.map(|(_, role)| role.as_ref())
    }
}
