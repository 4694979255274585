//! The rule for one request: from configuration (`rules.bypass`, `rules.endpoints`) and from
//! Envoy's route (`context_extensions`).

use super::endpoints::{Endpoints, Match};
use super::path::{PathRule, ambiguous};
use crate::request::{RequestView, RouteView};

/// The rules of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    bypass: Vec<PathRule>,
    endpoints: Option<EndpointRules>,
}

/// The scopes that paths ask for.
#[derive(Clone, Debug, Default)]
pub struct EndpointRules {
    /// By path and method.
    pub table: Endpoints,
    /// Of which tokens.
    pub demand: ScopeDemand,
}

/// Which tokens need the scopes of [`EndpointRules`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeDemand {
    /// Those that have a platform scope, one with a `:`, or may have had one. Whoever does not use
    /// scopes to limit what a token may do, is not made to.
    #[default]
    OfPlatformScopes,
    /// All.
    OfAll,
}

impl Rules {
    /// Lets the paths of `bypass` through without a token.
    #[must_use]
    pub fn new(bypass: Vec<PathRule>) -> Self {
        Self { bypass, endpoints: None }
    }

    /// Asks for the scopes of `endpoints`, too.
    #[must_use]
    pub fn with_endpoints(self, endpoints: Option<EndpointRules>) -> Self {
        Self { endpoints, ..self }
    }

    /// The scopes that paths ask for, when there is a table of them.
    #[must_use]
    pub fn endpoints(&self) -> Option<&EndpointRules> {
        self.endpoints.as_ref()
    }

    /// Finds the rule for a request. What the route says goes before what the
    /// configuration says of paths. A path that can be read two ways needs a token,
    /// whatever either says.
    ///
    /// # Errors
    /// The route asks for something that cannot be understood, and guessing could open
    /// the door.
    pub fn for_request<'a>(
        &'a self,
        request: &RequestView<'a>,
    ) -> Result<RouteRule<'a>, RuleFault> {
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
        Ok(RouteRule {
            credentials,
            scopes: text(scopes)?,
            audience: text(audience)?,
            endpoints: self.endpoints.as_ref(),
            method: request.method,
            preflight_of: request.preflight_of(),
            path: request.path_without_query(),
        })
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
#[derive(Clone, Copy, Debug)]
pub struct RouteRule<'a> {
    /// Whether it needs a token.
    pub credentials: Credentials,
    scopes: Option<&'a str>,
    audience: Option<&'a str>,
    endpoints: Option<&'a EndpointRules>,
    method: &'a [u8],
    preflight_of: Option<&'a [u8]>,
    path: &'a [u8],
}

/// The scopes of a verified token.
#[derive(Clone, Copy, Debug)]
pub struct TokenScopes<I> {
    /// Those that are known.
    pub held: I,
    /// Whether the token has others, which were dropped or could not be read.
    pub some_lost: bool,
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
    /// Checks whether a request may pass that shows no token where none is needed. What scopes
    /// and audiences are asked for is asked of tokens: nobody is asked here.
    ///
    /// # Errors
    /// The endpoint is closed to everybody, or may be a closed one.
    pub fn permit_without_token(&self) -> Result<Permit, RuleFault> {
        self.endpoints.map_or(Ok(Match::None), |endpoints| self.open(endpoints))?;
        Ok(Permit(()))
    }

    /// Checks what a verified token may do here.
    ///
    /// # Errors
    /// It was not made for the route's audience, or has none of the scopes that the route or
    /// the endpoint asks for.
    pub fn permit<'t>(
        &self,
        audiences: impl Iterator<Item = &'t str> + Clone,
        scopes: TokenScopes<impl Iterator<Item = &'t str> + Clone>,
    ) -> Result<Permit, Refused<'a>> {
        if !one_of(self.audience, audiences) {
            return Err(Refused { fault: RuleFault::WrongAudience, scopes: self.scopes });
        }
        if !one_of(self.scopes, scopes.held.clone()) {
            return Err(Refused { fault: RuleFault::InsufficientScope, scopes: self.scopes });
        }
        match self.endpoints {
            Some(endpoints) => endpoints.permit(self.open(endpoints)?, scopes),
            None => Ok(Permit(())),
        }
    }

    /// What the table has for the request, unless nobody may come there.
    fn open(&self, endpoints: &'a EndpointRules) -> Result<Match<'a>, RuleFault> {
        if let Some(method) = self.preflight_of {
            endpoints.open(method, self.path)?;
        }
        endpoints.open(self.method, self.path)
    }
}

