//! Path patterns, as tables of endpoints have them.

use std::str::FromStr;

use super::path::ambiguous;

/// Which paths an entry is about: `/v2/workspaces/{workspace}/models`, or with any number of
/// segments at the end: `/v2/openai/-/{path}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    pub(super) segments: Vec<Segment>,
    /// Any segments may follow, one at least.
    pub(super) open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Box<str>),
    Placeholder,
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with('/') {
            return Err(PathPatternError::NotAPath);
        }
        if text.contains(['?', '#', ';', '*']) {
            return Err(PathPatternError::MoreThanAPath);
        }
        if text.contains('%') || ambiguous(text) {
            return Err(PathPatternError::Ambiguous);
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        let mut segments: Vec<_> =
            path.split('/').skip(1).map(Segment::parse).collect::<Result<_, _>>()?;
        // As in NeMo's policies: right behind the first `/-/`, and none at the start.
        let separator = segments.iter().position(|segment| segment.is("-"));
        let open = segments.last() == Some(&Segment::Placeholder)
            && separator.is_some_and(|at| at > 0 && at + 2 == segments.len());
        if open {
            segments.pop();
        }
        Ok(Self { segments, open })
    }
}

impl PathPattern {
    /// Whether a path of these segments is one that matches, or below one.
    pub(crate) fn begins(&self, segments: &[&str]) -> bool {
        let fits = |(own, segment): (&Segment, &&str)| match own {
            Segment::Literal(text) => **text == **segment,
            Segment::Placeholder => !segment.is_empty(),
        };
        self.segments.len() <= segments.len() && self.segments.iter().zip(segments).all(fits)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PathPatternError> {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => Ok(Self::Placeholder),
            None if !text.contains(['{', '}']) => Ok(Self::Literal(text.into())),
            Some(_) | None => Err(PathPatternError::Braces),
        }
    }

    fn is(&self, literal: &str) -> bool {
        matches!(self, Self::Literal(text) if **text == *literal)
    }
}

/// Why a text is no pattern, or not a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// No `/` in front.
    #[error("a path starts with `/`")]
    NotAPath,
    /// A query, a fragment, a parameter or a wildcard.
    #[error("patterns match only the path: no `?`, `#`, `;` or `*` (`{{name}}` is any segment)")]
    MoreThanAPath,
    /// Written in a way that could be read two ways.
    #[error("the path can be read in two ways (`//`, `\\`, dot segments, a last dot, escapes)")]
    Ambiguous,
    /// Braces that are not around a whole segment.
    #[error("a placeholder is a whole segment with a name in it: `/{{name}}/`")]
    Braces,
    /// Nothing but names in braces tells it from another.
    #[error("the table already has this method for this path, with another placeholder name")]
    Twice,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pattern() {
        use PathPatternError as E;
        for (text, error) in [
            ("v2/models", E::NotAPath),
            ("/a?x=1", E::MoreThanAPath),
            ("/a/*", E::MoreThanAPath),
            ("/a//b", E::Ambiguous),
            ("/a/../b", E::Ambiguous),
            ("/a%20b", E::Ambiguous),
            ("/a/{}", E::Braces),
            ("/a/x{y}", E::Braces),
            ("/a/{x}y", E::Braces),
            ("/a/{x", E::Braces),
            ("/a/{{x}}", E::Braces),
        ] {
            assert_eq!(text.parse::<PathPattern>(), Err(error), "{text}");
        }
    }
}
