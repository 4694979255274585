//! Which scopes to ask for, and which were not granted.
//!
//! NeMo's rules. Platform scopes are those with a `:` and those that end in `.default`;
//! they belong to a resource and carry its prefix on the wire (`api://nmp/models:read`).
//! `--scope` replaces the platform scopes of a default, never the OpenID ones beside them.

use doorward_core::scope_prefix::{self, asked_for, is_platform};

/// The scopes to ask for: those of `defaults`, with the platform ones replaced by `chosen`
/// when given, each platform scope with `prefix` in front. Words are separated by blanks
/// or commas in `chosen`. Without repetitions.
#[must_use]
pub fn requested(defaults: &str, chosen: Option<&str>, prefix: Option<&str>) -> Vec<String> {
    let defaults = defaults.split_whitespace();
    let mut words: Vec<&str> = match chosen {
        None => defaults.collect(),
        Some(chosen) => defaults
            .filter(|scope| !is_platform(scope))
            .chain(chosen.split([' ', ',', '\t', '\n']))
            .collect(),
    };
    words.retain(|word| !word.is_empty());
    let mut scopes: Vec<String> = Vec::with_capacity(words.len());
    for scope in words.into_iter().map(|word| asked_for(word, prefix)) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
}

fn without_prefix<'s>(scope: &'s str, prefix: Option<&str>) -> &'s str {
    prefix.map_or(scope, |prefix| scope_prefix::cut_off(scope, prefix))
}

/// What was asked for in vain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotGranted {
    /// The scopes, as they were asked for.
    pub scopes: Vec<String>,
    /// `offline_access` was asked for and no refresh token came: the login ends with its
    /// access token.
    pub no_refresh_token: bool,
}

/// Compares what was asked for with what was `granted`; `None` there means all of it
/// (RFC 6749 §5.1).
///
/// Providers often do not name `openid` and `offline_access` again; what they stand for,
/// an ID token and a refresh token, tells instead. `.default` (Azure: all that was
/// consented to) is never named again.
#[must_use]
pub fn not_granted(
    requested: &[String],
    granted: Option<&[String]>,
    prefix: Option<&str>,
    (has_id_token, has_refresh_token): (bool, bool),
) -> NotGranted {
    let asked_offline = requested.iter().any(|scope| scope == "offline_access");
    let no_refresh_token = asked_offline && !has_refresh_token;
    let Some(granted) = granted else {
        return NotGranted { scopes: Vec::new(), no_refresh_token };
    };
    let is_there = |scope: &str| {
        let bare = without_prefix(scope, prefix);
        granted.iter().any(|granted| without_prefix(granted, prefix) == bare)
    };
    let scopes = requested
        .iter()
        .filter(|scope| match scope.as_str() {
            "openid" => !has_id_token && !is_there(scope),
            "offline_access" => false,
            scope if scope.ends_with(".default") => !granted.iter().any(|g| !is_openid(g)),
            scope => !is_there(scope),
        })
        .cloned()
        .collect();
    NotGranted { scopes, no_refresh_token }
}

fn is_openid(scope: &str) -> bool {
    matches!(scope, "openid" | "profile" | "email" | "offline_access")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn a_choice_replaces_platform_scopes_and_the_prefix_comes_once() {
        let defaults = "openid email models:read .default";
        for (defaults, chosen, prefix, expected) in [
            (defaults, None, None, "openid email models:read .default"),
            (defaults, None, Some("api://n"), "openid email api://n/models:read api://n/.default"),
            (defaults, None, Some("api://n/"), "openid email api://n/models:read api://n/.default"),
            (defaults, Some("jobs:run"), None, "openid email jobs:run"),
            (defaults, Some("jobs:run,a:b"), Some("p/"), "openid email p/jobs:run p/a:b"),
            (defaults, Some("p/jobs:run"), Some("p/"), "openid email p/jobs:run"),
            (defaults, Some("jobs:run nmp:a"), Some("nmp:"), "openid email nmp:jobs:run nmp:a"),
            (defaults, Some("jobs:run nmp:a"), Some("nmp"), "openid email nmp/jobs:run nmp:a"),
            (defaults, Some("groups openid"), Some("p"), "openid email groups"),
            ("openid", Some("https://graph/.default"), Some("p"), "openid https://graph/.default"),
            ("api://n/.default", None, Some("api://n/"), "api://n/.default"),
            (defaults, Some(""), Some("p"), "openid email"),
            ("a:b", None, Some(""), "a:b"),
        ] {
            assert_eq!(
                requested(defaults, chosen, prefix),
                words(expected),
                "{chosen:?} {prefix:?}"
            );
        }
    }

    #[test]
    fn what_was_not_granted_is_found_whatever_the_spelling() {
        let missing = |asked: &str, granted: Option<&str>, came| {
            let granted = granted.map(words);
            let missing = not_granted(&words(asked), granted.as_deref(), Some("api://n"), came);
            (missing.scopes.join(" "), missing.no_refresh_token)
        };
        let (all, none) = ((true, true), (false, false));
        assert_eq!(missing("openid a:b offline_access", None, all), (String::new(), false));
        assert_eq!(missing("a:b offline_access", None, none), (String::new(), true));
        assert_eq!(missing("api://n/a:b openid", Some("a:b"), all), (String::new(), false));
        assert_eq!(missing("a:b openid c:d", Some("api://n/a:b"), none).0, "openid c:d");
        assert_eq!(missing("a:b", Some("api://nm/a:b"), none).0, "a:b");
        assert_eq!(missing("api://n/.default", Some("openid models:read"), all).0, "");
        assert_eq!(missing("api://n/.default", Some("openid"), all).0, "api://n/.default");
        assert_eq!(missing("offline_access", Some("email"), all), (String::new(), false));
    }
}
