//! Whom a token speaks of: what is found where, what is left out, and what is refused.

use std::sync::Arc;

use doorward_core::VerifiedIdentity;
use doorward_core::decision::{Basis, Decision, Fault, Reason};
use doorward_core::identity::{
    AddressFault, ClaimPath, EmailDomains, IdentityFault as F, Losses, Profile,
};
use serde_json::{Value, json};

use crate::support::{NOW, Setup, from_now, get};

/// The identity of a token with these claims.
fn identified(change: impl FnOnce(&mut Setup), more: Value) -> Result<Arc<VerifiedIdentity>, F> {
    let mut setup = Setup::new();
    change(&mut setup);
    let authorizer = setup.authorizer().with_max_token_bytes(1024 * 1024);
    match get("/").with_token(more).decision(&authorizer) {
        Decision::Allow(approval) => match approval.basis() {
            Basis::Identified { identity, .. } => Ok(Arc::clone(identity)),
            basis => panic!("{basis:?}"),
        },
        Decision::Deny(denial) => match denial.fault {
            Fault::Identity(fault) => Err(fault),
            fault => panic!("{fault}"),
        },
    }
}

fn subject(change: impl FnOnce(&mut Setup), more: Value) -> Result<String, F> {
    identified(change, more).map(|one| one.identity().principal().to_owned())
}

/// The email address, and why there is none.
fn email(
    change: impl FnOnce(&mut Setup),
    more: Value,
) -> Result<(Option<String>, Option<AddressFault>), F> {
    let identified = identified(change, more)?;
    let identity = identified.identity();
    Ok((identity.email().map(str::to_owned), identity.losses.email))
}

/// The groups, joined, and how many were dropped.
fn groups(change: impl FnOnce(&mut Setup), more: Value) -> (String, u32) {
    let identified = identified(change, more).unwrap();
    let identity = identified.identity();
    (identity.joined_groups().to_owned(), identity.losses.groups)
}

/// The scopes, joined, and how many were dropped.
fn scopes(change: impl FnOnce(&mut Setup), more: Value) -> (String, u32) {
    let identified = identified(change, more).unwrap();
    let (identity, scopes) = (identified.identity(), identified.scopes());
    assert_eq!(scopes.held.collect::<Vec<_>>().join(" "), identity.joined_scopes());
    assert_eq!(scopes.some_lost, identity.losses.scopes > 0);
    (identity.joined_scopes().to_owned(), identity.losses.scopes)
}

#[test]
fn an_identity_says_what_the_token_said() {
    let change = |setup: &mut Setup| {
        let claims = [("x-org", "/org/name"), ("x-plan", "plan"), ("x-seats", "seats")];
        setup.headers.claims =
            claims.into_iter().map(|(name, path)| (name.into(), path.parse().unwrap())).collect();
    };
    let one = identified(
        change,
        json!({
            "aud": ["my-api", "other"], "jti": "id-1", "email": "a@b.example", "groups": ["g"],
            "org": {"name": "Acme"}, "seats": 5,
        }),
    )
    .unwrap();
    assert_eq!(one.audiences().collect::<Vec<_>>(), ["my-api", "other"]);
    assert_eq!((one.good_until().0, one.issuer().0), (from_now(3600), 0));
    assert!(one.tenant_issuer().is_none());
    let identity = one.identity();
    assert_eq!((identity.principal(), identity.email()), ("alice", Some("a@b.example")));
    assert_eq!(identity.token_id(), Some("id-1"));
    assert_eq!(identity.further().collect::<Vec<_>>(), [Some("Acme"), None, Some("5")]);
    assert_eq!(identity.losses, Losses::default());
    let texts = "alicea@b.examplegid-1Acme5".len();
    assert_eq!(identity.text_bytes(), texts + 3 * size_of::<u32>());
    let bare = identified(|_| (), json!({"jti": 5})).unwrap();
    assert_eq!((bare.identity().token_id(), bare.identity().email()), (None, None));
    assert_eq!((bare.identity().groups().count(), bare.identity().scopes().count()), (0, 0));
}

#[test]
fn a_front_keeps_its_own_encoding_with_the_identity() {
    let one = identified(|_| (), json!({})).unwrap();
    assert_eq!(one.rendering(|| 7_u8), Some(&7));
    assert_eq!(one.rendering(|| 8_u8), Some(&7), "made once");
    assert_eq!(one.rendering(|| "x"), None, "of another front");
    assert!(one.key_set().is_some_and(|id| id != crate::support::snapshot([]).id()));
    assert!(one.good_until() > NOW);
}

