//! The table against NeMo's own cases, and against a plain scan of all patterns.

use proptest::prelude::*;

use super::super::method::UnknownMethod;
use super::*;

/// Each pattern's rule has the pattern for its scope.
fn table(patterns: &[&str]) -> Endpoints {
    let mut table = Endpoints::default();
    for pattern in patterns {
        add(&mut table, pattern, "get").unwrap();
    }
    table
}

fn add(table: &mut Endpoints, pattern: &str, method: &str) -> Result<(), PathPatternError> {
    let rule = EndpointRule { pattern: pattern.into(), scopes: pattern.into(), closed: false };
    table.add(&pattern.parse()?, method.parse().unwrap(), rule)
}

fn found<'t>(table: &'t Endpoints, path: &str) -> Option<&'t str> {
    found_by(table, "GET", path)
}

fn found_by<'t>(table: &'t Endpoints, method: &str, path: &str) -> Option<&'t str> {
    match table.find(method.as_bytes(), path.as_bytes()) {
        Match::Rule(rule) => Some(&rule.pattern),
        Match::None => None,
        Match::Unreadable => Some("unreadable"),
    }
}

/// The cases of NeMo's own `path_matching_test.rego`, and those that its comments speak of.
#[test]
fn patterns_match_as_nemos_do() {
    const OPENAI: &str = "/apis/ig/v2/workspaces/{workspace}/openai/-/{trailing_uri}";
    const MODEL: &str = "/apis/ig/v2/workspaces/{workspace}/model/{name}/-/{trailing_uri}";
    for (pattern, path, matches) in [
        ("/v2/workspaces/-/models", "/v2/workspaces/-/models", true),
        ("/v2/workspaces/-/models", "/v2/workspaces", false),
        ("/v2/workspaces/{name}", "/v2/workspaces/my-ws", true),
        ("/v2/workspaces/{name}", "/v2/workspaces/", false),
        ("/v2/workspaces/{w}/models/{name}", "/v2/workspaces/a/models/b", true),
        ("/v2/workspaces/{w}/models/{name}", "/v2/workspaces/a/models/b/c", false),
        (OPENAI, "/apis/ig/v2/workspaces/my-ws/openai/-/v1/models", true),
        (OPENAI, "/apis/ig/v2/workspaces/my-ws/openai/-/v1/engines/a/b/c", true),
        (OPENAI, "/apis/ig/v2/workspaces/my-ws/openai/-/models", true),
        (OPENAI, "/apis/ig/v2/workspaces/my-ws/openai/-/", true),
        (OPENAI, "/apis/ig/v2/workspaces/my-ws/openai/-", false),
        (OPENAI, "/apis/ig/v2/workspaces/my-ws/wrong/-/v1/models", false),
        (OPENAI, "/apis/ig/v2/workspaces/my-ws/openai/v1/models", false),
        (MODEL, "/apis/ig/v2/workspaces/my-ns/model/m/-/v1/chat/completions", true),
        ("/a/{x}/-/v1/models", "/a/b/-/v1/models", true),
        ("/a/{x}/-/v1/models", "/a/b/-/v1/chat", false),
        ("/a/{x}/-/v1/{m}", "/a/b/-/v1/c", true),
        ("/a/{x}/-/v1/{m}", "/a/b/-/v1/c/d", false),
        // Only the first `/-/` opens a pattern, and not at the start.
        ("/a/-/b/-/{rest}", "/a/-/b/-/c/d", false),
        ("/a/-/b/-/{rest}", "/a/-/b/-/c", true),
        ("/-/{rest}", "/-/a/b", false),
        ("/-/{rest}", "/-/a", true),
        ("/-/a/-/{rest}", "/-/a/-/b/c", false),
        ("/", "/", true),
        ("/", "/a", false),
    ] {
        let table = table(&[pattern]);
        assert_eq!(found(&table, path).is_some(), matches, "{pattern} {path}");
    }
}

