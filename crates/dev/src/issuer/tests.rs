//! The issuer from outside, with an HTTP client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::*;

struct Visit {
    issuer: DevIssuer,
    /// It stands until it is moved: nothing here waits.
    clock: Arc<AtomicU64>,
    http: reqwest::Client,
}

impl Visit {
    async fn start() -> Self {
        let clock = Arc::new(AtomicU64::new(system_clock()));
        let hand = Arc::clone(&clock);
        // ES256 here: its keys are made in no time. RS256 has a test of its own.
        let options = DevIssuerOptions {
            algorithm: SigningAlgorithm::Es256,
            clock: Arc::new(move || hand.load(Ordering::Relaxed)),
            ..DevIssuerOptions::default()
        };
        let issuer = DevIssuer::start(([127, 0, 0, 1], 0).into(), options).await.unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { issuer, clock, http }
    }

    fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.issuer.issuer_url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let url = format!("{}{path}", self.issuer.issuer_url());
        self.http.post(url).form(form).send().await.unwrap()
    }

    /// The tokens, or the `error` code.
    async fn token(&self, form: &[(&str, &str)]) -> Result<Value, String> {
        let answer = self.post("/token", form).await;
        let ok = answer.status() == StatusCode::OK;
        let body: Value = answer.json().await.unwrap();
        if ok { Ok(body) } else { Err(body["error"].as_str().unwrap().to_owned()) }
    }

    async fn password(&self, name: &str, password: &str) -> Result<Value, String> {
        self.token(&[
            ("grant_type", "password"),
            ("client_id", "doorward"),
            ("username", name),
            ("password", password),
            ("scope", "openid models:read"),
        ])
        .await
    }

    async fn refresh(&self, token: &str) -> Result<Value, String> {
        let form =
            [("grant_type", "refresh_token"), ("client_id", "doorward"), ("refresh_token", token)];
        self.token(&form).await
    }

    /// The claims, if `token` verifies against the key set as published now.
    async fn verify(&self, token: &str) -> Option<Value> {
        let keys: JwkSet = serde_json::from_value(self.get("/keys").await).unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap())?).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[self.issuer.issuer_url()]);
        validation.set_audience(&["doorward"]);
        Some(jsonwebtoken::decode(token, &key, &validation).unwrap().claims)
    }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap()
}

#[tokio::test]
async fn password_grant_gives_a_token_that_verifies() {
    let visit = Visit::start().await;
    let tokens = visit.password("alice", "wonderland").await.unwrap();
    let claims = visit.verify(text(&tokens, "access_token")).await.unwrap();
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["groups"], json!(["research", "team-b"]));
    assert_eq!(claims["scope"], "openid models:read");
    assert_eq!(claims["azp"], "doorward");
    assert!(visit.verify(text(&tokens, "id_token")).await.is_some());

    assert_eq!(visit.password("alice", "builder").await.unwrap_err(), "invalid_grant");
    assert_eq!(visit.password("mallory", "x").await.unwrap_err(), "invalid_grant");
}

#[tokio::test]
async fn client_credentials_need_the_secret() {
    let visit = Visit::start().await;
    let ask = |id, secret| {
        [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)]
    };
    let tokens = visit.token(&ask("robot", "robot-secret")).await.unwrap();
    assert_eq!(visit.verify(text(&tokens, "access_token")).await.unwrap()["sub"], "robot");
    assert!(tokens.get("refresh_token").is_none());
    assert_eq!(visit.token(&ask("robot", "guess")).await.unwrap_err(), "invalid_client");
    assert_eq!(visit.token(&ask("doorward", "")).await.unwrap_err(), "unauthorized_client");

    let url = format!("{}/token", visit.issuer.issuer_url());
    let basic = visit
        .http
        .post(url)
        .basic_auth("robot", Some("robot-secret"))
        .form(&[("grant_type", "client_credentials")]);
    assert_eq!(basic.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn device_flow_from_start_to_token() {
    let visit = Visit::start().await;
    let ask = [("client_id", "doorward"), ("scope", "openid")];
    let device: Value = visit.post("/device_authorization", &ask).await.json().await.unwrap();
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", "doorward"),
        ("device_code", text(&device, "device_code")),
    ];
    assert_eq!(device["interval"], 5);
    assert_eq!(visit.token(&poll).await.unwrap_err(), "authorization_pending");
    visit.pass(4);
    assert_eq!(visit.token(&poll).await.unwrap_err(), "slow_down");
    visit.pass(5);
    assert_eq!(visit.token(&poll).await.unwrap_err(), "slow_down", "the interval is 10 s now");
    visit.pass(15);
    assert_eq!(visit.token(&poll).await.unwrap_err(), "authorization_pending");

    let page = visit.http.get(text(&device, "verification_uri_complete")).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("value=approve"));
    // As people type it: lower case, no dash.
    let user_code = text(&device, "user_code").replace('-', "").to_lowercase();
    let yes = [("user_code", user_code.as_str()), ("user", "bob"), ("answer", "approve")];
    assert_eq!(visit.post("/device", &yes).await.status(), StatusCode::OK);

    let tokens = visit.token(&poll).await.unwrap();
    assert_eq!(visit.verify(text(&tokens, "access_token")).await.unwrap()["sub"], "bob");
    assert_eq!(visit.token(&poll).await.unwrap_err(), "invalid_grant", "good for one use");
}

