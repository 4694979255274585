//! Which scopes an endpoint asks for: a table of path patterns and methods.
//!
//! The table, and how it is read, are NeMo Platform's (`authz.endpoints`): `{name}` stands
//! for one segment, `/-/{name}` at the end for one or more, and of several patterns that
//! match and have the method, the one with the fewest placeholders counts.
//!
//! Where no pattern matches, nothing is asked. So a path is read in [every way](PathTable) that a
//! server might.

use super::method::Method;
use super::path_table::{Found, PathTable};
use super::pattern::{PathPattern, PathPatternError};

/// What a table of endpoints asks of tokens.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    table: PathTable<EndpointRule>,
    any_closed: bool,
    any_scopes: bool,
}

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
        let (closed, scopes) = (rule.closed, !rule.scopes.is_empty());
        self.table.add(pattern, method, rule)?;
        self.any_closed |= closed;
        self.any_scopes |= scopes;
        Ok(())
    }

    /// The rule for a request; `path` has no query.
    ///
    /// It is that of the most specific pattern, of those that have the method, for any reading
    /// of the path: with its last slash and without, with parameters (`;v=1`) and without. A
    /// closed endpoint goes before all others: no reading of the path leads there.
    #[must_use]
    pub fn find(&self, method: &[u8], path: &[u8]) -> Match<'_> {
        let mut best: Option<Found<'_, EndpointRule>> = None;
        let rank = |found: &Found<'_, EndpointRule>| (!found.rule.closed, found.placeholders);
        let read = self.table.each_reading(method, path, |found, _| {
            best = best.take().into_iter().chain(found).min_by_key(rank);
        });
        match (read, best) {
            (Err(_), _) => Match::Unreadable,
            (Ok(()), None) => Match::None,
            (Ok(()), Some(found)) => Match::Rule(found.rule),
        }
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
