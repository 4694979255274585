//! What paths and routes ask for, and who passes.

use std::collections::BTreeMap;

use doorward_core::decision::{Decision, Fault, Reason};
use doorward_core::rules::{
    EndpointRule, EndpointRules, Endpoints, PathRule, RuleFault as F, Rules, ScopeDemand,
};
use serde_json::{Value, json};

use crate::support::{Ask, Setup, get};

/// What the request comes to: the code of what it rests on, or the fault.
fn came_to(rules: &Rules, ask: &Ask) -> Result<&'static str, Fault> {
    let setup = Setup { paths: rules.clone(), ..Setup::new() };
    match ask.decision(&setup.authorizer()) {
        Decision::Allow(approval) => Ok(approval.code()),
        Decision::Deny(denial) => Err(denial.fault),
    }
}

fn refused(fault: F) -> Result<&'static str, Fault> {
    Err(Fault::Rule(fault))
}

const NO_TOKEN: Result<&str, Fault> = Err(Fault::NoCredentials);

#[test]
fn bypassed_paths_need_no_token_and_look_at_none() {
    let rules = Rules::new(vec!["/health".parse().unwrap(), "/public/*".parse().unwrap()]);
    for (path, expected) in [
        ("/health", Ok("bypassed")),
        ("/health?x=/", Ok("bypassed")),
        ("/public/a/b", Ok("bypassed")),
        ("/healthy", NO_TOKEN),
        ("/public", NO_TOKEN),
        ("/", NO_TOKEN),
        ("/x?/health", NO_TOKEN),
        // What can be read in two ways needs a token.
        ("/public/../x", NO_TOKEN),
        ("/public//x", NO_TOKEN),
        ("/public/%2e%2e/x", NO_TOKEN),
        ("/public/a%2fb", NO_TOKEN),
        ("/public/..;/x", refused(F::StepsAside)),
    ] {
        assert_eq!(came_to(&rules, &get(path)), expected, "{path}");
    }
    let not_utf8 = get(b"/public/\xff");
    assert_eq!(came_to(&rules, &not_utf8), NO_TOKEN);
    let with_nonsense = get("/health").header("authorization", "nonsense");
    assert_eq!(came_to(&rules, &with_nonsense), Ok("bypassed"));
}

#[test]
fn the_route_says_who_needs_a_token() {
    let rules = Rules::new(vec!["/health".parse().unwrap()]);
    let of_mode = |path: &str, mode: &str| get(path).route("doorward.mode", mode);
    for (ask, expected) in [
        (of_mode("/", "required"), NO_TOKEN),
        (of_mode("/health", "required"), NO_TOKEN),
        (of_mode("/", "optional"), Ok("anonymous")),
        (of_mode("/", "optional").with_token(json!({})), Ok("authenticated")),
        (of_mode("/", "bypass"), Ok("bypassed")),
        (of_mode("/a//b", "bypass"), NO_TOKEN),
        (of_mode("/a//b", "optional"), NO_TOKEN),
        (of_mode("/a//b", "optional").with_token(json!({})), Ok("authenticated")),
        (of_mode("/", "Bypass"), refused(F::UnknownMode)),
        (of_mode("/", ""), refused(F::UnknownMode)),
        (get("/").route("doorward.moed", "bypass"), refused(F::UnknownKey)),
        (get("/").route("doorward.", "bypass"), refused(F::UnknownKey)),
        (get("/").route("others.mode", "bypass"), NO_TOKEN),
        (of_mode("/a/..;x/b", "bypass"), refused(F::StepsAside)),
    ] {
        assert_eq!(came_to(&rules, &ask), expected, "{ask:?}");
    }
    let bad = of_mode("/", "optional").header("authorization", "Bearer nonsense");
    assert!(matches!(came_to(&rules, &bad), Err(Fault::Token(_))), "a bad token is none at all");
}

