//! Keys that prove nothing, keys that cannot be read, keys with and without names, and other
//! names for the same thing.

use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{RSA, Signer, claims, encode, jwks};
use crate::support::{PATIENCE, eventually, http};

const ISSUER: &str = "https://idp.example";

async fn doorward(keys: impl Into<Value>) -> Doorward {
    let oidc = json!({"issuer": ISSUER, "client_id": "nmp", "jwks": keys.into()});
    Doorward::start_explained(&json!({"auth": {"oidc": oidc}}).to_string()).await
}

async fn reason(doorward: &Doorward, token: &str) -> String {
    doorward.ask(get("/").bearer(token)).await.reason
}

/// A token that nobody signed.
fn forged(alg: &str, signature: &[u8]) -> String {
    let header = json!({"alg": alg, "kid": "odd"}).to_string();
    let claims = claims(ISSUER, json!({"sub": "root"})).to_string();
    format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()), encode(signature))
}

/// With R the neutral element and S zero, whatever is signed.
fn forged_for_the_identity_point() -> String {
    let mut signature = [0; 64];
    signature[0] = 1;
    forged("EdDSA", &signature)
}

#[tokio::test]
async fn a_key_that_proves_nothing_is_left_out_and_spoils_no_other() {
    let rsa = |changes: Value| {
        let mut jwk = RSA.jwk();
        jwk["kid"] = json!("odd");
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        jwk.to_string()
    };
    let mut identity = [0; 32];
    identity[0] = 1;
    let identity = json!({"kty": "OKP", "crv": "Ed25519", "kid": "odd", "x": encode(&identity)});
    let of_rsa = || forged("RS256", &[1; 256]);
    for (odd, token) in [
        (identity.to_string(), forged_for_the_identity_point()),
        (rsa(json!({"e": "AQ"})), of_rsa()),
        (rsa(json!({"e": "Ag"})), of_rsa()),
        (rsa(json!({"e": encode(&[0xff; 9])})), of_rsa()),
        (rsa(json!({"e": RSA.jwk()["n"]})), of_rsa()),
        (rsa(json!({"n": encode(&[0xff; 1025])})), of_rsa()),
        (rsa(json!({"x5t": "?"})).replace('?', r"\ud800"), of_rsa()),
        (
            rsa(json!({"x5c": "?"}))
                .replace(r#""?""#, &format!("{}{}", "[".repeat(200), "]".repeat(200))),
            of_rsa(),
        ),
        (rsa(json!({"exp": "?"})).replace(r#""?""#, "1e999"), of_rsa()),
        (rsa(json!({"use": 5})), of_rsa()),
    ] {
        let good = Signer::ed("good");
        let doorward = doorward(format!(r#"{{"keys": [{odd}, {}]}}"#, good.jwk())).await;
        let token_of_good = good.token("EdDSA", &claims(ISSUER, json!({})));
        assert_eq!(reason(&doorward, &token_of_good).await, "authenticated", "{odd}");
        assert_eq!(reason(&doorward, &token).await, "unknown_key", "{odd}");
    }
}

#[tokio::test]
async fn keys_without_a_name_are_tried_for_a_name_that_no_key_has() {
    let unnamed = |signer: &Signer, kid: Value| {
        let mut jwk = signer.jwk();
        jwk["kid"] = kid;
        jwk
    };
    let signers: Vec<_> = (0..9).map(|number| Signer::ed(&format!("made-by-{number}"))).collect();
    let (named, stranger) = (Signer::ed("named"), Signer::ed("named"));
    // An empty name is none, and so is a name that is nothing.
    let names = [json!(""), Value::Null];
    let mut keys: Vec<_> = signers
        .iter()
        .zip(names.iter().cycle())
        .map(|(it, kid)| unnamed(it, kid.clone()))
        .collect();
    keys.push(named.jwk());
    let doorward = doorward(json!({"keys": keys})).await;
    let token = |signer: &Signer| signer.token("EdDSA", &claims(ISSUER, json!({})));
    for signer in &signers[..8] {
        assert_eq!(reason(&doorward, &token(signer)).await, "authenticated");
    }
    assert_eq!(reason(&doorward, &token(&signers[8])).await, "unknown_key", "eight are tried");
    assert_eq!(reason(&doorward, &token(&Signer::ed("x"))).await, "unknown_key");
    // A name that a key has is that key's alone.
    assert_eq!(reason(&doorward, &token(&named)).await, "authenticated");
    assert_eq!(reason(&doorward, &token(&stranger)).await, "bad_signature");
    let of_unnamed =
        signers[0].token_with(json!({"alg": "EdDSA", "kid": "named"}), &claims(ISSUER, json!({})));
    assert_eq!(reason(&doorward, &of_unnamed).await, "bad_signature");
    // A token whose name is empty names none.
    let empty = |signer: &Signer| {
        signer.token_with(json!({"alg": "EdDSA", "kid": ""}), &claims(ISSUER, json!({})))
    };
    assert_eq!(reason(&doorward, &empty(&signers[0])).await, "authenticated");
    assert_eq!(reason(&doorward, &empty(&stranger)).await, "bad_signature");
}

/// Before any fetch: the issuer is not asked.
#[tokio::test]
async fn a_key_without_a_name_costs_no_fetch() {
    let signer = Signer::ed("in-tokens-alone");
    let idp = Idp::start([]).await;
    let mut jwk = signer.jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    idp.answer_keys(Answer::Json(200, json!({"keys": [jwk]})));
    let config = json!({"auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}}});
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    let token = signer.token("EdDSA", &claims(&idp.issuer(), json!({})));
    assert_eq!(reason(&doorward, &token).await, "authenticated");
    assert_eq!(idp.key_requests(), 1);
    // A key that has come since may have the name: the issuer is asked.
    let newcomer = Signer::ed("newcomer");
    idp.answer_keys(Answer::Json(200, json!({"keys": [jwk, newcomer.jwk()]})));
    let token = newcomer.token("EdDSA", &claims(&idp.issuer(), json!({})));
    assert_eq!(reason(&doorward, &token).await, "authenticated");
    assert_eq!(idp.key_requests(), 2);
}

#[tokio::test]
async fn ed25519_is_eddsa_by_another_name() {
    let signer = Signer::ed("k");
    let names = ["EdDSA", "Ed25519"];
    for (of_key, of_config) in [
        (None, None),
        (Some("EdDSA"), Some("Ed25519")),
        (Some("Ed25519"), Some("EdDSA")),
        (Some("Ed25519"), Some("Ed25519")),
    ] {
        let mut jwk = signer.jwk();
        jwk["alg"] = json!(of_key);
        let keys = json!({"keys": [jwk]});
        let mut oidc = json!({"issuer": ISSUER, "client_id": "nmp", "jwks": keys});
        if let Some(name) = of_config {
            oidc["algorithms"] = json!([name]);
        }
        let doorward =
            Doorward::start_explained(&json!({"auth": {"oidc": oidc}}).to_string()).await;
        for of_token in names {
            let token = signer.token(of_token, &claims(ISSUER, json!({})));
            let what = format!("{of_key:?} {of_config:?} {of_token}");
            assert_eq!(reason(&doorward, &token).await, "authenticated", "{what}");
        }
    }
}

#[tokio::test]
async fn what_says_nothing_is_absent_and_spiffe_keys_sign_tokens() {
    for (changes, expected) in [
        (json!({"use": "", "alg": "", "key_ops": []}), "authenticated"),
        (json!({"use": null, "alg": null, "key_ops": null}), "authenticated"),
        (json!({"use": "jwt-svid"}), "authenticated"),
        (json!({"key_ops": ["verify"]}), "authenticated"),
        (json!({"use": "x509-svid"}), "unknown_key"),
        (json!({"use": "enc"}), "unknown_key"),
        (json!({"key_ops": ["encrypt"]}), "unknown_key"),
    ] {
        let (signer, other) = (Signer::ed("k"), Signer::ed("other"));
        let mut jwk = signer.jwk();
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let doorward = doorward(json!({"keys": [jwk, other.jwk()]})).await;
        let token = signer.token("EdDSA", &claims(ISSUER, json!({})));
        assert_eq!(reason(&doorward, &token).await, expected, "{changes}");
    }
}

/// In everything that is read: discovery, a key set by HTTP, one in a file, one in the
/// configuration.
#[tokio::test]
async fn a_byte_order_mark_is_ignored() {
    let idp = Idp::start([&*RSA]).await;
    let marked = |document: &Value| Answer::Text(format!("\u{feff}{document}"));
    idp.answer("/.well-known/openid-configuration", marked(&idp.metadata()));
    idp.answer_keys(marked(&jwks([&*RSA])));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let text = format!("\u{feff}{}", jwks([&*RSA]));
    std::fs::write(&file, &text).unwrap();
    let config = json!({"auth": {
        "oidc": {"issuer": idp.issuer(), "client_id": "nmp"},
        "issuers": [
            {"issuer": "in-a-file", "audience": "nmp", "jwks_file": file},
            {"issuer": "inline", "audience": "nmp", "jwks": text},
        ],
    }});
    let doorward = Doorward::start_explained(&config.to_string()).await;
    for issuer in [&idp.issuer(), "in-a-file", "inline"] {
        let token = RSA.token("RS256", &claims(issuer, json!({})));
        assert_eq!(reason(&doorward, &token).await, "authenticated", "{issuer}");
    }
    eventually("the discovery document is read", PATIENCE, async || {
        let answer = http().get(doorward.http("/apis/auth/discovery")).send().await.unwrap();
        let document: Value = answer.json().await.unwrap();
        (document["oidc"]["token_endpoint"] == idp.url("/token")).then_some(())
    })
    .await;
}
