//! The policy of roles beside one that is written to be seen through.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{by_roles, is_allowed};
use crate::support::{Ask, get};

/// Who asks, and for what.
#[derive(Clone, Debug)]
struct Request {
    id: String,
    email: Option<String>,
    groups: Vec<String>,
    actor: Option<(String, Vec<String>)>,
    scopes: Vec<String>,
    method: String,
    path: String,
}

impl Request {
    fn ask(&self) -> Ask {
        let mut claims = json!({
            "sub": self.id, "email": self.email, "groups": self.groups,
            "scope": self.scopes.join(" "),
        });
        if let Some((sub, groups)) = &self.actor {
            claims["act"] = json!({"sub": sub, "groups": groups});
        }
        get(&self.path).method(&self.method).with_token(claims)
    }

    /// Everybody who needs the rights, by all their names: first the one who calls.
    fn askers(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let own = [self.id.clone()].into_iter().chain(self.email.clone()).collect();
        let subject = (own, self.groups.clone());
        let actor = self.actor.clone().map(|(id, groups)| (vec![id], groups));
        actor.into_iter().chain([subject]).collect()
    }
}

/// The same policy, a line a rule and nothing prepared. Group patterns are `g-{workspace}-{role}` and
/// `admins => PlatformAdmin in system`.
fn plain(data: &Value, request: &Request) -> bool {
    let path = &*request.path;
    let readings = [Some(path), path.strip_suffix('/')].into_iter().flatten();
    let listed: Vec<_> =
        readings.clone().filter(|path| entry(data, &request.method, path).is_some()).collect();
    if listed.is_empty() {
        return readings.clone().all(|path| plain_at(data, request, path));
    }
    listed.into_iter().all(|path| plain_at(data, request, path))
}

