//! Tokens that only their issuer can read: what it says is held against the rules of its others.

use std::sync::Arc;

use doorward_core::Authorizer;
use doorward_core::decision::{Fault, Reason};
use doorward_core::identity::{HeaderRules, IdentityRules};
use doorward_core::issuers::{Issuer, Issuers};
use doorward_core::status::StatusFault as S;
use doorward_core::token::{AudienceRule, TokenFault as T, TokenRules};
use serde_json::{Value, json};

use crate::support::registry::{Registry, WAIT, asking, of};
use crate::support::{Ask, ISSUER, Source, encode, from_now, get, signer, token};

fn authorized(authorizer: &Authorizer, ask: &Ask) -> Result<String, Fault> {
    ask.authorized(authorizer, WAIT)
}

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
        (json!({"iss": [ISSUER]}), Err(Fault::Token(T::UnknownIssuer))),
        (json!({"iss": 5}), Err(Fault::Token(T::UnknownIssuer))),
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
        (&*format!("/{}", token(json!({}))), T::NotBase64Url),
        (&*format!(".{}", token(json!({}))), T::NotThreeParts),
        (&*format!("{}.e30.x=", encode("\u{feff} {\"enc\":1}")), T::NotBase64Url),
        (&*format!("{}.e30.x=", encode("[\"alg\"]")), T::NotBase64Url),
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
    let rules = TokenRules::new(ISSUER, ["my-api"]);
    let none = of(Issuer::new(rules, IdentityRules::default(), Source::of([&signer()])));
    let found = authorized(&none, &get("/").bearer("op_x"));
    assert_eq!((found, registry.questions()), (Err(Fault::Token(T::NotThreeParts)), 0));
}

/// What is wrong with a JWT is not to be got around by breaking it, nor is it to be told to whoever
/// knows opaque tokens. With a character that no JWT has, in either alphabet, padded or not.
#[test]
fn a_broken_jwt_is_asked_of_nobody() {
    let rules = TokenRules::new(ISSUER, ["my-api"]);
    for (bearer, questions) in [
        // `>>>???` is `-` and `_` in the one alphabet, `+` and `/` in the other.
        (format!("{}.x.y~", encode(br#"{"x":">>>???"}"#)), 0),
        (format!("{}.x.y~", encode(br#"{"x":">>>???"}"#).replace('-', "+").replace('_', "/")), 0),
        (format!("{}=.x.y~", encode(br#"{"a":1}"#)), 0),
        (format!("-{}.x.y~", encode(br#"{"a":12}"#)), 0),
        (format!("{}.x.y~", encode(b" [1]")), 0),
        (format!("{}.x.y~", encode(b"x{}")), 1),
        ("x~y".to_owned(), 1),
    ] {
        let registry = Registry::saying(Ok(json!({"sub": "bob", "aud": "my-api"})));
        let issuer = Issuer::new(rules.clone(), IdentityRules::default(), Source::empty());
        let issuer = issuer.with_status(Arc::clone(&registry) as _).with_opaque_tokens("");
        let _ = authorized(&of(issuer), &get("/").bearer(bearer.clone()));
        assert_eq!(registry.questions(), questions, "{bearer}");
    }
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
