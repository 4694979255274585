//! What a token must satisfy, each check at its very boundary, and what the front is told.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use doorward_core::clock::UnixTime;
use doorward_core::decision::{Decision, Fault, Reason};
use doorward_core::identity::Profile;
use doorward_core::issuers::{IssuerId, KeysFault};
use doorward_core::keys::{KeySource, Refetch, RefetchCause, Snapshot};
use doorward_core::request::RequestFault;
use doorward_core::token::{AudienceRule, BoundTokens, OtherKind, TokenFault as T, TokenRules};
use serde_json::{Value, json};

use crate::support::{Ask, NOW, Setup, Source, claims, ed, from_now, get, signer, snapshot, token};

/// What a token with these claims comes to under these rules.
fn judged(claims: Value, change: impl FnOnce(&mut TokenRules)) -> Option<T> {
    let mut setup = Setup::new();
    change(&mut setup.tokens);
    let ask = get("/").with_token(claims);
    let authorizer = setup.authorizer();
    match ask.view(|request, now| authorizer.decide(request, now).or_deny()) {
        Decision::Allow(_) => None,
        Decision::Deny(denial) => match denial.fault {
            Fault::Token(fault) => Some(fault),
            fault => panic!("{fault}"),
        },
    }
}

#[test]
fn times_hold_to_the_second_with_leeway() {
    let end = UnixTime::END_OF_YEAR_9999.0;
    for (claims, fault) in [
        (json!({"exp": from_now(-59)}), None),
        (json!({"exp": from_now(-60)}), Some(T::Expired)),
        (json!({"exp": 0}), Some(T::Expired)),
        (json!({"exp": -5}), Some(T::Expired)),
        (json!({"exp": 1.7e9 + 0.5}), None),
        (json!({"exp": end}), None),
        (json!({"exp": end + 1}), Some(T::ExpiryBeyondReason)),
        (json!({"exp": from_now(3600) * 1000}), Some(T::ExpiryBeyondReason)),
        (json!({"exp": null}), Some(T::NoExpiry)),
        (json!({"exp": "1800000000"}), Some(T::NoExpiry)),
        (json!({"exp": [1_800_000_000]}), Some(T::NoExpiry)),
        (json!({"nbf": from_now(60)}), None),
        (json!({"nbf": from_now(61)}), Some(T::NotYetValid)),
        (json!({"nbf": "x"}), Some(T::BadTime)),
        (json!({"iat": from_now(60)}), None),
        (json!({"iat": from_now(61)}), Some(T::IssuedInFuture)),
        (json!({"iat": true}), Some(T::BadTime)),
        (json!({"nbf": from_now(61), "iat": from_now(61)}), Some(T::NotYetValid)),
    ] {
        assert_eq!(judged(claims.clone(), |_| ()), fault, "{claims}");
    }
    let strict = |rules: &mut TokenRules| rules.leeway = Duration::ZERO;
    for (claims, fault) in [
        (json!({"exp": from_now(1), "nbf": from_now(0), "iat": from_now(0)}), None),
        (json!({"exp": from_now(0)}), Some(T::Expired)),
        (json!({"nbf": from_now(1)}), Some(T::NotYetValid)),
        (json!({"iat": from_now(1)}), Some(T::IssuedInFuture)),
    ] {
        assert_eq!(judged(claims.clone(), strict), fault, "{claims}");
    }
}

#[test]
fn a_life_has_an_end() {
    let hour = |rules: &mut TokenRules| rules.max_lifetime = Some(Duration::from_secs(3600));
    for (claims, fault) in [
        (json!({"iat": from_now(-10), "exp": from_now(3590)}), None),
        (json!({"iat": from_now(-10), "exp": from_now(3591)}), Some(T::LivesTooLong)),
        (json!({"iat": from_now(50), "exp": from_now(3650)}), None),
        // Without `iat`: from now, with leeway.
        (json!({"exp": from_now(3660)}), None),
        (json!({"exp": from_now(3661)}), Some(T::LivesTooLong)),
    ] {
        assert_eq!(judged(claims.clone(), hour), fault, "{claims}");
    }
}

