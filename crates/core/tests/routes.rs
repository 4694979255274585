//! Routes of the configuration: which is about a request, what it opens, what it restricts, and
//! that no spelling of a path or host gets around it.

use doorward_core::decision::{Decision, Fault};
use doorward_core::rules::{ConfiguredRoute, RuleFault as F, Rules, TokenRequirement};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::support::{Ask, Setup, get};

/// `HOST METHODS PATH SETTING…`: settings are a mode, `deny`, `scopes=…`, `aud=…`.
fn route(text: &str) -> ConfiguredRoute {
    let mut words = text.split(' ');
    let mut list = || match words.next().unwrap() {
        "*" => vec![],
        word => word.split(',').collect(),
    };
    let (hosts, methods) = (list(), list());
    let mut route = ConfiguredRoute {
        name: text.into(),
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        methods: methods.iter().map(|method| method.parse().unwrap()).collect(),
        path: words.next().unwrap().parse().unwrap(),
        requirement: None,
        scopes: None,
        audience: None,
        closed: false,
    };
    for word in words {
        match word.split_once('=') {
            Some(("scopes", scopes)) => route.scopes = Some(scopes.replace(',', " ").into()),
            Some(("aud", audience)) => route.audience = Some(audience.replace(',', " ").into()),
            _ if word == "deny" => route.closed = true,
            _ => {
                route.requirement = Some(match word {
                    "required" => TokenRequirement::Required,
                    "optional" => TokenRequirement::Optional,
                    "bypass" => TokenRequirement::Ignored,
                    _ => panic!("{word}"),
                });
            }
        }
    }
    route
}

fn rules(routes: &[&str]) -> Rules {
    Rules::default().with_routes(routes.iter().map(|text| route(text)).collect())
}

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
fn the_first_route_for_a_request_counts() {
    let rules = rules(&[
        "* * /health bypass",
        "* get /docs/* bypass",
        "* * /docs/private/* scopes=docs",
        "a.example * /open/* optional",
        "* * /open/* required",
        "* * /w/{workspace}/models scopes=models:read,models:all",
        "* post /w/{workspace}/models scopes=never",
        "* * /t/-/{rest} aud=t",
        "* * / bypass",
    ]);
    let scoped = |path: &str, scope: &str| get(path).with_token(json!({ "scope": scope }));
    let wrong_scope = refused(F::InsufficientScope);
    for (ask, expected) in [
        (get("/health"), Ok("bypassed")),
        (get("/health?x"), Ok("bypassed")),
        (get("/healthy"), NO_TOKEN),
        (get("/"), Ok("bypassed")),
        (get("/x"), NO_TOKEN),
        (get("/docs/a"), Ok("bypassed")),
        (get("/docs/"), Ok("bypassed")),
        (get("/docs"), NO_TOKEN),
        // The first: order counts, as in Envoy.
        (get("/docs/private/a"), Ok("bypassed")),
        (get("/docs/private/a").method("HEAD"), Ok("bypassed")),
        (get("/docs/private/a").method("POST").with_token(json!({})), wrong_scope),
        (get("/docs/a").method("POST"), NO_TOKEN),
        (get("/docs/a").method("get"), NO_TOKEN),
        (get("/open/a").host("a.example"), Ok("anonymous")),
        (get("/open/a").host("A.Example:8443"), Ok("anonymous")),
        (get("/open/a").host("a.example").with_token(json!({})), Ok("authenticated")),
        (get("/open/a").host("b.example"), NO_TOKEN),
        (get("/open/a").host("a.example.evil"), NO_TOKEN),
        (scoped("/w/one/models", "x models:all"), Ok("authenticated")),
        (scoped("/w/one/models", "models"), wrong_scope),
        (scoped("/w/one/models", "models:read").method("POST"), Ok("authenticated")),
        (scoped("/w/one/two/models", ""), Ok("authenticated")),
        (get("/w/one/models"), NO_TOKEN),
        (scoped("/t/-/a/b", ""), refused(F::WrongAudience)),
        (get("/t/-/a").with_token(json!({"aud": ["my-api", "t"]})), Ok("authenticated")),
        (scoped("/t/-", ""), Ok("authenticated")),
    ] {
        assert_eq!(came_to(&rules, &ask), expected, "{ask:?}");
    }
    // The challenge names what would do.
    let authorizer = Setup { paths: rules, ..Setup::new() }.authorizer();
    let denial = get("/w/one/models").denial(&authorizer);
    assert_eq!(denial.scopes.as_deref(), Some("models:read models:all"));
}

