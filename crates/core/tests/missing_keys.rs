//! Tokens whose key is not at hand: who is asked, what becomes of it, and when nobody is.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::authorizer::{Authorizer, Outcome};
use doorward_core::decision::Fault;
use doorward_core::issuers::KeysFault;
use doorward_core::keys::{Refetch, RefetchCause};
use doorward_core::needs::Needs;
use doorward_core::token::TokenFault as T;
use serde_json::json;

use crate::support::{Ask, Setup, Signer, Source, claims, ed, get, ready, signer, snapshot};

const WAIT: Duration = Duration::from_secs(2);

/// The fault, or the principal, of a request that may wait.
fn authorized(authorizer: &Authorizer, ask: &Ask) -> Result<String, Fault> {
    ask.authorized(authorizer, WAIT)
}

/// Whose key is missing and why, where it is worth asking.
fn needed(authorizer: &Authorizer, ask: &Ask) -> Option<RefetchCause> {
    ask.view(|request, now| match authorizer.decide(request, now) {
        Outcome::Decided(_) => None,
        Outcome::Needs(Needs::Key(missing)) => {
            assert_eq!(missing.issuer().name(), "https://idp.example");
            Some(missing.cause())
        }
        Outcome::Needs(Needs::Status(_) | Needs::Verdict(_)) => panic!("it has a key"),
    })
}

/// A token signed with the key `next`, which the issuer is about to publish.
fn of_next() -> (Signer, Ask) {
    let next = ed("next", 2);
    let ask = get("/").bearer(next.token("EdDSA", &claims(json!({}))));
    (next, ask)
}

/// A source with the old key, and an authorizer that asks it.
fn with_old_key() -> (Arc<Source>, Authorizer) {
    let source = Source::of([&signer()]);
    (Arc::clone(&source), Setup::new().with_keys(source))
}

#[test]
fn what_newer_keys_may_change_and_what_not() {
    let stranger = ed("ed-1", 9);
    for (ask, cause) in [
        (of_next().1, Some(RefetchCause::UnknownKey)),
        (
            get("/").bearer(stranger.token("EdDSA", &claims(json!({})))),
            Some(RefetchCause::BadSignature),
        ),
        (get("/").with_token(json!({"exp": 1})), None),
        (get("/").with_token(json!({"aud": "x"})), None),
        (get("/").with_token(json!({"sub": null})), None),
        (get("/").bearer("a.b.c"), None),
        (get("/"), None),
    ] {
        let (source, authorizer) = with_old_key();
        assert_eq!(needed(&authorizer, &ask), None, "not due: {ask:?}");
        source.will(Refetch::Failed, None);
        assert_eq!(needed(&authorizer, &ask), cause, "{ask:?}");
        assert_eq!(*source.asked.lock().unwrap(), [], "asking is the caller's");
    }
    for (keys, at) in [(Source::empty(), 0), (Source::of([&signer()]), 3600)] {
        keys.will(Refetch::Failed, None);
        let authorizer = Setup::new().with_keys(keys);
        let ask = get("/").with_token(json!({"exp": crate::support::from_now(9999)})).at(at);
        assert_eq!(needed(&authorizer, &ask), Some(RefetchCause::UnknownKey));
    }
}

#[test]
fn the_issuer_is_asked_once_and_the_request_decided_again() {
    let (next, ask) = of_next();
    let (source, authorizer) = with_old_key();
    source.will(Refetch::Answered, snapshot([&next]));
    assert_eq!(authorized(&authorizer, &ask), Ok("alice".into()));
    assert_eq!(*source.asked.lock().unwrap(), [(RefetchCause::UnknownKey, WAIT)]);

    // It has answered, and knows no such key either: nobody asks a second time.
    let (source, authorizer) = with_old_key();
    source.will(Refetch::Answered, snapshot([&signer()]));
    assert_eq!(authorized(&authorizer, &ask), Err(Fault::Token(T::NoSuchKey)));
    assert_eq!(source.asked.lock().unwrap().len(), 1);

    // A key that is there is not asked for.
    assert_eq!(authorized(&authorizer, &get("/").with_token(json!({}))), Ok("alice".into()));
    assert_eq!(authorized(&authorizer, &get("/")), Err(Fault::NoCredentials));
    assert_eq!(source.asked.lock().unwrap().len(), 1);
}

