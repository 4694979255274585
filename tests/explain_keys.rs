//! `doorward explain` and keys: fetched, rotated away, unfit, too old, or none at all.

use serde_json::json;

use crate::support::explain::{ISSUER, config, failed, step, told};
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{Curve, RSA, Signer, claims, encode, from_now};

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[test]
fn a_key_that_must_not_be_used_is_said_to_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut unfit = Signer::ec("p-256", Curve::P256).jwk();
    unfit["use"] = json!("enc");
    let keys = json!({"keys": [RSA.jwk(), unfit]});
    let config = config(dir.path(), &json!({"jwks": keys}));
    let token = RSA.token_with(json!({"alg": "ES256", "kid": "p-256"}), &claims(ISSUER, json!({})));
    let (told, _) = told(&config, &[], &token);
    let found = failed(&told)["found"].as_str().unwrap();
    assert!(
        found.contains("is not usable") && found.contains("not meant for signatures"),
        "{found}"
    );
}

#[tokio::test]
async fn keys_are_fetched_and_trouble_with_them_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let live = json!({"issuer": issuer, "jwks": null});
    let config = config(dir.path(), &live);
    let token = RSA.token("RS256", &claims(&issuer, json!({})));
    let ask = |token: &str| {
        let (config, token) = (config.clone(), token.to_owned());
        blocking(move || told(&config, &[], &token))
    };
    let (told, code) = ask(&token).await;
    assert_eq!(code, 0, "{told:#}");
    let found = step(&told, "key_set")["found"].as_str().unwrap();
    assert!(found.contains("openid-configuration") && found.contains("1 key"), "{found}");

    // Rotated away: the published names are told.
    let other = Signer::ec("next", Curve::P256);
    idp.publish([&other]);
    let (told, _) = ask(&token).await;
    assert!(
        failed(&told)["found"].as_str().unwrap().contains("published kids are: next"),
        "{told:#}"
    );

    idp.answer_keys(Answer::Status(500));
    let (told, code) = ask(&token).await;
    assert_eq!(
        (code, &told["reason"], &told["status"]),
        (1, &json!("keys_unavailable"), &json!(503))
    );
    assert!(failed(&told)["found"].as_str().unwrap().contains("500"), "{told:#}");
}

/// A moment after now at which keys obtained now would long be too old: they count as
/// obtained then.
#[tokio::test]
async fn another_moment_does_not_make_keys_old() {
    let dir = tempfile::tempdir().unwrap();
    let idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let config = config(dir.path(), &json!({"issuer": issuer, "jwks": null}));
    let token = RSA.token("RS256", &claims(&issuer, json!({"exp": from_now(90 * 86_400)})));
    let (told, code) = blocking(move || told(&config, &["--at", "+80days"], &token)).await;
    assert_eq!(code, 0, "{told:#}");
}

#[test]
fn an_unsigned_token_passes_only_where_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &json!({}));
    let header = encode(br#"{"alg":"none"}"#);
    let token = format!("{header}.{}.", encode(claims(ISSUER, json!({})).to_string().as_bytes()));
    let (refused, code) = told(&config, &[], &token);
    assert_eq!((code, &failed(&refused)["check"]), (1, &json!("header")), "{refused:#}");
    let local = "http://127.0.0.1:1";
    let config = crate::support::explain::config(dir.path(), &json!({"issuer": local}));
    let token = format!("{header}.{}.", encode(claims(local, json!({})).to_string().as_bytes()));
    let (told, code) = told(&config, &["--set", "auth.allow_unsigned_jwt=true"], &token);
    assert_eq!(code, 0, "{told:#}");
    let signature = step(&told, "signature")["found"].as_str().unwrap();
    assert!(signature.contains("auth.allow_unsigned_jwt"), "{signature}");
}
