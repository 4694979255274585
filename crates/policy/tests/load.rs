//! What is wrong with a policy is said when it is loaded, with its place.

use serde_json::json;

use crate::asking::{compiled, shown, sources};
use doorward_policy::{Limits, Rego, Sources};

fn faults(module: &str) -> Vec<String> {
    compiled(module, &json!({}), "data.authz.allow").err().unwrap_or_default()
}

fn fault(body: &str) -> String {
    let faults = faults(&format!("package authz\n\nallow if {{\n\t{body}\n}}\n"));
    assert_eq!(faults.len(), 1, "{body}: {faults:?}");
    faults.into_iter().next().unwrap()
}

#[test]
fn calls_of_what_is_not_there() {
    let verified = "Doorward has verified the token already; `io.jwt.decode` gives its claims";
    for (body, expected) in [
        (
            r#"startwith(input.path, "/")"#,
            "there is no function `startwith` here; did you mean `startswith`?",
        ),
        (
            r#"io.jwt.verify_hs256("a", "b")"#,
            &format!("`io.jwt.verify_hs256` cannot be called: {verified}"),
        ),
        (
            r#"[_, _, _] = io.jwt.decode_verify("a", {})"#,
            &format!("`io.jwt.decode_verify` cannot be called: {verified}"),
        ),
    ] {
        let fault = fault(body);
        assert!(fault.starts_with("policy.rego:4:") && fault.ends_with(expected), "{fault}");
    }
    for (format, verb) in [
        ("%.1f%% %q", "%q"),
        ("%5.1f", "%5.1f"),
        ("%f", "%f"),
        ("%9999d", "%9999d"),
        ("%5s", "%5s"),
        ("50%", "%"),
    ] {
        let fault = fault(&format!("sprintf({format:?}, [1, 2]) != \"\""));
        assert!(fault.contains(&format!("`sprintf` has no `{verb}` here")), "{fault:?}");
    }
    for body in [
        r#"http.send({"method": "GET", "url": "http://a"}).status_code == 200"#,
        "opa.runtime().env.A",
        r#"net.lookup_ip_addr("a")"#,
        "rego.metadata.rule().a",
    ] {
        assert!(fault(body).contains("cannot be called"), "{body}");
    }
    // In a rule that nothing needs, and in arguments, comprehensions and heads.
    for module in [
        "package authz\nallow := true\nother if nope(1)",
        "package authz\nallow := count([x | x := nope(1)])",
        "package authz\nallow := {\"a\": nope(1)}",
        "package authz\nallow contains nope(1)",
        "package authz\nf(x) := nope(x)\nallow := true",
        "package authz\nallow if { every x in [1] { nope(x) } }",
        "package authz\nallow if { true with input as nope(1) }",
        "package authz\nallow := 1 if false else := nope(1)",
        "package authz\nallow if input[nope(1)]",
        "package authz\nimport data.lib\nallow if lib.nope(1)",
    ] {
        assert!(faults(module).concat().contains("nope` here"), "{module}: {:?}", faults(module));
    }
}

#[test]
fn own_functions_are_found() {
    let files = [
        (
            "a.rego",
            "package authz\nimport data.lib.text as t\nallow if { t.f(1); data.lib.text.f(2); g(3) }\ng(x) if x > 0\ndefault h(_) := false\nallow if h(1)",
        ),
        ("b.rego", "package lib.text\nf(x) if x > 0"),
    ];
    assert!(
        Rego::compile(&sources(&files).unwrap(), "data.authz.allow", Limits::default()).is_ok()
    );
}

#[test]
fn recursion_is_found() {
    for module in [
        "package authz\nallow if f(1)\nf(x) := f(x + 1)",
        "package authz\nallow if f(1)\nf(x) := g(x)\ng(x) := f(x)",
        "package authz\nallow if b\nb if allow",
        "package authz\nallow if data.authz.b\nb if data[\"authz\"].allow",
        "package authz\nallow if data.authz[input.method]",
    ] {
        assert!(faults(module).concat().contains("needs itself"), "{module}: {:?}", faults(module));
    }
    // A name of the rule's own, and a function used twice.
    let module = "package authz\nallow if { b := f(f(1)); b }\nb if allow\nf(x) := x";
    assert_eq!(faults(module), Vec::<String>::new());
}

#[test]
fn what_cannot_be_parsed() {
    assert_eq!(
        faults("package authz\nallow if {\n  input.x ==\n}"),
        ["policy.rego:4:1: expecting expression"]
    );
    assert_eq!(
        faults("package authz\nallow if {\n  x == 1\n}"),
        ["policy.rego:3:3: use of undefined variable `x` is unsafe"]
    );
    // The version in which more could be read.
    assert_eq!(faults("package authz\nallow {\n  input.x == )\n}").len(), 1);
    let deep =
        format!("package authz\nallow := {}1{}", "[\n".repeat(100_000), "]\n".repeat(100_000));
    assert_eq!(faults(&deep).len(), 1);
    let files = [("a.rego", "package"), ("b.rego", "package b\nx := ")];
    let both = Rego::compile(&sources(&files).unwrap(), "data.b.x", Limits::default());
    assert_eq!(both.err().unwrap().len(), 2);
}

