//! Tokens that count only when whoever knows says so.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::authorizer::Outcome;
use doorward_core::clock::UnixTime;
use doorward_core::decision::{Fault, Reason};
use doorward_core::identity::IdentityRules;
use doorward_core::issuers::Issuer;
use doorward_core::keys::Refetch;
use doorward_core::needs::Needs;
use doorward_core::status::{Active, StatusFault as S};
use doorward_core::token::{TokenFault as T, TokenRules};
use serde_json::json;

use crate::support::registry::{Registry, WAIT, asking, of};
use crate::support::{Ask, ISSUER, Source, claims, ed, from_now, get, signer, snapshot, token};

fn authorized(authorizer: &doorward_core::Authorizer, ask: &Ask) -> Result<String, Fault> {
    ask.authorized(authorizer, WAIT)
}

#[test]
fn a_signed_token_counts_while_it_is_called_active() {
    let registry = Registry::saying(Ok(json!({"active": true})));
    let authorizer = asking(&registry);
    let ask = get("/").with_token(json!({}));
    assert_eq!(authorized(&authorizer, &ask), Ok("alice".into()));
    assert_eq!(*registry.asked.lock().unwrap(), [(token(json!({})), true)]);

    // For as long as an answer counts, nobody asks again.
    registry.say(Err(S::Inactive));
    assert_eq!(authorized(&authorizer, &ask.clone().at(14)), Ok("alice".into()));
    assert_eq!(registry.questions(), 1);
    let revoked = ask.clone().at(15);
    assert_eq!(authorized(&authorizer, &revoked), Err(Fault::Status(S::Inactive)));
    assert_eq!(Fault::Status(S::Inactive).reason(), Reason::Revoked);
    assert_eq!(registry.questions(), 2);
}

#[test]
fn no_answer_is_no_denial_of_the_token() {
    for (answer, fault) in [
        (Err(S::NoAnswer), S::NoAnswer),
        (Err(S::StillUnderWay), S::StillUnderWay),
        (Err(S::Crowded), S::Crowded),
        (Ok(json!(["active"])), S::NoAnswer),
        (Ok(json!({"jti": "other"})), S::AboutAnother),
        (Ok(json!({"iss": "https://other.example"})), S::AboutAnother),
    ] {
        let authorizer = asking(&Registry::saying(answer));
        let ask = get("/").with_token(json!({"jti": "one"}));
        let found = authorized(&authorizer, &ask);
        assert_eq!(found, Err(Fault::Status(fault)));
        assert_eq!(Fault::Status(fault).reason(), Reason::StatusUnavailable);
    }
}

/// What the answer says of the token is held against the rules, as far as it goes.
#[test]
fn an_answer_may_say_less_than_the_token_and_nothing_else() {
    let ended = json!({"exp": from_now(-61)});
    for (answer, expected) in [
        (json!({"iss": ISSUER, "aud": "my-api", "exp": from_now(9), "jti": "one"}), Ok(())),
        (json!({"aud": ["other", "my-api"]}), Ok(())),
        (json!({"aud": "other"}), Err(T::WrongAudience)),
        (ended, Err(T::Expired)),
        (json!({"exp": "soon"}), Err(T::NoExpiry)),
        (json!({"nbf": from_now(61)}), Err(T::NotYetValid)),
    ] {
        let authorizer = asking(&Registry::saying(Ok(answer.clone())));
        let found = authorized(&authorizer, &get("/").with_token(json!({"jti": "one"})));
        let expected = expected.map(|()| "alice".to_owned()).map_err(Fault::Token);
        assert_eq!(found, expected, "{answer}");
    }
    // The answer counts no longer than it says.
    let registry = Registry::saying(Ok(json!({"exp": from_now(5)})));
    let authorizer = asking(&registry);
    let ask = get("/").with_token(json!({}));
    assert!(authorized(&authorizer, &ask).is_ok());
    assert!(authorized(&authorizer, &ask.clone().at(4)).is_ok());
    assert_eq!(registry.questions(), 1);
    assert!(authorized(&authorizer, &ask.at(5)).is_ok());
    assert_eq!(registry.questions(), 2);
}