#[test]
fn the_principal_is_a_name_that_can_be_sent() {
    for (sub, expected) in [
        (json!("a@b.example"), Ok("a@b.example")),
        (json!("x".repeat(256)), Ok(&*"x".repeat(256))),
        (json!("x".repeat(257)), Err(F::SubjectUnfit)),
        (json!("auth0|1"), Err(F::SubjectUnfit)),
        (json!(""), Err(F::SubjectUnfit)),
        (json!(5), Err(F::SubjectUnfit)),
        (json!(["alice"]), Err(F::SubjectUnfit)),
        (json!({"alice": 1}), Err(F::SubjectUnfit)),
        (json!(null), Err(F::SubjectMissing)),
        (json!("*"), Err(F::SubjectReserved)),
        (json!("service:jobs"), Err(F::SubjectReserved)),
        (json!("Service:"), Err(F::SubjectReserved)),
        (json!("service"), Ok("service")),
    ] {
        let expected = expected.map(str::to_owned);
        assert_eq!(subject(|_| (), json!({ "sub": sub })), expected, "{sub}");
    }
    let plain = |setup: &mut Setup| setup.headers.profile = Profile::Plain;
    assert_eq!(subject(plain, json!({"sub": "auth0|1"})), Ok("auth0|1".into()));
    assert_eq!(subject(plain, json!({"sub": "x".repeat(1025)})), Err(F::SubjectUnfit));
    assert!(subject(plain, json!({"sub": "x".repeat(1024)})).is_ok());

    // Another claim, or `sub` where the token lacks it.
    let named = |setup: &mut Setup| setup.identity.subject = "/user/name".parse().unwrap();
    assert_eq!(subject(named, json!({"user": {"name": "bob"}})), Ok("bob".into()));
    assert_eq!(subject(named, json!({})), Ok("alice".into()));
    assert_eq!(subject(named, json!({"sub": null})), Err(F::SubjectMissing));
    for written in ["sub", "/user/name", "/https:~1~1x.example~1name"] {
        assert_eq!(written.parse::<ClaimPath>().unwrap().to_string(), written);
    }
}

#[test]
fn prefixes_and_their_tenant() {
    let with = |prefix: &'static str| {
        move |setup: &mut Setup| {
            setup.identity.subject_prefix = Some(prefix.into());
            setup.identity.groups_prefix = Some(prefix.into());
        }
    };
    assert_eq!(subject(with("okta:"), json!({})), Ok("okta:alice".into()));
    assert_eq!(subject(with("{tid}/{tid}/"), json!({"tid": "t1"})), Ok("t1/t1/alice".into()));
    assert_eq!(subject(with("{tid}/"), json!({})), Err(F::TenantMissing));
    assert_eq!(subject(with("p:"), json!({"sub": ""})), Err(F::SubjectUnfit));
    assert_eq!(subject(with("serv"), json!({"sub": "ice:x"})), Err(F::SubjectReserved));
    let prefixed = groups(with("{tid}:"), json!({"tid": "t1", "groups": ["a", "b", "a"]}));
    assert_eq!(prefixed, ("t1:a,t1:b".into(), 0));
}

/// `service:` from a prefix is refused as well.
#[test]
fn no_prefix_makes_a_service() {
    let prefix = |setup: &mut Setup| setup.identity.subject_prefix = Some("service:".into());
    assert_eq!(subject(prefix, json!({})), Err(F::SubjectReserved));
    let denial = get("/").with_token(json!({"sub": "*"})).denial(&Setup::new().authorizer());
    assert_eq!(denial.reason(), Reason::ReservedIdentity);
    let denial = get("/").with_token(json!({"sub": 5})).denial(&Setup::new().authorizer());
    assert_eq!(denial.reason(), Reason::InvalidClaim);
}

#[test]
fn email_addresses_that_are_believed() {
    use AddressFault as A;
    let longest = format!("{}@x.example", "a".repeat(310));
    for (claims, expected) in [
        (json!({}), Ok((None, None))),
        (json!({"email": "a@b.example"}), Ok((Some("a@b.example"), None))),
        (json!({"email": longest}), Ok((Some(&*longest), None))),
        (json!({"email": format!("a{longest}")}), Ok((None, Some(A::Malformed)))),
        (json!({"email": "a"}), Ok((None, Some(A::Malformed)))),
        (json!({"email": "@b"}), Ok((None, Some(A::Malformed)))),
        (json!({"email": "a@"}), Ok((None, Some(A::Malformed)))),
        (json!({"email": "a@b,c@d"}), Ok((None, Some(A::Malformed)))),
        (json!({"email": ["a@b.example"]}), Ok((None, Some(A::Malformed)))),
        (json!({"email": "*"}), Err(F::EmailReserved)),
        (json!({"email": "service:a@b"}), Err(F::EmailReserved)),
        (json!({"email": "a@b.x", "email_verified": true}), Ok((Some("a@b.x"), None))),
        (json!({"email": "a@b.x", "email_verified": "1"}), Ok((Some("a@b.x"), None))),
        (json!({"email": "a@b.x", "email_verified": false}), Ok((None, Some(A::Unverified)))),
        (json!({"email": "a", "email_verified": 0}), Ok((None, Some(A::Unverified)))),
    ] {
        let expected = expected.map(|(email, fault)| (email.map(str::to_owned), fault));
        assert_eq!(email(|_| (), claims.clone()), expected, "{claims}");
    }
    let elsewhere = |setup: &mut Setup| setup.identity.email = "mail".parse().unwrap();
    let claims = json!({"email": "x@y.example", "mail": "a@b.example"});
    assert_eq!(email(elsewhere, claims), Ok((Some("a@b.example".into()), None)));
}

