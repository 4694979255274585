//! The rule for one request: from configuration (`rules.bypass`, `rules.routes`, `rules.endpoints`)
//! and from Envoy's route (`context_extensions`).

use super::endpoints::{Endpoints, Match};
use super::fault::{RuleDenial, RuleFault};
use super::path::{PathRule, Readings, SlashPrefix, ambiguous, holds_encoded_slash, steps_aside};
use super::requirement::TokenRequirement;
use super::routes::{ConfiguredRoute, Found, Routes};
use crate::request::{RequestView, RouteView};

/// The rules of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    bypass: Vec<PathRule>,
    routes: Routes,
    endpoints: Option<EndpointRules>,
    encoded_slashes: Vec<SlashPrefix>,
    lets_preflights_pass: bool,
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
    /// Every token, whether or not it has a platform scope.
    OfAll,
}

impl Rules {
    /// Lets the paths of `bypass` through without a token.
    #[must_use]
    pub fn new(bypass: Vec<PathRule>) -> Self {
        Self { bypass, ..Self::default() }
    }

    /// Goes by these routes where Envoy's own says nothing. The first that is about a request counts.
    #[must_use]
    pub fn with_routes(self, routes: Vec<ConfiguredRoute>) -> Self {
        Self { routes: Routes(routes), ..self }
    }

    /// Asks for the scopes of `endpoints`, too.
    #[must_use]
    pub fn with_endpoints(self, endpoints: Option<EndpointRules>) -> Self {
        Self { endpoints, ..self }
    }

    /// Takes encoded slashes below these paths, and nowhere else. Without any, a path that holds
    /// one can be read in two ways, like others.
    #[must_use]
    pub fn with_encoded_slashes(self, encoded_slashes: Vec<SlashPrefix>) -> Self {
        Self { encoded_slashes, ..self }
    }

    /// Lets CORS preflights through without a token, or not.
    #[must_use]
    pub fn with_preflights(self, lets_preflights_pass: bool) -> Self {
        Self { lets_preflights_pass, ..self }
    }

    /// Whether CORS preflights pass without a token.
    #[must_use]
    pub fn lets_preflights_pass(&self) -> bool {
        self.lets_preflights_pass
    }

    /// The scopes that paths ask for, when there is a table of them.
    #[must_use]
    pub fn endpoints(&self) -> Option<&EndpointRules> {
        self.endpoints.as_ref()
    }

    /// Finds the rule for a request. What Envoy's route says goes before what the configuration
    /// says: each of its settings takes the place of that of the configured routes, which goes
    /// before what is said of paths. A path that can be read two ways needs a token, whatever any
    /// of them says.
    ///
    /// # Errors
    /// The route asks for something that cannot be understood, and guessing could
    /// let it pass. Or the configuration closes it, or a route that it may be.
    pub fn for_request<'a>(
        &'a self,
        request: &RequestView<'a>,
    ) -> Result<RouteRule<'a>, RuleFault> {
        let RouteView { mode, scopes, audience, unknown } = request.route;
        if unknown.is_some() {
            return Err(RuleFault::UnknownKey);
        }
        // Whatever credentials come with it: the gateway chose this route for another path.
        if steps_aside(request.path_without_query()) {
            return Err(RuleFault::StepsAside);
        }
        let path = self.readings(request.path_without_query())?;
        let found = self.routes.find(request, &path);
        found.check_open(&request.route)?;
        let requirement = match mode {
            Some(b"required") => TokenRequirement::Required,
            Some(b"optional") => TokenRequirement::Optional,
            Some(b"bypass") => TokenRequirement::Ignored,
            Some(_) => return Err(RuleFault::UnknownMode),
            None => {
                let own = found.exact.and_then(|route| route.requirement);
                found.requirement(own.unwrap_or_else(|| self.requirement_of_path(request)))
            }
        };
        // Envoy matched the route on one reading of the path, the upstream may have
        // another: `/public/..;/admin` is below `/public/` here and `/admin` there.
        let requirement = if requirement != TokenRequirement::Required && is_ambiguous(request) {
            TokenRequirement::Required
        } else {
            requirement
        };
        let text = |value: Option<&'a [u8]>| match value.map(str::from_utf8) {
            Some(Ok(text)) if !text.trim_ascii().is_empty() => Ok(Some(text)),
            Some(_) => Err(RuleFault::EmptyValue),
            None => Ok(None),
        };
        Ok(RouteRule {
            requirement,
            scopes: text(scopes)?,
            audience: text(audience)?,
            found,
            endpoints: self.endpoints.as_ref(),
            request: *request,
            path,
        })
    }

    /// What a path, without its query, may be to those who read it.
    ///
    /// # Errors
    /// It holds an encoded slash where none may be, or one that makes another path of it.
    pub fn readings<'a>(&self, path: &'a [u8]) -> Result<Readings<'a>, RuleFault> {
        if self.encoded_slashes.is_empty() || !holds_encoded_slash(path) {
            return Ok(Readings::One(path));
        }
        let below = |path: &&str| self.encoded_slashes.iter().any(|prefix| prefix.holds(path));
        let path = str::from_utf8(path).ok().filter(below);
        path.and_then(Readings::of_encoded_slashes).ok_or(RuleFault::EncodedSlash)
    }

    /// What is said of paths, where no route says anything.
    fn requirement_of_path(&self, request: &RequestView<'_>) -> TokenRequirement {
        let is_let_through = self.lets_preflights_pass && request.is_preflight();
        if is_let_through || self.bypasses(request) {
            TokenRequirement::Ignored
        } else {
            TokenRequirement::Required
        }
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

impl Found<'_> {
    /// Checks that no route closes the request, or may ask for something more of it: where the path
    /// can be read in two ways, any of them may.
    fn check_open(&self, route: &RouteView<'_>) -> Result<(), RuleFault> {
        let asks = |it: &&ConfiguredRoute| {
            (it.scopes.is_some() && route.scopes.is_none())
                || (it.audience.is_some() && route.audience.is_none())
        };
        if !self.readable && self.all.iter().any(|it| it.closed || asks(it)) {
            return Err(RuleFault::AmbiguousRoute);
        }
        if self.all.iter().any(|it| it.closed) {
            return Err(RuleFault::ClosedRoute);
        }
        Ok(())
    }

    /// The strictest of `own`, which is said of the request as it stands, and of what is said of its
    /// other readings.
    fn requirement(&self, own: TokenRequirement) -> TokenRequirement {
        let of_others =
            self.others().map(|it| it.requirement.unwrap_or(TokenRequirement::Required));
        of_others.fold(own, TokenRequirement::max)
    }
}

