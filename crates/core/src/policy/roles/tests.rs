//! The rules of the policy, one by one.

use serde_json::{Value, json};

use super::*;
use crate::request::{HeaderView, RequestView, RouteView};
use crate::rules::Readings;

/// Somebody with a token.
#[derive(Clone)]
struct Token {
    askers: Vec<Asker<'static>>,
    scopes: &'static str,
    some_scopes_lost: bool,
}

fn nobody() -> Token {
    Token { askers: Vec::new(), scopes: "", some_scopes_lost: false }
}

fn id(id: &'static str) -> Token {
    Token { askers: vec![Asker { id, email: None, groups: "" }], ..nobody() }
}

fn of_groups(groups: &'static str) -> Token {
    Token { askers: vec![Asker { id: "somebody", email: None, groups }], ..nobody() }
}

impl Token {
    fn scopes(self, scopes: &'static str) -> Self {
        Self { scopes, ..self }
    }

    fn on_behalf_of(mut self, other: Token) -> Self {
        self.askers.extend(other.askers);
        self
    }
}

fn roles(data: Value) -> Roles {
    Roles::new(&data, Vec::new()).unwrap()
}

fn with_patterns(data: Value, patterns: &[&str]) -> Roles {
    let patterns = patterns.iter().map(|text| text.parse().unwrap());
    Roles::new(&data, patterns.collect()).unwrap()
}

