//! Reads the data of the policy, and says all that is wrong with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::data::{
    Bindings, Callers, ClosedPrefix, Endpoint, Permission, PermissionSet, Role, SERVICE_SYSTEM,
    workspace_segment,
};
use super::fault::{RolesFault, RolesProblem as Problem};
use super::groups::{GroupPattern, GroupRule};
use super::{Roles, RolesByName};
use crate::rules::PathTable;

/// How deep roles may include others, the first one counted.
const LEVELS: usize = 5;

/// What has been read, and what was found to be wrong.
#[derive(Default)]
struct Reader {
    faults: Vec<RolesFault>,
    /// The permissions that endpoints ask for.
    permissions: HashMap<Box<str>, usize>,
}

/// What a role says of itself.
struct Said<'v> {
    permissions: PermissionSet,
    includes: Vec<&'v str>,
}

pub(super) fn read(data: &Value, groups: Vec<GroupPattern>) -> Result<Roles, Vec<RolesFault>> {
    let authz = data.get("authz").unwrap_or(data);
    let mut reader = Reader::default();
    let endpoints = reader.endpoints(authz);
    let roles = reader.roles(authz);
    let mut principals = reader.principals(authz, &roles);
    let (closed, admins_call_services) = reader.config(authz);
    let groups = reader.groups(groups, &roles);
    if !reader.faults.is_empty() {
        return Err(reader.faults);
    }
    let everybody = principals.remove("*").unwrap_or_default();
    let of_services = roles.get(SERVICE_SYSTEM).cloned();
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);
    Ok(Roles {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        endpoints,
        closed,
        roles,
        principals,
        everybody,
        of_services,
        groups,
        admins_call_services,
    })
}

impl Reader {
    fn endpoints(&mut self, authz: &Value) -> PathTable<Endpoint> {
        let mut table = PathTable::default();
        for (text, methods) in self.section(authz, "endpoints", true) {
            let place = format!("endpoints.{text}");
            let pattern = text.parse().map_err(|error| self.fault(&place, Problem::Pattern(error)));
            for (name, said) in self.object(&place, methods) {
                let place = join(&place, name);
                let endpoint = self.endpoint(&place, text, said);
                let method =
                    name.parse().map_err(|error| self.fault(&place, Problem::Method(error)));
                if let (Ok(pattern), Some(endpoint), Ok(method)) = (&pattern, endpoint, method)
                    && let Err(error) = table.add(pattern, method, endpoint)
                {
                    self.fault(&place, Problem::Pattern(error));
                }
            }
        }
        table
    }

    fn endpoint(&mut self, place: &str, pattern: &str, said: &Value) -> Option<Endpoint> {
        let said = self.members(place, said, &["permissions", "scopes", "callers", "deny"])?;
        let closed = self.boolean(place, said, "deny");
        if !closed && of(said, "permissions").is_none() {
            self.fault(place, Problem::AsksForNothing);
        }
        let permissions = self.texts(place, said, "permissions");
        let permissions = permissions.into_iter().map(|name| self.asked_for(place, name)).collect();
        let scopes = self.texts(place, said, "scopes").into_iter().map(Into::into).collect();
        let callers = self.callers(place, said);
        let workspace = workspace_segment(pattern).unwrap_or_else(|_| {
            self.fault(place, Problem::Workspace);
            None
        });
        let pattern = pattern.into();
        Some(Endpoint { pattern, permissions, scopes, callers, closed, workspace })
    }

    fn asked_for(&mut self, place: &str, name: &str) -> Permission {
        if name.contains('/') {
            self.fault(place, Problem::OtherWorkspace(name.into()));
        }
        let next = self.permissions.len();
        let number = *self.permissions.entry(name.into()).or_insert(next);
        Permission { name: name.into(), number }
    }

    fn callers(&mut self, place: &str, said: &Map<String, Value>) -> Callers {
        let listed = self.texts(place, said, "callers");
        let [people, services] =
            ["principal", "service_principal"].map(|one| listed.contains(&one));
        for one in &listed {
            if !["principal", "service_principal"].contains(one) {
                self.fault(place, Problem::UnknownCaller((*one).into()));
            }
        }
        if listed.is_empty() && of(said, "callers").is_some_and(Value::is_array) {
            self.fault(&join(place, "callers"), Problem::NoCallers);
        }
        match (people, services) {
            (true, false) => Callers::People,
            (false, true) => Callers::Services,
            (true, true) => Callers::Both,
            (false, false) => Callers::Anybody,
        }
    }

    fn roles(&mut self, authz: &Value) -> RolesByName {
        let section = self.section(authz, "roles", true);
        let said: BTreeMap<&str, Said<'_>> =
            section.into_iter().map(|(name, role)| (name, self.role(name, role))).collect();
        let mut roles = RolesByName::default();
        for (name, role) in &said {
            let place = format!("roles.{name}.includes");
            for unknown in role.includes.iter().filter(|included| !said.contains_key(*included)) {
                self.fault(&place, Problem::UnknownRole((*unknown).into()));
            }
            let (permissions, is_whole) = with_included(&said, name);
            if !is_whole {
                self.fault(&place, Problem::IncludesTooDeep);
            }
            roles.insert((*name).into(), Arc::new(Role { name: (*name).into(), permissions }));
        }
        roles
    }