#[test]
fn the_route_asks_for_scopes_and_audiences() {
    let token = || json!({"aud": ["my-api", "b"], "scope": "x a:read"});
    for (key, value, expected) in [
        ("doorward.scopes", "a:read", Ok("authenticated")),
        ("doorward.scopes", "a:write  a:read", Ok("authenticated")),
        ("doorward.scopes", "a:write", refused(F::InsufficientScope)),
        ("doorward.scopes", "a:rea", refused(F::InsufficientScope)),
        ("doorward.scopes", "", refused(F::EmptyValue)),
        ("doorward.scopes", " ", refused(F::EmptyValue)),
        ("doorward.audience", "b", Ok("authenticated")),
        ("doorward.audience", "c my-api", Ok("authenticated")),
        ("doorward.audience", "c", refused(F::WrongAudience)),
        ("doorward.audience", "\t", refused(F::EmptyValue)),
    ] {
        let ask = get("/").with_token(token()).route(key, value);
        assert_eq!(came_to(&Rules::default(), &ask), expected, "{key} {value:?}");
    }
    let not_utf8 = get("/").with_token(token()).route("doorward.scopes", b"\xff");
    assert_eq!(came_to(&Rules::default(), &not_utf8), refused(F::EmptyValue));
    // Where no token is needed, nobody asks it for anything.
    let anonymous = get("/").route("doorward.mode", "optional").route("doorward.scopes", "a");
    assert_eq!(came_to(&Rules::default(), &anonymous), Ok("anonymous"));
    let denial = get("/")
        .with_token(json!({}))
        .route("doorward.audience", "c")
        .route("doorward.scopes", "a:read")
        .denial(&Setup::new().authorizer());
    assert_eq!(denial.scopes.as_deref(), Some("a:read"));
}

/// However the table is searched, the fewest placeholders count.
#[test]
fn the_most_specific_endpoint_counts() {
    let table = json!({
        "/a/{x}/{y}": {"get": "a:two"}, "/{z}/b/c": {"get": "a:one"}, "/{z}/b": {"get": "a:own"},
        "/{z}/-/{rest}": {"get": "a:rest"}, "/{z}/-/x": {"get": "a:x"},
    });
    let setup = || Setup { paths: endpoints(table.clone(), ScopeDemand::OfAll), ..Setup::new() };
    for (path, scopes) in [
        ("/a/b/c", "a:one"),
        ("/a/d/c", "a:two"),
        ("/a/b/", "a:own"),
        ("/q/-/x/", "a:x"),
        ("/q/-/x/y", "a:rest"),
    ] {
        let denial = get(path).denial(&setup().authorizer());
        assert_eq!(denial.scopes.as_deref(), Some(scopes), "{path}");
    }
}

#[test]
fn a_table_says_what_is_in_it() {
    for (entries, closed, scopes) in [
        (&[][..], false, false),
        (&[("/a", "", false)], false, false),
        (&[("/a", "x", false), ("/b", "", false)], false, true),
        (&[("/a", "", true), ("/b", "", false)], true, false),
        (&[("/a", "", true), ("/b", "x", false)], true, true),
    ] {
        let mut table = Endpoints::default();
        for (pattern, scopes, closed) in entries {
            let (pattern, scopes) = (*pattern, (*scopes).into());
            let rule = EndpointRule { pattern: pattern.into(), scopes, closed: *closed };
            table.add(&pattern.parse().unwrap(), "get".parse().unwrap(), rule).unwrap();
        }
        assert_eq!((table.any_closed(), table.any_scopes()), (closed, scopes), "{entries:?}");
    }
    for rule in ["/health", "/public/*"] {
        assert_eq!(rule.parse::<PathRule>().unwrap().to_string(), rule);
    }
}

/// A table of endpoints: pattern → method → scopes; `!` closes.
fn endpoints(table: Value, demand: ScopeDemand) -> Rules {
    let table: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_value(table).unwrap();
    let mut endpoints = Endpoints::default();
    for (pattern, methods) in &table {
        for (method, scopes) in methods {
            let closed = scopes == "!";
            let scopes: &str = if closed { "" } else { scopes };
            let (pattern, scopes) = (pattern.as_str(), scopes.into());
            let rule = EndpointRule { pattern: pattern.into(), scopes, closed };
            endpoints.add(&pattern.parse().unwrap(), method.parse().unwrap(), rule).unwrap();
        }
    }
    Rules::new(vec!["/open/*".parse().unwrap()])
        .with_endpoints(Some(EndpointRules { table: endpoints, demand }))
}