fn ask(roles: &Roles, token: &Token, method: &str, path: &str, headers: &[HeaderView<'_>]) -> bool {
    let readings = Readings::One(path.as_bytes());
    let (route, authority) = (RouteView::default(), &b""[..]);
    let (method, path) = (method.as_bytes(), path.as_bytes());
    let request = RequestView { method, path, authority, headers, route };
    let rights: Vec<_> = token.askers.iter().map(|asker| Rights::of(roles, asker)).collect();
    let asked = Asked {
        request: &request,
        path: &readings,
        rights: &rights,
        scopes: token.scopes,
        some_scopes_lost: token.some_scopes_lost,
    };
    let mut may_pass = true;
    let mut lines = 0;
    roles
        .find(&asked, |finding| {
            may_pass &= finding.allows();
            lines += usize::from(!roles.explain(finding).is_empty());
        })
        .unwrap();
    assert!(lines > 0, "{} {path:?}: nothing was found", String::from_utf8_lossy(method));
    may_pass
}

fn may(roles: &Roles, token: &Token, method: &str, path: &str) -> bool {
    ask(roles, token, method, path, &[])
}

/// What the rules below are tried on.
fn data() -> Value {
    json!({
        "endpoints": {
            "/ws/{workspace}/models": {
                "get": {"permissions": ["models.list"], "scopes": ["models:read", "platform:read"]},
                "post": {"permissions": ["models.create", "models.list"]},
            },
            "/workspaces/{name}": {"get": {"permissions": ["workspaces.read"], "scopes": []}},
            "/admin/keys": {"post": {"permissions": ["keys.rotate"]}},
            "/open": {"get": {"permissions": []}},
            "/people": {"get": {"permissions": [], "callers": ["principal"]}},
            "/services": {"get": {"permissions": ["models.list"], "callers": ["service_principal"]}},
            "/both": {"get": {"permissions": [], "callers": ["principal", "service_principal"]}},
            "/closed/{workspace}": {"get": {"deny": true}, "delete": {"permissions": []}},
            "/closed/{workspace}/x": {"options": {"permissions": []}, "get": {"deny": true}},
        },
        "roles": {
            "Viewer": {"permissions": ["models.list", "workspaces.read"], "description": "reads"},
            "Creator": {"permissions": ["models.create"]},
            "Editor": {"includes": ["Viewer", "Creator"]},
            "KeyMaster": {"permissions": ["keys.rotate", "nobody.asks.for.this"]},
            "PlatformAdmin": {"permissions": []},
            "ServiceSystem": {"permissions": ["*"]},
        },
        "principals": {
            "vera": {"workspaces": {"team": ["Viewer"]}},
            "carl": {"workspaces": {"team": ["Creator"]}},
            "both": {"workspaces": {"team": ["Creator", "Viewer"]}},
            "eve@example.com": {"workspaces": {"team": ["Editor"]}},
            "group": {"workspaces": {"team": ["Editor"], "other": ["Viewer"]}},
            "everywhere": {"workspaces": {"*": ["Editor", "KeyMaster"]}},
            "keys": {"workspaces": {"system": ["KeyMaster"]}},
            "root": {"workspaces": {"system": ["PlatformAdmin"]}},
            "root-elsewhere": {"workspaces": {"team": ["PlatformAdmin"], "*": ["PlatformAdmin"]}},
            "service:bound": {"workspaces": {"team": ["Viewer"]}},
            "*": {"workspaces": {"public": ["Viewer"], "system": ["PlatformAdmin"]}},
        },
        "config": {"denied_plugin_prefixes": ["/apis/broken", "/apis/off/"]},
    })
}

#[test]
fn a_role_in_the_workspace_of_the_path_is_needed() {
    let roles = roles(data());
    let eve = Token {
        askers: vec![Asker { id: "x", email: Some("eve@example.com"), groups: "" }],
        ..nobody()
    };
    for (token, method, path, expected) in [
        (id("vera"), "GET", "/ws/team/models", true),
        (id("vera"), "HEAD", "/ws/team/models", true),
        (id("vera"), "get", "/ws/team/models/", true),
        (id("vera"), "GET", "/ws/team;v=1/models", false),
        (id("vera"), "GET", "/ws/team/models;v=1", false),
        (id("vera"), "GET", "/ws/team/models;/", false),
        (id("root"), "GET", "/ws/team/models;v=1", true),
        (id("vera"), "GET", "/ws/other/models", false),
        (id("vera"), "GET", "/ws/Team/models", false),
        (id("vera"), "POST", "/ws/team/models", false),
        (id("carl"), "POST", "/ws/team/models", false),
        (id("both"), "POST", "/ws/team/models", true),
        (eve, "POST", "/ws/team/models", true),
        (of_groups("x,group"), "POST", "/ws/team/models", true),
        (of_groups("group"), "GET", "/ws/other/models", true),
        (of_groups("grou"), "GET", "/ws/team/models", false),
        (id("group"), "GET", "/ws/team/models", true),
        (id("stranger"), "GET", "/ws/team/models", false),
        // The placeholder behind `/workspaces/` is one, whatever it is called.
        (id("vera"), "GET", "/workspaces/team", true),
        (id("vera"), "GET", "/workspaces/other", false),
        (id("vera"), "GET", "/workspaces/team;v=1", false),
        (id("vera"), "GET", "/workspaces/t%65am", true),
        (id("everywhere"), "GET", "/workspaces/team;v=1", true),
        (id("everywhere"), "GET", "/workspaces/;v=1", false),
        // Everywhere is everywhere.
        (id("everywhere"), "POST", "/ws/whatever/models", true),
        (id("everywhere"), "POST", "/ws/-/models", true),
        (id("vera"), "GET", "/ws/-/models", false),
        (id("vera"), "GET", "/ws/*/models", false),
        // Without a workspace it is `system`.
        (id("keys"), "POST", "/admin/keys", true),
        (id("everywhere"), "POST", "/admin/keys", true),
        (id("vera"), "POST", "/admin/keys", false),
        // Everybody with a token is everybody.
        (id("stranger"), "GET", "/ws/public/models", true),
        (nobody(), "GET", "/ws/public/models", false),
        // What is in no table.
        (id("vera"), "DELETE", "/ws/team/models", false),
        (id("vera"), "GET", "/elsewhere", false),
        (id("service:x"), "GET", "/elsewhere", false),
    ] {
        assert_eq!(may(&roles, &token, method, path), expected, "{method} {path}");
    }
}

/// What one name lacks is not made up for by another, but by everybody.
#[test]
fn one_name_has_it_all_with_what_everybody_has() {
    let mut data = data();
    let two =
        Token { askers: vec![Asker { id: "vera", email: Some("carl"), groups: "" }], ..nobody() };
    assert!(!may(&roles(data.clone()), &two, "POST", "/ws/team/models"));
    data["principals"]["*"] = json!({"workspaces": {"team": ["Creator"]}});
    assert!(may(&roles(data.clone()), &id("vera"), "POST", "/ws/team/models"));
    assert!(!may(&roles(data), &id("carl"), "POST", "/ws/team/models"));
}

#[test]
fn administrators_may_do_all_that_anybody_may() {
    let roles = roles(data());
    for (method, path, expected) in [
        ("DELETE", "/ws/team/models", true),
        ("GET", "/elsewhere", true),
        ("POST", "/admin/keys", true),
        ("GET", "/people", true),
        ("GET", "/services", false),
        ("GET", "/closed/x", false),
        ("DELETE", "/closed/x", true),
        ("GET", "/apis/broken", false),
        ("GET", "/apis/broken/x/y", false),
        ("GET", "/apis/broken;v=1/x", false),
        ("GET", "/apis/off", false),
        ("GET", "/apis/off/x", false),
        ("GET", "/apis/brokenness", true),
    ] {
        assert_eq!(may(&roles, &id("root"), method, path), expected, "{method} {path}");
        assert_eq!(may(&roles, &of_groups("root"), method, path), expected, "{method} {path}");
    }
    let limited = id("root").scopes("other:read");
    assert!(may(&roles, &limited, "GET", "/ws/team/models"), "whatever the scopes");
    for token in [id("root-elsewhere"), id("stranger")] {
        assert!(!may(&roles, &token, "POST", "/ws/team/models"), "not in `system` by an own name");
    }
}

#[test]
fn scopes_limit_those_tokens_that_have_some() {
    let roles = roles(data());
    let lost = Token { some_scopes_lost: true, ..id("vera") };
    for (token, path, expected) in [
        (id("vera").scopes("openid profile"), "/ws/team/models", true),
        (id("vera").scopes("openid models:read"), "/ws/team/models", true),
        (id("vera").scopes("platform:read x:y"), "/ws/team/models", true),
        (id("vera").scopes("models:write"), "/ws/team/models", false),
        (id("vera").scopes("models:rea"), "/ws/team/models", false),
        (id("vera").scopes("x:y"), "/workspaces/team", true),
        (lost.clone(), "/ws/team/models", false),
        (lost.clone().scopes("models:read"), "/ws/team/models", true),
        (lost, "/workspaces/team", true),
        (id("x").scopes("models:read"), "/ws/public/models", true),
        (id("x").scopes("models:write"), "/ws/public/models", false),
    ] {
        assert_eq!(may(&roles, &token, "GET", path), expected, "{} {path}", token.scopes);
    }
}

#[test]
fn some_endpoints_are_for_people_or_services_alone() {
    let with = |exempt: bool| {
        let mut data = data();
        data["config"]["platform_admin_exempt_from_service_only"] = exempt.into();
        data["principals"]["vera"]["workspaces"]["system"] = json!(["Viewer"]);
        roles(data)
    };
    let [plain, exempt] = [false, true].map(with);
    for (token, path, expected) in [
        (id("vera"), "/people", [true, true]),
        (id("vera"), "/services", [false, false]),
        (id("vera"), "/both", [true, true]),
        (id("vera"), "/open", [true, true]),
        (id("root"), "/services", [false, true]),
        (id("service:x"), "/people", [false, false]),
        (id("service:x"), "/services", [true, true]),
        (id("service:x"), "/both", [true, true]),
        (nobody(), "/open", [true, true]),
        (nobody(), "/people", [false, false]),
        (nobody(), "/both", [false, false]),
        (nobody(), "/closed/x", [false, false]),
        (nobody(), "/elsewhere", [false, false]),
    ] {
        let found = [&plain, &exempt].map(|roles| may(roles, &token, "GET", path));
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn services_have_a_role_unless_they_are_bound() {
    let roles = roles(data());
    assert!(may(&roles, &id("service:x"), "POST", "/ws/team/models"));
    assert!(!may(&roles, &id("service:bound"), "POST", "/ws/team/models"));
    assert!(may(&roles, &id("service:bound"), "GET", "/ws/team/models"));
    assert!(!may(&roles, &id("service:bound"), "GET", "/ws/other/models"));
    assert!(!may(&roles, &id("services"), "GET", "/ws/team/models"));
}

#[test]
fn who_acts_and_on_whose_behalf_both_need_the_rights() {
    let roles = roles(data());
    for (actor, subject, expected) in [
        ("vera", "both", true),
        ("vera", "carl", false),
        ("stranger", "vera", false),
        ("root", "carl", false),
        ("root", "vera", true),
    ] {
        let token = id(actor).on_behalf_of(id(subject));
        assert_eq!(may(&roles, &token, "GET", "/ws/team/models"), expected, "{actor} {subject}");
    }
    // Which kind of caller it is, is a matter of who acts.
    assert!(may(&roles, &id("service:x").on_behalf_of(id("everywhere")), "GET", "/services"));
    assert!(!may(&roles, &id("vera").on_behalf_of(id("service:x")), "GET", "/services"));
    assert!(!may(&roles, &id("root").on_behalf_of(id("vera")), "GET", "/elsewhere"));
}

#[test]
fn no_preflight_leads_to_what_is_closed() {
    let roles = roles(data());
    let preflight = |method: &'static [u8]| {
        let headers = [HeaderView { name: b"Access-Control-Request-Method", value: method }];
        ask(&roles, &id("vera"), "OPTIONS", "/closed/a/x", &headers)
    };
    assert!(may(&roles, &id("vera"), "OPTIONS", "/closed/a/x"));
    assert!(preflight(b"PUT") && !preflight(b"GET") && !preflight(b"put, get"));
}

#[test]
fn names_of_groups_give_roles() {
    let patterns = [
        "nmp-{workspace}-{role}",
        "nmp-{workspace}-editors => Editor",
        "{role}.of.{workspace}",
        "keepers => KeyMaster in *",
        "roots => PlatformAdmin in system",
    ];
    let roles = with_patterns(data(), &patterns);
    for (groups, method, path, expected) in [
        ("nmp-red-Viewer", "GET", "/ws/red/models", true),
        ("nmp-red-Viewer", "POST", "/ws/red/models", false),
        ("nmp-red-Viewer", "GET", "/ws/blue/models", false),
        ("nmp-red-viewer", "GET", "/ws/red/models", false),
        ("nmp-red-team-Editor", "POST", "/ws/red-team/models", true),
        ("nmp-red-team-Editor", "POST", "/ws/team/models", false),
        ("nmp-red-editors", "POST", "/ws/red/models", true),
        ("x,Editor.of.red", "POST", "/ws/red/models", true),
        // Of one group, not across groups.
        ("nmp-red-Viewer,nmp-red-Creator", "POST", "/ws/red/models", false),
        // What may not be captured.
        ("nmp-system-KeyMaster", "POST", "/admin/keys", false),
        ("nmp-*-Editor", "GET", "/ws/red/models", false),
        ("nmp-*-Editor", "GET", "/ws/*/models", false),
        ("nmp---Editor", "GET", "/ws/-/models", false),
        ("nmp--editors", "GET", "/ws/red/models", false),
        ("nmp-system-PlatformAdmin", "GET", "/elsewhere", false),
        ("nmp-red-ServiceSystem", "GET", "/ws/red/models", false),
        ("PlatformAdmin.of.system", "GET", "/elsewhere", false),
        // What is written out may be.
        ("keepers", "POST", "/admin/keys", true),
        ("roots", "GET", "/elsewhere", true),
        ("rootsy", "GET", "/elsewhere", false),
    ] {
        assert_eq!(may(&roles, &of_groups(groups), method, path), expected, "{groups} {path}");
    }
    // Ids are no groups.
    assert!(!may(&roles, &id("roots"), "GET", "/elsewhere"));
    assert!(!may(&roles, &id("nmp-red-Editor"), "GET", "/ws/red/models"));
}

#[test]
fn a_name_that_can_be_split_in_two_ways_gives_nothing() {
    let mut data = data();
    data["roles"]["x-Viewer"] = json!({"permissions": ["models.list"]});
    let roles = with_patterns(data, &["nmp-{workspace}-{role}"]);
    for workspace in ["red", "red-x"] {
        let path = format!("/ws/{workspace}/models");
        assert!(!may(&roles, &of_groups("nmp-red-x-Viewer"), "GET", &path), "{path}");
    }
    assert!(may(&roles, &of_groups("nmp-red-y-Viewer"), "GET", "/ws/red-y/models"));
}

#[test]
fn what_is_no_pattern_of_groups() {
    use GroupPatternFault as F;
    for (text, fault) in [
        ("", F::NoText),
        ("=> Editor in team", F::NoText),
        ("{workspace} => Editor", F::NoText),
        ("nmp-{workspace}{role}", F::NothingBetween),
        ("nmp-{workspace}", F::NoTarget),
        ("nmp-{role}", F::NoTarget),
        ("nmp", F::NoTarget),
        ("nmp => Editor", F::NoTarget),
        ("nmp-{role} => Editor", F::NoTarget),
        ("nmp-{workspace}-{role} => Editor", F::NoTarget),
        ("nmp-{workspace} => Editor in team", F::NoTarget),
        ("nmp-{workspace}-{workspace}", F::NoTarget),
        ("nmp-{workspace}-{role}-{role}", F::NoTarget),
        ("nmp => Editor of team", F::Target),
        ("nmp => ", F::Target),
        ("nmp => Editor in", F::Target),
        ("nmp-{name}-{role}", F::Braces),
        ("nmp-{workspace-{role}", F::Braces),
        ("nmp-workspace}-{role}", F::Braces),
        ("nmp-{workspace", F::Braces),
        ("nmp {workspace}-{role}", F::NoGroup),
        ("a,b => Editor in team", F::NoGroup),
    ] {
        assert_eq!(text.parse::<GroupPattern>(), Err(fault), "{text}");
    }
    let text = "nmp-{workspace}-admins => Admin";
    assert_eq!(text.parse::<GroupPattern>().unwrap().to_string(), text);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let data = json!({"authz": {
        "endpoints": {
            "v2": {},
            "/a": {"gte": {"permissions": []}, "get": 1, "put": {}, "head": {"permissions": "x"}},
            "/b": {"get": {"permissions": [1], "scopes": {}, "callers": ["peopel"], "deny": "yes"}},
            "/c": {"get": {"permissions": ["team/x"], "callers": [], "permission": [], "x-note": 1}},
            "/d/{workspace}/{workspace_id}": {"get": {"permissions": []}},
            "/e/-/{workspace}": {"get": {"permissions": []}},
            "/f/{x}": {"get": {"permissions": []}},
            "/f/{y}": {"get": {"permissions": []}},
            "/g": [],
        },
        "roles": {
            "Editor": {"includes": ["Vewer"], "include": []},
            "Loop": {"includes": ["Pool"]}, "Pool": {"includes": ["Loop"]},
            "1": {"includes": ["2"]}, "2": {"includes": ["3"]}, "3": {"includes": ["4"]},
            "4": {"includes": ["5"]}, "5": {"includes": ["6"]}, "6": {},
            "7": null,
        },
        "principals": {"alice": {"workspaces": {"w1": ["Editr"], "w2": "Editor"}, "roles": []}, "bob": []},
        "config": {"denied_plugin_prefixes": ["apis"], "platform_admin": true,
            "platform_admin_exempt_from_service_only": 1},
        "more": 1,
    }});
    let groups = vec!["x-{workspace} => Nothing".parse().unwrap()];
    let faults = Roles::new(&data, groups).unwrap_err();
    let mut places: Vec<_> = faults.iter().map(|fault| &*fault.place).collect();
    places.sort_unstable();
    let mut expected = [
        "endpoints.v2",
        "endpoints./a.gte",
        "endpoints./a.get",
        "endpoints./a.put",
        "endpoints./a.head.permissions",
        "endpoints./b.get.permissions",
        "endpoints./b.get.scopes",
        "endpoints./b.get",
        "endpoints./b.get.deny",
        "endpoints./c.get",
        "endpoints./c.get.callers",
        "endpoints./c.get.permission",
        "endpoints./d/{workspace}/{workspace_id}.get",
        "endpoints./e/-/{workspace}.get",
        "endpoints./f/{y}.get",
        "endpoints./g",
        "roles.1.includes",
        "roles.7",
        "roles.Editor.include",
        "roles.Editor.includes",
        "roles.Loop.includes",
        "roles.Pool.includes",
        "principals.alice.workspaces.w1",
        "principals.alice.workspaces.w2",
        "principals.alice.roles",
        "principals.bob",
        "config.denied_plugin_prefixes.apis",
        "config.platform_admin",
        "config.platform_admin_exempt_from_service_only",
        "groups.x-{workspace} => Nothing",
    ];
    expected.sort_unstable();
    assert_eq!(places, expected);
    let of_alice = faults.iter().find(|fault| fault.place.ends_with("w1")).unwrap();
    let line = "principals.alice.workspaces.w1: names `Editr`, which is not one of the roles";
    assert_eq!(of_alice.to_string(), line);

    for (data, place) in [
        (json!({"roles": {}}), "endpoints"),
        (json!({"endpoints": {}}), "roles"),
        (json!({"authz": {"endpoints": [], "roles": {}}}), "endpoints"),
        (json!({"endpoints": {}, "roles": {}, "config": []}), "config"),
    ] {
        let faults = Roles::new(&data, Vec::new()).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| &*fault.place).collect();
        assert_eq!(places, [place], "{data}");
    }
    assert!(Roles::new(&json!([]), Vec::new()).is_err());
}

#[test]
fn roles_include_others_over_five_levels() {
    let roles = roles(json!({
        "endpoints": {"/a": {"get": {"permissions": ["five"]}}},
        "roles": {
            "1": {"includes": ["2"]}, "2": {"includes": ["3"]}, "3": {"includes": ["4"]},
            "4": {"includes": ["5"]}, "5": {"permissions": ["five"]},
        },
        "principals": {"x": {"workspaces": {"system": ["1"]}}},
    }));
    assert!(may(&roles, &id("x"), "GET", "/a"));
}