fn plain_at(data: &Value, request: &Request, path: &str) -> bool {
    let under = |prefix: &str| path == prefix || path.starts_with(&format!("{prefix}/"));
    if texts(&data["config"]["denied_plugin_prefixes"]).any(under) {
        return false;
    }
    let admin = |asker: &(Vec<String>, Vec<String>)| {
        let bound = |name: &String| {
            name != "*"
                && texts(&data["principals"][name]["workspaces"]["system"])
                    .any(|role| role == "PlatformAdmin")
        };
        asker.0.iter().chain(&asker.1).any(bound) || asker.1.iter().any(|group| group == "admins")
    };
    let Some((pattern, rule)) = entry(data, &request.method, path) else {
        return request.askers().iter().all(admin);
    };
    if rule["deny"] == true {
        return false;
    }
    let services_only = texts(&rule["callers"]).eq(["service_principal"]);
    let exempt = data["config"]["platform_admin_exempt_from_service_only"] == true;
    if services_only && !(exempt && admin(&request.askers()[0])) {
        return false;
    }
    let workspace = workspace(&pattern, path);
    let platform: Vec<_> = request.scopes.iter().filter(|scope| scope.contains(':')).collect();
    let scoped = platform.is_empty()
        || texts(&rule["scopes"]).next().is_none()
        || texts(&rule["scopes"]).any(|scope| platform.iter().any(|held| *held == scope));
    request.askers().iter().all(|asker| {
        let has_all = |name: &String, is_group: bool| {
            texts(&rule["permissions"]).all(|permission| {
                [name.as_str(), "*"].iter().any(|name| bound(data, name, &workspace, permission))
                    || is_group && by_name(data, name, &workspace, permission)
            })
        };
        admin(asker)
            || scoped
                && (asker.0.iter().any(|name| has_all(name, false))
                    || asker.1.iter().any(|name| has_all(name, true)))
    })
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The entry with the fewest placeholders, of several the one whose literals come first.
fn entry(data: &Value, method: &str, path: &str) -> Option<(String, Value)> {
    let asked = [method.to_lowercase(), "get".to_owned()];
    let methods = &asked[..if method == "HEAD" { 2 } else { 1 }];
    let rank = |pattern: &str| {
        let is_placeholder: Vec<bool> = pattern.split('/').map(|it| it.starts_with('{')).collect();
        (is_placeholder.iter().filter(|it| **it).count(), is_placeholder)
    };
    let entries = data["endpoints"].as_object().unwrap().iter().filter_map(|(pattern, rules)| {
        let rule = methods.iter().find_map(|method| rules.get(method))?;
        matches(pattern, path).then(|| (pattern.clone(), rule.clone()))
    });
    entries.min_by_key(|(pattern, _)| rank(pattern))
}

fn matches(pattern: &str, path: &str) -> bool {
    let (patterns, segments): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    let fits = |(pattern, segment): (&&str, &&str)| {
        pattern == segment || (pattern.starts_with('{') && !segment.is_empty())
    };
    match pattern.strip_suffix("/-/{rest}") {
        Some(front) => path.split_once("/-/").is_some_and(|(before, _)| matches(front, before)),
        None => patterns.len() == segments.len() && patterns.iter().zip(&segments).all(fits),
    }
}

fn workspace(pattern: &str, path: &str) -> String {
    let at = pattern.split('/').position(|segment| segment == "{workspace}");
    at.and_then(|at| path.split('/').nth(at)).unwrap_or("system").to_owned()
}

fn bound(data: &Value, name: &str, workspace: &str, permission: &str) -> bool {
    let workspaces = &data["principals"][name]["workspaces"];
    [workspace, "*"]
        .iter()
        .any(|it| texts(&workspaces[it]).any(|role| grants(data, role, permission, 5)))
}

fn by_name(data: &Value, group: &str, workspace: &str, permission: &str) -> bool {
    let ends: Vec<&String> = data["roles"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|role| {
            group.strip_suffix(*role).is_some_and(|front| front.len() > 2 && front.ends_with('-'))
        })
        .collect();
    let [role] = *ends else { return false };
    group == format!("g-{workspace}-{role}")
        && !["system", "-", "*"].contains(&workspace)
        && !["PlatformAdmin", "ServiceSystem"].contains(&role.as_str())
        && grants(data, role, permission, 5)
}

fn grants(data: &Value, role: &str, permission: &str, levels: usize) -> bool {
    let role = &data["roles"][role];
    levels > 0
        && (texts(&role["permissions"]).any(|it| it == permission || it == "*")
            || texts(&role["includes"]).any(|it| grants(data, it, permission, levels - 1)))
}

const PATTERNS: [&str; 9] = [
    "/ws/{workspace}/a",
    "/ws/{workspace}/{name}",
    "/ws/red/a",
    "/ws/{workspace}/a/{name}",
    "/ws/{workspace}/g/-/{rest}",
    "/ws/{workspace}/g/-/a",
    "/a",
    "/{name}",
    "/p/a",
];
const PERMISSIONS: [&str; 4] = ["p", "q", "r", "s"];
const ROLES: [&str; 6] = ["A", "B", "x-A", "C", "PlatformAdmin", "ServiceSystem"];
const WORKSPACES: [&str; 5] = ["red", "red-x", "system", "-", "*"];
const NAMES: [&str; 5] = ["alice", "bob@b.example", "team", "job", "*"];
const SCOPES: [&str; 4] = ["openid", "a:read", "a:write", "b:read"];

fn some<T: Clone + std::fmt::Debug + 'static>(
    of: &'static [T],
    most: usize,
) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(prop::sample::select(of), 0..=most)
}

fn endpoint() -> impl Strategy<Value = Value> {
    let callers = prop::sample::select(vec![
        json!(null),
        json!(null),
        json!(["principal"]),
        json!(["service_principal"]),
        json!(["principal", "service_principal"]),
    ]);
    (some(&PERMISSIONS, 2), some(&SCOPES[1..], 2), callers, prop::bool::weighted(0.1)).prop_map(
        |(permissions, scopes, callers, deny)| {
            json!({"permissions": permissions, "scopes": scopes, "callers": callers, "deny": deny})
        },
    )
}

