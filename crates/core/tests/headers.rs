//! What becomes of the headers of a request that may pass: set, removed, and how much of that an
//! answer carries.

use std::collections::BTreeSet;

use doorward_core::authorizer::Authorizer;
use doorward_core::decision::{Decision, Fault};
use doorward_core::identity::{HeaderNames, HeaderRules, IdentityHeaders, Profile};
use doorward_core::request::RequestFault;
use serde_json::json;

use crate::support::{Ask, Setup, get};

/// The five of Doorward's own.
const OURS: [&str; 5] = [
    "x-nmp-authorized",
    "x-nmp-principal-email",
    "x-nmp-principal-groups",
    "x-nmp-principal-id",
    "x-nmp-scopes",
];

fn everything() -> Ask {
    get("/").with_token(json!({
        "email": "alice@example.com", "groups": ["a", "b"], "scope": "openid a:read",
    }))
}

#[test]
fn each_name_is_set_or_removed_and_never_both() {
    let authorizer = Setup::new().authorizer();
    for (ask, set) in [
        (everything(), &OURS[1..]),
        (get("/").with_token(json!({})), &OURS[3..4]),
        (get("/").with_token(json!({"scope": "a"})), &OURS[3..]),
        (get("/").route("doorward.mode", "optional"), &[]),
        (get("/").route("doorward.mode", "bypass"), &[]),
    ] {
        let allowed = ask.allowed(&authorizer);
        let names: Vec<&str> = allowed.set.keys().map(String::as_str).collect();
        assert_eq!(names, set, "{ask:?}");
        let removed: BTreeSet<&str> = allowed.removed.iter().map(String::as_str).collect();
        assert_eq!(removed.len(), allowed.removed.len(), "none twice");
        for name in OURS {
            assert_eq!(removed.contains(name), !set.contains(&name), "{name} of {ask:?}");
            assert!(removed.contains(&*name.replace('-', "_")), "{name}");
        }
        // What NeMo's services believe, seen or not, with dashes and with underscores.
        let of_whom = ["id", "email", "groups", "account-id", "aliases"];
        let of_others = ["actor", "subject"]
            .into_iter()
            .flat_map(|who| of_whom.map(|what| format!("x-nmp-{who}-{what}")));
        let names = [
            "x-nmp-internal",
            "x-nmp-origin-workspace",
            "x-nmp-on-behalf-of",
            "x-nmp-on-behalf-of-email",
            "x-nmp-on-behalf-of-groups",
        ];
        for name in of_others.chain(names.map(str::to_owned)) {
            assert!(removed.contains(name.as_str()), "{name}");
            assert!(removed.contains(&*name.replace('-', "_")), "{name}");
        }
        assert_eq!(allowed.sent, [""; 0]);
    }
    let allowed = everything().allowed(&authorizer);
    let values: Vec<&str> = allowed.set.values().map(String::as_str).collect();
    assert_eq!(values, ["alice@example.com", "a,b", "alice", "openid a:read"]);
}