impl EndpointRules {
    fn permit<'a, 't>(
        &self,
        found: Match<'a>,
        scopes: TokenScopes<impl Iterator<Item = &'t str> + Clone>,
    ) -> Result<Permit, Refused<'a>> {
        if !self.asks(scopes.clone()) {
            return Ok(Permit(()));
        }
        match found {
            // It may be any of the table's.
            Match::Unreadable => Err(RuleFault::AmbiguousPath.into()),
            Match::Rule(rule)
                if !rule.scopes.is_empty() && !one_of(Some(&rule.scopes), scopes.held) =>
            {
                let fault = if scopes.some_lost {
                    RuleFault::EndpointScopeLost
                } else {
                    RuleFault::InsufficientEndpointScope
                };
                Err(Refused { fault, scopes: Some(&*rule.scopes) })
            }
            Match::Rule(_) | Match::None => Ok(Permit(())),
        }
    }

    fn open(&self, method: &[u8], path: &[u8]) -> Result<Match<'_>, RuleFault> {
        match self.table.find(method, path) {
            Match::Rule(rule) if rule.closed => Err(RuleFault::ClosedEndpoint),
            Match::Unreadable if self.table.any_closed() => Err(RuleFault::AmbiguousPath),
            found @ (Match::Rule(_) | Match::None | Match::Unreadable) => Ok(found),
        }
    }

    /// Whether a token with these scopes needs those of the endpoint.
    pub fn asks<'t>(&self, mut scopes: TokenScopes<impl Iterator<Item = &'t str>>) -> bool {
        match self.demand {
            ScopeDemand::OfAll => true,
            // What was lost may have been one.
            ScopeDemand::OfPlatformScopes => {
                scopes.some_lost || scopes.held.any(|scope| scope.contains(':'))
            }
        }
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

/// A verified token is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Why.
    pub fault: RuleFault,
    /// The scopes of which one would do, separated by spaces.
    pub scopes: Option<&'a str>,
}

impl From<RuleFault> for Refused<'_> {
    fn from(fault: RuleFault) -> Self {
        Self { fault, scopes: None }
    }
}

