//! Every reason code, through `Check`.

use serde_json::{Value, json};

use crate::support::check::{Ask, Outcome, get};
use crate::support::doorward::Doorward;
use crate::support::signer::{Curve, RSA, STRANGER, Signer, claims, encode, from_now, jwks};

pub const ISSUER: &str = "https://idp.example";

pub fn config(keys: &Value) -> String {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": keys}},
        "rules": {"bypass": ["/health", "/public/*"]},
    })
    .to_string()
}

pub async fn denied(doorward: &Doorward, ask: Ask, status: i32, reason: &str) -> Outcome {
    let outcome = doorward.ask(ask.clone()).await;
    assert_eq!((outcome.status, outcome.reason.as_str()), (status, reason), "{ask:?}");
    let body: Value = serde_json::from_str(&outcome.body).unwrap();
    assert_eq!(body["reason"], reason);
    assert_eq!(outcome.header("content-type"), Some("application/problem+json"));
    assert!(!format!("{outcome:?}").contains("client_id"));
    for secret in [ISSUER, "nmp", "alice", "rsa-1"] {
        assert!(!outcome.body.contains(secret), "{secret} in {}", outcome.body);
        let challenge = outcome.header("www-authenticate").unwrap_or_default();
        assert!(!challenge.contains(secret), "{secret} in {challenge}");
    }
    outcome
}

#[tokio::test]
async fn a_good_token_is_allowed_with_its_identity() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for round in ["fresh", "cached"] {
        let outcome = doorward.ask(get("/v1/models").bearer(&token)).await;
        assert_eq!((outcome.status, outcome.reason.as_str()), (200, "authenticated"), "{round}");
        assert_eq!(outcome.header("x-nmp-principal-id"), Some("alice"));
        assert_eq!(outcome.header("x-nmp-principal-email"), Some("alice@example.com"));
        assert_eq!(outcome.header("x-nmp-principal-groups"), Some("research,team-b"));
        assert_eq!(outcome.header("x-nmp-scopes"), Some("openid models:read"));
        assert_eq!(outcome.metadata["issuer"], ISSUER);
        assert_eq!(outcome.metadata["principal"], "alice");
    }
}

#[tokio::test]
async fn every_algorithm_verifies() {
    let rsa = &*RSA;
    let (p256, p384) = (Signer::ec("ec-256", Curve::P256), Signer::ec("ec-384", Curve::P384));
    let (p521, ed) = (Signer::ec("ec-521", Curve::P521), Signer::ed("ed"));
    let doorward = Doorward::start_explained(&config(&jwks([rsa, &p256, &p384, &p521, &ed]))).await;
    for (signer, algorithms) in [
        (rsa, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (&p256, &["ES256"]),
        (&p384, &["ES384"]),
        (&p521, &["ES512"]),
        (&ed, &["EdDSA"]),
    ] {
        for algorithm in algorithms {
            let token = signer.token(algorithm, &claims(ISSUER, json!({})));
            let outcome = doorward.ask(get("/").bearer(&token)).await;
            assert_eq!(outcome.reason, "authenticated", "{algorithm}");
            // The last bits of the last character may be padding: change the one before.
            let mut forged = token.clone().into_bytes();
            let at = forged.len() - 2;
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            denied(&doorward, get("/").bearer(&forged), 401, "bad_signature").await;
        }
    }
}

#[tokio::test]
async fn malformed_request() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for path in ["", "*", "admin", "http://host/admin", "?x", "\\admin", " /"] {
        denied(&doorward, get(path).bearer(&token), 400, "malformed_request").await;
    }
    denied(&doorward, get("/").method("").bearer(&token), 400, "malformed_request").await;
    let empty = doorward.checker().await.send(Default::default()).await;
    assert_eq!((empty.status, empty.reason.as_str()), (400, "malformed_request"));
}