/// What the client sent in a name of ours is removed as it spelled it, where it is not replaced or
/// removed from everybody.
#[test]
fn what_the_client_sent_in_our_names() {
    let authorizer = Setup::new().authorizer();
    let forge = |ask: Ask| {
        let names = ["X-Nmp-Principal-Id", "x_nmp_principal_id", "x.nmp.scopes", "X-NMP-Anything"];
        let names = names.into_iter().chain(["x-nmp-internal", "x-other", "accept", "x-nmp"]);
        names.fold(ask, |ask, name| ask.header(name, "service:jobs"))
    };
    for ask in [everything(), get("/").route("doorward.mode", "optional")] {
        let allowed = forge(ask).allowed(&authorizer);
        assert_eq!(allowed.sent, ["x.nmp.scopes", "X-NMP-Anything"]);
        assert!(allowed.removed.ends_with(&allowed.sent));
    }
    // With names of another prefix, and outside of it.
    let mut setup = Setup::new();
    setup.headers = HeaderRules {
        trusted_prefix: "X-Acme-".into(),
        names: HeaderNames { principal_id: "x-user".into(), ..HeaderNames::default() },
        claims: [("x-tenant".to_owned(), "tid".parse().unwrap())].into(),
        ..HeaderRules::default()
    };
    let authorizer = setup.authorizer();
    assert_eq!(authorizer.protected().prefix(), "x-acme-");
    let elsewhere = [
        "x-nmp-authorized",
        "x-nmp-principal-email",
        "x-nmp-principal-groups",
        "x-nmp-principal-on-behalf-of",
        "x-nmp-principal-on-behalf-of-email",
        "x-nmp-principal-on-behalf-of-groups",
        "x-nmp-scopes",
        "x-tenant",
        "x-user",
    ];
    assert_eq!(authorizer.protected().elsewhere(), elsewhere);
    let to_see = authorizer.protected().to_see();
    assert_eq!(to_see[0], "(?i)x[^a-z0-9]+acme.*");
    assert_eq!(to_see[8..], ["(?i)x[^a-z0-9]+tenant", "(?i)x[^a-z0-9]+user"]);
    let names = ["X_User", "x-user", "x-tenant", "X.TENANT", "x-acme-x", "x-users", "x-tenants"];
    let ask =
        names.into_iter().fold(get("/").with_token(json!({})), |ask, name| ask.header(name, "x"));
    let allowed = ask.allowed(&authorizer);
    assert_eq!(allowed.header("x-user"), "alice");
    assert_eq!(allowed.sent, ["X.TENANT", "x-acme-x"]);
    assert!(allowed.removed.contains(&"x-tenant".to_owned()));
    assert!(allowed.removed.contains(&"x_user".to_owned()));
    assert!(allowed.removed.contains(&"x-acme-internal".to_owned()));
    let never: Vec<&str> = authorizer.protected().never_ours().collect();
    assert!(never.contains(&"x_tenant") && !never.contains(&"x-tenant") && never.is_sorted());
    // A name without a sign in it is its own other spelling, and ours to set.
    let mut setup = Setup::new();
    setup.headers.claims = [("tenant".to_owned(), "tid".parse().unwrap())].into();
    let allowed = get("/").with_token(json!({"tid": "t"})).allowed(&setup.authorizer());
    assert_eq!(allowed.header("tenant"), "t");
    assert!(!allowed.removed.contains(&"tenant".to_owned()));
}

/// What looks like a service's identity to NeMo goes where nobody has looked at it.
#[test]
fn an_opaque_bearer_token_is_removed_where_nobody_looked() {
    let with = |profile| {
        let mut setup = Setup::new();
        setup.headers.profile = profile;
        setup.authorizer()
    };
    let (nemo, plain) = (with(Profile::Nemo), with(Profile::Plain));
    let bypass = |value: &str| {
        get("/")
            .route("doorward.mode", "bypass")
            .header("accept", "x")
            .header("Authorization", value)
    };
    for (value, goes) in [
        ("Bearer service:jobs", true),
        ("Basic YTpi, bearer service:jobs", true),
        ("Bearer a.b.c", false),
        ("Basic YTpi", false),
    ] {
        let sent = |authorizer: &Authorizer| bypass(value).allowed(authorizer).sent;
        assert_eq!(sent(&nemo).concat(), if goes { "Authorization" } else { "" }, "{value}");
        assert_eq!(sent(&plain), [""; 0], "{value}");
        assert_eq!(sent(&with(Profile::Nemo).without_authentication()).len(), usize::from(goes));
    }
    let looked_at = everything().allowed(&nemo);
    assert!(!looked_at.unseen && bypass("x").allowed(&nemo).unseen);
    assert!(!get("/").route("doorward.mode", "optional").allowed(&nemo).unseen);
    assert!(!looked_at.removed.contains(&"authorization".to_owned()));
    let cookie = get("/").route("doorward.mode", "bypass").header("cookie", "Bearer service:jobs");
    assert_eq!(cookie.allowed(&nemo).sent, [""; 0]);
}

const LIMIT: usize = 56 * 1024;

/// How many bytes the answer takes, by what can be seen of it.
fn answer_bytes(ask: &Ask, authorizer: &Authorizer) -> usize {
    let allowed = ask.allowed(authorizer);
    let set: usize = allowed.set.iter().map(|(name, value)| name.len() + 4 + value.len()).sum();
    set + allowed.removed.iter().map(|name| name.len() + 4).sum::<usize>()
}

