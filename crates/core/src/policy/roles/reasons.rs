//! What the policy found, and how people are told.

use super::Roles;
use super::data::{Endpoint, Role, SERVICE_SYSTEM};
use super::rights::{Held, Rights};

/// What came of one reading of the path for one of those who ask.
pub(super) struct Finding<'f> {
    /// The endpoint, and the workspace that it is about.
    pub(super) on: Option<(&'f Endpoint, &'f str)>,
    /// What somebody has who asks.
    pub(super) rights: Option<&'f Rights>,
    pub(super) outcome: Outcome<'f>,
}

/// Whether it may be, and why.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'f> {
    /// An administrator of the platform, by this name.
    Admin(&'f Held),
    /// No permission is needed.
    NothingAsked,
    /// Everybody has what is needed.
    Everybody,
    /// It is had by this name.
    Has(&'f Held),
    Closed(&'f Endpoint),
    ClosedBelow(&'f str),
    Unlisted,
    Nobody,
    PeopleOnly,
    ServicesOnly,
    NoScope,
    Lacks,
}

impl<'f> Finding<'f> {
    /// A finding that is about everybody alike.
    pub(super) fn of_path(outcome: Outcome<'f>) -> Self {
        Self { on: None, rights: None, outcome }
    }

    pub(super) fn allows(&self) -> bool {
        use Outcome as O;
        match self.outcome {
            O::Admin(_) | O::NothingAsked | O::Everybody | O::Has(_) => true,
            O::Closed(_) | O::ClosedBelow(_) | O::Unlisted | O::Nobody => false,
            O::PeopleOnly | O::ServicesOnly | O::NoScope | O::Lacks => false,
        }
    }
}

impl Roles {
    /// A finding in a line for people.
    pub(super) fn explain(&self, finding: &Finding<'_>) -> String {
        let subject = finding.rights.map_or("nobody", |rights| &rights.id);
        let (pattern, workspace, needed, scopes) = match finding.on {
            Some((endpoint, workspace)) => {
                let names = endpoint.permissions.iter().map(|permission| &*permission.name);
                (&*endpoint.pattern, workspace, listed(names), listed(endpoint.scopes.iter()))
            }
            None => ("the path", "", String::new(), String::new()),
        };
        match finding.outcome {
            Outcome::Admin(held) => {
                format!("{subject} is an administrator of the platform as {}", held.name)
            }
            Outcome::NothingAsked => format!("{pattern} asks for no permission"),
            Outcome::Everybody => {
                format!(
                    "{pattern} asks for {needed} in workspace {workspace}: everybody (*) has it"
                )
            }
            Outcome::Has(held) => {
                let roles = listed(held.roles_in(workspace).map(|role| &*role.name));
                format!(
                    "{pattern} asks for {needed} in workspace {workspace}: {} has it there as {roles}",
                    held.name
                )
            }
            Outcome::Closed(endpoint) => {
                format!("{} is closed to everybody (deny: true)", endpoint.pattern)
            }
            Outcome::ClosedBelow(prefix) => {
                format!("{prefix} is closed to everybody (denied_plugin_prefixes)")
            }
            Outcome::Unlisted => {
                "no endpoint of the data has this path and method: only administrators of the \
                 platform have access here"
                    .to_owned()
            }
            Outcome::Nobody => format!("{pattern} is not for requests without a token"),
            Outcome::PeopleOnly => {
                format!("{pattern} is not for services (callers), as {subject} is")
            }
            Outcome::ServicesOnly => format!("{pattern} is for services alone (callers)"),
            Outcome::NoScope => {
                format!(
                    "{pattern} asks for one of the scopes {scopes}, and the token is limited to others"
                )
            }
            Outcome::Lacks => format!(
                "{pattern} asks for {needed} in workspace {workspace}: neither {subject} nor the email \
                 address or a group has it there; {}",
                self.would_do(finding.on.map(|(endpoint, _)| endpoint)),
            ),
        }
    }

    /// The roles that have all that an endpoint asks for.
    fn would_do(&self, endpoint: Option<&Endpoint>) -> String {
        let has_all = |role: &&Role| {
            let needed = endpoint.map(|endpoint| &*endpoint.permissions).unwrap_or_default();
            needed.iter().all(|permission| role.permissions.has(permission))
        };
        let roles = self.roles.values().map(AsRef::as_ref).filter(has_all);
        let mut names: Vec<_> = roles.map(|role| &*role.name).collect();
        names.retain(|name| *name != SERVICE_SYSTEM);
        names.sort_unstable();
        if names.is_empty() {
            "no role has it".to_owned()
        } else {
            format!("these roles have it: {}", names.join(", "))
        }
    }
}

fn listed(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<_> = names.map(|name| name.as_ref().to_owned()).collect();
    names.join(", ")
}