#[test]
fn clients_of_the_answer_are_held_against_those_allowed() {
    let mut rules = TokenRules { asked_about: true, ..TokenRules::new(ISSUER, ["my-api"]) };
    rules.allowed_clients = ["good".to_owned()].into();
    let registry = Registry::saying(Ok(json!({"client_id": "good"})));
    let issuer = Issuer::new(rules, IdentityRules::default(), Source::of([&signer()]));
    let authorizer = of(issuer.with_status(Arc::clone(&registry) as _));
    let ask = get("/").with_token(json!({"client_id": "good"}));
    assert!(authorized(&authorizer, &ask).is_ok());
    registry.say(Ok(json!({"client_id": "bad"})));
    let found = authorized(&authorizer, &ask.at(15));
    assert_eq!(found, Err(Fault::Token(T::WrongClient)));
}

/// What is wrong with the token itself is found first, and asks nobody.
#[test]
fn nobody_is_asked_about_a_token_that_does_not_count_anyway() {
    for more in [
        json!({"exp": 1}),
        json!({"aud": "other"}),
        json!({"sub": null}),
        json!({"sub": "service:x"}),
        json!({"iss": "https://other.example"}),
    ] {
        let registry = Registry::saying(Ok(json!({})));
        let ask = get("/").with_token(more.clone());
        assert!(authorized(&asking(&registry), &ask).is_err(), "{more}");
        assert_eq!(registry.questions(), 0, "{more}");
    }
    let registry = Registry::saying(Ok(json!({})));
    let forged = ed("ed-1", 9).token("EdDSA", &claims(json!({})));
    assert!(authorized(&asking(&registry), &get("/").bearer(forged)).is_err());
    assert_eq!(registry.questions(), 0);
}

#[test]
fn what_is_known_already_is_not_asked() {
    let registry = Registry::saying(Ok(json!({})));
    *registry.known.lock().unwrap() = Some(Err(S::Inactive));
    let found = authorized(&asking(&registry), &get("/").with_token(json!({})));
    assert_eq!(found, Err(Fault::Status(S::Inactive)));
    assert_eq!(registry.questions(), 0);
    // An issuer without anybody to ask is one that nobody answers for.
    let rules = TokenRules { asked_about: true, ..TokenRules::new(ISSUER, ["my-api"]) };
    let nobody = of(Issuer::new(rules, IdentityRules::default(), Source::of([&signer()])));
    let found = authorized(&nobody, &get("/").with_token(json!({})));
    assert_eq!(found, Err(Fault::Status(S::NoAnswer)));
}

/// A key may be missing, and then somebody is asked about the token, too.
#[test]
fn a_key_and_an_answer_are_both_waited_for() {
    let next = ed("next", 2);
    let keys = Source::of([&signer()]);
    keys.will(Refetch::Answered, snapshot([&next]));
    let registry = Registry::saying(Ok(json!({})));
    let rules = TokenRules { asked_about: true, ..TokenRules::new(ISSUER, ["my-api"]) };
    let issuer = Issuer::new(rules, IdentityRules::default(), keys);
    let authorizer = of(issuer.with_status(Arc::clone(&registry) as _));
    let ask = get("/").bearer(next.token("EdDSA", &claims(json!({}))));
    assert_eq!(authorized(&authorizer, &ask), Ok("alice".into()));
    assert_eq!(registry.questions(), 1);
}