#[test]
fn made_for_this_audience_and_client() {
    for (aud, fault) in [
        (json!("my-api"), None),
        (json!(["x", "my-api"]), None),
        (json!(["x", "y"]), Some(T::WrongAudience)),
        (json!("my-api2"), Some(T::WrongAudience)),
        (json!("MY-API"), Some(T::WrongAudience)),
        (json!([]), Some(T::WrongAudience)),
        (json!(["my-api", 5]), Some(T::WrongAudience)),
        (json!(5), Some(T::WrongAudience)),
        (json!(null), Some(T::WrongAudience)),
    ] {
        assert_eq!(judged(json!({"aud": aud}), |_| ()), fault, "{aud}");
    }
    // Of another audience than ours it may be, of an unreadable one not.
    let unchecked = |rules: &mut TokenRules| rules.audience = AudienceRule::NotChecked;
    for (aud, fault) in [
        (json!(null), None),
        (json!("x"), None),
        (json!(["a\"b"]), None),
        (json!({}), Some(T::WrongAudience)),
    ] {
        assert_eq!(judged(json!({"aud": aud}), unchecked), fault, "{aud}");
    }
    let clients = |rules: &mut TokenRules| rules.allowed_clients = ["cli".to_owned()].into();
    for (claims, fault) in [
        (json!({"azp": "cli"}), None),
        (json!({"appid": "cli"}), None),
        (json!({"client_id": "cli"}), None),
        (json!({"cid": "cli"}), None),
        (json!({"cid": ["cli"]}), Some(T::WrongClient)),
        // The first that is there counts.
        (json!({"azp": "other", "cid": "cli"}), Some(T::WrongClient)),
        (json!({"azp": 5, "cid": "cli"}), Some(T::WrongClient)),
        (json!({}), Some(T::WrongClient)),
    ] {
        assert_eq!(judged(claims.clone(), clients), fault, "{claims}");
        assert_eq!(judged(claims, |_| ()), None, "any client");
    }
}

#[test]
fn only_what_is_for_access_and_for_its_bearer() {
    let strict = |rules: &mut TokenRules| rules.require_access_token = true;
    for (claims, lenient, required) in [
        (json!({}), None, None),
        (json!({"typ": "Bearer", "nonce": "n"}), None, None),
        (json!({"typ": "ID"}), Some(OtherKind::Id), None),
        (json!({"typ": "refresh"}), Some(OtherKind::Refresh), None),
        (json!({"events": {}}), Some(OtherKind::Event), None),
        (json!({"events": []}), None, None),
        (json!({"events": "{}"}), None, None),
        (json!({"nonce": 5}), None, Some("nonce")),
        (json!({"at_hash": "h"}), None, Some("at_hash")),
        (json!({"token_use": "id"}), None, Some("token_use")),
        (json!({"token_use": "access", "nonce": "n"}), None, None),
    ] {
        let other = lenient.map(T::AnotherKind);
        assert_eq!(judged(claims.clone(), |_| ()), other, "{claims}");
        let required = other.or(required.map(T::LikeIdToken));
        assert_eq!(judged(claims.clone(), strict), required, "{claims}");
    }
    for cnf in [json!({"jkt": "x"}), json!({}), json!("x"), json!(false)] {
        let claims = json!({ "cnf": cnf });
        assert_eq!(judged(claims.clone(), |_| ()), Some(T::BoundToKey), "{claims}");
        let ignored = |rules: &mut TokenRules| rules.bound_tokens = BoundTokens::Ignored;
        assert_eq!(judged(claims, ignored), None);
    }
}

