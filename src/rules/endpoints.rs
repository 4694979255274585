//! Which scopes an endpoint asks for: a table of path patterns and methods.
//!
//! The table, and how it is read, are NeMo Platform's (`authz.endpoints`): `{name}` stands
//! for one segment, `/-/{name}` at the end for one or more, and of several patterns that
//! match, the one with the fewest placeholders counts.
//!
//! Where no pattern matches, nothing is asked. So a path is read in the widest way that a
//! server might: escapes decoded, parameters (`;v=1`) cut off, with the last slash and
//! without.

use std::borrow::Cow;
use std::str::FromStr;

use memchr::memchr2;
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use super::path::ambiguous;
use super::pattern::{PathPattern, PathPatternError, Segment};

/// What a table of endpoints asks of tokens.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    root: Node,
    any_closed: bool,
}

/// What stands at one path, and the way on from there.
#[derive(Clone, Debug, Default)]
struct Node {
    /// In the order of their texts.
    literals: Vec<(Box<str>, Node)>,
    placeholder: Option<Box<Node>>,
    /// Of the pattern that ends here.
    here: Methods,
    /// Of the pattern that takes any segments from here on.
    rest: Methods,
}

/// The rules of one pattern, by method.
#[derive(Clone, Debug, Default)]
struct Methods(Vec<(Method, EndpointRule)>);

/// What one method of an endpoint asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRule {
    /// The pattern, as written.
    pub pattern: Box<str>,
    /// The scopes of which a token needs one, separated by spaces; none are asked for when
    /// this is empty.
    pub scopes: Box<str>,
    /// Nobody may come here (NeMo's `deny: true`).
    pub closed: bool,
}

impl Endpoints {
    /// Adds what one method of the endpoints that match `pattern` asks for.
    ///
    /// # Errors
    /// The table has the method of this pattern already, if with other names in braces.
    pub fn add(
        &mut self,
        pattern: &PathPattern,
        method: Method,
        rule: EndpointRule,
    ) -> Result<(), PathPatternError> {
        let mut node = &mut self.root;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(text) => node.literal_or_new(text),
                Segment::Placeholder => node.placeholder.get_or_insert_default(),
            };
        }
        let methods = if pattern.open { &mut node.rest } else { &mut node.here };
        if methods.0.iter().any(|(known, _)| *known == method) {
            return Err(PathPatternError::Twice);
        }
        self.any_closed |= rule.closed;
        methods.0.push((method, rule));
        Ok(())
    }

    /// The rule for a request; `path` has no query.
    #[must_use]
    pub fn find(&self, method: &[u8], path: &[u8]) -> Match<'_> {
        let Some(path) = str::from_utf8(path).ok().filter(|path| !ambiguous(path)) else {
            return Match::Unreadable;
        };
        let plain = memchr2(b'%', b';', path.as_bytes()).is_none();
        let read = |segment| if plain { Cow::Borrowed(segment) } else { as_served(segment) };
        let segments: SmallVec<[_; 16]> = path.split('/').skip(1).map(read).collect();
        // There is one at least: what is behind the first slash.
        let Some((last, others)) = segments.split_last() else { return Match::None };
        if others.iter().any(|segment| segment.is_empty()) {
            // `/a/;v=1/b`, which some servers take for `/a//b`.
            return Match::Unreadable;
        }
        let without_last_slash = last.is_empty().then_some(others);
        let methods = self
            .most_specific(&segments)
            .or_else(|| without_last_slash.and_then(|segments| self.most_specific(segments)));
        methods.and_then(|methods| methods.of(method)).map_or(Match::None, Match::Rule)
    }

    /// Whether there is an endpoint that nobody may come to.
    #[must_use]
    pub fn any_closed(&self) -> bool {
        self.any_closed
    }

    fn most_specific(&self, segments: &[Cow<'_, str>]) -> Option<&Methods> {
        let mut best = None;
        self.root.search(segments, 0, &mut best);
        best.map(|(_, methods)| methods)
    }
}

impl Node {
    /// Where the node of a literal is, or belongs.
    fn literal(&self, text: &str) -> Result<usize, usize> {
        self.literals.binary_search_by(|(known, _)| (**known).cmp(text))
    }