#[test]
fn the_fewest_placeholders_win() {
    let table = table(&[
        "/v2/{w}/models/{name}",
        "/v2/{w}/models/default",
        "/v2/shared/models/{name}",
        "/v2/{w}/{kind}/{name}",
        "/ig/{w}/openai/-/{rest}",
        "/ig/{w}/openai/-/v1/models",
        "/ig/{w}/openai/-/v1/{one}",
    ]);
    for (path, pattern) in [
        ("/v2/a/models/b", "/v2/{w}/models/{name}"),
        ("/v2/a/models/default", "/v2/{w}/models/default"),
        ("/v2/shared/models/b", "/v2/shared/models/{name}"),
        // As many each: the one whose literals come first.
        ("/v2/shared/models/default", "/v2/shared/models/{name}"),
        ("/v2/shared/jobs/b", "/v2/{w}/{kind}/{name}"),
        ("/ig/a/openai/-/v1/models", "/ig/{w}/openai/-/v1/models"),
        ("/ig/a/openai/-/v1/other", "/ig/{w}/openai/-/v1/{one}"),
        ("/ig/a/openai/-/v1/chat/completions", "/ig/{w}/openai/-/{rest}"),
    ] {
        assert_eq!(found(&table, path), Some(pattern), "{path}");
    }
}

#[test]
fn no_spelling_leads_around_a_rule() {
    let table = table(&["/v2/models", "/v2/{w}/secrets"]);
    for path in [
        "/v2/models",
        "/v2/models/",
        "/v2/mod%65ls",
        "/%762/models",
        "/v2/models;v=1",
        "/v2;a/models",
        "/v2/models;/",
    ] {
        assert_eq!(found(&table, path), Some("/v2/models"), "{path}");
    }
    assert_eq!(found(&table, "/v2/%C3%A9/secrets"), Some("/v2/{w}/secrets"));
    for path in [
        "/v2//models",
        "/v2/;a/models",
        "/v2/./models",
        "/v2/%2e/models",
        "/v2%2fmodels",
        "/v2\\models",
    ] {
        assert_eq!(found(&table, path), Some("unreadable"), "{path}");
    }
    // Servers tell these apart.
    for path in ["/v2/Models", "/v2/models/x", "/v2"] {
        assert_eq!(found(&table, path), None, "{path}");
    }
}

/// An open pattern takes every spelling of what is below it; the pattern of one path below
/// still goes before it.
#[test]
fn the_most_specific_wins_in_every_spelling() {
    const REST: &str = "/ig/{w}/openai/-/{rest}";
    const ADMIN: &str = "/ig/{w}/openai/-/admin";
    const SLASH: &str = "/ig/{w}/openai/-/keys/";
    const NAME: &str = "/names/{name}";
    const NAMES: &str = "/names";
    let table = table(&[REST, ADMIN, SLASH, NAME, NAMES]);
    let below = |end: &str| format!("/ig/a/openai/-/{end}");
    for (path, pattern) in [
        (below("admin"), Some(ADMIN)),
        (below("admin/"), Some(ADMIN)),
        (below("admin;/"), Some(ADMIN)),
        (below("admin;v=1/"), Some(ADMIN)),
        (below("admin/;a"), Some(ADMIN)),
        (below("admin/;"), Some(ADMIN)),
        (below("admin;a/;b"), Some(ADMIN)),
        (below("%61dmin/"), Some(ADMIN)),
        ("/ig;a/a/openai/-/admin/".to_owned(), Some(ADMIN)),
        ("/ig/;a/openai/-/admin".to_owned(), Some("unreadable")),
        (below("keys"), Some(SLASH)),
        (below("keys/"), Some(SLASH)),
        (below("keys/;a"), Some(SLASH)),
        (below("administrator"), Some(REST)),
        (below("admin/x"), Some(REST)),
        (below(""), Some(REST)),
        (below(";a"), Some(REST)),
        ("/names/;a".to_owned(), Some(NAMES)),
        ("/names/a;".to_owned(), Some(NAME)),
    ] {
        assert_eq!(found(&table, &path), pattern, "{path}");
    }
    // Who does not cut parameters off sees a name here.
    assert_eq!(found(&self::table(&[NAME]), "/names/;a"), Some(NAME));
}

/// Whichever reading leads to a closed endpoint, it is closed.
#[test]
fn no_reading_leads_to_a_closed_endpoint() {
    let closed = |open: &str, closed: &str| {
        let mut table = table(&[open]);
        let rule = EndpointRule { pattern: closed.into(), scopes: Box::default(), closed: true };
        table.add(&closed.parse().unwrap(), "get".parse().unwrap(), rule).unwrap();
        table
    };
    let secret = closed("/a/-/{rest}", "/a/-/secret");
    for path in ["/a/-/secret", "/a/-/secret/", "/a/-/secret;/", "/a/-/secret/;a"] {
        assert_eq!(found(&secret, path), Some("/a/-/secret"), "{path}");
    }
    // Here the closed one has more placeholders, in the reading that leads to it.
    assert_eq!(found(&closed("/names", "/names/{name}"), "/names/;a"), Some("/names/{name}"));
    assert_eq!(found(&closed("/a/-/x", "/a/-/{rest}"), "/a/-/x"), Some("/a/-/x"));
}