#[test]
fn the_domains_of_addresses() {
    use AddressFault as A;
    let listed = |setup: &mut Setup| {
        setup.identity.email_domains = EmailDomains::OneOf(["Acme.example".to_owned()].into());
    };
    let owned = |setup: &mut Setup| setup.identity.email_domains = EmailDomains::OwnedByTenant;
    for (address, fault) in [
        ("a@acme.EXAMPLE", None),
        ("a@x.acme.example", Some(A::OutsideDomains)),
        ("a@other.example", Some(A::OutsideDomains)),
    ] {
        let address_of = |name: &str| json!({ name: address });
        let found = email(listed, address_of("email")).unwrap();
        assert_eq!(found, (fault.is_none().then(|| address.into()), fault), "{address}");
        let principal = subject(listed, address_of("sub"));
        let expected = fault.map_or(Ok(address.to_owned()), |fault| Err(F::SubjectAddress(fault)));
        assert_eq!(principal, expected, "{address}");
    }
    // Two addresses are none of a domain.
    let two = subject(listed, json!({"sub": "a@b@acme.example"}));
    assert_eq!(two, Err(F::SubjectAddress(A::OutsideDomains)));
    assert_eq!(subject(listed, json!({"sub": "alice"})), Ok("alice".into()), "no address");
    let unverified = json!({"sub": "a@acme.example", "email_verified": "no"});
    assert_eq!(subject(listed, unverified.clone()), Err(F::SubjectAddress(A::Unverified)));
    assert_eq!(subject(|_| (), unverified), Err(F::SubjectAddress(A::Unverified)));

    let address = "a@b.example";
    for (claims, believed) in [
        (json!({"email": address, "xms_edov": true}), true),
        (json!({"email": address, "xms_edov": "1"}), true),
        (json!({"email": address, "xms_edov": false}), false),
        (json!({"email": address}), false),
    ] {
        let fault = (!believed).then_some(A::AnyTenants);
        let found = email(owned, claims.clone()).unwrap();
        assert_eq!(found, (believed.then(|| address.into()), fault), "{claims}");
    }
    // As principal: only the address that the claim speaks of, or in its tenant's own names.
    let vouched = json!({"sub": "A@b.example", "email": address, "xms_edov": 1});
    assert_eq!(subject(owned, vouched), Ok("A@b.example".into()));
    let other = json!({"sub": "c@b.example", "email": address, "xms_edov": 1});
    assert_eq!(subject(owned, other.clone()), Err(F::SubjectAddress(A::AnyTenants)));
    for (prefix, expected) in
        [("{tid}/", Ok("/c@b.example")), ("entra/", Err(F::SubjectAddress(A::AnyTenants)))]
    {
        let change = |setup: &mut Setup| {
            owned(setup);
            setup.identity.subject_prefix = Some(prefix.into());
        };
        let mut claims = other.clone();
        claims["tid"] = json!("");
        assert_eq!(subject(change, claims), expected.map(str::to_owned), "{prefix}");
    }
}

