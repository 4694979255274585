//! Rules by path pattern and method, and how a path is looked up among them.
//!
//! A path is read in every way that a server might: escapes decoded, parameters (`;v=1`) kept and
//! cut off, with the last slash and without.

use std::cmp::Ordering;

use super::method::Method;
use super::path::{each_split, readable};
use super::pattern::{PathPattern, PathPatternError, Segment};

/// Rules by path pattern and method.
#[derive(Clone, Debug)]
pub(crate) struct PathTable<R> {
    root: Node<R>,
}

/// What stands at one path, and the way on from there.
#[derive(Clone, Debug)]
struct Node<R> {
    /// In their [order](order_of_names).
    literals: Vec<(Box<str>, Node<R>)>,
    placeholder: Option<Box<Node<R>>>,
    /// Of the pattern that ends here.
    here: Methods<R>,
    /// Of the pattern that takes any segments from here on.
    rest: Methods<R>,
}

/// The rules of one pattern, by method.
#[derive(Clone, Debug)]
struct Methods<R>(Vec<(Method, R)>);

/// The rule of a pattern that matches.
pub(crate) struct Found<'t, R> {
    /// How many the pattern has.
    pub(crate) placeholders: usize,
    /// The rule of the pattern and the method.
    pub(crate) rule: &'t R,
}

/// The path can be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// An order that is quick to tell: names that belong together differ in length or at their ends.
pub(crate) fn order_of_names(one: &str, other: &str) -> Ordering {
    let key = |name: &str| (name.len(), name.as_bytes().last().copied());
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}

impl<R> PathTable<R> {
    /// Adds the rule for one method of the paths that match `pattern`.
    ///
    /// # Errors
    /// The table has the method of this pattern already, if with other names in braces.
    pub(crate) fn add(
        &mut self,
        pattern: &PathPattern,
        method: Method,
        rule: R,
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
        methods.0.push((method, rule));
        Ok(())
    }

    /// Calls `visit` for each way to read a path, which has no query: with the rule of the most
    /// specific pattern that has the method, and with the segments of that reading.
    pub(crate) fn each_reading<'t>(
        &'t self,
        method: &[u8],
        path: &[u8],
        mut visit: impl FnMut(Option<Found<'t, R>>, &[&str]),
    ) -> Result<(), Unreadable> {
        let path = str::from_utf8(path).ok().and_then(readable).ok_or(Unreadable)?;
        each_split(&path, |segments| {
            let mut best = None;
            self.root.search(method, segments, 0, &mut best);
            visit(best, segments);
        });
        Ok(())
    }
}

impl<R> Default for PathTable<R> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<R> Node<R> {
    /// Where the node of a literal is, or belongs.
    fn literal(&self, text: &str) -> Result<usize, usize> {
        self.literals.binary_search_by(|(known, _)| order_of_names(known, text))
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
        best: &mut Option<Found<'n, R>>,
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

impl<R> Default for Node<R> {
    fn default() -> Self {
        let (here, rest) = (Methods(Vec::new()), Methods(Vec::new()));
        Self { literals: Vec::new(), placeholder: None, here, rest }
    }
}

impl<R> Methods<R> {
    fn offer<'n>(&'n self, method: &[u8], placeholders: usize, best: &mut Option<Found<'n, R>>) {
        if !self.0.is_empty()
            && best.as_ref().is_none_or(|best| placeholders < best.placeholders)
            && let Some(rule) = self.of(method)
        {
            *best = Some(Found { placeholders, rule });
        }
    }

    fn of(&self, name: &[u8]) -> Option<&R> {
        let find = |name: &[u8]| {
            let rule = self.0.iter().find(|(method, _)| method.is(name));
            rule.map(|(_, rule)| rule)
        };
        // RFC 9110 §9.3.2: HEAD is GET without the content.
        find(name).or_else(|| name.eq_ignore_ascii_case(b"HEAD").then(|| find(b"GET")).flatten())
    }
}
