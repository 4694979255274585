//! What a policy is told: what the core tells every engine, and no more than it reads.

use serde_json::{Value, json};

use crate::asking::{rego, with_question};
use crate::support::{Ask, get};

const ALL: &str = "package authz\nallow := count(input) > 0";

fn asks() -> [Ask; 5] {
    let full = || {
        get("/v1/a%20b/c?x=1&x=2%2B&y&odd=%zz&q;r=1#f")
            .host("api.example:443")
            .header("X-A", "1")
            .header("x-a", "2")
            .header(":path", "/forged")
            .header("x-bin", b"\xff\xfe")
    };
    [
        get("/").with_token(json!({})),
        full().with_token(
            json!({"email": "a@example.com", "groups": ["g1", "g2"], "scope": "a b:c"}),
        ),
        full().method("post").with_token(json!({"groups": [], "scope": ["a", 5]})),
        get("/a;v=1/b").with_token(json!({})),
        (0..100).fold(full(), |ask, at| ask.header(&format!("x-{at}"), "v")).with_token(json!({})),
    ]
}

#[test]
fn a_policy_that_reads_the_whole_input_gets_what_the_core_tells() {
    for ask in asks() {
        let policy = rego(ALL);
        let (inputs, told) = with_question(&ask, move |question| {
            let told: Vec<_> = question.paths().map(|path| question.input(&path)).collect();
            (policy.inputs(question), told)
        });
        assert_eq!(inputs, told);
    }
}

#[test]
fn a_policy_gets_no_more_than_it_reads() {
    let input = |body: &str| -> Value {
        let policy = rego(&format!(
            "package authz\nimport input.attributes.request.http as req\nallow if {{ {body} }}"
        ));
        let ask = asks().into_iter().nth(1).unwrap();
        with_question(&ask, move |question| policy.inputs(question).remove(0))
    };
    assert_eq!(input(r#"input.method == "GET""#), json!({"method": "GET"}));
    assert_eq!(
        input(r#"input["parsed_path"][0] == "v1""#),
        json!({"parsed_path": ["v1", "a b", "c"]})
    );
    assert_eq!(input("not input.issuer"), json!({"issuer": "https://idp.example"}));
    assert_eq!(
        input(r#"input.parsed_query.x[_] == "1""#),
        json!({"parsed_query": {"x": ["1", "2+"], "y": [""], "odd": ["%zz"], "q;r": ["1"]}})
    );
    let http = |http: Value| json!({"attributes": {"request": {"http": http}}});
    assert_eq!(input(r#"req.headers["x-a"] == "1""#), http(json!({"headers": {"x-a": "1,2"}})));
    assert_eq!(
        input(r#"req.headers[":method"] == "GET""#),
        http(json!({"headers": {":method": "GET"}}))
    );
    assert_eq!(input("req.host == input.path"), {
        let mut both = http(json!({"host": "api.example:443"}));
        both["path"] = json!("/v1/a%20b/c");
        both
    });
    let all = input("some name, value in req.headers; name == value");
    assert_eq!(all["attributes"]["request"]["http"]["headers"]["x-bin"], "\u{fffd}\u{fffd}");
    assert_eq!(all.as_object().unwrap().len(), 1);
    assert!(input("f(input)\n}\nf(x) if { x.method").as_object().unwrap().len() > 5);
}