#[test]
fn what_restricts_holds_in_every_reading_and_what_opens_in_one() {
    let rules = rules(&[
        "* * /public/* bypass",
        "* * /admin/* scopes=admin",
        "* * /one scopes=admin",
        "* * /two/ bypass",
        "* delete /three scopes=admin",
        "* * /* bypass",
    ]);
    let (wrong, ambiguous) = (refused(F::InsufficientScope), refused(F::AmbiguousRoute));
    for (path, expected) in [
        ("/public/a", Ok("bypassed")),
        ("/public/a;v=1", Ok("bypassed")),
        ("/public/a%20b", Ok("bypassed")),
        ("/admin/a", wrong),
        ("/admin/", wrong),
        // Some have one page for both.
        ("/admin", wrong),
        ("/admin;v=1/a", wrong),
        ("/%61dmin/a", wrong),
        ("/admin;v=1", wrong),
        ("/one", wrong),
        ("/one/", wrong),
        ("/one;v=1/", wrong),
        ("/on%65", wrong),
        ("/one/a", Ok("bypassed")),
        ("/two/", Ok("bypassed")),
        ("/public/../admin/a", ambiguous),
        ("/public//a", ambiguous),
        ("/public/a%2fb", ambiguous),
        ("/public/..%c0%af/admin", ambiguous),
        ("/public\\..\\admin", ambiguous),
    ] {
        assert_eq!(came_to(&rules, &get(path).with_token(json!({}))), expected, "{path}");
    }
    let delete = get("/three").with_token(json!({}));
    for (method, expected) in [("DELETE", wrong), ("delete", wrong), ("GET", Ok("bypassed"))] {
        assert_eq!(came_to(&rules, &delete.clone().method(method)), expected, "{method}");
    }
}

#[test]
fn without_a_restriction_an_ambiguous_path_needs_a_token_and_no_more() {
    let rules = rules(&["* * /public/* bypass", "* * /* optional"]);
    for path in ["/public/../a", "//public/a", "/a%2fb"] {
        assert_eq!(came_to(&rules, &get(path)), NO_TOKEN, "{path}");
        let with_token = get(path).with_token(json!({}));
        assert_eq!(came_to(&rules, &with_token), Ok("authenticated"), "{path}");
    }
}

#[test]
fn a_host_that_is_missing_or_odd_opens_nothing_and_is_held_to_everything() {
    let rules = rules(&[
        "a.example * /open/* bypass",
        "a.example,b.example * /data/* scopes=data",
        "c.example * /* deny",
        "* * /data/* required",
    ]);
    let only_b = self::rules(&["a.example * /o/* bypass", "b.example * /o/* scopes=o"]);
    assert_eq!(came_to(&rules, &get("/open/a").host("a.example")), Ok("bypassed"));
    assert_eq!(came_to(&rules, &get("/open/a").host("other.example:1")), NO_TOKEN);
    let asked = |path: &str, host: &[u8]| get(path).host(host).with_token(json!({}));
    assert_eq!(came_to(&rules, &asked("/data/a", b"b.example")), refused(F::InsufficientScope));
    assert_eq!(came_to(&rules, &asked("/data/a", b"other")), Ok("authenticated"));
    assert_eq!(came_to(&rules, &asked("/data/a", b"C.example:80")), refused(F::ClosedRoute));
    let odd: [&[u8]; 14] = [
        b"",
        b"a.example.",
        b".a.example",
        b"a..example",
        b"u@a.example",
        b"a.example:",
        b"a.example:80:80",
        b"a.example:x",
        b"a.example,b.example",
        b"a.example b.example",
        b"a.example%2f",
        b"a.example/x",
        b"[::1",
        b"\xff.example",
    ];
    for host in odd {
        let shown = String::from_utf8_lossy(host);
        assert_eq!(came_to(&rules, &get("/open/a").host(host)), refused(F::ClosedRoute), "{shown}");
        // The opening of the other host does not stand in front of the restriction.
        assert_eq!(came_to(&only_b, &get("/o/a").host(host)), NO_TOKEN, "{shown}");
        let asked = asked("/o/a", host);
        assert_eq!(came_to(&only_b, &asked), refused(F::InsufficientScope), "{shown}");
    }
    let addresses = self::rules(&["[::1],2001:db8::1,127.0.0.1 * /* bypass"]);
    for (host, expected) in [
        ("[::1]:80", Ok("bypassed")),
        ("[0:0:0:0:0:0:0:1]", Ok("bypassed")),
        ("[2001:DB8:0::1]:8443", Ok("bypassed")),
        ("127.0.0.1", Ok("bypassed")),
        ("[::2]", NO_TOKEN),
        ("2001:db8::1", NO_TOKEN),
    ] {
        assert_eq!(came_to(&addresses, &get("/").host(host)), expected, "{host}");
    }
}