#[test]
fn signed_by_the_issuers_key_and_named_by_it() {
    let authorizer = Setup::new().authorizer();
    let good = token(json!({}));
    let (stranger, unknown) = (ed("ed-1", 9), ed("ed-9", 1));
    let mut forged = good.clone().into_bytes();
    let at = good.find('.').unwrap() + 20;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    for (token, fault) in [
        (stranger.token("EdDSA", &claims(json!({}))), T::BadSignature),
        (unknown.token("EdDSA", &claims(json!({}))), T::NoSuchKey),
        (token(json!({"iss": "https://idp.example/"})), T::UnknownIssuer),
        (token(json!({"iss": "https://IDP.example"})), T::UnknownIssuer),
        (token(json!({"iss": null})), T::NoIssuer),
        (token(json!({"iss": ["https://idp.example"]})), T::NoIssuer),
    ] {
        assert_eq!(get("/").bearer(&token).fault(&authorizer), Fault::Token(fault), "{token}");
    }
    let forged = get("/").bearer(String::from_utf8(forged).unwrap());
    assert!(matches!(
        forged.fault(&authorizer),
        Fault::Token(T::BadSignature | T::ClaimsNotAnObject)
    ));
}

#[test]
fn keys_may_be_believed_until_their_last_second() {
    let keys = Source::of([&signer()]);
    let authorizer = Setup::new().with_keys(keys);
    let ask = get("/").with_token(json!({"exp": from_now(9999)}));
    assert_eq!(ask.clone().at(3599).allowed(&authorizer).principal(), "alice");
    let denial = ask.at(3600).denial(&authorizer);
    assert_eq!(denial.fault, Fault::Keys(KeysFault::TooOld));
    assert_eq!((denial.reason(), denial.issuer), (Reason::KeysUnavailable, Some(IssuerId(0))));

    let ask = get("/").with_token(json!({}));
    let never = Setup::new().with_keys(Source::empty());
    assert_eq!(ask.fault(&never), Fault::Keys(KeysFault::NeverObtained));
}

/// The issuer is known from where one of ours is named, and the scopes are told where the client
/// should come again.
#[test]
fn what_a_denial_tells() {
    let authorizer = Setup::new().authorizer();
    let ours = Some(IssuerId(0));
    let asking = |ask: Ask| ask.route("doorward.scopes", "a:read a:write");
    for (ask, reason, issuer, scopes) in [
        (get("/"), "missing_token", None, true),
        (get("/").header("authorization", "x"), "malformed_header", None, true),
        (get("/").bearer("a.b"), "malformed_token", None, true),
        (get("/").with_token(json!({"iss": "x"})), "unknown_issuer", None, true),
        (get("/").bearer(ed("x", 1).token("EdDSA", &claims(json!({})))), "unknown_key", ours, true),
        (
            get("/").bearer(ed("ed-1", 9).token("EdDSA", &claims(json!({})))),
            "bad_signature",
            ours,
            true,
        ),
        (get("/").with_token(json!({"cnf": {}})), "unsupported_token", ours, true),
        (get("/").with_token(json!({"exp": 1})), "expired", ours, true),
        (get("/").with_token(json!({"nbf": from_now(99)})), "not_yet_valid", ours, true),
        (get("/").with_token(json!({"aud": "x"})), "bad_audience", ours, true),
        (get("/").with_token(json!({"iat": "x"})), "invalid_claim", ours, true),
        (get("/").with_token(json!({"sub": "*"})), "reserved_identity", ours, false),
        (get("/").route("doorward.mode", "?"), "policy_unavailable", None, false),
        (get("/").with_token(json!({})), "insufficient_scope", ours, true),
        (get("/").with_token(json!({"sub": null})), "invalid_claim", ours, false),
        (get("x"), "malformed_request", None, false),
    ] {
        let denial = asking(ask.clone()).denial(&authorizer);
        assert_eq!(denial.reason().code(), reason, "{ask:?}");
        assert_eq!(denial.reason().to_string(), reason);
        assert_eq!(denial.issuer, issuer, "{ask:?}");
        assert_eq!(denial.scopes.as_deref(), scopes.then_some("a:read a:write"), "{ask:?}");
    }
    // The keys are our trouble: another token would not help.
    let never = Setup::new().with_keys(Source::empty());
    assert_eq!(asking(get("/").with_token(json!({}))).denial(&never).scopes, None);
}

#[test]
fn a_request_has_a_method_and_a_path() {
    let authorizer = Setup::new().authorizer();
    for (ask, fault) in [
        (get("/").method(""), RequestFault::NoMethod),
        (get(""), RequestFault::NoPath),
        (get("*"), RequestFault::NotAPath),
        (get("http://host/"), RequestFault::NotAPath),
    ] {
        assert_eq!(ask.with_token(json!({})).fault(&authorizer), Fault::Request(fault));
    }
}

