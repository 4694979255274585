//! A policy is asked after everything else; what it says counts, and what is ours stays ours.

use std::future::{pending, ready as at_once};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_core::authorizer::{Authorizer, Outcome};
use doorward_core::decision::{Decision, Denial, Fault, Reason};
use doorward_core::policy::{
    Consulted, Inquiry, Policy, PolicyAnswer, PolicyFault, PolicyQuestion, Said, Verdict,
};
use doorward_core::request::RequestFault;
use doorward_core::rules::{PathRule, Rules};
use doorward_core::token_cache::TokenCache;
use serde_json::{Map, json};

use crate::support::{Ask, ISSUER, NOW, Setup, Source, get, ready, signer, snapshot};

const WAIT: Duration = Duration::from_millis(300);

/// Answers as it is told, and notes what it is asked.
struct Fake {
    answer: Box<dyn Fn() -> Consulted + Send + Sync>,
    asked: Mutex<Vec<String>>,
}

impl Policy for Fake {
    fn consult(&self, question: &PolicyQuestion<'_>) -> Consulted {
        self.asked.lock().unwrap().push(told(question));
        (self.answer)()
    }

    fn reasons(&self, question: &PolicyQuestion<'_>) -> Vec<String> {
        vec![told(question)]
    }
}

/// What a question says: who, by whose word, when, and where to.
fn told(question: &PolicyQuestion<'_>) -> String {
    let identity = question.identity().map(|verified| verified.identity().principal());
    assert_eq!(question.now(), NOW);
    assert_eq!(question.issuer(), identity.map(|_| ISSUER));
    let paths: Vec<_> = question.paths().collect();
    format!("{} {}", identity.unwrap_or("nobody"), paths.join(" "))
}

fn answering(answer: impl Fn() -> Consulted + Send + Sync + 'static) -> Arc<Fake> {
    Arc::new(Fake { answer: Box::new(answer), asked: Mutex::default() })
}

fn saying(answer: PolicyAnswer) -> Arc<Fake> {
    answering(move || Consulted::Answered(answer.clone()))
}

fn later(answer: PolicyAnswer) -> Arc<Fake> {
    answering(move || {
        let answer = answer.clone();
        Consulted::Later(Inquiry::new(|_| at_once(answer)))
    })
}