#[test]
fn groups_of_every_shape() {
    for (claims, expected, dropped) in [
        (json!({}), "", 0),
        (json!({"groups": ["a", "b", "a"]}), "a,b", 0),
        (json!({"groups": "a, b,,c "}), "a,b,c", 0),
        (json!({"groups": ["a,b", " c ", ""]}), "c", 1),
        (json!({"groups": {"a": 1, "b": {}}}), "a,b", 0),
        (json!({"groups": ["a", 1, null, ["b"]]}), "a", 3),
        (json!({"groups": 5}), "", 1),
        (json!({"groups": true}), "", 1),
        (json!({"groups": ["*", "service:x", "Service:Y", "a b", "ok"]}), "ok", 4),
        (json!({"cognito:groups": ["c"]}), "c", 0),
        (json!({"urn:zitadel:iam:org:project:roles": {"z": {}}}), "z", 0),
        (json!({"groups": [], "cognito:groups": ["c"]}), "", 0),
    ] {
        assert_eq!(groups(|_| (), claims.clone()), (expected.into(), dropped), "{claims}");
    }
    let only = |setup: &mut Setup| {
        setup.headers.groups_only = ["nmp-*", "admin"].map(wildmatch::WildMatch::new).into();
    };
    let claims = json!({"groups": ["nmp-a", "x", "admin", "admins"]});
    assert_eq!(groups(only, claims), ("nmp-a,admin".into(), 2));
    let plain = |setup: &mut Setup| setup.headers.profile = Profile::Plain;
    let many =
        |count: usize| json!({"groups": (0..count).map(|n| n.to_string()).collect::<Vec<_>>()});
    for (most, profile) in [(100, Profile::Nemo), (1000, Profile::Plain)] {
        let change = |setup: &mut Setup| setup.headers.profile = profile;
        assert_eq!(groups(change, many(most)).1, 0);
        let (kept, dropped) = groups(change, many(most + 1));
        assert_eq!((kept.split(',').count(), dropped), (most, 1));
    }
    let named = |name: &str| json!({ "groups": [name] });
    assert_eq!(groups(plain, named("a b,c")), (String::new(), 1));
    assert_eq!(groups(plain, named("a|b")), ("a|b".into(), 0));
}

#[test]
fn groups_that_did_not_fit_into_the_token() {
    let overage = |more: Value| identified(|_| (), more).unwrap().identity().losses.group_overage;
    for claims in [
        json!({"_claim_names": {"groups": "src1"}}),
        json!({"hasgroups": true}),
        json!({"hasgroups": "true"}),
    ] {
        assert!(overage(claims.clone()), "{claims}");
    }
    for claims in [
        json!({}),
        json!({"_claim_names": {"roles": "src1"}}),
        json!({"_claim_names": ["groups"]}),
        json!({"hasgroups": false}),
    ] {
        assert!(!overage(claims.clone()), "{claims}");
    }
}

#[test]
fn scopes_of_every_shape() {
    for (claims, expected, dropped) in [
        (json!({"scope": "openid  a:read openid"}), "openid a:read", 0),
        (json!({"scp": ["a", "b c"]}), "a b c", 0),
        (json!({"scope": "a", "scp": "b a"}), "a b", 0),
        (json!({"scope": ["a", 1]}), "a", 1),
        (json!({"scope": {"a": 1}}), "", 1),
        (json!({"scope": 5, "scp": true}), "", 2),
        (json!({"scope": "a\"b \u{e9} ok"}), "ok", 2),
        (json!({"scope": "x".repeat(256)}), &*"x".repeat(256), 0),
        (json!({"scope": "x".repeat(257)}), "", 1),
        (json!({"roles": ["r"]}), "", 0),
    ] {
        assert_eq!(scopes(|_| (), claims.clone()), (expected.into(), dropped), "{claims}");
    }
    let roles = |setup: &mut Setup| setup.identity.roles = Some("roles".parse().unwrap());
    assert_eq!(scopes(roles, json!({"scope": "a", "roles": ["r", "a"]})), ("a r".into(), 0));
    let prefix = |setup: &mut Setup| setup.identity.scope_prefix = Some("api://nmp".into());
    let claims = json!({"scp": "api://nmp/a:read api://nmpx:b openid"});
    assert_eq!(scopes(prefix, claims), ("a:read api://nmpx:b openid".into(), 0));
    let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(scopes(|_| (), json!({"scope": many(200)})), (many(200), 0));
    assert_eq!(scopes(|_| (), json!({"scope": many(203)})), (many(200), 3));
}

#[test]
fn further_claims_as_the_text_of_a_header() {
    let text = |value: Value| {
        let change = |setup: &mut Setup| {
            setup.headers.claims = [("x-a".to_owned(), "a".parse().unwrap())].into();
        };
        let one = identified(change, json!({ "a": value })).unwrap();
        one.identity().further().next().unwrap().map(str::to_owned)
    };
    for (value, expected) in [
        (json!("a b"), Some("a b")),
        (json!("x".repeat(1024)), Some(&*"x".repeat(1024))),
        (json!("x".repeat(1025)), None),
        (json!(" a"), None),
        (json!("a "), None),
        (json!("~"), Some("~")),
        (json!("\u{7f}"), None),
        (json!("a\tb"), None),
        (json!(1.5), Some("1.5")),
        (json!(true), Some("true")),
        (json!(["a", 5]), Some("a,5")),
        (json!(["a", true]), None),
        (json!(["a,b"]), None),
        (json!([["a"]]), None),
        (json!([]), None),
        (json!({}), None),
    ] {
        assert_eq!(text(value.clone()).as_deref(), expected, "{value}");
    }
}
