//! The rule for one request: from configuration (`rules.bypass`) and from Envoy's route
//! (`context_extensions`).

use super::path::{PathRule, ambiguous};
use crate::request::{RequestView, RouteView};

/// The rules of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    bypass: Vec<PathRule>,
}

impl Rules {
    /// Lets the paths of `bypass` through without a token.
    #[must_use]
    pub fn new(bypass: Vec<PathRule>) -> Self {
        Self { bypass }
    }

    /// Finds the rule for a request. What the route says goes before what the
    /// configuration says of paths. A path that can be read two ways needs a token,
    /// whatever either says.
    ///
    /// # Errors
    /// The route asks for something that cannot be understood, and guessing could open
    /// the door.
    pub fn for_request<'a>(&self, request: &RequestView<'a>) -> Result<RouteRule<'a>, RuleFault> {
        let RouteView { mode, scopes, audience, unknown } = request.route;
        if unknown.is_some() {
            return Err(RuleFault::UnknownKey);
        }
        let credentials = match mode {
            Some(b"required") => Credentials::Required,
            Some(b"optional") => Credentials::Optional,
            Some(b"bypass") => Credentials::Ignored,
            Some(_) => return Err(RuleFault::UnknownMode),
            None if self.bypasses(request) => Credentials::Ignored,
            None => Credentials::Required,
        };
        // Envoy matched the route on one reading of the path, the upstream may have
        // another: `/public/..;/admin` is below `/public/` here and `/admin` there.
        let credentials = if credentials != Credentials::Required && is_ambiguous(request) {
            Credentials::Required
        } else {
            credentials
        };
        let text = |value: Option<&'a [u8]>| match value.map(str::from_utf8) {
            Some(Ok(text)) if !text.trim_ascii().is_empty() => Ok(Some(text)),
            Some(_) => Err(RuleFault::EmptyValue),
            None => Ok(None),
        };
        Ok(RouteRule { credentials, scopes: text(scopes)?, audience: text(audience)? })
    }

    fn bypasses(&self, request: &RequestView<'_>) -> bool {
        if self.bypass.is_empty() {
            return false;
        }
        let Ok(path) = str::from_utf8(request.path_without_query()) else { return false };
        self.bypass.iter().any(|rule| rule.matches(path))
    }
}

fn is_ambiguous(request: &RequestView<'_>) -> bool {
    str::from_utf8(request.path_without_query()).map_or(true, ambiguous)
}

/// What one request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRule<'a> {
    /// Whether it needs a token.
    pub credentials: Credentials,
    scopes: Option<&'a str>,
    audience: Option<&'a str>,
}

/// Whether a request needs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A valid one.
    Required,
    /// A valid one or none at all. An invalid one is refused (CVE-2021-21378).
    Optional,
    /// Nobody looks.
    Ignored,
}

impl<'a> RouteRule<'a> {
    /// Checks what a verified token may do here.
    ///
    /// # Errors
    /// It was not made for the route's audience, or has none of the route's scopes.
    pub fn permit<'t>(
        &self,
        audiences: impl Iterator<Item = &'t str> + Clone,
        scopes: impl Iterator<Item = &'t str> + Clone,
    ) -> Result<Permit, RuleFault> {
        if !one_of(self.audience, audiences) {
            return Err(RuleFault::WrongAudience);
        }
        if !one_of(self.scopes, scopes) {
            return Err(RuleFault::InsufficientScope);
        }
        Ok(Permit(()))
    }

    /// The scopes of which a token needs one, separated by spaces.
    #[must_use]
    pub fn scopes(&self) -> Option<&'a str> {
        self.scopes
    }
}

/// Whether one of those `wanted`, separated by spaces, is held, where any is wanted at all.
fn one_of<'t>(wanted: Option<&str>, held: impl Iterator<Item = &'t str> + Clone) -> bool {
    wanted.is_none_or(|wanted| {
        wanted.split_ascii_whitespace().any(|one| held.clone().any(|held| held == one))
    })
}

/// Proof that the rule of a request is satisfied.
#[derive(Clone, Copy, Debug)]
pub struct Permit(());

/// Why a rule is not satisfied, or cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// The token was made for somebody else than this route.
    #[error("the token's `aud` holds none of the route's `doorward.audience`")]
    WrongAudience,
    /// The token has none of the scopes of which the route needs one.
    #[error("the token has none of the route's `doorward.scopes`")]
    InsufficientScope,
    /// `doorward.mode` is none of `required`, `optional` and `bypass`.
    #[error("the route's `doorward.mode` is none of required, optional, bypass")]
    UnknownMode,
    /// A `doorward.…` key that does not exist.
    #[error("the route's context_extensions hold a `doorward.` key that does not exist")]
    UnknownKey,
    /// `doorward.scopes` or `doorward.audience` is there and empty.
    #[error("the route's `doorward.scopes` or `doorward.audience` is empty")]
    EmptyValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(path: &str, mode: Option<&str>) -> Result<Credentials, RuleFault> {
        let rules = Rules::new(vec!["/health".parse().unwrap(), "/public/*".parse().unwrap()]);
        let route = RouteView { mode: mode.map(str::as_bytes), ..RouteView::default() };
        let request = RequestView { method: b"GET", path: path.as_bytes(), headers: &[], route };
        rules.for_request(&request).map(|rule| rule.credentials)
    }

    #[test]
    fn bypass_is_for_paths_that_can_be_read_one_way_only() {
        assert_eq!(credentials("/health", None), Ok(Credentials::Ignored));
        assert_eq!(credentials("/health?x=1", None), Ok(Credentials::Ignored));
        assert_eq!(credentials("/public/a", None), Ok(Credentials::Ignored));
        for path in [
            "/",
            "/healthy",
            "/admin?/health",
            "/admin?x=/public/",
            "/public/../admin",
            "/public/%2e%2e/admin",
            "//health",
            "/public/#/../admin",
            "/public\\..\\admin",
        ] {
            assert_eq!(credentials(path, None), Ok(Credentials::Required), "{path}");
        }
    }

    #[test]
    fn the_route_goes_first_and_nonsense_closes_the_door() {
        assert_eq!(credentials("/health", Some("required")), Ok(Credentials::Required));
        assert_eq!(credentials("/", Some("optional")), Ok(Credentials::Optional));
        assert_eq!(credentials("/", Some("bypass")), Ok(Credentials::Ignored));
        for mode in ["bypass", "optional"] {
            for path in ["/public/..;/admin", "/public/%2e%2e/admin", "//health", "/public\\x"] {
                assert_eq!(credentials(path, Some(mode)), Ok(Credentials::Required), "{path}");
            }
        }
        for mode in ["", "Bypass", "optionl"] {
            assert_eq!(credentials("/", Some(mode)), Err(RuleFault::UnknownMode), "{mode}");
        }
    }

    #[test]
    fn one_of_the_listed_scopes_and_audiences_is_enough() {
        let rule = RouteRule {
            credentials: Credentials::Required,
            scopes: Some("a:read a:write"),
            audience: Some("x y"),
        };
        let permit = |audience: &str, scope: &str| {
            rule.permit([audience].into_iter(), [scope].into_iter()).map(|_| ())
        };
        assert_eq!(permit("y", "a:write"), Ok(()));
        assert_eq!(permit("z", "a:write"), Err(RuleFault::WrongAudience));
        assert_eq!(permit("x", "a"), Err(RuleFault::InsufficientScope));
    }
}
