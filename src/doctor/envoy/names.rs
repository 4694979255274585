//! Which header names a list of string matchers lets pass.

use regex::bytes::{Regex, RegexBuilder};

use super::place::Place;

/// A larger program is not compiled, in bytes.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// Whether a name is one of this text.
type Test = fn(&str, &str) -> bool;

/// A `StringMatcher`, read.
pub(super) enum Matcher<'v> {
    Text {
        test: Test,
        pattern: &'v str,
        folded: Option<String>,
    },
    Regex(Expression),
    /// A module decides (`custom`), or something that is not known here.
    Other,
}

impl<'v> Matcher<'v> {
    /// `exact`, `prefix`, `suffix` or `contains`, each with `ignore_case`, or `safe_regex`.
    pub(super) fn read(place: &Place<'v>) -> Self {
        const TEXTS: [(&str, Test); 4] = [
            ("exact", |name, pattern| name == pattern),
            ("prefix", |name, pattern| name.starts_with(pattern)),
            ("suffix", |name, pattern| name.ends_with(pattern)),
            ("contains", |name, pattern| name.contains(pattern)),
        ];
        if let Some(regex) = place.get("safe_regex") {
            return Self::Regex(Expression::read(&regex));
        }
        let fold = place.flag("ignore_case") == Some(true);
        let mut texts = TEXTS.into_iter();
        let text = texts.find_map(|(kind, test)| {
            let pattern = place.text(kind)?;
            Some(Self::Text { test, pattern, folded: fold.then(|| pattern.to_ascii_lowercase()) })
        });
        text.unwrap_or(Self::Other)
    }

    /// Whether it takes a name in lower case. `None`: nobody but Envoy knows.
    pub(super) fn takes(&self, name: &str) -> Option<bool> {
        match self {
            Self::Text { test, pattern, folded } => {
                Some(test(name, folded.as_deref().unwrap_or(pattern)))
            }
            Self::Regex(expression) => expression.takes(name),
            Self::Other => None,
        }
    }

    /// The same, when what cannot be read here might.
    pub(super) fn may_take(&self, name: &str) -> bool {
        self.takes(name) != Some(false)
    }
}

/// A regular expression (`{regex: …}`). Envoy's are of RE2, which has the same syntax but for
/// what is not ASCII; `None` is one that is not understood here.
pub(super) struct Expression {
    regex: Option<Regex>,
    /// The letters and digits of its text, in lower case.
    pub(super) letters: String,
}

impl Expression {
    pub(super) fn read(place: &Place<'_>) -> Self {
        let whole = place.text("regex").map(|regex| format!("^(?:{regex})$"));
        let regex = whole.and_then(|whole| {
            let mut whole = RegexBuilder::new(&whole);
            whole.unicode(false).size_limit(MAX_REGEX_BYTES).build().ok()
        });
        Self { regex, letters: letters(place.text("regex").unwrap_or_default()) }
    }

    /// Whether it takes the whole of a name, as Envoy has it.
    pub(super) fn takes(&self, name: &str) -> Option<bool> {
        Some(self.regex.as_ref()?.is_match(name.as_bytes()))
    }
}

/// A list of matchers: `{patterns: […]}`.
pub(super) struct List<'v>(Vec<Matcher<'v>>);

impl<'v> List<'v> {
    pub(super) fn read(place: &Place<'v>) -> Self {
        Self(place.items("patterns").iter().map(Matcher::read).collect())
    }

    /// Whether it takes a name. `None`: there is a matcher that cannot be read here.
    pub(super) fn takes(&self, name: &str) -> Option<bool> {
        let answers: Vec<_> = self.0.iter().map(|matcher| matcher.takes(name)).collect();
        [Some(true), None].into_iter().find(|it| answers.contains(it)).unwrap_or(Some(false))
    }

    /// The first of these names of which this holds.
    pub(super) fn first<'n>(
        &self,
        taken: Option<bool>,
        names: impl IntoIterator<Item = &'n String>,
    ) -> Option<&'n str> {
        names.into_iter().map(String::as_str).find(|name| self.takes(name) == taken)
    }

    /// Its regular expressions.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.0.iter().filter_map(|matcher| match matcher {
            Matcher::Regex(expression) => Some(expression),
            Matcher::Text { .. } | Matcher::Other => None,
        })
    }

    /// The texts that it compares with.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'v str> {
        self.0.iter().filter_map(|matcher| match matcher {
            Matcher::Text { pattern, .. } => Some(*pattern),
            Matcher::Regex(_) | Matcher::Other => None,
        })
    }
}

/// The letters and digits of a text, in lower case.
pub(super) fn letters(text: &str) -> String {
    let kept = text.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|char| char.to_ascii_lowercase()).collect()
}

/// Whether a name of Istio's (`exact`, `prefix*`, `*suffix`, `*`) takes one in lower case.
pub(super) fn glob_takes(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(prefix), _) => name.starts_with(prefix),
        (None, Some(suffix)) => name.ends_with(suffix),
        (None, None) => name == pattern,
    }
}