#[test]
fn the_query_leads_somewhere() {
    let module = "package authz\nallow := true\nf(x) := x\nobject.allowed := true";
    let compile = |query: &str| compiled(module, &json!({"static": {"allowed": true}}), query);
    for query in [
        "data.authz.allow",
        "data.authz",
        "data.authz.object",
        "data.authz.object.allowed",
        "data[\"authz\"].allow",
        "data.static",
    ] {
        assert!(compile(query).is_ok(), "{query}");
    }
    let no = |query: &str| compile(query).err().unwrap().concat();
    assert_eq!(
        no("data.authz.alow"),
        "policy.query: there is no rule or package `data.authz.alow`; did you mean `data.authz.allow`?"
    );
    for query in [
        "",
        "allow",
        "data",
        "data.authz.f",
        "data.authz.allow == true",
        "data.authz[x]",
        "input.x",
        "data.a }",
        "true\nx := 1",
        "data.authz.f(1)",
    ] {
        assert!(no(query).starts_with("policy.query: "), "{query}");
    }
}

#[test]
fn remarks() {
    let module = "package authz\nallow {\n  input.attributes.source.address\n  input.principal == \"a\"\n  input.attributes.request.http.headers[\"X-A\"]\n  input.parsed_body\n  x := {\"response_headers_to_add\": {}}\n}";
    let policy = compiled(module, &json!({}), "data.authz.allow").unwrap();
    let remarks = shown(policy.remarks());
    let expected = [
        "policy.rego:2:7: this is Rego v0",
        "policy.rego:3:3: `input.attributes.source.address` is never there",
        "policy.rego:4:3: `input.principal` is never there; did you mean `principal_id`?",
        "policy.rego:5:3: the header `X-A` is never there",
        "policy.rego:6:3: `input.parsed_body` is never there",
        "policy.rego:2:1: `response_headers_to_add` of a result says nothing here",
    ];
    assert_eq!(remarks.len(), expected.len(), "{remarks:#?}");
    for (remark, expected) in remarks.iter().zip(expected) {
        let place = |text: &str| text.split(':').take(2).collect::<Vec<_>>().join(":");
        let (_, wanted) = expected.split_once(": ").unwrap();
        assert!(place(remark) == place(expected) && remark.contains(wanted), "{remark}");
    }
}

#[test]
fn defaults() {
    let has = |module: &str, query| compiled(module, &json!({}), query).unwrap().has_default();
    assert!(has("package authz\ndefault allow := false\nallow if input.x", "data.authz.allow"));
    assert!(!has("package authz\nallow if input.x", "data.authz.allow"));
    assert!(!has("package authz\ndefault allow := false", "data.authz"));
}

#[test]
fn files_and_directories() {
    let files = [
        ("a/policy.rego", "package a"),
        ("a/policy_test.rego", "package a_test\ntest_x if nonsense("),
        ("a/data.json", r#"{"x": 1}"#),
        ("a/b/more.yaml", "y:\n  - 1\n"),
        (".hidden/data.json", "nonsense"),
        ("README.md", "nonsense"),
    ];
    let loaded = sources(&files).unwrap();
    assert_eq!(loaded.data(), &json!({"a": {"x": 1, "b": {"y": [1]}}}));
    assert_eq!(loaded.revision(), None);
    for (files, expected) in [
        (vec![("data.json", "{\n  x}")], "data.json:2:3: key must be a string"),
        (vec![("data.json", "[1]")], "data.json: the data is no object"),
        (
            vec![("a.json", r#"{"a": {"x": 1}}"#), ("b.json", r#"{"a": {"x": 1}}"#)],
            "b.json: there is data at `a.x` in another file, too",
        ),
    ] {
        assert_eq!(shown(&sources(&files).unwrap_err()), [expected]);
    }
    let none = Sources::from_paths(&["/nowhere/at/all".into()]).unwrap_err();
    assert_eq!(none.len(), 1);
}

#[test]
fn hostile_data_and_modules_are_faults_not_panics() {
    let deep = format!("{{\"x\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(sources(&[("data.json", &deep)]).unwrap_err().len(), 1);
    let huge = format!(r#"{{"x": {}, "y": 1e400, "z": -1e-400}}"#, "9".repeat(5_000));
    let module = "package a\nx := data.x + 1\ny := data.y * data.y";
    let compiled = sources(&[("data.json", &huge), ("a.rego", module)])
        .and_then(|sources| Rego::compile(&sources, "data.a", Limits::default()));
    if let Ok(policy) = compiled {
        let _ = policy.evaluate(&json!({}));
    }
    let long = format!("package a\nx := \"{}\"", "x".repeat(100_000));
    assert!(
        Rego::compile(&sources(&[("a.rego", &long)]).unwrap(), "data.a.x", Limits::default())
            .is_err()
    );
}