#[test]
fn what_becomes_of_asking() {
    let (next, ask) = of_next();
    let no_such_key = Fault::Token(T::NoSuchKey);
    for (refetch, brings, expected) in [
        (Refetch::Answered, true, Ok("alice".to_owned())),
        (Refetch::Answered, false, Err(no_such_key)),
        (Refetch::StillUnderWay, false, Err(Fault::Keys(KeysFault::StillUnderWay))),
        (Refetch::StillUnderWay, true, Err(Fault::Keys(KeysFault::StillUnderWay))),
        (Refetch::Crowded, false, Err(Fault::Keys(KeysFault::Crowded))),
        (Refetch::NotDue, false, Err(no_such_key)),
        (Refetch::Failed, false, Err(no_such_key)),
        // A fetch that others asked for has ended meanwhile.
        (Refetch::NotDue, true, Ok("alice".to_owned())),
        (Refetch::Failed, true, Ok("alice".to_owned())),
    ] {
        let (source, authorizer) = with_old_key();
        source.will(refetch, brings.then(|| snapshot([&next])));
        assert_eq!(authorized(&authorizer, &ask), expected, "{refetch:?} {brings}");

        // The same for those who ask in their own way.
        let (source, authorizer) = with_old_key();
        source.will(refetch, None);
        let resolved = ask.view(|request, now| match authorizer.decide(request, now) {
            Outcome::Needs(Needs::Key(missing)) => {
                if brings {
                    source.publish(snapshot([&next]));
                }
                let resolved = missing.resolve(refetch).map(drop);
                resolved.map_err(|denial| (denial.fault, denial.issuer))
            }
            Outcome::Decided(_) | Outcome::Needs(_) => panic!("no key is missing"),
        });
        match (&expected, resolved) {
            (Ok(_), Ok(())) => {}
            (Err(_), Ok(())) => assert_eq!(refetch, Refetch::Answered),
            (expected, Err((fault, issuer))) => {
                assert_eq!(expected, &Err(fault), "{refetch:?} {brings}");
                assert!(issuer.is_some());
            }
        }
    }
}

/// Its keys have changed between the look at them and the question whether to ask.
#[test]
fn keys_that_came_meanwhile_are_tried() {
    let (next, ask) = of_next();
    let (source, authorizer) = with_old_key();
    source.brings_by_itself(snapshot([&next]));
    assert_eq!(authorized(&authorizer, &ask), Ok("alice".into()));

    let (source, authorizer) = with_old_key();
    let stranger = get("/").bearer(ed("ed-1", 9).token("EdDSA", &claims(json!({}))));
    source.brings_by_itself(snapshot([&ed("ed-1", 9)]));
    assert_eq!(authorized(&authorizer, &stranger), Ok("alice".into()));
}

/// What the client is told stays with the question: its issuer, and the scopes to ask for.
#[test]
fn the_denial_meanwhile_is_whole() {
    let (_, ask) = of_next();
    let (source, authorizer) = with_old_key();
    source.will(Refetch::Failed, None);
    let denial = ask.route("doorward.scopes", "a:read").denial(&authorizer);
    assert_eq!(denial.fault, Fault::Token(T::NoSuchKey));
    assert_eq!(denial.scopes.as_deref(), Some("a:read"));
    assert!(denial.issuer.is_some());
}

/// Keys of a configuration never change, so nobody is asked for newer ones.
#[test]
fn static_keys_are_never_asked_for() {
    use doorward_core::keys::{KeySource, StaticKeys};
    let keys = crate::support::key_set(&json!([signer().jwk()]));
    let keys = Arc::new(StaticKeys::new(keys));
    assert!(!keys.may_refetch(RefetchCause::UnknownKey));
    assert_eq!(ready(keys.refetch(RefetchCause::UnknownKey, WAIT)), Refetch::NotDue);
    let authorizer = Setup::new().with_keys(keys);
    let far = crate::support::from_now(1_000_000_000);
    let ask = get("/").with_token(json!({"exp": far}));
    assert_eq!(authorized(&authorizer, &ask.at(999_999_999)), Ok("alice".into()));
    assert_eq!(authorized(&authorizer, &of_next().1), Err(Fault::Token(T::NoSuchKey)));
}