#[test]
fn endpoints_ask_for_scopes() {
    let table = json!({
        "/v2/{w}/models": {"get": "models:read", "post": "models:write models:admin", "put": ""},
        "/v2/{w}/models/{name}": {"get": "models:read"},
    });
    let of_platform = endpoints(table.clone(), ScopeDemand::OfPlatformScopes);
    let of_all = endpoints(table, ScopeDemand::OfAll);
    assert_eq!(of_all.endpoints().map(|endpoints| endpoints.demand), Some(ScopeDemand::OfAll));
    let asked = |scope: &str, method: &str, path: &str| {
        let ask = get(path).method(method).with_token(json!({ "scope": scope }));
        [&of_platform, &of_all].map(|rules| came_to(rules, &ask).err())
    };
    let missing = Some(Fault::Rule(F::InsufficientEndpointScope));
    let (lost, unclear) =
        (Some(Fault::Rule(F::EndpointScopeLost)), Some(Fault::Rule(F::AmbiguousPath)));
    for (scope, method, path, expected) in [
        ("models:read", "GET", "/v2/a/models", [None, None]),
        ("models:read", "HEAD", "/v2/a/models/", [None, None]),
        ("models:read", "POST", "/v2/a/models", [missing, missing]),
        ("models:admin", "post", "/v2/a/models", [None, None]),
        ("x:y", "GET", "/v2/a/models?q=1", [missing, missing]),
        ("x:y", "PUT", "/v2/a/models", [None, None]),
        ("x:y", "DELETE", "/v2/a/models", [None, None]),
        ("x:y", "GET", "/v2/other", [None, None]),
        ("openid", "GET", "/v2/a/models/m", [None, missing]),
        ("openid \u{e9}", "GET", "/v2/a/models/m", [lost, lost]),
        ("x:y", "GET", "/v2//models", [unclear, unclear]),
        ("openid", "GET", "/v2//models", [None, unclear]),
    ] {
        assert_eq!(asked(scope, method, path), expected, "{scope} {method} {path}");
    }
    // The scopes to ask for are told; not those of a reading that asks for none.
    let setup = || Setup { paths: of_platform.clone(), ..Setup::new() };
    for (ask, scopes) in [
        (get("/v2/a/models"), Some("models:read")),
        (get("/v2/a/models").method("PUT"), None),
        (get("/v2/other"), None),
        (get("/v2//models"), None),
        (get("/v2/a/models").with_token(json!({"scope": "x:y"})), Some("models:read")),
        (get("/v2/a/models").route("doorward.scopes", "own"), Some("own")),
    ] {
        assert_eq!(ask.denial(&setup().authorizer()).scopes.as_deref(), scopes, "{ask:?}");
    }
}

#[test]
fn a_closed_endpoint_is_closed_to_everybody() {
    let table = json!({"/v2/secret": {"get": "!", "delete": "!"}, "/open/secret": {"get": "!"}});
    let rules = endpoints(table, ScopeDemand::default()).with_preflights(true);
    let closed = refused(F::ClosedEndpoint);
    let optional = |path: &str| get(path).route("doorward.mode", "optional");
    for (ask, expected) in [
        (get("/v2/secret").with_token(json!({"scope": "a:b"})), closed),
        (get("/v2/secret").with_token(json!({})), closed),
        (get("/open/secret"), closed),
        (get("/open/other"), Ok("bypassed")),
        (optional("/v2/secret"), closed),
        (optional("/v2/other"), Ok("anonymous")),
        (get("/v2/secret").method("POST").with_token(json!({})), Ok("authenticated")),
        // It may be the closed one.
        (get("/v2//secret").with_token(json!({})), refused(F::AmbiguousPath)),
        (preflight("DELETE").header("origin", "https://a.example"), closed),
        (preflight("PUT").header("origin", "https://a.example"), Ok("bypassed")),
        (
            get("/v2/secret")
                .method("OPTIONS")
                .header("access-control-request-method", "get")
                .with_token(json!({})),
            closed,
        ),
        (
            get("/v2/secret")
                .method("POST")
                .header("access-control-request-method", "get")
                .with_token(json!({})),
            Ok("authenticated"),
        ),
    ] {
        assert_eq!(came_to(&rules, &ask), expected, "{ask:?}");
    }
    // Where it cannot be told, the scopes of a closed one are not asked for either.
    let authorizer = Setup { paths: rules, ..Setup::new() }.authorizer();
    assert_eq!(get("/v2/secret").denial(&authorizer).scopes, None);
    let denial = get("/v2/secret").with_token(json!({})).denial(&authorizer);
    assert_eq!((denial.reason(), denial.scopes), (Reason::PolicyDenied, None));
}

