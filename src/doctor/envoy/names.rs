//! Which header names a list of string matchers lets pass.

use regex::bytes::RegexBuilder;

use super::place::Place;

/// A larger program is not compiled, in bytes.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// Whether a matcher (`exact`, `prefix`, `suffix`, `contains`, each with `ignore_case`, or
/// `safe_regex`) takes a name in lower case. `None`: nobody but Envoy knows.
pub(super) fn takes(matcher: &Place<'_>, name: &str) -> Option<bool> {
    if let Some(regex) = matcher.get("safe_regex") {
        return matches(&regex, name);
    }
    let fold = matcher.flag("ignore_case") == Some(true);
    let one = |kind: &str, test: fn(&str, &str) -> bool| {
        matcher.text(kind).map(|pattern| {
            if fold { test(name, &pattern.to_ascii_lowercase()) } else { test(name, pattern) }
        })
    };
    one("exact", |name, pattern| name == pattern)
        .or_else(|| one("prefix", |name, pattern| name.starts_with(pattern)))
        .or_else(|| one("suffix", |name, pattern| name.ends_with(pattern)))
        .or_else(|| one("contains", |name, pattern| name.contains(pattern)))
        .or(Some(false))
}

/// The same, when a regular expression that cannot be read here might.
pub(super) fn may_take(matcher: &Place<'_>, name: &str) -> bool {
    takes(matcher, name) != Some(false)
}

/// Whether a regular expression (`{regex: …}`) takes the whole of a name, as Envoy has it.
/// Envoy's are of RE2, which has the same syntax but for what is not ASCII; `None` for one that
/// is not understood here.
pub(super) fn matches(expression: &Place<'_>, name: &str) -> Option<bool> {
    let mut whole = RegexBuilder::new(&format!("^(?:{})$", expression.text("regex")?));
    let whole = whole.unicode(false).size_limit(MAX_REGEX_BYTES).build().ok()?;
    Some(whole.is_match(name.as_bytes()))
}

/// What a list of matchers does with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    No,
    /// There is a regular expression that cannot be read here.
    Unknown,
}

/// What the list at `list` (`{patterns: […]}`) does with a name.
pub(super) fn taken(list: &Place<'_>, name: &str) -> Taken {
    let matchers = list.items("patterns");
    let answers: Vec<_> = matchers.iter().map(|matcher| takes(matcher, name)).collect();
    if answers.contains(&Some(true)) {
        Taken::Yes
    } else if answers.contains(&None) {
        Taken::Unknown
    } else {
        Taken::No
    }
}

/// The names that the list does not take.
pub(super) fn missing<'n>(
    list: &Place<'_>,
    names: impl IntoIterator<Item = &'n String>,
) -> Vec<&'n str> {
    let names = names.into_iter().map(String::as_str);
    names.filter(|name| taken(list, name) == Taken::No).collect()
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
