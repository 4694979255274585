//! Policies as people write them, with what they come to. `opa.rs` holds the same against a real OPA.

use serde_json::{Value, json};

use crate::asking::compiled;
use crate::speed::{NEMO, nemo_data};
use crate::support::token;

/// A policy, and inputs with the values that `data.authz.allow` has for them; null: it has none.
pub struct Case {
    pub module: &'static str,
    pub data: Value,
    pub inputs: Vec<(Value, Value)>,
}

fn http(method: &str, path: &str, headers: Value) -> Value {
    let path_only = path.split('?').next().unwrap();
    let parsed: Vec<_> = path_only.trim_start_matches('/').split('/').collect();
    json!({
        "attributes": {"request": {"http": {"method": method, "path": path, "headers": headers, "host": "api"}}},
        "method": method, "path": path_only, "parsed_path": parsed,
    })
}

pub fn cases() -> Vec<Case> {
    vec![
        tokens(),
        whole_answers(),
        basic(),
        paths(),
        queries(),
        nemo(),
        networks(),
        chains(),
        older(),
    ]
}

/// Roles in the claims of a token, and what each may.
fn tokens() -> Case {
    let module = r#"package authz

import input.attributes.request.http as request

default allow := false

allow if {
	some permission in data.permissions[claims.role]
	permission.method == request.method
	glob.match(permission.path, ["/"], request.path)
}

claims := payload if {
	[_, encoded] := split(request.headers.authorization, " ")
	[_, payload, _] := io.jwt.decode(encoded)
}
"#;
    let data = json!({"permissions": {
        "guest": [{"method": "GET", "path": "/people*"}],
        "admin": [{"method": "GET", "path": "/people*"}, {"method": "POST", "path": "/people/*/notes"}],
    }});
    let with = |role: &str, method: &str, path: &str| {
        let bearer = format!("Bearer {}", token(json!({"role": role})));
        http(method, path, json!({"authorization": bearer}))
    };
    let inputs = vec![
        (with("guest", "GET", "/people"), json!(true)),
        (with("guest", "POST", "/people/a/notes"), json!(false)),
        (with("admin", "POST", "/people/a/notes"), json!(true)),
        (with("admin", "POST", "/people/a/b/notes"), json!(false)),
        (with("nobody", "GET", "/people"), json!(false)),
        (http("GET", "/people", json!({"authorization": "Bearer a.b.c"})), json!(false)),
        (http("GET", "/people", json!({"authorization": "Bearer"})), json!(false)),
        (http("GET", "/people", json!({})), json!(false)),
    ];
    Case { module, data, inputs }
}

/// Allowed, status, headers and body in one object.
fn whole_answers() -> Case {
    let module = r#"package authz

default allowed := false

allowed if input.attributes.request.http.headers["x-team"] in {"red", "blue"}

headers["x-ext-auth-allow"] := "yes"

headers["x-team-known"] := "no" if not allowed

status := 200 if allowed
else := 403

allow["allowed"] := allowed

allow["headers"] := headers

allow["http_status"] := status

allow["body"] := "go away" if not allowed

allow["dynamic_metadata"] := {"teams": ["red", "blue"]}
"#;
    let metadata = json!({"teams": ["red", "blue"]});
    let inputs = vec![
        (
            http("GET", "/", json!({"x-team": "red"})),
            json!({"allowed": true, "headers": {"x-ext-auth-allow": "yes"}, "http_status": 200, "dynamic_metadata": metadata}),
        ),
        (
            http("GET", "/", json!({})),
            json!({"allowed": false, "headers": {"x-ext-auth-allow": "yes", "x-team-known": "no"}, "http_status": 403, "body": "go away", "dynamic_metadata": metadata}),
        ),
    ];
    Case { module, data: json!({}), inputs }
}

/// A password in a header.
fn basic() -> Case {
    let module = r#"package authz

allow if {
	startswith(input.attributes.request.http.headers.authorization, "Basic ")
	decoded := base64.decode(substring(input.attributes.request.http.headers.authorization, 6, -1))
	[user, password] := split(decoded, ":")
	data.users[user].password == password
}
"#;
    let data = json!({"users": {"alice": {"password": "secret"}}});
    let with = |value: &str| http("GET", "/", json!({"authorization": value}));
    let inputs = vec![
        (with("Basic YWxpY2U6c2VjcmV0"), json!(true)),
        (with("Basic YWxpY2U6d3Jvbmc="), json!(null)),
        (with("Basic %%%"), json!(null)),
        (with("Bearer x"), json!(null)),
    ];
    Case { module, data, inputs }
}

/// Paths by their names, and everybody's own.
fn paths() -> Case {
    let module = r#"package authz

default allow := false

allow if input.parsed_path == ["health"]

allow if {
	input.parsed_path = ["users", input.principal_id]
	input.method in {"GET", "PUT"}
}

allow if {
	["teams", team, _] = input.parsed_path
	sprintf("team-%s", [team]) in input.principal_groups
	not frozen[team]
}

frozen contains team if some team in data.frozen
"#;
    let who = |mut input: Value, id: &str, groups: Value| {
        input["principal_id"] = json!(id);
        input["principal_groups"] = groups;
        input
    };
    let inputs = vec![
        (http("GET", "/health", json!({})), json!(true)),
        (http("GET", "/healthy", json!({})), json!(false)),
        (who(http("GET", "/users/alice", json!({})), "alice", json!([])), json!(true)),
        (who(http("GET", "/users/bob", json!({})), "alice", json!([])), json!(false)),
        (who(http("DELETE", "/users/alice", json!({})), "alice", json!([])), json!(false)),
        (who(http("GET", "/teams/red/x", json!({})), "alice", json!(["team-red"])), json!(true)),
        (who(http("GET", "/teams/blue/x", json!({})), "alice", json!(["team-blue"])), json!(false)),
        (who(http("GET", "/teams/red", json!({})), "alice", json!(["team-red"])), json!(false)),
    ];
    Case { module, data: json!({"frozen": ["blue"]}), inputs }
}

