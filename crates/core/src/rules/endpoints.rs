//! Which scopes an endpoint asks for: a table of path patterns and methods.
//!
//! The table, and how it is read, are NeMo Platform's (`authz.endpoints`): `{name}` stands
//! for one segment, `/-/{name}` at the end for one or more, and of several patterns that
//! match and have the method, the one with the fewest placeholders counts.
//!
//! Where no pattern matches, nothing is asked. So a path is read in every way that a server
//! might: escapes decoded, parameters (`;v=1`) kept and cut off, with the last slash and
//! without.

use super::method::Method;
use super::path::{each_split, readable};
use super::pattern::{PathPattern, PathPatternError, Segment};

/// What a table of endpoints asks of tokens.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    root: Node,
    any_closed: bool,
    any_scopes: bool,
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
        self.any_scopes |= !rule.scopes.is_empty();
        methods.0.push((method, rule));
        Ok(())
    }

    /// The rule for a request; `path` has no query.
    ///
    /// It is that of the most specific pattern, of those that have the method, for any reading
    /// of the path: with its last slash and without, with parameters (`;v=1`) and without. A
    /// closed endpoint goes before all others: no reading of the path leads there.
    #[must_use]
    pub fn find(&self, method: &[u8], path: &[u8]) -> Match<'_> {
        let Some(path) = str::from_utf8(path).ok().and_then(readable) else {
            return Match::Unreadable;
        };
        let mut best: Option<Found<'_>> = None;
        each_split(&path, |segments| {
            let found = self.most_specific(method, segments);
            best = best.take().into_iter().chain(found).min_by_key(Found::rank);
        });
        best.map_or(Match::None, |found| Match::Rule(found.rule))
    }

    /// Whether there is an endpoint that nobody may come to.
    #[must_use]
    pub fn any_closed(&self) -> bool {
        self.any_closed
    }

    /// Whether there is an endpoint that asks for scopes.
    #[must_use]
    pub fn any_scopes(&self) -> bool {
        self.any_scopes
    }

    fn most_specific(&self, method: &[u8], segments: &[&str]) -> Option<Found<'_>> {
        let mut best = None;
        self.root.search(method, segments, 0, &mut best);
        best
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

    /// Leaves in `best` the pattern with the fewest placeholders that has the method, of several
    /// the one whose literals come first. Comes to each node once at most.
    fn search<'n>(
        &'n self,
        method: &[u8],
        segments: &[&str],
        placeholders: usize,
        best: &mut Option<Found<'n>>,
    ) {
        let Some((segment, rest)) = segments.split_first() else {
            self.here.offer(method, placeholders, best);
            return;
        };
        if let Ok(at) = self.literal(segment)
            && let Some((_, node)) = self.literals.get(at)
        {
            node.search(method, rest, placeholders, best);
        }
        if let Some(node) = self.placeholder.as_ref().filter(|_| !segment.is_empty()) {
            node.search(method, rest, placeholders + 1, best);
        }
        self.rest.offer(method, placeholders + 1, best);
    }
}

impl Methods {
    fn offer<'n>(&'n self, method: &[u8], placeholders: usize, best: &mut Option<Found<'n>>) {
        if best.as_ref().is_none_or(|best| placeholders < best.placeholders)
            && let Some(rule) = self.of(method)
        {
            *best = Some(Found { placeholders, rule });
        }
    }

    fn of(&self, name: &[u8]) -> Option<&EndpointRule> {
        let find = |name: &[u8]| {
            let rule = self.0.iter().find(|(method, _)| method.is(name));
            rule.map(|(_, rule)| rule)
        };
        // RFC 9110 §9.3.2: HEAD is GET without the content.
        find(name).or_else(|| name.eq_ignore_ascii_case(b"HEAD").then(|| find(b"GET")).flatten())
    }
}

/// The rule of a pattern that matches.
struct Found<'a> {
    /// How many the pattern has.
    placeholders: usize,
    rule: &'a EndpointRule,
}

impl Found<'_> {
    /// Of two readings of a path, that with the lower rank counts.
    fn rank(&self) -> (bool, usize) {
        (!self.rule.closed, self.placeholders)
    }
}

/// What a table has for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// Nothing: the path or its method is not in it.
    None,
    /// The rule of the most specific entry that has the path and the method.
    Rule(&'a EndpointRule),
    /// The path can be read in two ways.
    Unreadable,
}

#[cfg(test)]
mod tests;