    fn literal_or_new(&mut self, text: &str) -> &mut Self {
        let at = self.literal(text).unwrap_or_else(|at| {
            self.literals.insert(at, (text.into(), Self::default()));
            at
        });
        #[expect(clippy::indexing_slicing, reason = "it was found there, or put there")]
        &mut self.literals[at].1
    }

    /// Leaves in `best` the pattern with the fewest placeholders, of several the one whose
    /// literals come first. Comes to each node once at most.
    fn search<'n>(
        &'n self,
        segments: &[Cow<'_, str>],
        placeholders: usize,
        best: &mut Option<(usize, &'n Methods)>,
    ) {
        let Some((segment, rest)) = segments.split_first() else {
            self.here.offer(placeholders, best);
            return;
        };
        if let Ok(at) = self.literal(segment)
            && let Some((_, node)) = self.literals.get(at)
        {
            node.search(rest, placeholders, best);
        }
        if let Some(node) = self.placeholder.as_ref().filter(|_| !segment.is_empty()) {
            node.search(rest, placeholders + 1, best);
        }
        self.rest.offer(placeholders + 1, best);
    }
}

impl Methods {
    fn offer<'n>(&'n self, placeholders: usize, best: &mut Option<(usize, &'n Self)>) {
        if !self.0.is_empty() && best.is_none_or(|(fewest, _)| placeholders < fewest) {
            *best = Some((placeholders, self));
        }
    }

    fn of(&self, name: &[u8]) -> Option<&EndpointRule> {
        let find = |name: &[u8]| {
            let rule =
                self.0.iter().find(|(method, _)| name.eq_ignore_ascii_case(method.0.as_bytes()));
            rule.map(|(_, rule)| rule)
        };
        // RFC 9110 §9.3.2: HEAD is GET without the content.
        find(name).or_else(|| name.eq_ignore_ascii_case(b"HEAD").then(|| find(b"GET")).flatten())
    }
}

/// One segment of a path as a server may read it. Of a path that is not [`ambiguous`], so
/// that nothing with a meaning of its own comes out of an escape.
fn as_served(segment: &str) -> Cow<'_, str> {
    let segment = segment.split(';').next().unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy()
}

/// What a table has for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// Nothing: the path or its method is not in it.
    None,
    /// This.
    Rule(&'a EndpointRule),
    /// The path can be read in two ways.
    Unreadable,
}

/// A method that a table may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method(&'static str);

impl Method {
    /// All of them (RFC 9110 §9, RFC 5789).
    const KNOWN: [&'static str; 9] =
        ["get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"];
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(text));
        known.map(Self).ok_or(UnknownMethod)
    }
}

/// No method that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no method: {}", Method::KNOWN.join(", "))]
pub struct UnknownMethod;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        match table.find(b"GET", path.as_bytes()) {
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

    /// A pattern or, without braces, a path, of few different segments.
    fn segments(with_placeholders: bool) -> impl Strategy<Value = String> {
        let choices =
            if with_placeholders { vec!["a", "b", "-", "{x}"] } else { vec!["a", "b", "-"] };
        prop::collection::vec(prop::sample::select(choices), 1..6)
            .prop_map(|segments| format!("/{}", segments.join("/")))
    }

    proptest! {
        /// The tree finds what NeMo's scan finds: a pattern with the fewest placeholders.
        #[test]
        fn the_tree_agrees_with_nemos_scan(
            patterns in prop::collection::hash_set(segments(true), 1..12),
            path in segments(false),
        ) {
            let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
            let placeholders = |pattern: &str| pattern.matches('{').count();
            let scanned = patterns.iter().filter(|pattern| matches_as_in_the_policy(&path, pattern));
            let fewest = scanned.map(|pattern| placeholders(pattern)).min();
            let table = table(&patterns);
            let found = found(&table, &path);
            prop_assert_eq!(found.map(placeholders), fewest, "{:?}", found);
            if let Some(found) = found {
                prop_assert!(matches_as_in_the_policy(&path, found), "{}", found);
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
}