/// Why a rule is not satisfied, or cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// The token was made for somebody else than this route.
    #[error("the token's `aud` holds none of the route's `doorward.audience`")]
    WrongAudience,
    /// The token has none of the scopes of which the route needs one.
    #[error("the token has none of the route's `doorward.scopes`")]
    InsufficientScope,
    /// The token has none of the scopes of which the endpoint needs one.
    #[error("the token has none of the scopes that `rules.endpoints` asks for here")]
    InsufficientEndpointScope,
    /// The same, and the token has others that were dropped or could not be read.
    #[error(
        "the token has none of the scopes that `rules.endpoints` asks for here, and others that \
         were dropped or could not be read"
    )]
    EndpointScopeLost,
    /// Nobody may come here.
    #[error("`rules.endpoints` has closed this endpoint (`deny: true`)")]
    ClosedEndpoint,
    /// Which endpoint it is depends on who reads the path.
    #[error("the path can be read in two ways, and `rules.endpoints` goes by the path")]
    AmbiguousPath,
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
    use crate::rules::EndpointRule;

    fn held<I>(held: I) -> TokenScopes<I> {
        TokenScopes { held, some_lost: false }
    }

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
            "/public/..%c0%af/admin",
            "/public/%c0%ae%c0%ae/admin",
            "/public/..%ef%bc%8fadmin",
            "/public/..%20/admin",
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
            endpoints: None,
            method: b"GET",
            preflight_of: None,
            path: b"/",
        };
        let permit = |audience: &str, scope: &str| {
            let permit = rule.permit([audience].into_iter(), held([scope].into_iter()));
            permit.map(|_| ()).map_err(|refused| refused.fault)
        };
        assert_eq!(permit("y", "a:write"), Ok(()));
        assert_eq!(permit("z", "a:write"), Err(RuleFault::WrongAudience));
        assert_eq!(permit("x", "a"), Err(RuleFault::InsufficientScope));
    }

    /// By path, scopes and who has to have them; the cases of NeMo's own `scopes_test.rego`
    /// among them.
    #[test]
    fn endpoints_ask_for_scopes() {
        use RuleFault as F;
        let mut table = Endpoints::default();
        for (pattern, method, scopes, closed) in [
            ("/v2/workspaces/{name}", "get", "entities:read platform:read", false),
            ("/v2/workspaces", "post", "", false),
            ("/v2/internal", "get", "", true),
        ] {
            let rule = EndpointRule { pattern: pattern.into(), scopes: scopes.into(), closed };
            table.add(&pattern.parse().unwrap(), method.parse().unwrap(), rule).unwrap();
        }
        let permit = |demand, method: &str, path: &str, scopes: &str| {
            let endpoints = EndpointRules { table: table.clone(), demand };
            let rules = Rules::new(Vec::new()).with_endpoints(Some(endpoints));
            let request = RequestView {
                method: method.as_bytes(),
                path: path.as_bytes(),
                headers: &[],
                route: RouteView::default(),
            };
            let rule = rules.for_request(&request).unwrap();
            // `…`: what was lost.
            let words = scopes.split_ascii_whitespace();
            let scopes = TokenScopes {
                held: words.clone().filter(|word| *word != "…"),
                some_lost: words.clone().any(|word| word == "…"),
            };
            let refused = rule.permit([].into_iter(), scopes).err();
            refused.map(|refused| (refused.fault, refused.scopes.map(str::to_owned)))
        };
        let asks = Some("entities:read platform:read".to_owned());
        let missing = Some((F::InsufficientEndpointScope, asks.clone()));
        let lost = Some((F::EndpointScopeLost, asks));
        let unclear = Some((F::AmbiguousPath, None));
        let closed = Some((F::ClosedEndpoint, None));
        let one = "/v2/workspaces/ns1";
        for (method, path, scopes, of_some, of_all) in [
            ("GET", one, "entities:read", &None, &None),
            ("GET", one, "openid platform:read x:y", &None, &None),
            ("GET", one, "openid models:read", &missing, &missing),
            ("GET", one, "", &None, &missing),
            ("GET", one, "openid profile email offline_access", &None, &missing),
            ("GET", one, "openid …", &lost, &lost),
            ("GET", one, "…", &lost, &lost),
            ("GET", one, "models:read …", &lost, &lost),
            ("GET", one, "platform:read …", &None, &None),
            ("GET", "/v2/other", "…", &None, &None),
            ("GET", "/v2//workspaces/ns1", "…", &unclear, &unclear),
            ("GET", "/v2/workspaces/ns1?x=/v2/other", "models:read", &missing, &missing),
            ("GET", "/v2/workspaces/n%731/", "models:read", &missing, &missing),
            ("HEAD", one, "models:read", &missing, &missing),
            // Not in the table: the upstream knows.
            ("PUT", one, "models:read", &None, &None),
            ("GET", "/v2/other", "models:read", &None, &None),
            ("POST", "/v2/workspaces", "models:read", &None, &None),
            ("POST", "/v2/workspaces", "", &None, &None),
            ("GET", "/v2/internal", "platform:read", &closed, &closed),
            ("GET", "/v2/internal", "", &closed, &closed),
            ("GET", "/v2//workspaces/ns1", "platform:read", &unclear, &unclear),
            // It may be the closed one.
            ("GET", "/v2/x/../internal", "", &unclear, &unclear),
        ] {
            let case = format!("{method} {path} {scopes:?}");
            let asked = |demand| permit(demand, method, path, scopes);
            assert_eq!(&asked(ScopeDemand::OfPlatformScopes), of_some, "{case}");
            assert_eq!(&asked(ScopeDemand::OfAll), of_all, "{case}");
        }
    }

    /// Without an endpoint that is closed, a token without platform scopes may go anywhere, by
    /// whatever spelling.
    #[test]
    fn who_needs_no_scope_may_spell_paths_as_they_like() {
        let rules = Rules::new(Vec::new()).with_endpoints(Some(EndpointRules::default()));
        let route = RouteView::default();
        let request = RequestView { method: b"GET", path: b"/a%2fb", headers: &[], route };
        let rule = rules.for_request(&request).unwrap();
        assert!(rule.permit([].into_iter(), held(["openid"].into_iter())).is_ok());
        assert!(rule.permit([].into_iter(), held(["a:b"].into_iter())).is_err());
    }
}
