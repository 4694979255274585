//! What NeMo Platform issues itself: access keys, and tokens for workloads.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::Authorizer;
use doorward_core::decision::{Fault, Reason};
use doorward_core::identity::IdentityRules;
use doorward_core::issuers::Issuer;
use doorward_core::status::StatusFault as S;
use doorward_core::token::{TokenFault as T, TokenRules, TokenUse};
use serde_json::{Value, json};

use crate::support::registry::{Registry, WAIT, of};
use crate::support::{Ask, ISSUER, Source, from_now, get, signer};

const PLATFORM: &str = "https://nemo.example/apis/auth";

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