fn data() -> impl Strategy<Value = Value> {
    const METHODS: [&str; 3] = ["get", "post", "head"];
    let methods = prop::collection::btree_map(prop::sample::select(&METHODS[..]), endpoint(), 1..3);
    let endpoints = prop::collection::btree_map(
        prop::sample::select(&PATTERNS[..]),
        methods,
        3..PATTERNS.len(),
    );
    // A role includes those before it only.
    let role = (some(&PERMISSIONS, 2), some(&[0_usize, 1, 2, 3], 2), prop::bool::weighted(0.1));
    let roles = prop::collection::vec(role, ROLES.len()).prop_map(|roles| {
        let roles = roles.into_iter().enumerate().map(|(at, (mut permissions, includes, all))| {
            permissions.extend(all.then_some("*"));
            let includes: Vec<_> =
                includes.into_iter().filter(|it| *it < at).map(|it| ROLES[it]).collect();
            (ROLES[at].to_owned(), json!({"permissions": permissions, "includes": includes}))
        });
        Value::Object(roles.collect())
    });
    let bindings =
        prop::collection::btree_map(prop::sample::select(&WORKSPACES[..]), some(&ROLES, 2), 0..3);
    let principals = prop::collection::btree_map(prop::sample::select(&NAMES[..]), bindings, 0..4);
    (endpoints, roles, principals, any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |(endpoints, roles, principals, exempt, closed)| {
            let principals: serde_json::Map<_, _> = principals
                .into_iter()
                .map(|(name, workspaces)| (name.to_owned(), json!({"workspaces": workspaces})))
                .collect();
            let closed = if closed { vec!["/ws/red"] } else { vec!["/p"] };
            json!({
                "endpoints": endpoints, "roles": roles, "principals": principals,
                "config": {
                    "platform_admin_exempt_from_service_only": exempt,
                    "denied_plugin_prefixes": closed,
                },
            })
        },
    )
}

fn a_request() -> impl Strategy<Value = Request> {
    const GROUPS: [&str; 9] = [
        "team",
        "job",
        "g-red-A",
        "g-red-x-A",
        "g-red-C",
        "g-system-B",
        "g--B",
        "admins",
        "g-red-PlatformAdmin",
    ];
    const PATHS: [&str; 12] = [
        "/ws/red/a",
        "/ws/red/b",
        "/ws/red-x/a",
        "/ws/system/a",
        "/ws/-/a",
        "/ws/*/a",
        "/ws/red/a/b",
        "/ws/red/g/-/a",
        "/ws/red/g/-/b/c",
        "/a",
        "/b",
        "/p/a",
    ];
    const METHODS: [&str; 4] = ["GET", "POST", "HEAD", "PUT"];
    let one = |of: &'static [&str]| prop::sample::select(of).prop_map(str::to_owned);
    let list = |of: &'static [&str], most: usize| {
        some(of, most).prop_map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let actor = (one(&["alice", "job"]), list(&GROUPS, 2));
    let path = (one(&PATHS), prop::bool::weighted(0.2));
    (
        one(&["alice", "x"]),
        prop::option::of(one(&["bob@b.example", "c@c.example"])),
        list(&GROUPS, 3),
        prop::option::weighted(0.2, actor),
        list(&SCOPES, 2),
        one(&METHODS),
        path.prop_map(|(path, slash)| if slash { path + "/" } else { path }),
    )
        .prop_map(|(id, email, groups, actor, scopes, method, path)| Request {
            id,
            email,
            groups,
            actor,
            scopes,
            method,
            path,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Looked up or read through, it is the same policy.
    #[test]
    fn what_is_looked_up_is_what_the_data_say(
        data in data(),
        requests in prop::collection::vec(a_request(), 8),
    ) {
        let patterns = ["g-{workspace}-{role}", "admins => PlatformAdmin in system"];
        let authorizer = by_roles(&data, &patterns);
        for request in requests {
            let found = is_allowed(&authorizer, &request.ask());
            prop_assert_eq!(found, plain(&data, &request), "{:?} {}", request, data);
        }
    }
}
