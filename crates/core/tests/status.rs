//! Tokens that count only when whoever knows says so: revocable ones, and ones that only their issuer
//! can read.

use std::future::{Future, ready};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_core::Authorizer;
use doorward_core::authorizer::Outcome;
use doorward_core::clock::UnixTime;
use doorward_core::decision::{Fault, Reason};
use doorward_core::identity::{HeaderRules, IdentityRules};
use doorward_core::issuers::{Issuer, Issuers};
use doorward_core::keys::Refetch;
use doorward_core::needs::Needs;
use doorward_core::status::{Active, StatusAnswer, StatusFault as S, StatusQuestion, StatusSource};
use doorward_core::token::{AudienceRule, TokenFault as T, TokenRules, TokenUse};
use doorward_core::token_cache::TokenCache;
use serde_json::{Value, json};

use crate::support::{
    Ask, ISSUER, Source, claims, ed, encode, from_now, get, signer, snapshot, token,
};

const WAIT: Duration = Duration::from_secs(2);
const RECHECK: Duration = Duration::from_secs(15);
const PLATFORM: &str = "https://nemo.example/apis/auth";

/// Answers as it is told, and notes what it is asked.
struct Registry {
    answer: Mutex<Result<Arc<[u8]>, S>>,
    known: Mutex<Option<StatusAnswer>>,
    /// When it is asked, in seconds from now.
    at: Mutex<i64>,
    asked: Mutex<Vec<(String, bool)>>,
}

impl Registry {
    fn saying(answer: Result<Value, S>) -> Arc<Self> {
        let registry = Self {
            answer: Mutex::new(Err(S::NoAnswer)),
            known: Mutex::default(),
            at: Mutex::default(),
            asked: Mutex::default(),
        };
        registry.say(answer);
        Arc::new(registry)
    }

    fn say(&self, answer: Result<Value, S>) {
        *self.answer.lock().unwrap() = answer.map(|json| json.to_string().into_bytes().into());
    }

    fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl StatusSource for Registry {
    fn known(&self, _: &StatusQuestion, now: UnixTime) -> Option<StatusAnswer> {
        *self.at.lock().unwrap() = i64::try_from(now.0 - from_now(0)).unwrap();
        self.known.lock().unwrap().clone()
    }

    fn ask<'s>(
        &'s self,
        question: &StatusQuestion,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = StatusAnswer> + Send + 's>> {
        assert_eq!(wait, WAIT);
        let token = String::from_utf8(question.token().as_bytes().to_vec()).unwrap();
        self.asked.lock().unwrap().push((token, question.is_signed()));
        let good_until = UnixTime(from_now(*self.at.lock().unwrap())).plus(RECHECK);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(ready(answer.map(|document| Active { document, good_until })))
    }

    fn recheck(&self) -> Duration {
        RECHECK
    }
}

fn of(issuer: Issuer) -> Authorizer {
    let mut issuers = Issuers::default();
    issuers.push(issuer);
    let cache = TokenCache::new(NonZeroU64::new(100).unwrap(), 1 << 20, Arc::default()).unwrap();
    Authorizer::new(issuers, HeaderRules::default()).with_cache(cache)
}

/// An issuer about whose JWTs somebody is asked, and that may have others, too.
fn asking(registry: &Arc<Registry>) -> Authorizer {
    let rules = TokenRules { asked_about: true, ..TokenRules::new(ISSUER, ["my-api"]) };
    let issuer = Issuer::new(rules, IdentityRules::default(), Source::of([&signer()]));
    of(issuer.with_status(Arc::clone(registry) as _).with_opaque_tokens("op_"))
}

/// NeMo Platform, with access keys and tokens for workloads.
fn platform(registry: &Arc<Registry>) -> Authorizer {
    let rules = |audience, token_use, asked_about| TokenRules {
        token_use,
        asked_about,
        leeway: Duration::from_secs(30),
        ..TokenRules::new(PLATFORM, [audience])
    };
    let workload = rules("nemo", TokenUse::WorkloadAccessToken, false);
    let issuer = Issuer::new(workload, IdentityRules::default(), Source::of([&signer()]));
    let issuer = issuer.with_access_keys(rules("keys", TokenUse::AccessKey, true));
    of(issuer.with_status(Arc::clone(registry) as _))
}

fn key_id() -> String {
    format!("ak_{}", "0123456789abcdef".repeat(2))
}

/// An access key without an end; `null` takes a claim out.
fn access_key(more: Value) -> Value {
    let mut key = json!({
        "iss": PLATFORM, "aud": "keys", "exp": null, "nmp_token_type": "access_key",
        "iat": from_now(0), "nbf": from_now(0), "jti": key_id(),
    });
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key
}

