//! The data of the policy, fit for being looked up.

use std::sync::Arc;

use crate::rules::{PathPattern, PathPatternError, order_of_names};

/// Where permissions are looked for that no workspace of the path can have.
pub(super) const SYSTEM: &str = "system";
/// Who has it in `system` may do nearly all.
pub(super) const PLATFORM_ADMIN: &str = "PlatformAdmin";
/// What services have who have nothing else.
pub(super) const SERVICE_SYSTEM: &str = "ServiceSystem";
/// What the names of services begin with.
pub(super) const SERVICE_PREFIX: &str = "service:";

/// What one method of an endpoint asks for.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The pattern, as written.
    pub(super) pattern: Box<str>,
    /// All of these.
    pub(super) permissions: Box<[Permission]>,
    /// One of these, of tokens that have any.
    pub(super) scopes: Box<[Box<str>]>,
    pub(super) callers: Callers,
    /// Nobody may come here.
    pub(super) closed: bool,
    /// Which segment of the path names the workspace.
    pub(super) workspace: Option<usize>,
}

/// A permission that some endpoint asks for.
#[derive(Debug)]
pub(super) struct Permission {
    pub(super) name: Box<str>,
    /// Its place in a [`PermissionSet`].
    pub(super) number: usize,
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    /// Nothing is said of it.
    Anybody,
    /// Whoever shows a token.
    Both,
    People,
    Services,
}

impl Endpoint {
    /// The workspace that a path to this endpoint is about.
    pub(super) fn workspace_of<'s>(&self, segments: &[&'s str]) -> &'s str {
        self.workspace.and_then(|at| segments.get(at).copied()).unwrap_or(SYSTEM)
    }
}

/// Which segment of a path names the workspace: the placeholder `{workspace}` or `{workspace_id}`, or
/// else the one behind `/workspaces/`.
///
/// # Errors
/// Several do, or one that stands for more than one segment.
pub(super) fn workspace_segment(pattern: &str) -> Result<Option<usize>, SeveralWorkspaces> {
    let segments: Vec<_> = pattern.split('/').skip(1).collect();
    let is_named = |at: &usize| {
        segments.get(*at).is_some_and(|name| ["{workspace}", "{workspace_id}"].contains(name))
    };
    let is_behind = |at: &usize| {
        let before = at.checked_sub(1).and_then(|before| segments.get(before));
        before == Some(&"workspaces") && segments.get(*at).is_some_and(|name| name.starts_with('{'))
    };
    let all: Vec<usize> = (0..segments.len()).filter(is_named).collect();
    let all = if all.is_empty() { (0..segments.len()).filter(is_behind).collect() } else { all };
    let takes_several = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| segments.get(before));
        at > 1 && at + 1 == segments.len() && before == Some(&"-")
    };
    match *all {
        [] => Ok(None),
        [at] if !takes_several(at) => Ok(Some(at)),
        _ => Err(SeveralWorkspaces),
    }
}

/// It is not one segment that names the workspace.
#[derive(Debug)]
pub(super) struct SeveralWorkspaces;

/// A role, with all that it includes.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: Box<str>,
    pub(super) permissions: PermissionSet,
}

/// Some of the permissions that endpoints ask for; others make no difference.
#[derive(Clone, Debug, Default)]
pub(super) struct PermissionSet {
    all: bool,
    bits: Vec<u64>,
}

impl PermissionSet {
    /// All there are (`*`).
    pub(super) fn add_all(&mut self) {
        self.all = true;
    }

    pub(super) fn add(&mut self, number: usize) {
        let word = number / 64;
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= 1 << (number % 64);
        }
    }

    pub(super) fn add_those_of(&mut self, other: &Self) {
        self.all |= other.all;
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        self.bits.iter_mut().zip(&other.bits).for_each(|(bits, other)| *bits |= other);
    }

    pub(super) fn has(&self, permission: &Permission) -> bool {
        let bits = self.bits.get(permission.number / 64).copied().unwrap_or_default();
        self.all || bits >> (permission.number % 64) & 1 == 1
    }
}

/// The roles of one principal.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    /// Those in every workspace (`*`).
    everywhere: Vec<Arc<Role>>,
    /// In the [order](order_of_names) of the workspaces.
    workspaces: Vec<(Box<str>, Vec<Arc<Role>>)>,
    /// Whether one of them is `PlatformAdmin` in `system`.
    pub(super) are_of_admin: bool,
}

impl Bindings {
    pub(super) fn add(&mut self, workspace: &str, roles: Vec<Arc<Role>>) {
        self.are_of_admin |=
            workspace == SYSTEM && roles.iter().any(|role| *role.name == *PLATFORM_ADMIN);
        if workspace == "*" {
            self.everywhere = roles;
        } else {
            let at = self.find(workspace).unwrap_or_else(|at| at);
            self.workspaces.insert(at, (workspace.into(), roles));
        }
    }

    /// The roles in a workspace: those in it, and those in every one.
    pub(super) fn roles_in(&self, workspace: &str) -> [&[Arc<Role>]; 2] {
        let there = self.find(workspace).ok().and_then(|at| self.workspaces.get(at));
        [there.map(|(_, roles)| &**roles).unwrap_or_default(), &self.everywhere]
    }

    pub(super) fn grant(&self, workspace: &str, permission: &Permission) -> bool {
        let grants = |role: &Arc<Role>| role.permissions.has(permission);
        self.roles_in(workspace).iter().any(|roles| roles.iter().any(grants))
    }

    fn find(&self, workspace: &str) -> Result<usize, usize> {
        self.workspaces.binary_search_by(|(known, _)| order_of_names(known, workspace))
    }
}

/// A path that is closed to everybody, with all below it.
#[derive(Debug)]
pub(super) struct ClosedPrefix {
    pub(super) text: Box<str>,
    pattern: PathPattern,
}

impl ClosedPrefix {
    pub(super) fn new(text: &str) -> Result<Self, PathPatternError> {
        Ok(Self { text: text.into(), pattern: text.parse()? })
    }

    pub(super) fn holds(&self, segments: &[&str]) -> bool {
        self.pattern.begins(segments)
    }
}
