//! How long decisions take, in time on a processor. Run by hand, in release: `cargo test --release -p doorward-policy -- \
//! --ignored --nocapture speed`.

use std::time::{Duration, Instant};

use doorward_core::policy::{Consulted, Policy};
use doorward_policy::{Limits, Rego};
use serde_json::{Map, Value, json};

use crate::asking::{compiled, patient, sources, with_question};
use crate::support::{Ask, get};

/// As NeMo Platform decides: endpoint by pattern, scopes, and the permissions of the roles that
/// somebody has in the workspace of the path.
pub const NEMO: &str = r#"package authz

default allow := {"allowed": false, "headers": {}}

allow := {"allowed": true, "headers": {"X-NMP-Authorized": "true"}} if {
	scopes_suffice
	every permission in endpoint.permissions {
		permission in held
	}
}

segments := split(trim_prefix(input.path, "/"), "/")

candidates contains spec if {
	some shape in data.authz.shapes[sprintf("%d", [count(segments)])]
	every i, part in shape.parts {
		fits(part, segments[i])
	}
	spec := shape.methods[lower(input.method)]
}

endpoint := [spec | some spec in candidates][0]

fits(part, value) if part == value

fits(part, _) if startswith(part, "{")

platform_scopes := {scope | some scope in input.scopes; contains(scope, ":")}

scopes_suffice if count(platform_scopes) == 0

scopes_suffice if {
	some scope in endpoint.scopes
	scope in platform_scopes
}

applicable := {"*", input.principal_id} | {group | some group in input.principal_groups}

held contains permission if {
	some principal in applicable
	some role in data.authz.principals[principal].workspaces[segments[3]]
	some permission in data.authz.permissions[role]
}
"#;

/// 1,000 endpoints, 200 roles, 10,000 bindings.
pub fn nemo_data() -> Value {
    let mut shapes = Vec::new();
    for i in 0..1000 {
        let path = format!("apis/svc{}/workspaces/{{ws}}/things{i}/{{name}}", i % 50);
        let parts: Vec<_> = path.split('/').map(str::to_owned).collect();
        let method = |verb: &str| {
            json!({
                "permissions": [format!("svc{}.things{i}.{verb}", i % 50)],
                "scopes": [format!("platform:{verb}"), format!("svc{}:{verb}", i % 50)],
            })
        };
        shapes.push(
            json!({"parts": parts, "methods": {"get": method("read"), "post": method("write")}}),
        );
    }
    let permissions: Map<String, Value> = (0..200)
        .map(|role| {
            let of_role: Vec<_> = (0..50)
                .map(|k| (role * 5 + k) % 1000)
                .map(|k| format!("svc{}.things{k}.read", k % 50))
                .collect();
            (format!("Role{role}"), json!(of_role))
        })
        .collect();
    let principals: Map<String, Value> = (0..10_000)
        .map(|i| {
            (
                format!("group{i}"),
                json!({"workspaces": {format!("ws{}", i % 100): [format!("Role{}", i % 200)]}}),
            )
        })
        .collect();
    json!({"authz": {"shapes": {"6": shapes}, "permissions": permissions, "principals": principals}})
}

pub fn nemo_ask(thing: usize) -> Ask {
    let groups: Vec<_> = (0..10).map(|i| format!("group{}", i * 100 + 5)).collect();
    (0..20)
        .fold(get(format!("/apis/svc{}/workspaces/ws5/things{thing}/x", thing % 50)), |ask, at| {
            ask.header(&format!("x-header-{at}"), "some value of usual length")
        })
        .with_token(json!({"groups": groups, "scope": "openid platform:read"}))
}

/// How long this thread has run, whoever else wants the processor.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn time(policy: Rego, ask: &Ask, times: u32) -> Duration {
    with_question(ask, move |question| {
        let consult = || match policy.consult(question) {
            Consulted::Answered(answer) => answer.unwrap(),
            Consulted::Later(_) => panic!("it takes long"),
        };
        consult();
        let began = on_cpu();
        (0..times).for_each(|_| drop(consult()));
        (on_cpu() - began) / times
    })
}

#[test]
#[ignore = "measures"]
fn speed() {
    let forgetful = Limits { remembered: 0, ..patient() };
    let directory = [("nemo.rego", NEMO), ("data.json", &nemo_data().to_string())];
    let nemo =
        |limits| Rego::compile(&sources(&directory).unwrap(), "data.authz.allow", limits).unwrap();
    let began = Instant::now();
    let policy = nemo(forgetful);
    println!("load and compile, data included: {:?}", began.elapsed());
    println!("NeMo-like, 1,000 endpoints: {:?}", time(policy, &nemo_ask(27), 50));
    println!("NeMo-like, a decision again: {:?}", time(nemo(patient()), &nemo_ask(27), 100_000));
    let small = "package authz\ndefault allow := false\nallow if { input.method == \"GET\"; startswith(input.path, \"/apis/\") }";
    let compile = |limits| {
        Rego::compile(&sources(&[("s.rego", small)]).unwrap(), "data.authz.allow", limits).unwrap()
    };
    println!("two comparisons: {:?}", time(compile(forgetful), &nemo_ask(27), 20_000));
    println!("two comparisons, again: {:?}", time(compile(patient()), &nemo_ask(27), 100_000));
    let headers = "package authz\ndefault allow := false\nallow if { some name, _ in input.attributes.request.http.headers; startswith(name, \"x-header-19\") }";
    let policy = compiled(headers, &json!({}), "data.authz.allow").unwrap();
    println!("20 headers, each looked at: {:?}", time(policy, &nemo_ask(27), 5_000));
    let whole = "package authz\ndefault allow := false\nallow if count(input) > 0";
    let policy = compiled(whole, &json!({}), "data.authz.allow").unwrap();
    println!("the whole input is made: {:?}", time(policy, &nemo_ask(27), 5_000));
}