fn queries() -> Case {
    let module = r#"package authz

default allow := {"allowed": false}

allow := {"allowed": true, "headers": {"x-depth": format_int(depth, 10)}} if {
	depth := to_number(input.parsed_query.depth[0])
	depth <= 3
	every name, values in input.parsed_query {
		name in {"depth", "sort"}
		count(values) == 1
	}
}
"#;
    let with = |query: Value| json!({"parsed_query": query});
    let inputs = vec![
        (with(json!({"depth": ["2"]})), json!({"allowed": true, "headers": {"x-depth": "2"}})),
        (with(json!({"depth": ["4"]})), json!({"allowed": false})),
        (with(json!({"depth": ["x"]})), json!({"allowed": false})),
        (with(json!({"depth": ["1", "2"]})), json!({"allowed": false})),
        (with(json!({"depth": ["1"], "all": [""]})), json!({"allowed": false})),
        (with(json!({})), json!({"allowed": false})),
    ];
    Case { module, data: json!({}), inputs }
}

fn nemo() -> Case {
    let who = |path: &str, method: &str, groups: Value, scopes: Value| json!({"principal_id": "alice", "principal_groups": groups, "scopes": scopes, "method": method, "path": path});
    let yes = json!({"allowed": true, "headers": {"X-NMP-Authorized": "true"}});
    let no = json!({"allowed": false, "headers": {}});
    let path = "/apis/svc27/workspaces/ws5/things27/x";
    let inputs = vec![
        (who(path, "GET", json!(["group5"]), json!(["openid"])), yes.clone()),
        (who(path, "GET", json!(["group5"]), json!(["platform:read"])), yes),
        (who(path, "GET", json!(["group5"]), json!(["other:read"])), no.clone()),
        (who(path, "GET", json!(["group6"]), json!([])), no.clone()),
        (who(path, "POST", json!(["group5"]), json!([])), no.clone()),
        (
            who("/apis/svc27/workspaces/ws6/things27/x", "GET", json!(["group5"]), json!([])),
            no.clone(),
        ),
        (who("/apis", "GET", json!(["group5"]), json!([])), no.clone()),
        (json!({}), no),
    ];
    Case { module: NEMO, data: nemo_data(), inputs }
}

fn networks() -> Case {
    let module = r#"package authz

default allow := false

client := trim_space(parts[count(parts) - 1]) if {
	parts := split(input.attributes.request.http.headers["x-forwarded-for"], ",")
}

allow if net.cidr_contains(data.inside[_], client)

allow if regex.match(`^/public/[a-z]+$`, input.path)
"#;
    let from = |address: &str| http("GET", "/", json!({"x-forwarded-for": address}));
    let inputs = vec![
        (from("1.2.3.4, 10.1.2.3"), json!(true)),
        (from("10.1.2.3, 1.2.3.4"), json!(false)),
        (from("fd00::1"), json!(true)),
        (from("nonsense"), json!(false)),
        (http("GET", "/public/abc", json!({})), json!(true)),
        (http("GET", "/public/abc/d", json!({})), json!(false)),
    ];
    Case { module, data: json!({"inside": ["10.0.0.0/8", "fd00::/8"]}), inputs }
}

fn chains() -> Case {
    let module = r#"package authz

allow := "deny" if {
	input.blocked
} else := "admin" if {
	is_admin(input.groups)
} else := "reader" if {
	input.method == "GET"
}

default is_admin(_) := false

is_admin(groups) if {
	some group in groups
	endswith(group, ":admin")
}
"#;
    let inputs = vec![
        (json!({"blocked": true, "groups": ["x:admin"]}), json!("deny")),
        (json!({"blocked": false, "groups": ["x:admin"]}), json!("admin")),
        (json!({"groups": ["x"], "method": "GET"}), json!("reader")),
        (json!({"groups": ["x"], "method": "PUT"}), json!(null)),
    ];
    Case { module, data: json!({}), inputs }
}

/// Rego v0.
fn older() -> Case {
    let module = r#"package authz

default allow = false

allow {
	input.method == "GET"
	names[input.name]
}

names[name] {
	name := data.names[_]
}
"#;
    let inputs = vec![
        (json!({"method": "GET", "name": "a"}), json!(true)),
        (json!({"method": "GET", "name": "b"}), json!(false)),
        (json!({"method": "PUT", "name": "a"}), json!(false)),
    ];
    Case { module, data: json!({"names": ["a"]}), inputs }
}

#[test]
fn policies_decide_as_they_should() {
    for case in cases() {
        let policy = compiled(case.module, &case.data, "data.authz.allow").unwrap();
        for (input, expected) in case.inputs {
            let value = policy.evaluate(&input).unwrap().unwrap_or_default();
            assert_eq!(value, expected, "{}\n{input}", case.module);
        }
    }
}
