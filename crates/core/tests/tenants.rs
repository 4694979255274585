//! Several issuers, and one that stands for many tenants.

use std::collections::BTreeSet;

use doorward_core::authorizer::Authorizer;
use doorward_core::decision::{Decision, Fault};
use doorward_core::identity::{HeaderRules, IdentityRules};
use doorward_core::issuers::{IssuerId, Issuers};
use doorward_core::token::{TenantRule, TokenFault as T, TokenRules};
use serde_json::{Value, json};

use crate::support::{Setup, Signer, Source, claims, ed, get, signer};

const TENANT: &str = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";
const OTHER: &str = "11111111-2222-3333-4444-555555555555";

/// The issuer that a token of these claims is of, or why it is refused.
fn judged(rule: TenantRule, more: Value) -> Result<Option<String>, T> {
    let mut setup = Setup::new();
    setup.tokens.issuer = "https://login.example/{tenantid}/v2.0".into();
    setup.tokens.tenants = rule;
    match get("/").with_token(more).decision(&setup.authorizer()) {
        Decision::Allow(approval) => {
            Ok(approval.identity().unwrap().tenant_issuer().map(Into::into))
        }
        Decision::Deny(denial) => match denial.fault {
            Fault::Token(fault) => Err(fault),
            fault => panic!("{fault}"),
        },
    }
}

fn issuer_of(tenant: &str) -> String {
    format!("https://login.example/{tenant}/v2.0")
}

#[test]
fn one_issuer_a_tenant() {
    let one = || TenantRule::OneOf([TENANT.to_owned()].into());
    let of = |tenant: &str| json!({"iss": issuer_of(tenant), "tid": tenant});
    let upper = TENANT.to_ascii_uppercase();
    for (rule, claims, expected) in [
        (one(), of(TENANT), Ok(issuer_of(TENANT))),
        (one(), of(&upper), Ok(issuer_of(&upper))),
        (one(), of(OTHER), Err(T::UnknownTenant)),
        (TenantRule::Any, of(OTHER), Ok(issuer_of(OTHER))),
        (TenantRule::NotChecked, of(OTHER), Ok(issuer_of(OTHER))),
        (one(), json!({"iss": issuer_of(OTHER), "tid": TENANT}), Err(T::UnknownIssuer)),
        (one(), json!({"iss": issuer_of(TENANT)}), Err(T::UnknownIssuer)),
        (one(), json!({"iss": issuer_of(TENANT), "tid": ""}), Err(T::UnknownIssuer)),
        (one(), json!({"iss": issuer_of("{tenantid}"), "tid": TENANT}), Err(T::UnknownTenant)),
        (one(), json!({"iss": issuer_of("{tenantid}")}), Err(T::UnknownTenant)),
        (TenantRule::NotChecked, json!({"iss": issuer_of("{tenantid}")}), Err(T::UnknownTenant)),
    ] {
        let expected = expected.map(Some);
        assert_eq!(judged(rule.clone(), claims.clone()), expected, "{rule:?} {claims}");
    }
    // No tenant at all is not taken out of a name.
    let mut setup = Setup::new();
    setup.tokens.issuer = "{tenantid}/v2.0".into();
    let nobody = get("/").with_token(json!({"iss": "/v2.0", "tid": ""}));
    assert_eq!(nobody.fault(&setup.authorizer()), Fault::Token(T::UnknownIssuer));
    // Anything but a GUID could make another URL of the template.
    for odd in [
        "evil",
        "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f",
        "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f00",
        "0b1c2d3e04f50-6172-8394-a5b6c7d8e9f0",
        "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fg",
        "0b1c2d3e-4f5--6172-8394-a5b6c7d8e9f0",
    ] {
        for rule in [TenantRule::Any, TenantRule::NotChecked] {
            assert_eq!(judged(rule, of(odd)), Err(T::UnknownTenant), "{odd}");
        }
    }
}

#[test]
fn tenants_of_an_issuer_of_one_name() {
    let judged = |tenants: TenantRule, tid: Value| {
        let mut setup = Setup::new();
        setup.tokens.tenants = tenants;
        match get("/").with_token(json!({ "tid": tid })).decision(&setup.authorizer()) {
            Decision::Allow(approval) => {
                assert_eq!(approval.identity().unwrap().tenant_issuer(), None);
                None
            }
            Decision::Deny(denial) => Some(denial.fault),
        }
    };
    let unknown = Some(Fault::Token(T::UnknownTenant));
    let one = || TenantRule::OneOf([TENANT.to_owned()].into());
    for (rule, tid, expected) in [
        (one(), json!(TENANT), None),
        (one(), json!(OTHER), unknown),
        (one(), json!(null), unknown),
        (one(), json!([TENANT]), unknown),
        (TenantRule::Any, json!(OTHER), None),
        (TenantRule::Any, json!("x"), unknown),
        (TenantRule::Any, json!(null), unknown),
        (TenantRule::NotChecked, json!("x"), None),
    ] {
        assert_eq!(judged(rule.clone(), tid.clone()), expected, "{rule:?} {tid}");
    }
    let two = TenantRule::OneOf(BTreeSet::from([TENANT.to_owned(), OTHER.to_owned()]));
    assert!(two.is_several() && TenantRule::Any.is_several());
    assert!(!one().is_several() && !TenantRule::NotChecked.is_several());
}

#[test]
fn each_issuer_has_its_own_keys_and_rules() {
    let mut issuers = Issuers::default();
    let (first, second) = (signer(), ed("ed-2", 2));
    issuers.add(
        TokenRules::new("https://a.example", ["a"]),
        IdentityRules::default(),
        Source::of([&first]),
    );
    let by_name = IdentityRules { subject: "name".parse().unwrap(), ..IdentityRules::default() };
    issuers.add(TokenRules::new("https://b.example", ["b"]), by_name, Source::of([&second]));
    // A second one of the same name is never found.
    issuers.add(
        TokenRules::new("https://a.example", ["c"]),
        IdentityRules::default(),
        Source::empty(),
    );
    let authorizer = Authorizer::new(issuers, HeaderRules::default());
    let token = |signer: &Signer, issuer: &str, audience: &str| {
        let more = json!({"iss": issuer, "aud": audience, "name": "bob"});
        get("/").bearer(signer.token("EdDSA", &claims(more)))
    };
    let (a, b) = ("https://a.example", "https://b.example");
    assert_eq!(token(&first, a, "a").allowed(&authorizer).principal(), "alice");
    assert_eq!(token(&second, b, "b").allowed(&authorizer).principal(), "bob");
    for (ask, issuer, fault) in [
        (token(&first, b, "b"), 1, T::NoSuchKey),
        (token(&second, a, "a"), 0, T::NoSuchKey),
        (token(&first, a, "b"), 0, T::WrongAudience),
        (token(&first, a, "c"), 0, T::WrongAudience),
    ] {
        let denial = ask.denial(&authorizer);
        assert_eq!((denial.fault, denial.issuer), (Fault::Token(fault), Some(IssuerId(issuer))));
    }
    // With no issuer of tenants, the tenant is not taken out of a name.
    let odd = json!({"iss": "https://a.exampleX", "tid": "X"});
    let odd = get("/").bearer(first.token("EdDSA", &claims(odd)));
    assert_eq!(odd.fault(&authorizer), Fault::Token(T::UnknownIssuer));
}