#[test]
fn longer_tokens_are_refused_unread() {
    let good = token(json!({}));
    for (limit, fault) in [(good.len(), None), (good.len() - 1, Some(Fault::Token(T::TooLong)))] {
        let authorizer = Setup::new().authorizer().with_max_token_bytes(limit);
        assert_eq!(authorizer.max_token_bytes(), limit);
        let denied = get("/").bearer(&good).decision(&authorizer);
        let found = match denied {
            Decision::Allow(_) => None,
            Decision::Deny(denial) => Some(denial.fault),
        };
        assert_eq!(found, fault, "{limit}");
    }
    let authorizer = Setup::new().authorizer();
    assert_eq!(authorizer.max_token_bytes(), 16 * 1024);
    assert_eq!(get("/").bearer("x".repeat(16385)).fault(&authorizer), Fault::Token(T::TooLong));
    let longest = get("/").bearer("x".repeat(16384));
    assert_eq!(longest.fault(&authorizer), Fault::Token(T::NotThreeParts));
}

#[test]
fn where_authentication_is_off_nobody_is_asked() {
    let authorizer = Setup::new().authorizer();
    assert!(authorizer.is_enabled());
    let authorizer = authorizer.without_authentication();
    assert!(!authorizer.is_enabled());
    for ask in [get("/"), get("*").method(""), get("/").bearer("nonsense")] {
        let allowed = ask.header("X_NMP_Admin", "1").allowed(&authorizer);
        assert_eq!((allowed.code, allowed.fresh, allowed.set.len()), ("auth_disabled", false, 0));
        assert!(allowed.sent.contains(&"X_NMP_Admin".to_owned()));
    }
}

#[test]
fn an_authorizer_says_what_it_was_made_of() {
    let mut setup = Setup::new();
    setup.headers.profile = Profile::Plain;
    setup.paths = setup.paths.with_preflights(true);
    let authorizer = setup.authorizer();
    assert!(authorizer.rules().lets_preflights_pass());
    assert!(authorizer.rules().endpoints().is_none());
    assert_eq!(authorizer.header_rules().profile, Profile::Plain);
    assert_eq!(authorizer.protected().prefix(), "x-nmp-");
    assert_eq!(authorizer.remembered_tokens(), 0);
    let issuers: Vec<_> = authorizer.issuers().iter().map(|one| (one.id(), one.name())).collect();
    assert_eq!(issuers, [(IssuerId(0), "https://idp.example")]);
    let issuer = authorizer.issuers().get(IssuerId(0)).unwrap();
    assert_eq!(issuer.key_set_id(), issuer.keys().snapshot().as_ref().map(|keys| keys.id()));
    assert!(issuer.key_set_id().is_some() && authorizer.issuers().get(IssuerId(1)).is_none());
}

/// A step that panics denies: a gateway may let a request pass whose check broke off.
#[test]
fn a_panic_is_a_denial() {
    struct Broken;
    impl KeySource for Broken {
        fn snapshot(&self) -> Guard<Option<Arc<Snapshot>>> {
            panic!("on purpose")
        }
        fn may_refetch(&self, _: RefetchCause) -> bool {
            false
        }
        fn refetch(
            &self,
            _: RefetchCause,
            _: Duration,
        ) -> Pin<Box<dyn Future<Output = Refetch> + Send + '_>> {
            unreachable!("never asked")
        }
    }
    let authorizer = Setup::new().with_keys(Arc::new(Broken));
    let denial = get("/").with_token(json!({})).denial(&authorizer);
    assert_eq!((denial.fault, denial.reason()), (Fault::Internal, Reason::InternalError));
}

#[test]
fn a_snapshot_says_when_it_is_from() {
    let keys = snapshot([&ed("k", 3)]);
    assert_eq!((keys.obtained_at(), keys.usable_until()), (NOW, UnixTime(from_now(3600))));
    assert_eq!(keys.id(), keys.set().id());
}