impl Fake {
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// The setup of most tests, with paths that are let through.
fn asking(policy: &Arc<Fake>) -> Authorizer {
    let open: PathRule = "/open/*".parse().unwrap();
    let paths = Rules::new(vec![open]).with_preflights(true);
    Setup { paths, ..Setup::new() }.authorizer().with_policy(Arc::clone(policy) as _)
}

fn settled(authorizer: &Authorizer, ask: &Ask) -> Decision {
    ask.view(|request, now| ready(authorizer.authorize(request, now, WAIT)))
}

fn settled_denial(authorizer: &Authorizer, ask: &Ask) -> Denial {
    let Decision::Deny(denial) = settled(authorizer, ask) else { panic!("{ask:?} is allowed") };
    denial
}

fn header(name: &str, value: &str) -> (Box<str>, Box<str>) {
    (name.into(), value.into())
}

fn allowing(headers: &[(&str, &str)], remove: &[&str]) -> Arc<Fake> {
    let headers = headers.iter().map(|(name, value)| header(name, value)).collect();
    let remove = remove.iter().map(|name| (*name).into()).collect();
    saying(Ok(Verdict::allow().saying(Said { headers, remove, ..Said::default() }).unwrap()))
}

#[test]
fn nobody_asks_about_what_is_let_through() {
    let policy = saying(Ok(Verdict::deny()));
    let authorizer = asking(&policy);
    let preflight = get("/x").method("OPTIONS").header("origin", "https://a.example");
    for ask in [
        get("/open/a"),
        get("/open/a").with_token(json!({})),
        get("/x").route("doorward.mode", "bypass"),
        preflight.header("access-control-request-method", "PUT"),
    ] {
        let allowed = ask.allowed(&authorizer);
        assert_eq!(allowed.code, "bypassed");
        assert_eq!(allowed.header("x-nmp-authorized"), "");
    }
    assert_eq!(get("/x").allowed(&authorizer.without_authentication()).code, "auth_disabled");
    assert_eq!(policy.asked(), [""; 0]);
}

#[test]
fn whoever_shows_a_token_or_might_have_is_asked_about() {
    let policy = saying(Ok(Verdict::allow()));
    let authorizer = asking(&policy);
    let anonymous = get("/a?b=c").route("doorward.mode", "optional").allowed(&authorizer);
    assert_eq!((anonymous.code, anonymous.header("x-nmp-authorized")), ("anonymous", "true"));
    let identified = get("/a;v=1/b").with_token(json!({})).allowed(&authorizer);
    assert_eq!(identified.header("x-nmp-authorized"), "true");
    assert_eq!(policy.asked(), ["nobody /a", "alice /a;v=1/b /a/b"]);
    // Not before everything else is in order.
    let scopes = |scope: &str| {
        get("/a").with_token(json!({"scope": scope})).route("doorward.scopes", "a:read")
    };
    for ask in [get("/a"), get("/a").with_token(json!({"exp": 1})), scopes("b:read")] {
        assert_ne!(ask.denial(&authorizer).reason(), Reason::PolicyDenied);
    }
    assert_eq!(policy.asked(), [""; 0]);
    assert_eq!(scopes("a:read").allowed(&authorizer).principal(), "alice");
    assert_eq!(policy.asked(), ["alice /a"]);
}

/// What is remembered of a token is who it speaks of, and never what a policy said.
#[test]
fn every_request_is_asked_about() {
    let policy = saying(Ok(Verdict::allow()));
    let cache = TokenCache::new(NonZeroU64::MIN, 1 << 20, Arc::default()).unwrap();
    let authorizer = asking(&policy).with_cache(cache);
    let ask = get("/a").with_token(json!({}));
    assert!(ask.allowed(&authorizer).fresh);
    assert!(!ask.allowed(&authorizer).fresh);
    assert_eq!(policy.asked().len(), 2);
}

#[test]
fn an_answer_that_takes_time_is_waited_for() {
    let policy = later(Ok(Verdict::allow()));
    let authorizer = asking(&policy);
    let ask = get("/a").with_token(json!({}));
    let Decision::Allow(approval) = settled(&authorizer, &ask) else { panic!() };
    assert!(approval.is_authorized());
    assert_eq!(policy.asked(), ["alice /a"], "once");
    // Where nobody can wait there is no answer.
    assert_eq!(ask.fault(&authorizer), Fault::Policy(PolicyFault::NoAnswer));

    let denied = settled_denial(&asking(&later(Ok(Verdict::deny()))), &ask);
    assert_eq!(denied.fault, Fault::Policy(PolicyFault::Denied));
    let failed = settled_denial(&asking(&later(Err(PolicyFault::Undefined))), &ask);
    assert_eq!(failed.fault, Fault::Policy(PolicyFault::Undefined));
}

#[test]
fn the_policy_knows_how_long_it_may_take() {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let policy = answering({
        let waits = Arc::clone(&waits);
        move || {
            let waits = Arc::clone(&waits);
            Consulted::Later(Inquiry::new(move |wait| {
                waits.lock().unwrap().push(wait);
                at_once(Ok(Verdict::allow()))
            }))
        }
    });
    settled(&asking(&policy), &get("/a").with_token(json!({})));
    assert_eq!(*waits.lock().unwrap(), [WAIT]);
}

/// The answer is about a token that was verified: it is not verified again.
#[test]
fn a_token_is_verified_once_when_the_answer_comes_later() {
    let source = Source::of([&signer()]);
    let policy = later(Ok(Verdict::allow()));
    let authorizer =
        Setup::new().with_keys(Arc::clone(&source) as _).with_policy(Arc::clone(&policy) as _);
    let ask = get("/a").with_token(json!({}));
    ask.view(|request, now| {
        let Outcome::Needs(needs) = authorizer.decide(request, now) else { panic!() };
        assert!(needs.issuer().is_none());
        source.publish(snapshot([]));
        let Ok(attempt) = ready(needs.obtain(WAIT)) else { panic!() };
        let outcome = authorizer.decide_again(request, now, attempt);
        assert!(matches!(outcome, Outcome::Decided(Decision::Allow(_))));
    });
    assert_eq!(policy.asked().len(), 1);
    assert!(matches!(ask.fault(&authorizer), Fault::Token(_)), "the key is gone");
}

#[test]
fn what_a_policy_sets_and_takes_away() {
    let policy = allowing(
        &[("x-team", "red"), ("x-twice", "1"), ("x-twice", "2"), ("x-both", "set")],
        &["cookie", "x-both", "x-gone"],
    );
    let ask = get("/a").with_token(json!({})).header("X-Team", "forged").header("Cookie", "a=b");
    let allowed = ask.allowed(&asking(&policy));
    let of_policy = ["x-both", "x-team", "x-twice"].map(|name| allowed.header(name));
    assert_eq!(of_policy, ["set", "red", "2"]);
    assert_eq!(allowed.header("x-nmp-authorized"), "true");
    let is_removed = |name: &str| allowed.removed.iter().any(|removed| removed == name);
    assert!(is_removed("cookie") && is_removed("x-gone"));
    assert!(!is_removed("x-both"), "a name is never both set and removed");
    let names = allowed.set.keys().filter(|name| is_removed(name));
    assert_eq!(names.count(), 0);
}

/// Headers that the upstream believes are not a policy's, in no spelling.
#[test]
fn no_policy_decides_a_protected_header() {
    let names = [
        "x-nmp-principal-id",
        "x-nmp-principal-email",
        "x-nmp-authorized",
        "x-nmp-anything",
        "x_nmp_principal_id",
        "x.nmp.principal.id",
        "x--nmp--principal-id",
        "x-nmp_internal",
    ];
    let set: Vec<_> = names.iter().map(|name| (*name, "service:jobs")).collect();
    let plain = saying(Ok(Verdict::allow()));
    for ask in [
        get("/a").with_token(json!({})),
        get("/a").route("doorward.mode", "optional"),
        names.iter().fold(get("/a").with_token(json!({})), |ask, name| ask.header(name, "forged")),
    ] {
        let without = ask.allowed(&asking(&plain));
        for policy in [allowing(&set, &[]), allowing(&[], &names), allowing(&set, &names)] {
            let with = ask.allowed(&asking(&policy));
            assert_eq!(with.set, without.set, "{ask:?}");
            assert_eq!(with.removed, without.removed, "{ask:?}");
        }
    }
}

#[test]
fn a_denial_says_what_the_policy_says() {
    let said = Said {
        headers: vec![header("location", "https://idp.example/login")],
        remove: vec!["x-gone".into()],
        status: Some(302),
        body: Some("log in".into()),
        metadata: Map::from_iter([("rule".to_owned(), json!(7))]),
    };
    let verdict = Verdict::deny().saying(said.clone()).unwrap();
    for policy in [saying(Ok(verdict.clone())), later(Ok(verdict.clone()))] {
        let authorizer = asking(&policy);
        let denial = settled_denial(&authorizer, &get("/a").with_token(json!({})));
        assert_eq!(denial.reason(), Reason::PolicyDenied);
        assert_eq!(denial.said.as_deref(), Some(&said));
        let identity = denial.identity.unwrap();
        assert_eq!(identity.identity().principal(), "alice");
        assert_eq!(denial.issuer, Some(identity.issuer()));
        let anonymous = get("/a").route("doorward.mode", "optional");
        let denial = settled_denial(&authorizer, &anonymous);
        assert_eq!(denial.reason(), Reason::PolicyDenied);
        assert_eq!(denial.said.as_deref(), Some(&said));
        assert!(denial.identity.is_none() && denial.issuer.is_none());
    }
}

#[test]
fn no_answer_is_not_a_no() {
    use PolicyFault as P;
    for fault in [
        P::NotLoaded,
        P::NoAnswer,
        P::TookTooLong,
        P::Failed,
        P::Undefined,
        P::NotAVerdict,
        P::UnfitVerdict,
        P::Crowded,
    ] {
        let denial = get("/a").with_token(json!({})).denial(&asking(&saying(Err(fault))));
        assert_eq!(denial.fault, Fault::Policy(fault));
        assert_eq!(denial.reason(), Reason::PolicyUnavailable);
        assert!(denial.said.is_none() && denial.identity.is_some());
    }
}

/// What may be another path to others is nothing that a policy could speak of.
#[test]
fn a_path_that_can_be_read_in_two_ways_is_not_asked_about() {
    let policy = saying(Ok(Verdict::allow()));
    let authorizer = asking(&policy);
    for path in ["/%61dmin", "/a%2db", "/a//b", "/a/../b", "/a%2fb", "/a%3Bb", "/a\\b", "/a./b"] {
        let ask = get(path).with_token(json!({}));
        assert_eq!(ask.allowed(&Setup::new().authorizer()).code, "authenticated");
        let denial = ask.denial(&authorizer);
        assert_eq!(denial.fault, Fault::Policy(PolicyFault::AmbiguousPath), "{path}");
        assert_eq!(denial.reason(), Reason::MalformedRequest);
        let reasons = ask.view(|request, now| authorizer.policy_reasons(request, None, now));
        assert_eq!(reasons, [PolicyFault::AmbiguousPath.to_string()]);
    }
    assert_eq!(policy.asked(), [""; 0]);
    for path in ["/%7Ealice", "/a%20b", "/%C3%A9"] {
        assert_eq!(get(path).with_token(json!({})).allowed(&authorizer).code, "authenticated");
    }
}

/// Where an encoded slash may be, both readings are told.
#[test]
fn an_encoded_slash_is_read_in_both_ways() {
    let policy = saying(Ok(Verdict::allow()));
    let paths = Rules::default().with_encoded_slashes(vec!["/hf/".parse().unwrap()]);
    let setup = Setup { paths, ..Setup::new() };
    let authorizer = setup.authorizer().with_policy(Arc::clone(&policy) as _);
    get("/hf/refs%2Fpr").with_token(json!({})).allowed(&authorizer);
    assert_eq!(policy.asked(), ["alice /hf/refs%EF%BF%BDpr /hf/refs/pr"]);
}

#[test]
fn a_panic_is_a_denial() {
    let at_once = answering(|| panic!("at once"));
    let denial = get("/a").with_token(json!({})).denial(&asking(&at_once));
    assert_eq!(denial.fault, Fault::Internal);
    let in_work = |begin: fn() -> bool| {
        answering(move || {
            Consulted::Later(Inquiry::new(move |_| {
                let panics_later = begin();
                async move { if panics_later { panic!("later") } else { pending().await } }
            }))
        })
    };
    for policy in [in_work(|| true), in_work(|| panic!("when it begins"))] {
        let denial = settled_denial(&asking(&policy), &get("/a").with_token(json!({})));
        assert_eq!(denial.fault, Fault::Policy(PolicyFault::Failed));
    }
}

/// What a policy adds counts among what an answer can carry.
#[test]
fn too_much_to_say_is_a_denial() {
    let value = "x".repeat(15_000);
    let policy = allowing(&[("x-long", &value)], &[]);
    let forged = |count: usize| {
        let names = (0..count).map(|at| format!("x-nmp-{at}-{}", "y".repeat(1000)));
        names.fold(get("/a").with_token(json!({})), |ask, name| ask.header(&name, "1"))
    };
    let authorizer = asking(&policy);
    assert_eq!(forged(30).allowed(&authorizer).header("x-long").len(), 15_000);
    let fault = Fault::Request(RequestFault::TooMuchToChange);
    assert_eq!(forged(45).fault(&authorizer), fault);
    assert_eq!(forged(45).allowed(&Setup::new().authorizer()).code, "authenticated");
}

#[test]
fn people_are_told_what_a_policy_goes_by() {
    let authorizer = asking(&saying(Ok(Verdict::deny())));
    let ask = get("/a");
    let reasons = |authorizer: &Authorizer| {
        ask.view(|request, now| authorizer.policy_reasons(request, None, now))
    };
    assert_eq!(reasons(&authorizer), ["nobody /a"]);
    assert_eq!(reasons(&Setup::new().authorizer()), [""; 0]);
    assert!(authorizer.policy().is_some() && Setup::new().authorizer().policy().is_none());
}