fn authorized(authorizer: &Authorizer, ask: &Ask) -> Result<String, Fault> {
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
        assert!(!format!("{:?}", missing.question()).contains("eyJ"));
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

// -- tokens that only their issuer can read --

#[test]
fn an_opaque_token_is_what_its_issuer_says() {
    let answer = json!({
        "active": true, "iss": ISSUER, "sub": "bob", "aud": "my-api", "scope": "a:read a:write",
        "client_id": "app", "groups": ["people"], "exp": from_now(3600),
    });
    let registry = Registry::saying(Ok(answer));
    let authorizer = asking(&registry);
    let ask = get("/").bearer("op_8f3aZ-._~+/==");
    assert_eq!(authorized(&authorizer, &ask), Ok("bob".into()));
    assert_eq!(*registry.asked.lock().unwrap(), [("op_8f3aZ-._~+/==".to_owned(), false)]);
    let allowed = ask.allowed(&authorizer);
    assert_eq!(allowed.header("x-nmp-scopes"), "a:read a:write");
    assert_eq!(allowed.header("x-nmp-principal-groups"), "people");
    assert!(!allowed.fresh);
    // It is asked about again, and revoked.
    registry.say(Err(S::Inactive));
    assert_eq!(authorized(&authorizer, &ask.at(15)), Err(Fault::Status(S::Inactive)));
}

#[test]
fn what_the_issuer_says_is_held_against_the_rules() {
    let good = json!({"sub": "bob", "aud": "my-api"});
    for (more, expected) in [
        (json!({}), Ok("bob".to_owned())),
        (json!({"iss": "https://other.example"}), Err(Fault::Token(T::UnknownIssuer))),
        (json!({"aud": null}), Err(Fault::Token(T::WrongAudience))),
        (json!({"aud": "other"}), Err(Fault::Token(T::WrongAudience))),
        (json!({"exp": from_now(-61)}), Err(Fault::Token(T::Expired))),
        (json!({"nbf": from_now(61)}), Err(Fault::Token(T::NotYetValid))),
        (json!({"cnf": {"jkt": "x"}}), Err(Fault::Token(T::BoundToKey))),
        (
            json!({"sub": null}),
            Err(Fault::Identity(doorward_core::identity::IdentityFault::SubjectMissing)),
        ),
        (
            json!({"sub": "service:jobs"}),
            Err(Fault::Identity(doorward_core::identity::IdentityFault::SubjectReserved)),
        ),
    ] {
        let mut answer = good.clone();
        for (name, value) in more.as_object().unwrap() {
            match value {
                Value::Null => drop(answer.as_object_mut().unwrap().remove(name)),
                value => answer[name] = value.clone(),
            }
        }
        let authorizer = asking(&Registry::saying(Ok(answer)));
        assert_eq!(authorized(&authorizer, &get("/").bearer("op_x")), expected, "{more}");
    }
    // Refresh tokens can be asked about, too, and say what they are in many ways.
    for (name, value, reason) in [
        ("typ", "Refresh", Reason::UnsupportedToken),
        ("token_use", "refresh_token", Reason::UnsupportedToken),
        ("token_use", "id", Reason::UnsupportedToken),
        ("token_type", "refresh_token", Reason::UnsupportedToken),
        ("token_type", "id_token", Reason::UnsupportedToken),
        ("token_type", "N_A", Reason::UnsupportedToken),
        ("token_type", "DPoP", Reason::UnsupportedToken),
    ] {
        let mut answer = good.clone();
        answer[name] = json!(value);
        let authorizer = asking(&Registry::saying(Ok(answer)));
        for ask in [get("/").bearer("op_x"), get("/").with_token(json!({}))] {
            let found = authorized(&authorizer, &ask).map_err(Fault::reason);
            assert_eq!(found, Err(reason), "{name} {value}");
        }
    }
    for (name, value) in [
        ("token_use", json!("access")),
        ("token_type", json!("bearer")),
        ("token_type", json!("access_token")),
        ("token_type", json!(null)),
        ("exp", json!(null)),
        ("nbf", json!(null)),
        ("iat", json!(null)),
        ("exp", json!(1_800_000_000.5)),
        ("scope", json!(["a:read"])),
    ] {
        let mut answer = good.clone();
        answer[name] = value;
        let authorizer = asking(&Registry::saying(Ok(answer.clone())));
        assert_eq!(authorized(&authorizer, &get("/").bearer("op_x")), Ok("bob".into()), "{answer}");
    }
}

#[test]
fn what_is_no_token_of_the_issuers_is_asked_of_nobody() {
    for (bearer, fault) in [
        ("service:jobs", T::NotThreeParts),
        ("op_service:jobs", T::NotThreeParts),
        ("other", T::NotThreeParts),
        ("==", T::NotThreeParts),
        ("op_\"x", T::NotThreeParts),
        ("op_=x", T::NotThreeParts),
        ("e30.e30.x!", T::NotBase64Url),
        // A broken JWT is none that only its issuer can read.
        (&*format!("{}=", token(json!({}))), T::NotBase64Url),
        (&*token(json!({})).replacen('.', "=.", 1), T::NotBase64Url),
        (token(json!({})).rsplit_once('.').unwrap().0, T::NotThreeParts),
        (&*format!("{}.e30.x.x.x", encode(br#"{"alg":"dir","enc":"A256GCM"}"#)), T::NotThreeParts),
    ] {
        let registry = Registry::saying(Ok(json!({"sub": "bob", "aud": "my-api"})));
        let found = authorized(&asking(&registry), &get("/").bearer(bearer));
        assert_eq!(found, Err(Fault::Token(fault)), "{bearer}");
        assert_eq!(registry.questions(), 0, "{bearer}");
    }
    let long = format!("op_{}", "x".repeat(16 * 1024));
    let registry = Registry::saying(Ok(json!({})));
    let found = authorized(&asking(&registry), &get("/").bearer(long));
    assert_eq!(found, Err(Fault::Token(T::TooLong)));
    // Nobody has such tokens.
    let found = authorized(&platform(&registry), &get("/").bearer("op_x"));
    assert_eq!((found, registry.questions()), (Err(Fault::Token(T::NotThreeParts)), 0));
}

#[test]
fn of_several_issuers_the_first_with_opaque_tokens_has_them() {
    let registries = [0, 1].map(|n| Registry::saying(Ok(json!({"sub": format!("of-{n}")}))));
    let mut issuers = Issuers::default();
    let any = |name: &str| TokenRules {
        audience: AudienceRule::NotChecked,
        ..TokenRules::new(name, [""])
    };
    issuers.add(any("https://jwts.example"), IdentityRules::default(), Source::empty());
    for (n, registry) in registries.iter().enumerate() {
        let rules = any(&format!("https://{n}.example"));
        let issuer = Issuer::new(rules, IdentityRules::default(), Source::empty());
        issuers.push(issuer.with_status(Arc::clone(registry) as _).with_opaque_tokens(""));
    }
    let authorizer = Authorizer::new(issuers, HeaderRules::default());
    assert_eq!(authorized(&authorizer, &get("/").bearer("x")), Ok("of-0".into()));
    assert_eq!(registries[1].questions(), 0);
}

/// Three parts, or broken base64: an issuer may give out what it likes.
#[test]
fn an_opaque_token_may_have_dots() {
    let registry = Registry::saying(Ok(json!({"sub": "bob", "aud": "my-api"})));
    for bearer in ["op_a.b.c", "op_AAAA.AAAA.AAAA", "op_.", "op_a.b", "op_e30.e30.e30"] {
        let found = authorized(&asking(&registry), &get("/").bearer(bearer));
        assert_eq!(found, Ok("bob".into()), "{bearer}");
    }
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

// -- NeMo Platform's own --

#[test]
fn an_access_key_may_have_no_end_and_is_asked_about() {
    let registry = Registry::saying(Ok(json!({"principal": "alice", "jti": key_id()})));
    let authorizer = platform(&registry);
    let ask = get("/").with_token(access_key(json!({})));
    assert_eq!(authorized(&authorizer, &ask), Ok("alice".into()));
    assert_eq!(registry.questions(), 1);
    for other in [json!({}), json!({"principal": "alice"}), json!({"jti": key_id()})] {
        let authorizer = platform(&Registry::saying(Ok(other.clone())));
        let found = authorized(&authorizer, &ask);
        assert_eq!(found, Err(Fault::Status(S::AboutAnother)), "{other}");
    }
    let later = ask.clone().at(3_000);
    assert_eq!(authorized(&authorizer, &later), Ok("alice".into()));
    assert_eq!(registry.questions(), 2, "an answer does not count for ever");
    registry.say(Err(S::Inactive));
    assert_eq!(authorized(&authorizer, &ask.at(3_500)), Err(Fault::Status(S::Inactive)));
}

#[test]
fn an_access_key_has_what_the_platform_gives_it() {
    let registry = Registry::saying(Ok(json!({"principal": "alice", "jti": key_id()})));
    for (more, fault) in [
        (json!({"exp": from_now(-31)}), T::Expired),
        (json!({"nbf": from_now(31)}), T::NotYetValid),
        (json!({"iat": from_now(31)}), T::IssuedInFuture),
        (json!({"aud": "nemo"}), T::WrongAudience),
        (json!({"iat": null}), T::ClaimMissing("iat")),
        (json!({"nbf": null}), T::ClaimMissing("nbf")),
        (json!({"jti": null}), T::ClaimMissing("jti")),
        (json!({"sub": null}), T::ClaimMissing("sub")),
        (json!({"jti": "ak_1"}), T::NotAKeyId),
        (json!({"jti": format!("ak_{}", "0".repeat(33))}), T::NotAKeyId),
        (json!({"jti": format!("ak_{}", "A".repeat(32))}), T::NotAKeyId),
        (json!({"jti": format!("xx_{}", "0".repeat(32))}), T::NotAKeyId),
        (json!({"jti": 5}), T::NotAKeyId),
        (json!({"exp": 1e30}), T::ExpiryBeyondReason),
    ] {
        let found =
            authorized(&platform(&registry), &get("/").with_token(access_key(more.clone())));
        assert_eq!(found, Err(Fault::Token(fault)), "{more}");
    }
    for more in [json!({"exp": from_now(-29)}), json!({"nbf": from_now(29)})] {
        let ask = get("/").with_token(access_key(more));
        assert_eq!(authorized(&platform(&registry), &ask), Ok("alice".into()));
    }
    let service = get("/").with_token(access_key(json!({"sub": "service:jobs"})));
    assert_eq!(service.denial(&platform(&registry)).reason(), Reason::ReservedIdentity);
}

#[test]
fn the_platforms_other_tokens_need_an_end_and_nobodys_word() {
    let registry = Registry::saying(Err(S::Inactive));
    let workload = |more: Value| {
        let mut token = json!({
            "iss": PLATFORM, "aud": "nemo", "iat": from_now(0), "nbf": from_now(0),
        });
        token.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        get("/").with_token(token)
    };
    let found = authorized(&platform(&registry), &workload(json!({})));
    assert_eq!((found, registry.questions()), (Ok("alice".into()), 0));
    for (more, fault) in [
        (json!({"exp": null}), T::NoExpiry),
        (json!({"iat": null}), T::ClaimMissing("iat")),
        (json!({"nbf": null}), T::ClaimMissing("nbf")),
        (json!({"aud": "keys"}), T::WrongAudience),
    ] {
        let found = authorized(&platform(&registry), &workload(more.clone()));
        assert_eq!(found, Err(Fault::Token(fault)), "{more}");
    }
}

/// Where access keys are off, or nothing else is on.
#[test]
fn a_token_is_not_taken_for_one_of_another_use() {
    for (token_use, more, fault) in [
        (TokenUse::WorkloadAccessToken, json!({"nmp_token_type": "access_key"}), T::WrongUse),
        (TokenUse::AccessKey, json!({}), T::WrongUse),
        (TokenUse::AccessKey, json!({"nmp_token_type": "other"}), T::WrongUse),
    ] {
        let rules = TokenRules { token_use, ..TokenRules::new(ISSUER, ["my-api"]) };
        let authorizer = of(Issuer::new(rules, IdentityRules::default(), Source::of([&signer()])));
        let found = authorized(&authorizer, &get("/").with_token(more.clone()));
        assert_eq!(found, Err(Fault::Token(fault)), "{more}");
    }
    // Of other issuers it is a claim like any.
    for token_use in [TokenUse::OidcAccessToken, TokenUse::WorkloadSubjectToken] {
        let rules = TokenRules { token_use, ..TokenRules::new(ISSUER, ["my-api"]) };
        let authorizer = of(Issuer::new(rules, IdentityRules::default(), Source::of([&signer()])));
        let ask = get("/").with_token(json!({"nmp_token_type": "access_key"}));
        assert_eq!(authorized(&authorizer, &ask), Ok("alice".into()));
    }
    let codes = [
        (TokenUse::OidcAccessToken, "oidc_access_token"),
        (TokenUse::AccessKey, "access_key"),
        (TokenUse::WorkloadAccessToken, "workload_access_token"),
        (TokenUse::WorkloadSubjectToken, "workload_subject_token"),
    ];
    for (token_use, code) in codes {
        assert_eq!(token_use.code(), code);
    }
}
