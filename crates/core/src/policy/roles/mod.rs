//! NeMo Platform's data model of roles, decided here: no engine, no waiting.
//!
//! An endpoint asks for permissions. Roles have permissions; principals have roles in workspaces. A
//! request may pass when a principal that applies to it, together with what everybody has (`*`),
//! has all that its endpoint asks for, in the workspace of its path. What one principal lacks is not
//! made up for by another.
//!
//! | | is |
//! |---|---|
//! | applicable principals | the id, the email address and each group of the token |
//! | the workspace | the segment for `{workspace}` or `{workspace_id}`, else for the placeholder behind `/workspaces/`; `system` where the pattern has none. `-` is a name like others: reading across workspaces is for those who have a role in `-` or in all (`*`) |
//! | the endpoint | of the patterns that match and have the method the one with the fewest placeholders; a path in none is closed |
//! | the administrator | who has `PlatformAdmin` in `system` itself, by an own name: may do all, whatever the scopes, but what is closed to everybody (`deny: true`, `denied_plugin_prefixes`) or to the kind of caller |
//! | `callers` | of one kind alone: nobody else may come, administrators neither, unless `platform_admin_exempt_from_service_only` lets them to where services are |
//! | scopes | looked at when the token has one with a `:`, or lost one: then one of the endpoint's is needed, if it lists any |
//!
//! A path that can be read in several ways has to be allowed in each: with parameters (`;v=1`) and
//! without, with each reading of an encoded slash. It is enough that it is in the table with its last
//! slash or without; where it is with both, both have to allow it.
//!
//! A request without a token, where none is needed, may come to what asks for no permission and lists no
//! callers. Who acts on behalf of somebody needs the permissions, and so does the one on whose behalf it
//! is; the kind of caller is that of who acts.
//!
//! What NeMo's own policy has in its rules and not in its data is not here: that secret values are for
//! services alone, administrators of the platform not excepted, that everybody may list across
//! workspaces (`-`), that services may come to paths that are in no table, and health checks.

mod asked;
mod asker;
mod data;
mod fault;
mod groups;
mod read;
mod reasons;
mod rights;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use smallvec::SmallVec;

use self::asked::Asked;
use self::asker::Asker;
use self::data::{Bindings, Callers, ClosedPrefix, Endpoint, Permission, Role};
use self::groups::GroupRule;
use self::reasons::{Finding, Outcome};
use self::rights::{Held, Rights};
use super::{Consulted, Policy, PolicyFault, PolicyQuestion, Verdict};
use crate::identity::Identity;
use crate::rules::{PathTable, Unreadable};

pub use self::fault::{RolesFault, RolesProblem};
pub use self::groups::{GroupPattern, GroupPatternFault};

type RolesByName = HashMap<Box<str>, Arc<Role>>;

/// A policy of roles in workspaces.
///
/// ```
/// use doorward_core::policy::{GroupPattern, Roles};
/// use serde_json::json;
///
/// let data = json!({
///     "endpoints": {"/v2/workspaces/{workspace}/models": {"get": {"permissions": ["models.list"]}}},
///     "roles": {"Viewer": {"permissions": ["models.list"]}},
///     "principals": {"alice@example.com": {"workspaces": {"team": ["Viewer"]}}},
/// });
/// let by_name: GroupPattern = "nmp-{workspace}-{role}".parse()?;
/// assert!(Roles::new(&data, vec![by_name]).is_ok());
///
/// let faults = Roles::new(&json!({"endpoints": {}, "roles": {"Editor": {"include": []}}}), vec![]);
/// let faults: Vec<_> = faults.unwrap_err().iter().map(ToString::to_string).collect();
/// assert_eq!(faults, ["roles.Editor.include: is not a member that is known here; notes begin with `x-`"]);
/// # Ok::<(), doorward_core::policy::GroupPatternFault>(())
/// ```
#[derive(Debug)]
pub struct Roles {
    /// Another one for each, so that nobody takes what one looked up for that of another.
    id: u64,
    endpoints: PathTable<Endpoint>,
    closed: Vec<ClosedPrefix>,
    roles: RolesByName,
    principals: HashMap<Box<str>, Arc<Bindings>>,
    everybody: Arc<Bindings>,
    /// What services have that are not among the principals.
    of_services: Option<Arc<Role>>,
    groups: Vec<GroupRule>,
    admins_call_services: bool,
}