/// A preflight of `/v2/secret`, but for its origin.
fn preflight(method: &str) -> Ask {
    get("/v2/secret").method("OPTIONS").header("access-control-request-method", method)
}

#[test]
fn preflights_pass_where_that_is_asked_for() {
    let (with, without) = (Rules::default().with_preflights(true), Rules::default());
    assert!(with.lets_preflights_pass() && !without.lets_preflights_pass());
    let origin = |ask: Ask, origin: &str| ask.header("Origin", origin);
    let good = origin(preflight("PUT"), "https://a.example");
    for ask in [&good, &origin(preflight("M-SEARCH"), "null")] {
        assert_eq!(came_to(&with, ask), Ok("bypassed"), "{ask:?}");
        assert_eq!(came_to(&without, ask), Err(Fault::NoCredentialsForOptions));
    }
    let required = good.clone().route("doorward.mode", "required");
    assert_eq!(came_to(&with, &required), Err(Fault::NoCredentialsForOptions));
    for ask in [
        preflight("PUT"),
        origin(get("/").method("OPTIONS"), "https://a.example"),
        origin(preflight(""), "https://a.example"),
        origin(preflight("PUT, GET"), "https://a.example"),
        origin(preflight("A B"), "https://a.example"),
        origin(preflight("PUT"), ""),
        origin(preflight("PUT"), "https://a.example,https://b.example"),
        origin(preflight("PUT"), "https://a.example https://b.example"),
        origin(origin(preflight("PUT"), "https://a.example"), "https://b.example"),
        good.header("access-control-request-method", "GET"),
    ] {
        assert_eq!(came_to(&with, &ask), Err(Fault::NoCredentialsForOptions), "{ask:?}");
    }
    let get = origin(preflight("PUT"), "https://a.example").method("GET");
    assert_eq!(came_to(&with, &get), NO_TOKEN);
}

#[test]
fn encoded_slashes_are_judged_in_both_readings() {
    let table = json!({
        "/files/{name}": {"get": "files:read"},
        "/files/{name}/secret": {"get": "files:admin"},
        "/files/closed/{x}": {"get": "!"},
    });
    let rules =
        endpoints(table, ScopeDemand::OfAll).with_encoded_slashes(vec!["/files/".parse().unwrap()]);
    let (missing, slash) = (refused(F::InsufficientEndpointScope), refused(F::EncodedSlash));
    for (path, scope, expected) in [
        ("/files/a", "files:read", Ok("authenticated")),
        ("/files/a%2Fb", "files:read", Ok("authenticated")),
        ("/files/a%2fsecret", "files:read", missing),
        ("/files/a%2Fsecret", "files:admin", missing),
        ("/files/a%2Fsecret", "files:admin files:read", Ok("authenticated")),
        ("/files/closed%2Fa", "files:read", refused(F::ClosedEndpoint)),
        ("/files/a%2F%2Fb", "files:read", slash),
        ("/files/a%2F..%2Fb", "files:read", slash),
        ("/files/a%5Cb", "files:read", slash),
        ("/files/a%5cb", "files:read", slash),
        ("/other/a%2Fb", "files:read", slash),
        ("/other/a%2", "files:read", refused(F::AmbiguousPath)),
        ("/other", "files:read", Ok("authenticated")),
    ] {
        let ask = get(path).with_token(json!({ "scope": scope }));
        assert_eq!(came_to(&rules, &ask), expected, "{path} {scope}");
    }
    // The scopes of whichever reading asks for some.
    let setup = || Setup { paths: rules.clone(), ..Setup::new() };
    for (path, scopes) in [
        ("/files/a%2Fsecret", Some("files:read")),
        ("/files/closed%2Fa", Some("files:read")),
        ("/files/a/b%2Fc", None),
    ] {
        assert_eq!(get(path).denial(&setup().authorizer()).scopes.as_deref(), scopes, "{path}");
    }
    let not_utf8 = get(b"/files/\xff%2F").with_token(json!({}));
    assert_eq!(came_to(&rules, &not_utf8), slash);
    for prefix in ["/files", "/files/*", "files/", "/a//"] {
        assert!(prefix.parse::<doorward_core::rules::SlashPrefix>().is_err(), "{prefix}");
    }
}
