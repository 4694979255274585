//! Requests decided by policies, through the core.

use std::time::Duration;

use doorward_core::authorizer::Outcome;
use doorward_core::decision::{Decision, Fault};
use doorward_core::policy::PolicyFault;
use doorward_policy::{Limits, Rego};
use serde_json::json;

use crate::asking::{authorizer, compiled, rego, sources, with_question};
use crate::support::{Ask, get};

/// What becomes of a request: `None` when it may pass.
fn fault(ask: &Ask, module: &str) -> Option<Fault> {
    match ask.decision(&authorizer(rego(module))) {
        Decision::Allow(_) => None,
        Decision::Deny(denial) => Some(denial.fault),
    }
}

fn alice(path: &str) -> Ask {
    get(path).with_token(json!({"groups": ["admins"], "scope": "a:read"}))
}

#[test]
fn results() {
    let said = |module: &str| fault(&alice("/x"), &format!("package authz\n{module}"));
    let policy = |fault| Some(Fault::Policy(fault));
    assert_eq!(said("allow := true"), None);
    assert_eq!(
        said(r#"allow := {"allowed": true, "headers": {"X-NMP-Authorized": "true"}}"#),
        None
    );
    assert_eq!(said("allow := false"), policy(PolicyFault::Denied));
    assert_eq!(said("allow if input.nope"), policy(PolicyFault::Undefined));
    assert_eq!(said("allow := 1"), policy(PolicyFault::NotAVerdict));
    assert_eq!(said("allow contains 1"), policy(PolicyFault::NotAVerdict));
    assert_eq!(said(r#"allow := {"allow": true}"#), policy(PolicyFault::NotAVerdict));
    let unfit = r#"allow := {"allowed": true, "headers": {"a": "x\r\ny"}}"#;
    assert_eq!(said(unfit), policy(PolicyFault::UnfitVerdict));
    assert_eq!(said("allow := 1 if true\nallow := 2 if true"), policy(PolicyFault::Failed));
}

#[test]
fn what_a_policy_says_becomes_headers_and_denials() {
    let module = r#"package authz
allow := {"allowed": true, "headers": {"x-by": input.principal_id, "x-nmp-principal-id": "root"}} if input.method == "GET"
else := {"allowed": false, "http_status": 451, "body": "no", "headers": {"x-why": "law"}}"#;
    let authorizer = authorizer(rego(module));
    let allowed = alice("/x").allowed(&authorizer);
    assert_eq!(allowed.header("x-by"), "alice");
    assert_eq!(allowed.header("x-nmp-principal-id"), "alice");
    let denied = alice("/x").method("PUT").denial(&authorizer);
    let said = denied.said.unwrap();
    assert_eq!((said.status, said.body.as_deref()), (Some(451), Some("no")));
}

#[test]
fn each_reading_of_a_path_has_to_be_allowed() {
    let module =
        "package authz\ndefault allow := false\nallow if not startswith(input.path, \"/admin\")";
    assert_eq!(fault(&alice("/a/b;v=1"), module), None);
    assert_eq!(fault(&alice("/admin;v=1"), module), Some(Fault::Policy(PolicyFault::Denied)));
    let strict = "package authz\ndefault allow := false\nallow if not input.path in {\"/a/b\"}";
    assert_eq!(fault(&alice("/a;x/b"), strict), Some(Fault::Policy(PolicyFault::Denied)));
}

#[test]
fn a_token_can_be_decoded() {
    let module = r#"package authz
token := trim_prefix(input.attributes.request.http.headers.authorization, "Bearer ")
allow if { [header, claims, _] := io.jwt.decode(token); header.alg == "EdDSA"; claims.sub == "alice" }
bad if io.jwt.decode("a.b")
"#;
    assert_eq!(fault(&alice("/"), module), None);
    let evaluated = compiled(module, &json!({}), "data.authz").unwrap().evaluate(&json!({}));
    assert_eq!(evaluated, Ok(Some(json!({}))));
}

const SLOW: &str = "package authz\nallow if { input.path != \"/quick\"; some x in numbers.range(1, 100000); some y in numbers.range(1, 1000); x * y == -1 }\nallow if input.path == \"/quick\"";

fn slow(limits: Limits) -> Rego {
    Rego::compile(&sources(&[("slow.rego", SLOW)]).unwrap(), "data.authz.allow", limits).unwrap()
}

#[test]
fn what_takes_long_is_waited_for_and_bounded() {
    let limits = Limits { time: Duration::from_millis(200), ..Limits::default() };
    let authorizer = authorizer(slow(limits));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = std::time::Instant::now();
    let decision = alice("/x").view(|request, now| {
        runtime.block_on(authorizer.authorize(request, now, Duration::from_secs(5)))
    });
    let Decision::Deny(denial) = decision else { panic!("it may pass") };
    assert_eq!(denial.fault, Fault::Policy(PolicyFault::TookTooLong));
    assert!(began.elapsed() < Duration::from_secs(4));
    // A quick one after it, where there is time, too.
    let rest = [("/quick", true), ("/quick", true)];
    for (path, passes) in rest {
        let decision = alice(path).view(|request, now| {
            runtime.block_on(authorizer.authorize(request, now, Duration::from_secs(5)))
        });
        assert_eq!(matches!(decision, Decision::Allow(_)), passes);
    }
}

#[test]
fn a_request_that_takes_long_does_not_hold_its_thread() {
    let authorizer = authorizer(slow(Limits::default()));
    for _ in 0..2 {
        alice("/x").view(|request, now| {
            let began = std::time::Instant::now();
            assert!(matches!(authorizer.decide(request, now), Outcome::Needs(_)));
            assert!(began.elapsed() < Duration::from_millis(500));
        });
    }
}

#[test]
fn a_crowd_is_turned_away() {
    let limits = Limits { at_once: 0, ..Limits::default() };
    let policy = slow(limits);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let outcome = alice("/x").authorized(&authorizer(policy), Duration::from_secs(5));
    assert_eq!(outcome.unwrap_err(), Fault::Policy(PolicyFault::Crowded));
}

#[test]
fn time_does_not_turn_a_function_that_fails_into_a_decision() {
    let module = "package authz\nslow(n) if { some x in numbers.range(1, 100000); some y in numbers.range(1, n); x * y == -1 }\nallow if not slow(10000)";
    let limits = Limits { time: Duration::from_millis(50), ..Limits::default() };
    let sources = sources(&[("a.rego", module)]).unwrap();
    let policy = Rego::compile(&sources, "data.authz.allow", limits).unwrap();
    assert!(policy.evaluate(&json!({})).is_err());
}

/// Decides all requests twice, in turns, with a policy that remembers, and compares.
#[test]
fn remembered_decisions_never_cross() {
    let module = r#"package authz
default allow := {"allowed": false, "body": "none"}
allow := {"allowed": true, "headers": {"x-seen": sprintf("%s|%s|%v|%v|%v|%v", [
    input.principal_id, input.path, input.method, object.get(input, "principal_groups", []),
    object.get(input.parsed_query, "q", []), object.get(input.attributes.request.http, "host", ""),
])}} if not startswith(input.path, "/no")"#;
    let policy = rego(module);
    assert!(!policy.remembers(), "`object.get(…http, …)` may read any header");
    let module = module.replace(
        "object.get(input.attributes.request.http, \"host\", \"\")",
        "input.attributes.request.http.host",
    );
    let module =
        module.replace("object.get(input, \"principal_groups\", [])", "input.principal_groups");
    let policy = rego(&module);
    assert!(policy.remembers());
    let authorizer = authorizer(policy);
    let mut asks = Vec::new();
    for path in ["/a", "/b", "/a?q=1", "/a?q=1&q=2", "/ab", "/no/a"] {
        for method in ["GET", "PUT"] {
            for (sub, groups) in [("a", "g"), ("ag", ""), ("a", "g1"), ("b", "g")] {
                for host in ["h", "h2"] {
                    let token = json!({"sub": sub, "groups": [groups]});
                    asks.push(get(path).method(method).host(host).with_token(token));
                }
            }
        }
    }
    let seen = |ask: &Ask| match ask.decision(&authorizer) {
        Decision::Allow(approval) => approval.said().unwrap().headers[0].1.to_string(),
        Decision::Deny(denial) => denial.said.unwrap().body.as_ref().unwrap().to_string(),
    };
    let first: Vec<_> = asks.iter().map(seen).collect();
    let again: Vec<_> = asks.iter().map(seen).collect();
    assert_eq!(first, again);
    let told: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(told.len(), 5 * 2 * 4 * 2 + 1, "two requests share a decision");
}

#[test]
fn what_may_differ_is_not_remembered() {
    for (body, remembers) in [
        ("input.path == \"/\"", true),
        ("time.now_ns() > 0", false),
        ("rand.intn(\"a\", 2) == 1", false),
        ("uuid.rfc4122(\"a\") != \"\"", false),
        ("input.attributes.request.http.headers.accept", true),
        ("input.attributes.request.http.headers[_]", false),
        ("time.clock(1)[0] == 0", true),
    ] {
        let policy = rego(&format!("package authz\ndefault allow := false\nallow if {{ {body} }}"));
        assert_eq!(policy.remembers(), remembers, "{body}");
    }
}

#[test]
fn reasons_name_rules_and_lines() {
    let module = "package authz\n\ndefault allow := false\n\nallow if {\n\tis_admin\n\tinput.method == \"PUT\"\n}\n\nis_admin if \"admins\" in input.principal_groups\n";
    let policy = rego(module);
    let reasons = with_question(&alice("/x"), move |question| {
        doorward_core::policy::Policy::reasons(&policy, question)
    });
    assert_eq!(reasons.len(), 2, "{reasons:#?}");
    assert!(reasons[0].contains("policy.rego:3: `data.authz.allow` is false"), "{reasons:#?}");
    assert!(reasons[1].contains("policy.rego:10: `data.authz.is_admin` is true"), "{reasons:#?}");
    assert!(reasons[0].contains("stops at line 7, `input.method == \"PUT\"`"), "{reasons:#?}");
}

#[test]
fn hostile_requests_are_decided() {
    let modules = [
        "package authz\nallow if { some name, value in input.attributes.request.http.headers; regex.match(value, name) }",
        "package authz\nallow if json.unmarshal(input.attributes.request.http.headers[\"x-deep\"])",
        "package authz\nallow if to_number(input.attributes.request.http.headers[\"x-number\"]) + 1 > 0",
        "package authz\nallow if input.parsed_path[0] == input.parsed_query[\"\"][0]",
        "package authz\nallow if { walk(input, [p, v]); v == p }",
    ];
    let hostile =
        (0..100).fold(get("/a?%ff=%fe&&==&=%"), |ask, at| ask.header(&format!("x-{at}"), "(["));
    let hostile = hostile
        .header("x-deep", "[".repeat(50_000))
        .header("x-number", "9".repeat(20_000))
        .header("x-\u{e9}", b"\xff\x00\x80")
        .with_token(json!({}));
    for module in modules {
        let _ = hostile.decision(&authorizer(rego(module)));
    }
}
