//! What the checks of request, header, issuer, audience and route expected and found.

use doorward_core::decision::{Decision, Fault};
use doorward_core::issuers::Issuer;
use doorward_core::keys::Algorithm;
use doorward_core::request::RequestFault;
use doorward_core::rules::{ConfiguredRoute, Match, RouteRule, RuleFault, TokenRequirement};
use doorward_core::token::{
    AudienceRule, BoundTokens, CLIENT_CLAIMS, OtherKind, TENANT_PLACEHOLDER, TenantRule, TokenKind,
};
use serde_json::Value;

use super::steps::{Evidence, Facts};
use super::words::{claim, list, quoted, value};

impl Evidence<'_> {
    pub(super) fn request(&self) -> Facts {
        let request = self.asked.request;
        if let Some(fault @ Fault::Request(RequestFault::TooMuchToChange)) = self.fault {
            return Facts::new(
                "headers to set and to remove that an answer can carry",
                fault.to_string(),
            );
        }
        let method = String::from_utf8_lossy(request.method);
        let path = String::from_utf8_lossy(request.path);
        Facts::new("a method, and a path that starts with `/`", format!("{method} {path}"))
    }

    pub(super) fn route(&self) -> Facts {
        let route = self.asked.request.route;
        let text = |value: &[u8]| quoted(&String::from_utf8_lossy(value));
        let said: Vec<String> = [
            route.mode.map(|mode| format!("`doorward.mode` {}", text(mode))),
            route.scopes.map(|scopes| format!("`doorward.scopes` {}", text(scopes))),
            route.audience.map(|audience| format!("`doorward.audience` {}", text(audience))),
            route.unknown.map(|key| format!("the unknown key {}", text(key))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let by_envoy = match said.is_empty() {
            false => format!(" (route: {})", said.join(", ")),
            true => String::new(),
        };
        match self.asked.authorizer.rules().for_request(self.asked.request) {
            Ok(rule) => {
                let by = format!("{by_envoy}{}", by_configuration(&rule));
                let own = rule.configured().and_then(|it| it.requirement);
                let needed = match rule.requirement {
                    TokenRequirement::Required => "a valid token is required",
                    TokenRequirement::Optional => {
                        "a token is optional; one that is sent must be valid"
                    }
                    TokenRequirement::Ignored if route.mode.is_some() => {
                        "no token is checked: the route says so"
                    }
                    TokenRequirement::Ignored if own.is_some() => {
                        "no token is checked: the route says so"
                    }
                    TokenRequirement::Ignored
                        if self.asked.authorizer.rules().lets_preflights_pass()
                            && self.asked.request.is_preflight() =>
                    {
                        "no token is checked: a CORS preflight (`rules.cors_preflight`)"
                    }
                    TokenRequirement::Ignored => {
                        "no token is checked: `rules.bypass` has this path"
                    }
                };
                Facts::new("", format!("{needed}{by}"))
            }
            Err(fault @ RuleFault::StepsAside) => Facts::new(
                "a path that is the same to servers that cut parameters (`;…`) off",
                fault.to_string(),
            ),
            Err(fault @ RuleFault::ClosedRoute) => {
                Facts::new("a route that is open", fault.to_string())
            }
            Err(fault @ RuleFault::AmbiguousRoute) => Facts::new(
                "a path that can be read in one way only, since what it asks for depends on the path",
                fault.to_string(),
            ),
            Err(fault @ RuleFault::EncodedSlash) => Facts::new(
                "no encoded slash except below `rules.encoded_slashes`, and there within a name",
                fault.to_string(),
            ),
            Err(fault) => Facts::new(
                "`doorward.mode` required, optional or bypass; `doorward.scopes` and \
                 `doorward.audience` not empty; no other key that starts with `doorward.`",
                format!("{fault}{by_envoy}"),
            ),
        }
    }

    pub(super) fn credentials(&self) -> Facts {
        let expected = "exactly one `Authorization: Bearer <token>`";
        let values: Vec<_> = self.asked.request.header_values("authorization").collect();
        let found = match (self.fault, values.as_slice()) {
            (Some(fault @ Fault::Bearer(_)), [one]) => {
                let scheme = one.split(|byte| *byte == b' ').next().unwrap_or_default();
                // A scheme is short; anything else may be the token itself.
                if scheme.len() <= 12 && scheme.len() < one.len() {
                    format!("{fault} (it begins with {})", quoted(&String::from_utf8_lossy(scheme)))
                } else {
                    fault.to_string()
                }
            }
            (Some(fault @ Fault::Bearer(_)), _) => fault.to_string(),
            (_, []) => "no `Authorization` header".to_owned(),
            _ => "one bearer token".to_owned(),
        };
        Facts::new(expected, found)
    }

    pub(super) fn form(&self) -> Facts {
        let most = self.asked.authorizer.max_token_bytes();
        let bytes = self.token.bytes;
        let found = match &self.token.flaw {
            _ if bytes > most => format!("{bytes} bytes"),
            Some(flaw) => flaw.clone(),
            None => match self.fault {
                Some(fault) if super::Check::of(fault) == super::Check::Form => format!(
                    "{fault} (header {})",
                    claim(self.token.header.clone().map(Value::Object).as_ref())
                ),
                Some(_) | None => {
                    let claims = self.token.claims.iter().flatten().map(|(name, _)| name.as_str());
                    format!("a compact JWS, {bytes} bytes; claims: {}", list(claims))
                }
            },
        };
        Facts::new(
            format!(
                "header.claims.signature, each base64url without padding, header and claims JSON \
                 objects, at most {most} bytes"
            ),
            found,
        )
    }

    pub(super) fn header(&self) -> Facts {
        let member =
            |name: &str| self.token.header(name).map(|found| format!("{name} {}", value(found)));
        let found: Vec<_> = ["alg", "typ", "kid", "crit"].into_iter().filter_map(member).collect();
        Facts::new(
            format!(
                "alg one of {}; typ absent, JWT or at+jwt; no crit",
                Algorithm::ALL.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ")
            ),
            found.join(", "),
        )
    }

    pub(super) fn issuer(&self) -> Facts {
        let configured = self.asked.authorizer.issuers().iter().map(Issuer::name);
        let found = format!("iss {}", claim(self.token.claim("iss")));
        let found = match self.issuer {
            Some(issuer) if issuer.rules().is_per_tenant() => {
                format!("{found}, by the template {}", issuer.name())
            }
            Some(_) | None => found,
        };
        Facts::new(format!("iss to be exactly one of: {}", list(configured)), found)
    }

    pub(super) fn tenant(&self) -> Facts {
        let rules = self.rules();
        let allowed = match rules.map(|rules| &rules.tenants) {
            Some(TenantRule::OneOf(tenants)) => {
                format!("tid one of {}", list(tenants.iter().map(String::as_str)))
            }
            Some(TenantRule::Any) => "tid any tenant's GUID".to_owned(),
            Some(TenantRule::NotChecked) | None => "tid a GUID".to_owned(),
        };
        let expected = match rules.filter(|rules| rules.is_per_tenant()) {
            Some(rules) => {
                format!("{allowed}, and iss {} with {TENANT_PLACEHOLDER} filled in", rules.issuer)
            }
            None => allowed,
        };
        let (tid, iss) = (claim(self.token.claim("tid")), claim(self.token.claim("iss")));
        Facts::new(expected, format!("tid {tid}, iss {iss}"))
    }

    pub(super) fn kind(&self) -> Facts {
        let bound = match self.rules().map(|rules| rules.bound_tokens) {
            Some(BoundTokens::Ignored) => "",
            Some(BoundTokens::Refused) | None => ", and bound to no key (`cnf`)",
        };
        let found = match self.token.kind() {
            TokenKind::Access => "it says that it is an access token".to_owned(),
            TokenKind::Other(OtherKind::Event) => {
                format!("events {}", claim(self.token.claim("events")))
            }
            TokenKind::Other(_) => format!("typ {}", claim(self.token.claim("typ"))),
            TokenKind::LikeId(name) => {
                format!("{name} {}, as ID tokens have", claim(self.token.claim(name)))
            }
            TokenKind::Unsaid => "it does not say what kind it is".to_owned(),
        };
        let found = match self.token.claim("cnf") {
            Some(key) => format!("{found}; cnf {}", value(key)),
            None => found,
        };
        Facts::new(format!("an access token, by its own claims{bound}"), found)
    }

    pub(super) fn algorithm(&self) -> Facts {
        let names = self.rules().map(|rules| rules.algorithms.iter());
        let names: Vec<_> = names.into_iter().flatten().map(Algorithm::name).collect();
        Facts::new(
            format!("alg among the issuer's `algorithms`: {}", list(names)),
            format!("alg {}", claim(self.token.header("alg"))),
        )
    }

    pub(super) fn audience(&self) -> Facts {
        let found = format!("aud {}", claim(self.token.claim("aud")));
        match self.rules().map(|rules| &rules.audience) {
            Some(AudienceRule::AnyOf(ours)) => {
                let ours = list(ours.iter().map(String::as_str));
                Facts::new(format!("aud to be or contain one of: {ours}"), found)
            }
            Some(AudienceRule::NotChecked) | None => {
                Facts::new("", format!("{found}, not checked: `verify_audience` is false"))
            }
        }
    }

    pub(super) fn client(&self) -> Facts {
        let allowed = self.rules().map(|rules| &rules.allowed_clients);
        let allowed = allowed.into_iter().flatten().map(String::as_str);
        let client =
            CLIENT_CLAIMS.into_iter().find_map(|name| Some((name, self.token.claim(name)?)));
        let found = match client {
            Some((name, client)) => format!("{name} {}", value(client)),
            None => "none".to_owned(),
        };
        Facts::new(format!("{} one of: {}", CLIENT_CLAIMS.join(", else "), list(allowed)), found)
    }

    pub(super) fn route_audience(&self) -> Facts {
        let rule = self.asked.authorizer.rules().for_request(self.asked.request);
        let wanted = rule.iter().flat_map(RouteRule::route_audiences);
        Facts::new(
            format!("aud to contain one of the route's: {}", each_list(wanted)),
            format!("aud {}", claim(self.token.claim("aud"))),
        )
    }

    pub(super) fn route_scopes(&self) -> Facts {
        let rule = self.asked.authorizer.rules().for_request(self.asked.request);
        let wanted = rule.iter().flat_map(RouteRule::route_scopes);
        Facts::new(format!("one of the route's scopes: {}", each_list(wanted)), self.scopes().found)
    }

    pub(super) fn endpoint(&self) -> Facts {
        let request = self.asked.request;
        let Some(endpoints) = self.asked.authorizer.rules().endpoints() else {
            return Facts::default();
        };
        let waived = || self.verified().is_some_and(|verified| !endpoints.asks(verified.scopes()));
        let Ok(readings) = self.asked.authorizer.rules().readings(request.path_without_query())
        else {
            return Facts::default();
        };
        let wanted = match self.asked.decision {
            Decision::Deny(denial) => denial.scopes.as_deref(),
            Decision::Allow(_) => None,
        };
        let mut found = None;
        for path in readings.each() {
            let mut of_preflight = request.preflight_of().map(|of| endpoints.table.find(of, path));
            let closed = |found: &Match<'_>| matches!(found, Match::Rule(rule) if rule.closed);
            let own = endpoints.table.find(request.method, path);
            // Of two readings, the one that decided.
            let decided = |found: &Match<'_>| {
                closed(found) || matches!(found, Match::Rule(rule) if wanted == Some(&*rule.scopes))
            };
            let this = of_preflight.find(closed).unwrap_or(own);
            if found.is_none() || decided(&this) {
                found = Some(this);
            }
        }
        match found.unwrap_or(Match::None) {
            Match::None => Facts::new("", "`rules.endpoints` has nothing on this method and path"),
            Match::Unreadable => Facts::new(
                "a path that can be read in one way only, since scopes depend on the path",
                quoted(&String::from_utf8_lossy(request.path)),
            ),
            Match::Rule(rule) if rule.closed => {
                Facts::new("an endpoint that is open", format!("`{}` is closed", rule.pattern))
            }
            Match::Rule(rule) if rule.scopes.is_empty() => {
                Facts::new("", format!("`{}` requires no scope", rule.pattern))
            }
            Match::Rule(rule) => Facts::new(
                format!(
                    "one of the scopes of `{}`: {}",
                    rule.pattern,
                    list(rule.scopes.split(' '))
                ),
                if self.is_without_token() {
                    "no token, so no scope is required".to_owned()
                } else if waived() {
                    "no platform scope (one with a `:`), so none is required (`rules.scopes: \
                     optional`)"
                        .to_owned()
                } else {
                    self.scopes().found
                },
            ),
        }
    }
}

/// What configured routes say of a request: the one that is about it, and others that may be.
fn by_configuration(rule: &RouteRule<'_>) -> String {
    let own = rule.configured().map(|route| format!(" ({})", said(route)));
    let further = rule.further().map(|route| format!(" (for another reading: {})", said(route)));
    own.into_iter().chain(further).collect()
}

fn said(route: &ConfiguredRoute) -> String {
    let mode = route.requirement.map(|requirement| match requirement {
        TokenRequirement::Required => "required",
        TokenRequirement::Optional => "optional",
        TokenRequirement::Ignored => "bypass",
    });
    let settings = [
        mode.map(|mode| format!("mode {mode}")),
        route.scopes.as_ref().map(|scopes| format!("scopes {}", quoted(scopes))),
        route.audience.as_ref().map(|audience| format!("audience {}", quoted(audience))),
    ];
    let settings: Vec<_> = settings.into_iter().flatten().collect();
    format!("{}: {}", route.name, settings.join(", "))
}

/// Lists of which one each is wanted.
fn each_list<'a>(lists: impl Iterator<Item = &'a str>) -> String {
    let lists: Vec<_> = lists.map(|one| list(one.split_ascii_whitespace())).collect();
    lists.join("; and one of: ")
}
