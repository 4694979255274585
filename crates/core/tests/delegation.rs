//! Who acts for the subject of a token (`act`, RFC 8693 §4.1): told everywhere, believed where the
//! issuer's tokens may delegate.

use doorward_core::decision::{Decision, Fault, Reason};
use doorward_core::identity::{AddressFault, Delegation, IdentityFault as F};
use doorward_core::issuers::{Issuer, Issuers};
use doorward_core::token::{TokenRules, TokenUse};
use serde_json::{Value, json};

use crate::support::{Allowed, ISSUER, Setup, Source, from_now, get, signer};

const BEHALF: &str = "x-nmp-principal-on-behalf-of";

fn delegating() -> Setup {
    let mut setup = Setup::new();
    setup.identity.delegation = Delegation::Nemo;
    setup
}

fn allowed(setup: Setup, more: Value) -> Allowed {
    get("/").with_token(more).allowed(&setup.authorizer())
}

#[test]
fn the_actor_is_the_principal_on_behalf_of_the_subject() {
    let allowed = allowed(
        delegating(),
        json!({
            "email": "alice@b.example", "groups": ["people"], "scope": "a:read",
            "act": {"sub": "system:serviceaccount:ns:job", "groups": "jobs,batch"},
        }),
    );
    let expected = [
        ("x-nmp-principal-groups", "jobs,batch"),
        ("x-nmp-principal-id", "system:serviceaccount:ns:job"),
        (BEHALF, "alice"),
        ("x-nmp-principal-on-behalf-of-email", "alice@b.example"),
        ("x-nmp-principal-on-behalf-of-groups", "people"),
        ("x-nmp-scopes", "a:read"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(allowed.set, expected.into());
    assert!(allowed.removed.iter().any(|name| name == "x-nmp-principal-email"), "not the actor's");
}

#[test]
fn on_behalf_of_is_told_group_by_group() {
    let more = json!({"groups": ["a", "b"], "act": {"sub": "job"}});
    let decision = get("/").with_token(more).decision(&delegating().authorizer());
    let Decision::Allow(approval) = decision else { panic!() };
    let of = approval.identity().unwrap().identity().on_behalf_of().unwrap();
    assert_eq!(of.groups().collect::<Vec<_>>(), ["a", "b"]);
    let decision = get("/").with_token(json!({"act": {"sub": "job"}}));
    let Decision::Allow(approval) = decision.decision(&delegating().authorizer()) else { panic!() };
    let of = approval.identity().unwrap().identity().on_behalf_of().unwrap();
    assert_eq!((of.groups().count(), of.email), (0, None));
}

#[test]
fn elsewhere_who_acts_changes_nothing() {
    let more = json!({"act": {"sub": "job", "groups": ["jobs"]}, "groups": ["people"]});
    let told = get("/").with_token(more.clone()).decision(&Setup::new().authorizer());
    let Decision::Allow(approval) = told else { panic!() };
    let identity = approval.identity().unwrap().identity();
    assert_eq!((identity.principal(), identity.joined_groups()), ("alice", "people"));
    assert_eq!((identity.on_behalf_of(), identity.told_actor()), (None, Some("job")));
    // One that no log could hold is not told.
    let odd = json!({"act": {"sub": "a\nb"}});
    let told = get("/").with_token(odd).decision(&Setup::new().authorizer());
    let Decision::Allow(approval) = told else { panic!() };
    assert_eq!(approval.identity().unwrap().identity().told_actor(), None);

    let allowed = allowed(Setup::new(), more);
    assert!(!allowed.set.contains_key(BEHALF));
    assert!(allowed.removed.iter().any(|name| name == BEHALF), "the client's own is removed");
}

#[test]
fn without_an_actor_a_token_is_its_subjects() {
    for more in [json!({}), json!({"act": null})] {
        let allowed = allowed(delegating(), more);
        assert_eq!((allowed.principal(), allowed.set.get(BEHALF)), ("alice", None));
    }
}

#[test]
fn of_the_actor_the_same_holds_as_of_a_subject() {
    for (more, fault, reason) in [
        (json!({"act": {}}), F::ActorUnfit, Reason::InvalidClaim),
        (json!({"act": "job"}), F::ActorUnfit, Reason::InvalidClaim),
        (json!({"act": []}), F::ActorUnfit, Reason::InvalidClaim),
        (json!({"act": [{"sub": "job"}]}), F::ActorUnfit, Reason::InvalidClaim),
        (json!({"act": {"sub": ""}}), F::ActorUnfit, Reason::InvalidClaim),
        (json!({"act": {"sub": 5}}), F::ActorUnfit, Reason::InvalidClaim),
        (json!({"act": {"sub": "a b"}}), F::ActorUnfit, Reason::InvalidClaim),
        (json!({"act": {"sub": "x".repeat(257)}}), F::ActorUnfit, Reason::InvalidClaim),
        (json!({"act": {"sub": "service:x"}}), F::ActorReserved, Reason::ReservedIdentity),
        (json!({"act": {"sub": "Service:x"}}), F::ActorReserved, Reason::ReservedIdentity),
        (json!({"act": {"sub": "*"}}), F::ActorReserved, Reason::ReservedIdentity),
        (
            json!({"act": {"sub": "a@b.example"}, "email_verified": false}),
            F::SubjectAddress(AddressFault::Unverified),
            Reason::InvalidClaim,
        ),
        // Nor may the subject be any other than without an actor.
        (
            json!({"sub": "service:x", "act": {"sub": "job"}}),
            F::SubjectReserved,
            Reason::ReservedIdentity,
        ),
        (json!({"sub": null, "act": {"sub": "job"}}), F::SubjectMissing, Reason::InvalidClaim),
        (
            json!({"email": "service:x", "act": {"sub": "job"}}),
            F::EmailReserved,
            Reason::ReservedIdentity,
        ),
    ] {
        let denial = get("/").with_token(more.clone()).denial(&delegating().authorizer());
        assert_eq!(denial.fault, Fault::Identity(fault), "{more}");
        assert_eq!(denial.reason(), reason, "{more}");
    }
    let allowed = allowed(
        delegating(),
        json!({"act": {"sub": "job", "groups": ["service:x", "ok", 5]}, "groups": ["*", "p"]}),
    );
    assert_eq!(allowed.header("x-nmp-principal-groups"), "ok");
    assert_eq!(allowed.header("x-nmp-principal-on-behalf-of-groups"), "p");
}

#[test]
fn prefixes_are_put_before_both() {
    let mut setup = delegating();
    setup.identity.subject_prefix = Some("idp:".into());
    setup.identity.groups_prefix = Some("g:".into());
    let more = json!({"act": {"sub": "job", "groups": ["a"]}, "groups": ["b"]});
    let allowed = allowed(setup, more);
    assert_eq!((allowed.principal(), allowed.header(BEHALF)), ("idp:job", "idp:alice"));
    assert_eq!(allowed.header("x-nmp-principal-groups"), "g:a");
    assert_eq!(allowed.header("x-nmp-principal-on-behalf-of-groups"), "g:b");
}

/// An access key's `act` changes nothing, whatever other tokens of its issuer may.
#[test]
fn an_access_key_never_delegates() {
    let setup = delegating();
    let rules =
        TokenRules { token_use: TokenUse::AccessKey, ..TokenRules::new(ISSUER, ["my-api"]) };
    let mut issuers = Issuers::default();
    let keys = Source::of([&signer()]);
    issuers.push(Issuer::new(setup.tokens, setup.identity, keys).with_access_keys(rules));
    let authorizer = doorward_core::Authorizer::new(issuers, setup.headers);
    let key = json!({
        "act": {"sub": "job"}, "nmp_token_type": "access_key", "iat": from_now(0),
        "nbf": from_now(0), "jti": format!("ak_{}", "0".repeat(32)),
    });
    let allowed = get("/").with_token(key).allowed(&authorizer);
    assert_eq!((allowed.principal(), allowed.set.get(BEHALF)), ("alice", None));
    let other = json!({"act": {"sub": "job"}});
    assert_eq!(get("/").with_token(other).allowed(&authorizer).principal(), "job");
}