    fn role<'v>(&mut self, name: &str, said: &'v Value) -> Said<'v> {
        let place = format!("roles.{name}");
        let mut permissions = PermissionSet::default();
        let Some(said) = self.members(&place, said, &["permissions", "includes", "description"])
        else {
            return Said { permissions, includes: Vec::new() };
        };
        for name in self.texts(&place, said, "permissions") {
            if name == "*" {
                permissions.add_all();
            } else if let Some(number) = self.permissions.get(name) {
                permissions.add(*number);
            }
        }
        Said { permissions, includes: self.texts(&place, said, "includes") }
    }

    fn principals(
        &mut self,
        authz: &Value,
        roles: &RolesByName,
    ) -> HashMap<Box<str>, Arc<Bindings>> {
        let mut principals = HashMap::new();
        for (name, said) in self.section(authz, "principals", false) {
            let place = format!("principals.{name}");
            let said = self.members(&place, said, &["workspaces"]);
            let place = join(&place, "workspaces");
            let workspaces = said.and_then(|said| of(said, "workspaces"));
            let mut bindings = Bindings::default();
            for (workspace, _) in workspaces.map(|it| self.object(&place, it)).unwrap_or_default() {
                let Some(said) = workspaces.and_then(Value::as_object) else { continue };
                let names = self.texts(&place, said, workspace);
                let place = join(&place, workspace);
                let bound = names.into_iter().filter_map(|name| self.known(&place, name, roles));
                bindings.add(workspace, bound.collect());
            }
            principals.insert(name.into(), Arc::new(bindings));
        }
        principals
    }

    fn known(&mut self, place: &str, name: &str, roles: &RolesByName) -> Option<Arc<Role>> {
        let role = roles.get(name);
        if role.is_none() {
            self.fault(place, Problem::UnknownRole(name.into()));
        }
        role.cloned()
    }

    fn config(&mut self, authz: &Value) -> (Vec<ClosedPrefix>, bool) {
        const EXEMPT: &str = "platform_admin_exempt_from_service_only";
        let Some(said) = authz.get("config").filter(|config| !config.is_null()) else {
            return (Vec::new(), false);
        };
        let Some(said) = self.members("config", said, &["denied_plugin_prefixes", EXEMPT]) else {
            return (Vec::new(), false);
        };
        let mut closed = Vec::new();
        for prefix in self.texts("config", said, "denied_plugin_prefixes") {
            match ClosedPrefix::new(prefix) {
                Ok(prefix) => closed.push(prefix),
                Err(error) => {
                    let place = format!("config.denied_plugin_prefixes.{prefix}");
                    self.fault(&place, Problem::Pattern(error));
                }
            }
        }
        (closed, self.boolean("config", said, EXEMPT))
    }

    fn groups(&mut self, patterns: Vec<GroupPattern>, roles: &RolesByName) -> Vec<GroupRule> {
        let rules = patterns.into_iter().map(|pattern| {
            let place = format!("groups.{pattern}");
            let role = pattern.role().and_then(|name| self.known(&place, name, roles));
            GroupRule { pattern, role }
        });
        rules.collect()
    }

    fn section<'v>(
        &mut self,
        authz: &'v Value,
        name: &str,
        is_needed: bool,
    ) -> Vec<(&'v str, &'v Value)> {
        match authz.get(name).filter(|section| !section.is_null()) {
            Some(section) => self.object(name, section),
            None => {
                if is_needed {
                    self.fault(name, Problem::Missing);
                }
                Vec::new()
            }
        }
    }

    fn object<'v>(&mut self, place: &str, value: &'v Value) -> Vec<(&'v str, &'v Value)> {
        let Some(members) = value.as_object() else {
            self.fault(place, Problem::NotAnObject);
            return Vec::new();
        };
        members.iter().map(|(name, value)| (name.as_str(), value)).collect()
    }

    /// The members of an object that may have these.
    fn members<'v>(
        &mut self,
        place: &str,
        value: &'v Value,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        for (name, _) in self.object(place, value) {
            if !known.contains(&name) && !name.starts_with("x-") {
                self.fault(&join(place, name), Problem::UnknownMember);
            }
        }
        value.as_object()
    }

    /// The texts of a list; none where it is missing.
    fn texts<'v>(&mut self, place: &str, said: &'v Map<String, Value>, name: &str) -> Vec<&'v str> {
        let Some(value) = of(said, name) else { return Vec::new() };
        let texts = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        texts.unwrap_or_else(|| {
            self.fault(&join(place, name), Problem::NotTexts);
            Vec::new()
        })
    }

    fn boolean(&mut self, place: &str, said: &Map<String, Value>, name: &str) -> bool {
        let Some(value) = of(said, name) else { return false };
        value.as_bool().unwrap_or_else(|| {
            self.fault(&join(place, name), Problem::NotABoolean);
            false
        })
    }

    fn fault(&mut self, place: &str, problem: Problem) {
        self.faults.push(RolesFault { place: place.into(), problem });
    }
}

/// The permissions of a role and of those that it includes, and whether that was all of them.
fn with_included(said: &BTreeMap<&str, Said<'_>>, name: &str) -> (PermissionSet, bool) {
    let mut permissions = PermissionSet::default();
    let mut level = BTreeSet::from([name]);
    for _ in 0..LEVELS {
        let roles = level.iter().filter_map(|name| said.get(name));
        roles.clone().for_each(|role| permissions.add_those_of(&role.permissions));
        level = roles.flat_map(|role| role.includes.iter().copied()).collect();
    }
    (permissions, level.is_empty())
}

/// A member that says something.
fn of<'v>(said: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    said.get(name).filter(|value| !value.is_null())
}

fn join(place: &str, name: impl Display) -> String {
    format!("{place}.{name}")
}