/// What one request needs.
#[derive(Clone, Debug)]
pub struct RouteRule<'a> {
    /// Whether it needs a token.
    pub requirement: TokenRequirement,
    found: Found<'a>,
    scopes: Option<&'a str>,
    audience: Option<&'a str>,
    endpoints: Option<&'a EndpointRules>,
    request: RequestView<'a>,
    path: Readings<'a>,
}

/// The scopes of a verified token.
#[derive(Clone, Copy, Debug)]
pub struct TokenScopes<I> {
    /// Those that are known.
    pub held: I,
    /// Whether the token has others, which were dropped or could not be read.
    pub some_lost: bool,
}

impl<'a> RouteRule<'a> {
    /// Checks whether a request may pass that shows no token where none is needed. What scopes
    /// and audiences are asked for is asked of tokens: nobody is asked here.
    ///
    /// # Errors
    /// The endpoint is closed to everybody, or may be a closed one.
    pub fn permit_without_token(&self) -> Result<Permit, RuleFault> {
        if let Some(endpoints) = self.endpoints {
            self.path.each().try_for_each(|path| self.open(endpoints, path).map(drop))?;
        }
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
    ) -> Result<Permit, RuleDenial<'a>> {
        if !self.route_audiences().all(|wanted| one_of(Some(wanted), audiences.clone())) {
            let scopes = self.route_scopes().next();
            return Err(RuleDenial { fault: RuleFault::WrongAudience, scopes });
        }
        let lacking = |wanted: &&str| !one_of(Some(wanted), scopes.held.clone());
        if let Some(wanted) = self.route_scopes().find(lacking) {
            return Err(RuleDenial { fault: RuleFault::InsufficientScope, scopes: Some(wanted) });
        }
        if let Some(endpoints) = self.endpoints {
            // Whichever the upstream's reading is, it has to be permitted.
            for path in self.path.each() {
                endpoints.permit(self.open(endpoints, path)?, scopes.clone())?;
            }
        }
        Ok(Permit(()))
    }

    /// The path as it may be read.
    #[must_use]
    pub fn path(&self) -> &Readings<'a> {
        &self.path
    }

    /// The configured route for the request exactly as it stands.
    pub fn configured(&self) -> Option<&'a ConfiguredRoute> {
        self.found.exact
    }

    /// Further configured routes, for other readings of the request.
    pub fn further(&self) -> impl Iterator<Item = &'a ConfiguredRoute> {
        self.found.others()
    }

    /// What routes ask of the audience, Envoy's own or else all configured ones: each time one of
    /// those listed, separated by spaces.
    pub fn route_audiences(&self) -> impl Iterator<Item = &'a str> {
        let configured = self.found.all.iter().filter_map(|it| it.audience.as_deref());
        self.audience.into_iter().chain(configured.filter(|_| self.audience.is_none()))
    }

    /// What routes ask of the scopes, in the same way.
    pub fn route_scopes(&self) -> impl Iterator<Item = &'a str> {
        let configured = self.found.all.iter().filter_map(|it| it.scopes.as_deref());
        self.scopes.into_iter().chain(configured.filter(|_| self.scopes.is_none()))
    }

    /// The scopes of which a token needs one here, separated by spaces; of two readings of the
    /// path, those of the first that asks for some.
    pub fn scopes(&self) -> Option<&'a str> {
        let of_table = |path| match self.endpoints?.table.find(self.request.method, path) {
            Match::Rule(rule) if !rule.closed && !rule.scopes.is_empty() => Some(&*rule.scopes),
            Match::Rule(_) | Match::None | Match::Unreadable => None,
        };
        self.route_scopes().next().or_else(|| self.path.each().find_map(of_table))
    }

    /// What the table has for the request, unless nobody may come there.
    fn open(&self, endpoints: &'a EndpointRules, path: &[u8]) -> Result<Match<'a>, RuleFault> {
        self.request
            .preflight_of()
            .try_for_each(|method| endpoints.open(method, path).map(drop))?;
        endpoints.open(self.request.method, path)
    }
}

impl EndpointRules {
    fn permit<'a, 't>(
        &self,
        found: Match<'a>,
        scopes: TokenScopes<impl Iterator<Item = &'t str> + Clone>,
    ) -> Result<Permit, RuleDenial<'a>> {
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
                Err(RuleDenial { fault, scopes: Some(&*rule.scopes) })
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
///
/// ```compile_fail,E0423
/// let forged = doorward_core::rules::Permit(());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Permit(());

impl Permit {
    /// Where authentication is off, there is no rule.
    pub(crate) fn without_rules() -> Self {
        Self(())
    }
}

#[cfg(test)]
mod tests;
