//! What stands in front of scopes on the wire (`scope_prefix`): cut off for rules and services,
//! put back for a login.

/// The scope without `prefix`. One that ends in a letter or digit is cut off only before a `/` or
/// `:`, which goes with it, so that `api://a` does not cut `api://abc:read`; any other is cut off as
/// it is written. A scope that would be empty then is left whole.
#[must_use]
pub fn cut_off<'s>(scope: &'s str, prefix: &str) -> &'s str {
    let rest = scope.strip_prefix(prefix).and_then(|rest| {
        if needs_separator(prefix) { rest.strip_prefix(['/', ':']) } else { Some(rest) }
    });
    rest.filter(|rest| !rest.is_empty() && !prefix.is_empty()).unwrap_or(scope)
}

/// The scope with `prefix` in front, once, so that [`cut_off`] undoes it: with a `/` between them
/// where the prefix ends in a letter or digit.
#[must_use]
pub fn put_on(scope: &str, prefix: &str) -> String {
    if prefix.is_empty() || cut_off(scope, prefix) != scope {
        return scope.to_owned();
    }
    let separator = if needs_separator(prefix) { "/" } else { "" };
    format!("{prefix}{separator}{scope}")
}

/// Whether a scope belongs to a platform, as NeMo sees it: those with a `:` and those that end in
/// `.default`, not OpenID Connect's own.
#[must_use]
pub fn is_platform(scope: &str) -> bool {
    scope.contains(':') || scope.ends_with(".default")
}

/// The scope as a provider is asked for it: a platform's carries the prefix, but for one that is a
/// URI and so names its resource already, ours or deliberately another.
#[must_use]
pub fn asked_for(scope: &str, prefix: Option<&str>) -> String {
    match prefix {
        Some(prefix) if is_platform(scope) && !scope.contains("://") => put_on(scope, prefix),
        Some(_) | None => scope.to_owned(),
    }
}

fn needs_separator(prefix: &str) -> bool {
    prefix.ends_with(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_cut_off_where_it_ends() {
        for (scope, prefix, bare) in [
            ("api://nmp/models:read", "api://nmp/", "models:read"),
            ("api://nmp/models:read", "api://nmp", "models:read"),
            ("api://a:read", "api://a", "read"),
            ("api://abc:read", "api://a", "api://abc:read"),
            ("api://a-b:read", "api://a", "api://a-b:read"),
            ("nmp:read", "nmp:", "read"),
            ("nmp:read", "nmp", "read"),
            ("nmpread", "nmp", "nmpread"),
            ("nmp:/read", "nmp:", "/read"),
            ("nmp_read", "nmp_", "read"),
            ("x/nmp:read", "nmp:", "x/nmp:read"),
            ("nmp:nmp:read", "nmp:", "nmp:read"),
            ("nmp:", "nmp:", "nmp:"),
            ("api://nmp/", "api://nmp", "api://nmp/"),
            ("api://nmp/", "api://nmp/", "api://nmp/"),
            ("a:b", "", "a:b"),
        ] {
            assert_eq!(cut_off(scope, prefix), bare, "{scope} without {prefix}");
        }
    }

    #[test]
    fn what_is_put_on_is_cut_off_again() {
        for (scope, prefix, full) in [
            ("models:read", "api://nmp", "api://nmp/models:read"),
            ("models:read", "api://nmp/", "api://nmp/models:read"),
            ("models:read", "nmp:", "nmp:models:read"),
            ("models:read", "nmp_", "nmp_models:read"),
            ("a:b", "", "a:b"),
        ] {
            assert_eq!(put_on(scope, prefix), full);
            assert_eq!(put_on(full, prefix), full, "once");
            assert_eq!(cut_off(full, prefix), scope);
        }
    }

    #[test]
    fn a_platforms_scope_is_asked_for_with_its_prefix() {
        for (scope, prefix, asked) in [
            ("models:read", Some("api://nmp"), "api://nmp/models:read"),
            (".default", Some("api://nmp"), "api://nmp/.default"),
            ("openid", Some("api://nmp"), "openid"),
            ("https://graph.example/.default", Some("api://nmp"), "https://graph.example/.default"),
            ("api://nmp/models:read", Some("api://nmp"), "api://nmp/models:read"),
            ("models:read", None, "models:read"),
        ] {
            assert_eq!(asked_for(scope, prefix), asked, "{scope}");
        }
        assert!(is_platform("a:b") && is_platform("x/.default"));
        assert!(!is_platform("offline_access") && !is_platform(".default.x"));
    }
}
