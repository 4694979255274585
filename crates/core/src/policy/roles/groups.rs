//! Roles by the names of groups: `nmp-{workspace}-{role}`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::RolesByName;
use super::data::{PLATFORM_ADMIN, Role, SERVICE_SYSTEM, SYSTEM};

/// Which groups have which role in which workspace, by their names.
///
/// | pattern | a member of | has the role | in the workspace |
/// |---|---|---|---|
/// | `nmp-{workspace}-{role}` | `nmp-team-Editor` | `Editor` | `team` |
/// | `nmp-{workspace}-admins => Admin` | `nmp-team-admins` | `Admin` | `team` |
/// | `nmp-admins => PlatformAdmin in system` | `nmp-admins` | `PlatformAdmin` | `system` |
///
/// A name that can be split in several ways with a known role in each gives none. What a name is
/// split into is never the workspace `system`, `*` or `-`, and never the role `PlatformAdmin` or
/// `ServiceSystem`: those have to be written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPattern {
    text: Box<str>,
    front: Box<str>,
    captures: Captures,
    back: Box<str>,
    role: Option<Box<str>>,
}

/// What a name holds between its front and its back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Captures {
    /// Nothing; the role is one in this workspace.
    Nothing {
        workspace: Box<str>,
    },
    Workspace,
    WorkspaceAndRole {
        between: Box<str>,
        role_first: bool,
    },
}

impl GroupPattern {
    /// The role that is written out in it.
    pub(super) fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }
}

impl fmt::Display for GroupPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for GroupPattern {
    type Err = GroupPatternFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use GroupPatternFault as F;
        let (pattern, target) = match text.split_once("=>") {
            Some((pattern, target)) => (pattern.trim(), Some(target)),
            None => (text.trim(), None),
        };
        let (role, workspace) = target.map_or(Ok((None, None)), parse_target)?;
        if !pattern.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
            return Err(F::NoGroup);
        }
        let (literals, names) = split(pattern)?;
        if literals.iter().all(|literal| literal.is_empty()) {
            return Err(F::NoText);
        }
        let (captures, back) = match (&*literals, &*names, role, workspace) {
            (_, [], Some(_), Some(workspace)) => {
                (Captures::Nothing { workspace: workspace.into() }, "")
            }
            ([_, back], ["workspace"], Some(_), None) => (Captures::Workspace, *back),
            ([_, "", _], ["workspace", "role"] | ["role", "workspace"], ..) => {
                return Err(F::NothingBetween);
            }
            ([_, between, back], ["workspace", "role"] | ["role", "workspace"], None, None) => {
                let role_first = names.first() == Some(&"role");
                (Captures::WorkspaceAndRole { between: (*between).into(), role_first }, *back)
            }
            _ => return Err(F::NoTarget),
        };
        Ok(Self {
            text: text.trim().into(),
            front: literals.first().copied().unwrap_or_default().into(),
            captures,
            back: back.into(),
            role: role.map(Into::into),
        })
    }
}

/// `Role` or `Role in workspace`.
fn parse_target(target: &str) -> Result<(Option<&str>, Option<&str>), GroupPatternFault> {
    let words: Vec<_> = target.split_ascii_whitespace().collect();
    match *words {
        [role] => Ok((Some(role), None)),
        [role, "in", workspace] => Ok((Some(role), Some(workspace))),
        _ => Err(GroupPatternFault::Target),
    }
}

/// What stands around the placeholders, and their names.
fn split(pattern: &str) -> Result<(Vec<&str>, Vec<&str>), GroupPatternFault> {
    let (mut literals, mut names) = (Vec::new(), Vec::new());
    let mut rest = pattern;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(GroupPatternFault::Braces)?;
        literals.push(literal);
        names.push(name);
        rest = after;
    }
    literals.push(rest);
    let known = names.iter().all(|name| ["workspace", "role"].contains(name));
    if known && literals.iter().all(|literal| !literal.contains('}')) {
        Ok((literals, names))
    } else {
        Err(GroupPatternFault::Braces)
    }
}

/// Why a text is no pattern of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupPatternFault {
    /// It has braces around something else, or only one of a pair.
    #[error("placeholders are `{{workspace}}` and `{{role}}`; no other braces")]
    Braces,
    /// No name of a group is like that.
    #[error("the name of a group has no spaces and no commas")]
    NoGroup,
    /// Every group would match.
    #[error("there is no text besides the placeholders: every group would match")]
    NoText,
    /// Every split would do.
    #[error("there is no text between `{{workspace}}` and `{{role}}`")]
    NothingBetween,
    /// What follows the arrow makes no sense.
    #[error("behind `=>` stands a role, or a role and a workspace: `Editor in team`")]
    Target,
    /// Role and workspace are not said once each.
    #[error(
        "says role and workspace not once each: `x-{{workspace}}-{{role}}`, `x-{{workspace}} => Role`, \
         or `x => Role in workspace`"
    )]
    NoTarget,
}

/// A pattern, and the role that is written out in it.
#[derive(Debug)]
pub(super) struct GroupRule {
    pub(super) pattern: GroupPattern,
    pub(super) role: Option<Arc<Role>>,
}

impl GroupRule {
    /// The role that the members of a group have, and in which workspace; in all of them: `*`.
    pub(super) fn gives<'r>(
        &'r self,
        group: &'r str,
        roles: &'r RolesByName,
    ) -> Option<(&'r str, &'r Arc<Role>)> {
        let GroupPattern { front, captures, back, .. } = &self.pattern;
        let middle = group.strip_prefix(&**front)?.strip_suffix(&**back)?;
        match captures {
            Captures::Nothing { workspace } => {
                self.role.as_ref().filter(|_| middle.is_empty()).map(|role| (&**workspace, role))
            }
            Captures::Workspace => {
                self.role.as_ref().filter(|_| is_captured(middle)).map(|role| (middle, role))
            }
            Captures::WorkspaceAndRole { between, role_first } => {
                let mut ways = (0..middle.len()).filter_map(|at| {
                    let (first, rest) = middle.split_at_checked(at)?;
                    let last = rest.strip_prefix(&**between)?;
                    let (role, workspace) = if *role_first { (first, last) } else { (last, first) };
                    Some((workspace, roles.get(role)?))
                });
                let (workspace, role) = ways.next()?;
                let may_be = is_captured(workspace) && !role.is_of_platform();
                (may_be && ways.next().is_none()).then_some((workspace, role))
            }
        }
    }
}

/// Whether a workspace may come out of the name of a group.
fn is_captured(workspace: &str) -> bool {
    !["", "*", "-", SYSTEM].contains(&workspace)
}

impl Role {
    /// Whether the role is one that no name of a group may be split into.
    fn is_of_platform(&self) -> bool {
        [PLATFORM_ADMIN, SERVICE_SYSTEM].contains(&&*self.name)
    }
}