/// A pattern that does not have the method says nothing of it.
#[test]
fn the_most_specific_that_has_the_method_wins() {
    let mut table = table(&["/m/default", "/v/-/{rest}"]);
    for (pattern, method) in [
        ("/m/{name}", "delete"),
        ("/m/{name}", "get"),
        ("/{any}/{name}", "patch"),
        ("/v/-/x", "post"),
        ("/v/-/{rest}", "head"),
        ("/v/-/y", "get"),
    ] {
        add(&mut table, pattern, method).unwrap();
    }
    for (method, path, pattern) in [
        ("GET", "/m/default", Some("/m/default")),
        ("HEAD", "/m/default", Some("/m/default")),
        ("DELETE", "/m/default", Some("/m/{name}")),
        ("DELETE", "/m/default/", Some("/m/{name}")),
        ("PATCH", "/m/default", Some("/{any}/{name}")),
        ("PUT", "/m/default", None),
        ("GET", "/v/-/x", Some("/v/-/{rest}")),
        ("POST", "/v/-/x", Some("/v/-/x")),
        ("POST", "/v/-/z", None),
        // HEAD is GET here, so the most specific with either.
        ("HEAD", "/v/-/y", Some("/v/-/y")),
        ("HEAD", "/v/-/z", Some("/v/-/{rest}")),
    ] {
        assert_eq!(found_by(&table, method, path), pattern, "{method} {path}");
    }
}

#[test]
fn methods_are_told_apart() {
    let mut table = table(&["/a/{x}"]);
    add(&mut table, "/a/{y}", "DELETE").unwrap();
    let pattern = |method: &str| match table.find(method.as_bytes(), b"/a/b") {
        Match::Rule(rule) => &*rule.pattern,
        Match::None | Match::Unreadable => "",
    };
    assert_eq!(pattern("GET"), "/a/{x}");
    assert_eq!(pattern("get"), "/a/{x}");
    assert_eq!(pattern("HEAD"), "/a/{x}", "GET without the content");
    assert_eq!(pattern("DELETE"), "/a/{y}");
    assert_eq!(pattern("POST"), "");
    assert_eq!("gte".parse::<Method>(), Err(UnknownMethod));
}

#[test]
fn other_names_in_braces_make_no_other_pattern() {
    use PathPatternError as E;
    let mut table = table(&["/a/{x}"]);
    assert_eq!(add(&mut table, "/a/{other}", "get"), Err(E::Twice));
    assert_eq!(add(&mut table, "/a/{other}/", "get"), Err(E::Twice));
}

/// A table and a path made for it: every way through the table is tried, none twice.
#[test]
fn a_path_made_to_be_slow_is_not() {
    let mut table = Endpoints::default();
    for depth in 1..=12 {
        for choice in 0..8_u32 {
            let segment = |at: u32| if (choice >> (at % 3)) & 1 == 0 { "/a" } else { "/{x}" };
            let pattern: String = (0..depth).map(segment).collect();
            let _ = add(&mut table, &pattern, "get");
        }
    }
    let long = "/a".repeat(30_000);
    let started = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(found(&table, &long), None);
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}

/// NeMo's `path_matches_pattern`, as its policy has it: split, compared, one by one.
fn matches_as_in_the_policy(path: &str, pattern: &str) -> bool {
    let split = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    let is_placeholder = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
    let fits = |(segment, pattern): (&String, &String)| {
        segment == pattern || (is_placeholder(pattern) && !segment.is_empty())
    };
    let (segments, whole) = (split(path), split(pattern));
    let opened = pattern.split_once("/-/").filter(|(before, _)| !before.is_empty());
    if let Some((before, after)) = opened
        && !after.contains('/')
        && is_placeholder(after)
    {
        let before = split(before);
        return segments.len() >= before.len() + 2
            && segments.iter().zip(&before).all(fits)
            && segments[before.len()] == "-";
    }
    segments.len() == whole.len() && segments.iter().zip(&whole).all(fits)
}

/// The ways to read a path: parameters kept and cut off, the last slash kept and cut off.
fn readings(path: &str) -> Vec<String> {
    let cut = path.split('/').map(|segment| segment.split(';').next().unwrap());
    let cut: Vec<_> = cut.collect();
    let both = [path.to_owned(), cut.join("/")];
    let shorter = both.clone().into_iter().filter_map(|path| {
        path.strip_suffix('/').filter(|path| !path.is_empty()).map(str::to_owned)
    });
    both.iter().cloned().chain(shorter).collect()
}