#[test]
fn what_is_closed_is_closed_to_everybody() {
    let rules = rules(&[
        "* * /internal/status bypass",
        "* * /internal/* deny",
        "* delete /keep/* deny",
        "* * /* bypass",
    ])
    .with_preflights(true)
    .with_encoded_slashes(vec!["/files/".parse().unwrap()]);
    let (closed, ambiguous) = (refused(F::ClosedRoute), refused(F::AmbiguousRoute));
    let preflight = |method: &str| {
        get("/keep/a")
            .method("OPTIONS")
            .header("origin", "https://a.example")
            .header("access-control-request-method", method)
    };
    for (ask, expected) in [
        (get("/internal/a"), closed),
        (get("/internal/a").with_token(json!({})), closed),
        (get("/internal/a").route("doorward.mode", "bypass"), closed),
        (get("/internal"), closed),
        (get("/internal/"), closed),
        (get("/internal;x=1/a"), closed),
        (get("/%69nternal/a"), closed),
        // Closed wherever it stands, also behind a route that would open this one.
        (get("/internal/status"), closed),
        (get("/internal/status/"), closed),
        (get("/a//internal"), ambiguous),
        (get("/a/%2e%2e/internal/x"), ambiguous),
        (get("//internal/x").route("doorward.mode", "optional"), ambiguous),
        (get("/internal%2fx"), refused(F::EncodedSlash)),
        (get("/files/a%2fb").with_token(json!({})), Ok("authenticated")),
        (get("/internalx"), Ok("bypassed")),
        (get("/keep/a").method("DELETE"), closed),
        (get("/keep/a").method("GET"), Ok("bypassed")),
        (preflight("DELETE"), closed),
        (preflight("PUT"), Ok("bypassed")),
    ] {
        assert_eq!(came_to(&rules, &ask), expected, "{ask:?}");
    }
}