/// So much is forged that the answer is of this length.
fn filled(ask: Ask, authorizer: &Authorizer, bytes: usize) -> Ask {
    let missing = bytes - answer_bytes(&ask, authorizer);
    let names = missing / 1000;
    let name = |length: usize, at: usize| format!("x-nmp-{at:03}{}", "x".repeat(length - 13));
    let ask = (1..names).fold(ask, |ask, at| ask.header(&name(1000, at), ""));
    ask.header(&name(missing - 1000 * (names - 1), 0), "")
}

#[test]
fn what_an_answer_carries_to_the_byte() {
    let authorizer = Setup::new().authorizer();
    let groups: Vec<String> = (0..40).map(|n| format!("{n:0200}")).collect();
    let long = get("/").with_token(json!({"groups": groups, "scope": "a:read"}));
    assert!(long.allowed(&authorizer).header("x-nmp-principal-groups").len() > 8000);
    for ask in [everything(), long, get("/").route("doorward.mode", "bypass")] {
        let most = filled(ask.clone(), &authorizer, LIMIT);
        assert_eq!(answer_bytes(&most, &authorizer), LIMIT);
        let fault = filled(ask, &authorizer, LIMIT + 1).fault(&authorizer);
        assert_eq!(fault, Fault::Request(RequestFault::TooMuchToChange));
    }
    // Values alone: 60 claims of a token that may be as long.
    let mut setup = Setup::new();
    let names: Vec<String> = (0..60).map(|n| format!("x-nmp-{n}")).collect();
    setup.headers.claims = names.iter().map(|name| (name.clone(), name.parse().unwrap())).collect();
    let authorizer = setup.authorizer().with_max_token_bytes(100_000);
    let of_values = |bytes: usize| {
        let values = names.iter().map(|name| (name.clone(), "x".repeat(bytes).into())).collect();
        get("/").with_token(serde_json::Value::Object(values))
    };
    assert_eq!(of_values(850).allowed(&authorizer).set.len(), 61);
    let fault = of_values(950).fault(&authorizer);
    assert_eq!(fault, Fault::Request(RequestFault::TooMuchToChange));
    // Names alone, which are removed from everybody, and from whoever sends nothing.
    let mut setup = Setup::new();
    let names = (0..60).map(|n| format!("x-{n:01000}"));
    setup.headers.claims = names.map(|name| (name, "a".parse().unwrap())).collect();
    let fault = get("/").route("doorward.mode", "bypass").fault(&setup.authorizer());
    assert_eq!(fault, Fault::Request(RequestFault::TooMuchToChange));
    // Names that are none of ours are no part of the answer.
    let many = (0..60).fold(everything(), |ask, at| ask.header(&format!("{at:01000}"), ""));
    assert_eq!(many.allowed(&authorizer).principal(), "alice");
}

#[test]
fn a_list_that_is_too_long_ends_between_items() {
    let mut setup = Setup::new();
    setup.headers.profile = Profile::Plain;
    let authorizer = setup.authorizer();
    let groups: Vec<String> = (0..15).map(|n| format!("{n:01000}")).collect();
    let ask = get("/").with_token(json!({"groups": groups[..15]}));
    let authorizer = authorizer.with_max_token_bytes(64 * 1024);
    let allowed = ask.allowed(&authorizer);
    assert_eq!(allowed.header("x-nmp-principal-groups"), groups[..12].join(","));
}

#[test]
fn headers_of_nobody_and_of_somebody() {
    let authorizer = Setup::new().authorizer();
    let rules = authorizer.header_rules();
    assert!(!IdentityHeaders::new(None, rules).set(b"x-nmp-principal-id"));
    everything().view(|request, now| {
        let Decision::Allow(approval) = authorizer.decide(request, now).or_deny() else { panic!() };
        let identity = approval.identity().unwrap().identity();
        let headers = IdentityHeaders::new(Some(identity), rules);
        assert!(headers.set(b"X-Nmp-Principal-Id") && headers.set(b"x-nmp-scopes"));
        assert!(!headers.set(b"x-nmp-authorized") && !headers.set(b"x-nmp-principal"));
        let unset: Vec<&str> = authorizer.protected().unset(headers).collect();
        let behalf = "x-nmp-principal-on-behalf-of";
        let [email, groups] = ["email", "groups"].map(|of| format!("{behalf}-{of}"));
        assert_eq!(unset, ["x-nmp-authorized", behalf, &email, &groups]);
        assert_eq!(identity.groups().collect::<Vec<_>>(), ["a", "b"]);
    });
}