#[tokio::test]
async fn device_flow_refused_and_forgotten() {
    let visit = Visit::start().await;
    for (answer, wait, outcome) in [("deny", 0, "access_denied"), ("", 600, "expired_token")] {
        let ask = [("client_id", "doorward")];
        let device: Value = visit.post("/device_authorization", &ask).await.json().await.unwrap();
        if !answer.is_empty() {
            let code = text(&device, "user_code");
            let no = [("user_code", code), ("user", "bob"), ("answer", answer)];
            visit.post("/device", &no).await;
        }
        visit.pass(wait);
        let poll = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", "doorward"),
            ("device_code", text(&device, "device_code")),
        ];
        assert_eq!(visit.token(&poll).await.unwrap_err(), outcome);
    }
}

const CALLBACK: &str = "http://127.0.0.1:9/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What the redirect says after alice answered; or the page's status.
async fn authorize(
    visit: &Visit,
    change: (&str, &str),
    answer: &str,
) -> Result<HashMap<String, String>, StatusCode> {
    let mut query = HashMap::from([
        ("response_type", "code"),
        ("client_id", "doorward"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("state", "a&b"),
        ("nonce", "n-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    query.insert(change.0, change.1);
    let base = format!("{}/authorize", visit.issuer.issuer_url());
    let url = Url::parse_with_params(&base, &query).unwrap();
    let form = [("user", "alice"), ("answer", answer)];
    let response = visit.http.post(url).form(&form).send().await.unwrap();
    if response.status() != StatusCode::SEE_OTHER {
        return Err(response.status());
    }
    let target = Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
    assert!(target.as_str().starts_with(CALLBACK));
    Ok(target.query_pairs().into_owned().collect())
}

#[tokio::test]
async fn code_flow_with_pkce() {
    let visit = Visit::start().await;
    let back = authorize(&visit, ("scope", "openid"), "approve").await.unwrap();
    assert_eq!(back["state"], "a&b");
    assert_eq!(back["iss"], visit.issuer.issuer_url());
    let redeem = |verifier| {
        [
            ("grant_type", "authorization_code"),
            ("client_id", "doorward"),
            ("code", back["code"].as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ]
    };
    let tokens = visit.token(&redeem(VERIFIER)).await.unwrap();
    assert_eq!(visit.verify(text(&tokens, "id_token")).await.unwrap()["nonce"], "n-1");

    // A second use is a theft: what the first one obtained is revoked.
    assert_eq!(visit.token(&redeem(VERIFIER)).await.unwrap_err(), "invalid_grant");
    let refresh = text(&tokens, "refresh_token");
    assert_eq!(visit.refresh(refresh).await.unwrap_err(), "invalid_grant");
}

#[tokio::test]
async fn code_flow_refuses_what_it_should() {
    let visit = Visit::start().await;
    let back = authorize(&visit, ("scope", "openid"), "approve").await.unwrap();
    let wrong = [
        ("grant_type", "authorization_code"),
        ("client_id", "doorward"),
        ("code", back["code"].as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", "guess"),
    ];
    assert_eq!(visit.token(&wrong).await.unwrap_err(), "invalid_grant");

    let error =
        async |change, answer| authorize(&visit, change, answer).await.unwrap()["error"].clone();
    assert_eq!(error(("scope", "openid"), "deny").await, "access_denied");
    assert_eq!(error(("code_challenge_method", "plain"), "approve").await, "invalid_request");
    assert_eq!(error(("response_type", "token"), "approve").await, "invalid_request");

    // No redirect to anywhere else, whatever is asked.
    for target in ["https://evil.example/", "http://127.0.0.1@evil.example/", "javascript:alert(1)"]
    {
        let told = authorize(&visit, ("redirect_uri", target), "approve").await;
        assert_eq!(told.unwrap_err(), StatusCode::BAD_REQUEST, "{target}");
    }
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_stolen_one_ends_the_login() {
    let visit = Visit::start().await;
    let first = visit.password("alice", "wonderland").await.unwrap();
    let old = text(&first, "refresh_token");
    let second = visit.refresh(old).await.unwrap();
    let new = text(&second, "refresh_token");
    assert_ne!(old, new);
    assert_eq!(second["scope"], "openid models:read");
    assert_eq!(visit.refresh(old).await.unwrap_err(), "invalid_grant");
    assert_eq!(visit.refresh(new).await.unwrap_err(), "invalid_grant", "its family is gone");
}

#[tokio::test]
async fn revoked_tokens_are_refused() {
    let visit = Visit::start().await;
    let tokens = visit.password("alice", "wonderland").await.unwrap();
    let access = text(&tokens, "access_token");
    let userinfo = async || {
        let url = format!("{}/userinfo", visit.issuer.issuer_url());
        visit.http.get(url).bearer_auth(access).send().await.unwrap()
    };
    let info: Value = userinfo().await.json().await.unwrap();
    assert_eq!(info["email"], "alice@example.com");

    for token in [access, text(&tokens, "refresh_token"), "never-seen"] {
        let answer = visit.post("/revoke", &[("client_id", "doorward"), ("token", token)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(userinfo().await.status(), StatusCode::UNAUTHORIZED);
    let refresh = text(&tokens, "refresh_token");
    assert_eq!(visit.refresh(refresh).await.unwrap_err(), "invalid_grant");
}

#[tokio::test]
async fn rotation_changes_the_key_set() {
    let visit = Visit::start().await;
    let before = visit.issuer.mint("alice", json!({})).unwrap();
    assert!(visit.verify(&before).await.is_some());

    let kid = visit.issuer.rotate(PreviousKey::Keep).await.unwrap();
    assert_eq!(kid, visit.issuer.current_kid());
    assert!(visit.verify(&before).await.is_some(), "kept");

    let rotated: Value = visit.post("/dev/rotate?alg=RS256", &[]).await.json().await.unwrap();
    let keys = visit.get("/keys").await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0]["kid"], rotated["kid"]);
    assert_eq!(keys["keys"][0]["alg"], "RS256");
    assert!(visit.verify(&before).await.is_none(), "withdrawn");

    let after = visit.issuer.mint("alice", json!({})).unwrap();
    assert_eq!(jsonwebtoken::decode_header(&after).unwrap().alg, Algorithm::RS256);
    assert!(visit.verify(&after).await.is_some());
}

#[tokio::test]
async fn minted_claims_replace_and_remove() {
    let visit = Visit::start().await;
    let extra = json!({"groups": "a,b", "email": null, "tid": "t"});
    let claims = visit.verify(&visit.issuer.mint("carol", extra).unwrap()).await.unwrap();
    assert_eq!(claims["sub"], "carol");
    assert_eq!(claims["groups"], "a,b");
    assert_eq!(claims["tid"], "t");
    assert!(claims.get("email").is_none());
    assert!(visit.issuer.mint("carol", json!([])).is_err());
}

#[tokio::test]
async fn discovery_names_endpoints_that_exist() {
    let visit = Visit::start().await;
    let document = visit.get("/.well-known/openid-configuration").await;
    assert_eq!(text(&document, "issuer"), visit.issuer.issuer_url());
    for (name, value) in document.as_object().unwrap() {
        if name.ends_with("_endpoint") || name == "jwks_uri" {
            let answer = visit.http.get(value.as_str().unwrap()).send().await.unwrap();
            assert_ne!(answer.status(), StatusCode::NOT_FOUND, "{name}");
        }
    }
}

#[tokio::test]
async fn listens_on_loopback_only_and_stops_when_told() {
    let options =
        || DevIssuerOptions { algorithm: SigningAlgorithm::Es256, ..DevIssuerOptions::default() };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = DevIssuer::start(address.parse().unwrap(), options()).await.unwrap_err();
        assert!(refused.to_string().contains("loopback only"), "{refused}");
    }

    let mut issuer = DevIssuer::start(([127, 0, 0, 1], 0).into(), options()).await.unwrap();
    let connect = async |issuer: &DevIssuer| {
        let address = issuer.issuer_url().strip_prefix("http://").unwrap();
        tokio::net::TcpStream::connect(address).await.is_ok()
    };
    assert!(connect(&issuer).await);
    issuer.stop().await;
    assert!(!connect(&issuer).await);
    issuer.restart().await.unwrap();
    assert!(connect(&issuer).await);
}