#[test]
fn each_setting_of_envoys_own_route_takes_the_place_of_ours() {
    let rules = rules(&["* * /a optional scopes=ours aud=ours", "* * /b bypass"]);
    let token = json!({"scope": "theirs", "aud": ["my-api", "ours"]});
    for (ask, expected) in [
        (get("/a"), Ok("anonymous")),
        (get("/a").route("doorward.mode", "required"), NO_TOKEN),
        (get("/a").route("doorward.mode", "bypass"), Ok("bypassed")),
        (get("/b").route("doorward.mode", "required"), NO_TOKEN),
        (get("/b").route("doorward.scopes", "theirs"), Ok("bypassed")),
        (get("/a").with_token(token.clone()), refused(F::InsufficientScope)),
        (
            get("/a").with_token(token.clone()).route("doorward.scopes", "theirs"),
            Ok("authenticated"),
        ),
        (
            get("/a").with_token(token).route("doorward.audience", "theirs"),
            refused(F::WrongAudience),
        ),
        // Nothing of ours is left that the path could decide.
        (
            get("/a//b")
                .with_token(json!({"scope": "theirs"}))
                .route("doorward.scopes", "theirs")
                .route("doorward.audience", "my-api"),
            Ok("authenticated"),
        ),
    ] {
        assert_eq!(came_to(&rules, &ask), expected, "{ask:?}");
    }
    // Ours goes before what is said of paths, and before preflights.
    let both = Rules::new(vec!["/x/*".parse().unwrap()])
        .with_preflights(true)
        .with_routes(vec![route("* * /x/secret required"), route("* * /x/told scopes=s")]);
    assert_eq!(came_to(&both, &get("/x/a")), Ok("bypassed"));
    assert_eq!(came_to(&both, &get("/x/secret")), NO_TOKEN);
    assert_eq!(came_to(&both, &get("/x/secret/")), NO_TOKEN);
    assert_eq!(came_to(&both, &get("/x/told")), Ok("bypassed"));
    let preflight = get("/x/secret")
        .method("OPTIONS")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "PUT");
    assert_eq!(came_to(&both, &preflight), Err(Fault::NoCredentialsForOptions));
}

/// A path as some server reads it, by what the bits of `habits` say.
fn as_read(path: &str, habits: u32) -> String {
    let has = |bit: u32| habits & (1 << bit) != 0;
    let mut path = path.split(['?', '#']).next().unwrap().to_owned();
    for bit in [0, 1] {
        if has(bit) {
            let bytes: Vec<u8> = percent_encoding::percent_decode_str(&path).collect();
            path = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    if has(2) {
        path = path.replace('\\', "/");
    }
    let cut = |segment: &str| match segment.split_once(';') {
        Some((name, _)) if has(3) => name.to_owned(),
        _ => segment.to_owned(),
    };
    let trim = |segment: String| match segment.as_str() {
        "." | ".." => segment,
        _ if has(4) => segment.trim_end_matches(['.', ' ']).to_owned(),
        _ => segment,
    };
    let mut read: Vec<String> = Vec::new();
    for segment in path.split('/').skip(1).map(cut).map(trim) {
        match segment.as_str() {
            "" | "." if has(5) => {}
            ".." if has(5) => drop(read.pop()),
            _ => read.push(segment),
        }
    }
    format!("/{}", read.join("/"))
}

fn one_of(parts: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    select(parts.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn no_spelling_gets_around_a_route(
        steps in proptest::collection::vec((
            one_of(&["/", "/", "/", "//", "%2f", "\\", "%5C", "/./", "/../", "/%2e%2e/", "/..;x/", "/;x/"]),
            one_of(&["public", "admin", "one", "%61dmin", "on%65", "a", "", ".", "..", "%2e.", "%252e%252e"]),
            one_of(&["", "", "", "", ";x=1", "%3b", "%20", ".", "?", "#", "%2", " "]),
        ), 1..5),
        slashes in any::<bool>(),
        tokenless in any::<bool>(),
    ) {
        let steps = steps.iter().map(|(slash, name, end)| format!("{slash}{name}{end}"));
        let path = steps.collect::<String>();
        let slash_prefixes = if slashes { vec!["/public/".parse().unwrap()] } else { vec![] };
        let rules = rules(&["* * /admin/* scopes=admin", "* * /one deny", "* * /public/* bypass"])
            .with_encoded_slashes(slash_prefixes);
        let ask = if tokenless { get(&path) } else { get(&path).with_token(json!({})) };
        let Ok(code) = came_to(&rules, &ask) else { return Ok(()) };
        for habits in 0..64 {
            let read = as_read(&path, habits);
            let is_admin = read == "/admin" || read.starts_with("/admin/");
            prop_assert!(!is_admin, "{path} is {code} and read as {read}");
            prop_assert!(read != "/one" && read != "/one/", "{path} is {code} and read as {read}");
            let is_public = read == "/public" || read.starts_with("/public/");
            prop_assert!(code != "bypassed" || is_public, "{path} is bypassed and read as {read}");
        }
    }
}
