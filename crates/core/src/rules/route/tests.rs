//! Which credentials a route wants, the scopes of endpoints, and who may spell paths how.

use super::*;
use crate::rules::EndpointRule;

fn held<I>(held: I) -> TokenScopes<I> {
    TokenScopes { held, some_lost: false }
}

fn requirement(path: &str, mode: Option<&str>) -> Result<TokenRequirement, RuleFault> {
    let rules = Rules::new(vec!["/health".parse().unwrap(), "/public/*".parse().unwrap()]);
    let route = RouteView { mode: mode.map(str::as_bytes), ..RouteView::default() };
    let request =
        RequestView { method: b"GET", path: path.as_bytes(), authority: b"", headers: &[], route };
    rules.for_request(&request).map(|rule| rule.requirement)
}

#[test]
fn bypass_is_for_paths_that_can_be_read_one_way_only() {
    assert_eq!(requirement("/health", None), Ok(TokenRequirement::Ignored));
    assert_eq!(requirement("/health?x=1", None), Ok(TokenRequirement::Ignored));
    assert_eq!(requirement("/public/a", None), Ok(TokenRequirement::Ignored));
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
        assert_eq!(requirement(path, None), Ok(TokenRequirement::Required), "{path}");
    }
}

#[test]
fn the_route_goes_first_and_nonsense_closes_the_door() {
    assert_eq!(requirement("/health", Some("required")), Ok(TokenRequirement::Required));
    assert_eq!(requirement("/", Some("optional")), Ok(TokenRequirement::Optional));
    assert_eq!(requirement("/", Some("bypass")), Ok(TokenRequirement::Ignored));
    for mode in ["bypass", "optional"] {
        for path in ["/public/%2e%2e/admin", "//health", "/public\\x"] {
            assert_eq!(requirement(path, Some(mode)), Ok(TokenRequirement::Required), "{path}");
        }
    }
    for mode in [None, Some("bypass"), Some("optional"), Some("required")] {
        for path in ["/public/..;/admin", "/public/%2e%2e;/admin", "/;x/health"] {
            assert_eq!(requirement(path, mode), Err(RuleFault::StepsAside), "{path} {mode:?}");
        }
    }
    for mode in ["", "Bypass", "optionl"] {
        assert_eq!(requirement("/", Some(mode)), Err(RuleFault::UnknownMode), "{mode}");
    }
}

#[test]
fn one_of_the_listed_scopes_and_audiences_is_enough() {
    let rule = RouteRule {
        requirement: TokenRequirement::Required,
        scopes: Some("a:read a:write"),
        audience: Some("x y"),
        found: Found::default(),
        endpoints: None,
        request: RequestView {
            method: b"GET",
            path: b"/",
            authority: b"",
            headers: &[],
            route: RouteView::default(),
        },
        path: Readings::One(b"/"),
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
            authority: b"",
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
    let request =
        RequestView { method: b"GET", path: b"/a%2fb", authority: b"", headers: &[], route };
    let rule = rules.for_request(&request).unwrap();
    assert!(rule.permit([].into_iter(), held(["openid"].into_iter())).is_ok());
    assert!(rule.permit([].into_iter(), held(["a:b"].into_iter())).is_err());
}