/// Those who ask in their own way hand in the answer; it counts for the token that it is about.
#[test]
fn an_answer_counts_for_its_own_token() {
    let registry = Registry::saying(Err(S::NoAnswer));
    let authorizer = asking(&registry);
    let attempt = get("/").with_token(json!({"jti": "a"})).view(|request, now| {
        let Outcome::Needs(Needs::Status(missing)) = authorizer.decide(request, now) else {
            panic!("nobody has to be asked")
        };
        assert_eq!(missing.issuer().name(), ISSUER);
        assert!(missing.question().is_signed());
        assert_eq!(format!("{:?}", missing.question()), "StatusQuestion { signed: true, .. }");
        let document = br#"{"active": true}"#.as_slice().into();
        missing.resolve(Ok(Active { document, good_until: UnixTime::NEVER })).unwrap()
    });
    for (jti, decided) in [("a", true), ("b", false)] {
        get("/").with_token(json!({"jti": jti})).view(|request, now| {
            let outcome = authorizer.decide_again(request, now, attempt.clone());
            assert_eq!(matches!(outcome, Outcome::Decided(_)), decided, "{jti}");
        });
    }
    let denial = get("/").with_token(json!({})).denial(&authorizer);
    assert_eq!((denial.reason(), denial.issuer.is_some()), (Reason::StatusUnavailable, true));
}

/// Where the scopes of a route are known, whoever needs another token is told.
#[test]
fn a_revoked_token_is_told_what_to_ask_for() {
    let authorizer = asking(&Registry::saying(Err(S::Inactive)));
    let ask = get("/").with_token(json!({})).route("doorward.scopes", "a:read");
    let denial = ask.view(|request, now| {
        match crate::support::ready(authorizer.authorize(request, now, WAIT)) {
            doorward_core::decision::Decision::Deny(denial) => denial,
            allowed => panic!("{allowed:?}"),
        }
    });
    assert_eq!(denial.scopes.as_deref(), Some("a:read"));
    // While nobody could say, another token is of no use.
    let denial = ask.denial(&authorizer);
    assert_eq!((denial.reason(), denial.scopes), (Reason::StatusUnavailable, None));
}

#[test]
fn a_question_that_comes_back_is_neither_yes_nor_no() {
    let registry = Registry::saying(Ok(json!({})));
    let authorizer = asking(&registry);
    let question = get("/apis/auth/authenticate?doorward-question=status").with_token(json!({}));
    assert_eq!(authorized(&authorizer, &question), Err(Fault::Status(S::Circular)));
    assert_eq!(Fault::Status(S::Circular).reason(), Reason::StatusUnavailable);
    assert_eq!(registry.questions(), 0);
}

/// What was answered while nobody could wait for it counts, from when it was asked.
#[test]
fn an_answer_that_came_later_is_taken() {
    let registry = Registry::saying(Err(S::StillUnderWay));
    let authorizer = asking(&registry);
    for ask in [get("/").bearer("op_x"), get("/").with_token(json!({}))] {
        let found = authorized(&authorizer, &ask);
        assert_eq!(found, Err(Fault::Status(S::StillUnderWay)));
        let document = json!({"sub": "alice", "aud": "my-api"}).to_string().into_bytes().into();
        let good_until = UnixTime(from_now(5));
        *registry.known.lock().unwrap() = Some(Ok(Active { document, good_until }));
        assert_eq!(authorized(&authorizer, &ask.clone().at(3)), Ok("alice".into()));
        *registry.known.lock().unwrap() = None;
        assert_eq!(authorized(&authorizer, &ask.clone().at(4)), Ok("alice".into()), "cached");
        assert!(authorized(&authorizer, &ask.clone().at(5)).is_err(), "asked 15 s ago");
    }
}

/// That a token lives too long is a matter of what it says itself.
#[test]
fn an_answer_without_an_end_is_no_long_life() {
    let rules = TokenRules {
        asked_about: true,
        max_lifetime: Some(Duration::from_secs(7200)),
        ..TokenRules::new(ISSUER, ["my-api"])
    };
    let registry = Registry::saying(Ok(json!({})));
    let issuer = Issuer::new(rules, IdentityRules::default(), Source::of([&signer()]));
    let authorizer = of(issuer.with_status(Arc::clone(&registry) as _));
    let ask = get("/").with_token(json!({"iat": from_now(0)}));
    assert_eq!(authorized(&authorizer, &ask), Ok("alice".into()));
}