impl Roles {
    /// The policy of these data, NeMo's `authz` or an object that holds it, and of what the names of
    /// groups say.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(data: &Value, groups: Vec<GroupPattern>) -> Result<Self, Vec<RolesFault>> {
        read::read(data, groups)
    }

    /// Calls `note` with each finding on a question.
    fn answer(
        &self,
        question: &PolicyQuestion<'_>,
        note: impl FnMut(&Finding<'_>),
    ) -> Result<(), Unreadable> {
        let find = |identity: Option<&Identity>, rights: &[Rights]| {
            let asked = Asked {
                request: question.request(),
                path: question.readings(),
                rights,
                scopes: identity.map(Identity::joined_scopes).unwrap_or_default(),
                some_scopes_lost: identity.is_some_and(|identity| identity.losses.scopes > 0),
            };
            self.find(&asked, note)
        };
        let Some(verified) = question.identity() else { return find(None, &[]) };
        let identity = verified.identity();
        let look_up = || -> Vec<Rights> {
            Asker::all(identity).map(|asker| Rights::of(self, &asker)).collect()
        };
        verified.with_looked_up(self.id, look_up, |rights| find(Some(identity), rights))
    }

    /// Calls `note` with each finding; all of them have to allow the request.
    fn find(
        &self,
        asked: &Asked<'_>,
        mut note: impl FnMut(&Finding<'_>),
    ) -> Result<(), Unreadable> {
        for path in asked.path.each() {
            for method in asked.request.preflight_of() {
                self.endpoints.each_reading(method, path, |found, _| {
                    if let Some(endpoint) = found.map(|found| found.rule).filter(|it| it.closed) {
                        note(&Finding::of_path(Outcome::Closed(endpoint)));
                    }
                })?;
            }
            let mut is_listed = false;
            let has_parameters = path.contains(&b';');
            self.endpoints.each_reading(asked.request.method, path, |found, segments| {
                if let Some(prefix) = self.closed.iter().find(|prefix| prefix.holds(segments)) {
                    note(&Finding::of_path(Outcome::ClosedBelow(&prefix.text)));
                }
                let keeps_them = has_parameters && segments.iter().any(|name| name.contains(';'));
                if let Some(found) = found {
                    is_listed |= !keeps_them;
                    let workspace = found.rule.workspace_of(segments);
                    self.weigh_all(asked, found.rule, workspace, &mut note);
                } else if keeps_them {
                    Self::weigh_unlisted(asked, &mut note);
                }
            })?;
            if !is_listed {
                Self::weigh_unlisted(asked, &mut note);
            }
        }
        Ok(())
    }

    /// What is in no table is for administrators alone.
    fn weigh_unlisted(asked: &Asked<'_>, note: &mut impl FnMut(&Finding<'_>)) {
        for rights in asked.rights {
            let outcome = rights.admin().map_or(Outcome::Unlisted, Outcome::Admin);
            note(&Finding { rights: Some(rights), ..Finding::of_path(outcome) });
        }
        if asked.rights.is_empty() {
            note(&Finding::of_path(Outcome::Unlisted));
        }
    }

    fn weigh_all(
        &self,
        asked: &Asked<'_>,
        endpoint: &Endpoint,
        workspace: &str,
        note: &mut impl FnMut(&Finding<'_>),
    ) {
        let asks_for_nothing =
            endpoint.permissions.is_empty() && endpoint.callers == Callers::Anybody;
        let on = Some((endpoint, workspace));
        if endpoint.closed {
            note(&Finding::of_path(Outcome::Closed(endpoint)));
        } else if asked.rights.is_empty() {
            let outcome = if asks_for_nothing { Outcome::NothingAsked } else { Outcome::Nobody };
            note(&Finding { on, rights: None, outcome });
        }
        for (at, rights) in asked.rights.iter().enumerate() {
            let refused = self.refused_by_kind(rights, endpoint.callers).filter(|_| at == 0);
            let outcome = refused.unwrap_or_else(|| self.weigh(asked, rights, endpoint, workspace));
            note(&Finding { on, rights: Some(rights), outcome });
        }
    }

    /// Whether who calls is of another kind than the endpoint is for.
    fn refused_by_kind(&self, caller: &Rights, callers: Callers) -> Option<Outcome<'static>> {
        let is_exempt = || self.admins_call_services && caller.admin().is_some();
        match callers {
            Callers::People if caller.are_of_service() => Some(Outcome::PeopleOnly),
            Callers::Services if !caller.are_of_service() && !is_exempt() => {
                Some(Outcome::ServicesOnly)
            }
            Callers::Anybody | Callers::Both | Callers::People | Callers::Services => None,
        }
    }

    fn weigh<'a>(
        &self,
        asked: &Asked<'_>,
        rights: &'a Rights,
        endpoint: &Endpoint,
        workspace: &str,
    ) -> Outcome<'a> {
        if let Some(admin) = rights.admin() {
            return Outcome::Admin(admin);
        }
        if !asked.has_scope_of(endpoint) {
            return Outcome::NoScope;
        }
        // With what everybody has, but not with what another name has.
        let is_lacking = |one: &&Permission| !self.everybody.grant(workspace, one);
        let lacking: SmallVec<[&Permission; 4]> =
            endpoint.permissions.iter().filter(is_lacking).collect();
        let has_them =
            |held: &&Held| lacking.iter().all(|permission| held.grants(workspace, permission));
        if endpoint.permissions.is_empty() {
            Outcome::NothingAsked
        } else if lacking.is_empty() {
            Outcome::Everybody
        } else {
            rights.held.iter().find(has_them).map_or(Outcome::Lacks, Outcome::Has)
        }
    }
}

impl Policy for Roles {
    fn consult(&self, question: &PolicyQuestion<'_>) -> Consulted {
        let mut may_pass = true;
        let found = self.answer(question, |finding| may_pass &= finding.allows());
        Consulted::Answered(match found {
            Ok(()) if may_pass => Ok(Verdict::allow()),
            Ok(()) => Ok(Verdict::deny()),
            Err(Unreadable) => Err(PolicyFault::AmbiguousPath),
        })
    }

    fn reasons(&self, question: &PolicyQuestion<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        match self.answer(question, |finding| lines.push(self.explain(finding))) {
            Ok(()) => lines,
            Err(Unreadable) => vec![PolicyFault::AmbiguousPath.to_string()],
        }
    }
}