/// A pattern or, without braces, a path, of few different segments.
fn segments(with_placeholders: bool) -> impl Strategy<Value = String> {
    let choices = if with_placeholders { vec!["a", "b", "-", "{x}"] } else { vec!["a", "b", "-"] };
    prop::collection::vec(prop::sample::select(choices), 1..6)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    /// The tree finds what NeMo's scan of all patterns finds, tried on each reading of the
    /// path: a pattern that has the method, with the fewest placeholders. One that is closed
    /// goes first.
    #[test]
    fn the_tree_agrees_with_nemos_scan(
        patterns in prop::collection::hash_map(segments(true), (any::<bool>(), 0_usize..3), 1..12),
        path in segments(false),
        spelled in prop::sample::select(vec!["", "/", ";", ";a", ";/", "/;", "/;a", ";a/;b"]),
    ) {
        let path = format!("{path}{spelled}");
        let mut table = Endpoints::default();
        for (pattern, (closed, method)) in &patterns {
            let rule = EndpointRule {
                pattern: pattern.as_str().into(), scopes: Box::default(), closed: *closed,
            };
            let method = ["get", "delete", "head"][*method];
            table.add(&pattern.parse().unwrap(), method.parse().unwrap(), rule).unwrap();
        }
        let placeholders = |pattern: &str| pattern.matches('{').count();
        for (method, has) in [("GET", &[0][..]), ("DELETE", &[1]), ("HEAD", &[0, 2])] {
            let matches = |pattern: &str| {
                readings(&path).iter().any(|path| matches_as_in_the_policy(path, pattern))
            };
            // The most specific of each reading, and whether there is none but closed ones.
            let winners: Vec<(usize, bool)> = readings(&path)
                .iter()
                .filter_map(|path| {
                    let matching: Vec<_> = patterns
                        .iter()
                        .filter(|(_, (_, method))| has.contains(method))
                        .filter(|(pattern, _)| matches_as_in_the_policy(path, pattern))
                        .map(|(pattern, (closed, _))| (placeholders(pattern), *closed))
                        .collect();
                    let fewest = matching.iter().map(|(placeholders, _)| *placeholders).min()?;
                    let mut best = matching.iter().filter(|(with, _)| *with == fewest);
                    Some((fewest, best.all(|(_, closed)| *closed)))
                })
                .collect();
            let fewest = winners.iter().map(|(placeholders, _)| *placeholders).min();
            let found = found_by(&table, method, &path);
            prop_assert_eq!(found.is_some(), fewest.is_some(), "{} {:?}", method, found);
            let Some(found) = found else { continue };
            let (closed, with) = patterns[found];
            prop_assert!(matches(found) && has.contains(&with), "{} {}", method, found);
            if closed {
                continue;
            }
            prop_assert!(!winners.iter().any(|(_, closed)| *closed), "{} {}", method, found);
            prop_assert_eq!(Some(placeholders(found)), fewest, "{} {}", method, found);
        }
    }

    /// However a path to an endpoint is written, its rule is found, or the path is refused.
    #[test]
    fn no_way_of_writing_a_path_leads_past_its_rule(
        escaped in prop::collection::vec(any::<bool>(), 32),
        added in prop::collection::vec(
            (0_usize..32, prop::sample::select(vec!["/", "/./", "/x/../", ";v=1", ";", "%2f"])),
            0..3,
        ),
    ) {
        let table = table(&["/v2/{w}/models/{name}", "/v2/{w}/openai/-/{rest}"]);
        for path in ["/v2/team/models/one", "/v2/team/openai/-/v1/chat"] {
            let mut written: Vec<String> = path
                .bytes()
                .zip(escaped.iter().chain(std::iter::repeat(&false)))
                .map(|(byte, escaped)| match (byte, escaped) {
                    (b'/', _) | (_, false) => char::from(byte).to_string(),
                    (byte, true) => format!("%{byte:02X}"),
                })
                .collect();
            for (at, odd) in &added {
                // Not in the middle of a segment, which would name another one.
                let slashes: Vec<_> =
                    (1..written.len()).filter(|at| written[*at] == "/").collect();
                written.insert(slashes[at % slashes.len()], (*odd).to_owned());
            }
            let written = written.concat();
            prop_assert_ne!(found(&table, &written), None, "{}", written);
        }
    }
}