#[tokio::test]
async fn missing_token_and_malformed_header() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    let outcome = denied(&doorward, get("/"), 401, "missing_token").await;
    assert_eq!(outcome.header("www-authenticate"), Some("Bearer realm=\"doorward\""));
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        &token,
        &format!("Bearer {token},Bearer {token}"),
        &format!("Bearer {token} {token}"),
        &format!("Bearer {token},"),
        &format!("Bearer={token}"),
    ] {
        let ask = get("/").header("authorization", value);
        let outcome = denied(&doorward, ask, 401, "malformed_header").await;
        assert!(outcome.header("www-authenticate").unwrap().contains("invalid_request"));
    }
    let bearer = format!("Bearer {token}");
    let twice = get("/")
        .raw_header("authorization", bearer.as_bytes())
        .raw_header("authorization", bearer.as_bytes());
    denied(&doorward, twice, 401, "malformed_header").await;
    let once = get("/").raw_header("Authorization", bearer.as_bytes());
    assert_eq!(doorward.ask(once).await.status, 200, "header_map is read too");
}

#[tokio::test]
async fn malformed_token() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    let good = claims(ISSUER, json!({})).to_string();
    let header = r#"{"alg":"RS256","kid":"rsa-1"}"#;
    let raw =
        |header: &str, claims: &str| RSA.raw_token("RS256", header.as_bytes(), claims.as_bytes());
    let whole = raw(header, &good);
    let padded = whole.replacen('.', "=.", 1);
    let deep = format!(r#"{{"iss":"{ISSUER}","a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let long = raw(header, &format!(r#"{{"iss":"{ISSUER}","a":"{}"}}"#, "a".repeat(16 * 1024)));
    for token in [
        "a",
        "a.b",
        "a.b.c.d",
        "....",
        &".".repeat(8000),
        "service:jobs",
        &padded,
        &long,
        &raw("[]", &good),
        // What a derived reader would take for a header, field by field.
        &raw(r#"["RS256","rsa-1"]"#, &good),
        &raw(r#"["RS256","rsa-1","JWT",null]"#, &good),
        &raw(r#"[{"alg":"RS256","kid":"rsa-1"}]"#, &good),
        &raw(r#"{"alg":"RS256","kid":["rsa-1"]}"#, &good),
        &raw(r#"{"alg":["RS256"],"kid":"rsa-1"}"#, &good),
        &raw("5", &good),
        &raw("", &good),
        &raw(header, "[]"),
        &raw(header, "null"),
        &raw(header, "x"),
        &raw(header, ""),
        &raw(header, &deep),
        &raw(r#"{"alg":"RS256","kid":7}"#, &good),
        &raw(r#"{"alg":5}"#, &good),
        &raw("{}", &good),
        &raw(r#"{"alg":"RS256","alg":"RS256"}"#, &good),
        &raw(header, r#"{"iss":"https://idp.example","iss":"https://evil.example"}"#),
        &raw(header, r#"{"sub":"a","\u0073ub":"b"}"#),
        &format!("{}+{}", &whole[..20], &whole[21..]),
    ] {
        denied(&doorward, get("/").bearer(token), 401, "malformed_token").await;
    }
}

#[tokio::test]
async fn unsupported_token() {
    let keys = jwks([&*RSA]);
    let doorward = Doorward::start_explained(&config(&keys)).await;
    let good = claims(ISSUER, json!({}));
    let unsigned =
        format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(good.to_string().as_bytes()));
    denied(&doorward, get("/").bearer(&unsigned), 401, "unsupported_token").await;
    for header in [
        json!({"alg": "HS256", "kid": "rsa-1"}),
        json!({"alg": "none", "kid": "rsa-1"}),
        json!({"alg": "rs256", "kid": "rsa-1"}),
        json!({"alg": "RS256", "kid": "rsa-1", "crit": ["exp"]}),
        json!({"alg": "RS256", "kid": "rsa-1", "crit": null}),
        json!({"alg": "RS256", "kid": "rsa-1", "typ": "dpop+jwt"}),
        json!({"alg": "RS256", "kid": "rsa-1", "typ": "logout+jwt"}),
    ] {
        let token = RSA.token_with(header, &good);
        denied(&doorward, get("/").bearer(&token), 401, "unsupported_token").await;
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt", "Application/JWT"] {
        let token = RSA.token_with(json!({"alg": "RS256", "kid": "rsa-1", "typ": typ}), &good);
        assert_eq!(doorward.ask(get("/").bearer(&token)).await.status, 200, "{typ}");
    }
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": keys, "algorithms": ["RS512"]}},
    });
    let strict = Doorward::start_explained(&config.to_string()).await;
    let token = RSA.token("RS256", &good);
    denied(&strict, get("/").bearer(&token), 401, "unsupported_token").await;
    assert_eq!(strict.ask(get("/").bearer(&RSA.token("RS512", &good))).await.status, 200);
}

#[tokio::test]
async fn unknown_issuer() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    for issuer in [
        json!("https://evil.example"),
        json!("https://idp.example/"),
        json!("https://idp.exampl"),
        json!("https://idp.example.evil"),
        json!("HTTPS://idp.example"),
        json!(""),
        json!(5),
        json!(["https://idp.example"]),
        json!(["https://evil.example", ISSUER]),
        json!({}),
        Value::Null,
    ] {
        let token = RSA.token("RS256", &claims(ISSUER, json!({"iss": issuer})));
        denied(&doorward, get("/").bearer(&token), 401, "unknown_issuer").await;
    }
}

#[tokio::test]
async fn unknown_key_and_bad_signature() {
    let mut bound = RSA.jwk();
    bound["alg"] = json!("RS256");
    let doorward = Doorward::start_explained(&config(&json!({"keys": [bound]}))).await;
    let good = claims(ISSUER, json!({}));
    let other_kid = RSA.token_with(json!({"alg": "RS256", "kid": "rsa-2"}), &good);
    denied(&doorward, get("/").bearer(&other_kid), 401, "unknown_key").await;
    // The key's own `alg` binds.
    denied(&doorward, get("/").bearer(&RSA.token("RS512", &good)), 401, "unknown_key").await;
    denied(&doorward, get("/").bearer(&STRANGER.token("RS256", &good)), 401, "bad_signature").await;
    // A token cannot bring its own key.
    let own = json!({"alg": "RS256", "kid": "rsa-1", "jwk": STRANGER.jwk(), "jku": "https://evil.example"});
    denied(&doorward, get("/").bearer(&STRANGER.token_with(own, &good)), 401, "bad_signature")
        .await;
    let swapped = {
        let (mine, theirs) = (
            RSA.token("RS256", &good),
            RSA.token("RS256", &claims(ISSUER, json!({"sub": "root"}))),
        );
        let parts: Vec<&str> = mine.split('.').collect();
        format!("{}.{}.{}", parts[0], theirs.split('.').nth(1).unwrap(), parts[2])
    };
    denied(&doorward, get("/").bearer(&swapped), 401, "bad_signature").await;
    let no_kid = RSA.token_with(json!({"alg": "RS256"}), &good);
    assert_eq!(doorward.ask(get("/").bearer(&no_kid)).await.status, 200);
}

#[tokio::test]
async fn expired_and_not_yet_valid() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    let ask = |more: Value| get("/").bearer(&RSA.token("RS256", &claims(ISSUER, more)));
    denied(&doorward, ask(json!({"exp": from_now(-61)})), 401, "expired").await;
    denied(&doorward, ask(json!({"exp": 0})), 401, "expired").await;
    denied(&doorward, ask(json!({"exp": -1})), 401, "expired").await;
    assert_eq!(doorward.ask(ask(json!({"exp": from_now(-30)}))).await.status, 200, "leeway");
    denied(&doorward, ask(json!({"nbf": from_now(90)})), 401, "not_yet_valid").await;
    denied(&doorward, ask(json!({"iat": from_now(90)})), 401, "not_yet_valid").await;
    assert_eq!(doorward.ask(ask(json!({"nbf": from_now(30)}))).await.status, 200, "leeway");
    for odd in [Value::Null, json!("9999999999"), json!(true), json!([9_999_999_999_u64])] {
        denied(&doorward, ask(json!({"exp": odd})), 401, "invalid_claim").await;
    }
    denied(&doorward, ask(json!({"nbf": "0"})), 401, "invalid_claim").await;
    denied(&doorward, ask(json!({"iat": "0"})), 401, "invalid_claim").await;
}

#[tokio::test]
async fn bad_audience() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    let ask = |audience: Value| {
        get("/").bearer(&RSA.token("RS256", &claims(ISSUER, json!({"aud": audience}))))
    };
    for odd in [
        json!("other"),
        json!(["other"]),
        json!([]),
        Value::Null,
        json!(5),
        json!({"nmp": 1}),
        json!(["nmp", 5]),
        json!("nmp2"),
        json!("nm"),
        json!("NMP"),
        json!([["nmp"]]),
    ] {
        denied(&doorward, ask(odd), 401, "bad_audience").await;
    }
    assert_eq!(doorward.ask(ask(json!(["other", "nmp"]))).await.status, 200);
}

#[tokio::test]
async fn invalid_claim_and_reserved_identity() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    let ask = |more: Value| get("/").bearer(&RSA.token("RS256", &claims(ISSUER, more)));
    for subject in [
        Value::Null,
        json!(""),
        json!(5),
        json!(["alice"]),
        json!("a b"),
        json!("a\r\nX-Evil: 1"),
        json!("a\u{0}b"),
        json!("al\u{ed}ce"),
        json!("auth0|1"),
        json!("a,b"),
        json!("a".repeat(257)),
    ] {
        denied(&doorward, ask(json!({"sub": subject})), 401, "invalid_claim").await;
    }
    for name in ["service:jobs", "service:", "*", "SERVICE:jobs"] {
        denied(&doorward, ask(json!({"sub": name})), 403, "reserved_identity").await;
        denied(&doorward, ask(json!({"email": name})), 403, "reserved_identity").await;
    }
    let groups = json!({"groups": ["service:jobs", "*", "ok", "a,b", "a\nb", 5]});
    let outcome = doorward.ask(ask(groups)).await;
    assert_eq!(outcome.header("x-nmp-principal-groups"), Some("ok"));
}

#[tokio::test]
async fn keys_unavailable_when_the_issuer_never_answered() {
    // Port 9 (discard) is closed on loopback: connections are refused at once.
    let config = json!({"auth": {"oidc": {
        "issuer": "http://127.0.0.1:9", "client_id": "nmp",
    }}});
    let doorward = Doorward::start_explained(&config.to_string()).await;
    let token = RSA.token("RS256", &claims("http://127.0.0.1:9", json!({})));
    let outcome = doorward.ask(get("/").bearer(&token)).await;
    assert_eq!((outcome.status, outcome.reason.as_str()), (503, "keys_unavailable"));
    assert!(outcome.header("retry-after").is_some());
}

#[tokio::test]
async fn scopes_and_audience_of_a_route() {
    let doorward = Doorward::start_explained(&config(&jwks([&*RSA]))).await;
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let ask = |key: &str, value: &str| get("/").bearer(&token).route(key, value);
    assert_eq!(doorward.ask(ask("doorward.scopes", "models:read models:write")).await.status, 200);
    let outcome =
        denied(&doorward, ask("doorward.scopes", "models:write"), 403, "insufficient_scope").await;
    assert!(outcome.header("www-authenticate").unwrap().contains("scope=\"models:write\""));
    assert_eq!(doorward.ask(ask("doorward.audience", "nmp")).await.status, 200);
    denied(&doorward, ask("doorward.audience", "jobs"), 401, "bad_audience").await;
    for (key, value) in
        [("doorward.mode", "of"), ("doorward.modes", "bypass"), ("doorward.scopes", "")]
    {
        denied(&doorward, ask(key, value), 503, "policy_unavailable").await;
    }
}
