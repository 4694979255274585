//! `doorward doctor` and providers that are none, or only in part: each fault by a fake.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doctor::{doctor, examine, oidc, text};
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{RSA, claims, encode, from_now, jwks};
use crate::support::tls::{Asked, TlsServer};

/// What is not a provider at all is said to be what it is, in bounded time.
#[tokio::test]
async fn an_issuer_that_answers_anything() {
    let mut idp = Idp::start([&*RSA]).await;
    let document = "/.well-known/openid-configuration";
    let config = || {
        let mut config = oidc(json!({"issuer": idp.issuer(), "client_id": "nmp"}));
        config["keys"] = json!({"timeout": "300ms"});
        config
    };
    let metadata = |more: Value| {
        let issuer = idp.issuer();
        let mut metadata = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
            "token_endpoint": format!("{issuer}/token"),
            "device_authorization_endpoint": format!("{issuer}/nowhere"),
        });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Answer::Json(200, metadata)
    };
    for (answer, fault, part) in [
        (Answer::Hang, "fail discovery", "no complete answer within 300ms"),
        (Answer::Status(404), "fail discovery", "status 404"),
        (Answer::Status(302), "fail discovery", "status 302"),
        (Answer::Status(503), "fail discovery", "status 503"),
        (Answer::Text("<html>Sign in</html>".into()), "fail discovery", "an HTML page"),
        (Answer::Text("oops".into()), "fail discovery", "not JSON"),
        (Answer::Text("x".repeat(1024 * 1024 + 1)), "fail discovery", "larger than 1 MiB"),
        (Answer::Json(200, json!([])), "fail discovery", "not a JSON object"),
        (Answer::Json(200, json!({"issuer": idp.issuer()})), "fail discovery", "no `jwks_uri`"),
    ] {
        idp.answer(document, answer);
        let said = examine(&config(), None).await;
        assert_eq!(said.faults(), [fault], "{:#}", said.report);
        let found = text(&said.finding("discovery")["found"]);
        assert!(found.contains(part), "{part}: {found}");
        assert_eq!(said.code, 1);
    }
    // A device endpoint that is not there: the document's word for it is not enough.
    idp.answer(document, metadata(json!({})));
    let said = examine(&config(), None).await;
    said.assert_only("fail device_grant", "device_code");
    assert!(text(&said.finding("device_grant")["found"]).contains("status 404"));
    // Without a client there is nobody to ask it for.
    let mut without = config();
    without["auth"]["oidc"] = json!({"issuer": idp.issuer(), "audience": "nmp"});
    examine(&without, None).await.assert_well();

    // Keys: none, broken ones, one that is a published secret, one that proves nothing.
    let changed = |key: &str, value: Value| {
        let mut jwk = RSA.jwk();
        jwk[key] = value;
        jwk
    };
    let without_kid = changed("kid", Value::Null);
    let exponent_1 = changed("e", json!("AQ"));
    let nothing = encode(&[0; 32]);
    idp.answer_keys(Answer::Status(500));
    assert_eq!(examine(&without, None).await.faults(), ["fail jwks_endpoint"]);
    for (keys, faults) in [
        (json!({"keys": []}), vec!["fail key_set"]),
        (json!({"nope": 1}), vec!["fail key_set"]),
        (json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), vec!["fail key_set"]),
        (
            json!({"keys": [RSA.jwk(), {"kty": "oct", "k": "c2VjcmV0", "kid": "hs"}]}),
            vec!["fail unusable_key"],
        ),
        (
            json!({"keys": [RSA.jwk(), {"kty": "RSA", "kid": "b", "n": "AQ", "e": "AQAB"}]}),
            vec!["warn unusable_key"],
        ),
        (json!({"keys": [RSA.jwk(), RSA.jwk()]}), vec!["warn key_ids"]),
        (json!({"keys": [RSA.jwk(), without_kid]}), vec!["warn key_ids"]),
        (
            json!({"keys": [RSA.jwk(), {"kty": "OKP", "crv": "Ed25519", "kid": "o", "x": nothing}]}),
            vec!["fail unusable_key"],
        ),
        (json!({"keys": [RSA.jwk(), exponent_1]}), vec!["warn unusable_key"]),
        (json!({"keys": [RSA.jwk(), {"kty": "RSA", "use": "enc", "kid": "e"}]}), vec![]),
    ] {
        idp.answer_keys(Answer::Json(200, keys.clone()));
        assert_eq!(examine(&without, None).await.faults(), faults, "{keys}");
    }
    // What a server makes of an emptied set is said, as it is configured.
    idp.answer_keys(Answer::Json(200, json!({"keys": []})));
    for (empty_set, part) in [("withdraw", "denies its tokens"), ("keep", "keys.max_stale")] {
        let mut config = without.clone();
        config["keys"]["empty_set"] = json!(empty_set);
        let said = examine(&config, None).await;
        let found = text(&said.finding("key_set")["found"]);
        assert!(found.contains(part), "{found}");
    }
    // One issuer that hangs takes nothing from the other.
    idp.publish([&*RSA]);
    let hanging = Idp::start([&*RSA]).await;
    hanging.answer(document, Answer::Hang);
    let mut both = without.clone();
    both["auth"]["issuers"] = json!([{"issuer": hanging.issuer(), "audience": "nmp"}]);
    both["auth"]["oidc"]["subject_prefix"] = json!("a:");
    both["auth"]["oidc"]["groups_prefix"] = json!("a:");
    let token = RSA.token("RS256", &claims(&idp.issuer(), json!({})));
    let said = examine(&both, Some(&token)).await;
    assert_eq!(said.faults(), ["fail discovery"], "{:#}", said.report);
    assert_eq!(said.finding("signature")["outcome"], "pass");

    idp.stop().await;
    let said = examine(&without, None).await;
    said.assert_only("fail discovery", "nothing listens there");
    let nowhere = oidc(json!({"issuer": "https://no-such-host.invalid", "client_id": "nmp"}));
    let said = examine(&nowhere, None).await;
    assert_eq!(said.faults(), ["fail discovery"], "{:#}", said.report);
}

/// What the server refuses is a failure, what it takes is none: of kinds of tokens, of what they
/// are bound to, how long they live and whose address they give.
#[tokio::test]
async fn the_doctor_says_what_the_server_does() {
    let idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let strict = json!({
        "require_access_token": true, "max_lifetime": "2h", "email_domains": ["example.com"],
        "allowed_clients": ["cli"], "subject_claim": "email",
    });
    for (settings, lenient) in [(json!({"bound_tokens": "ignore"}), true), (strict, false)] {
        let mut config = oidc(json!({"issuer": issuer, "audience": "nmp"}));
        let oidc = config["auth"]["oidc"].as_object_mut().unwrap();
        oidc.extend(settings.as_object().unwrap().clone());
        let doorward = Doorward::start_explained(&config.to_string()).await;
        doorward.ready().await;
        // Taken by the lenient one, by the strict one.
        for (more, taken) in [
            (json!({}), [true, true]),
            (json!({"typ": "ID"}), [false, false]),
            (json!({"typ": "Refresh"}), [false, false]),
            (json!({"typ": "Offline"}), [false, false]),
            (json!({"typ": "Logout"}), [false, false]),
            (json!({"typ": "Bearer", "nonce": "n"}), [true, true]),
            (json!({"nonce": "n"}), [true, false]),
            (json!({"at_hash": "h"}), [true, false]),
            (json!({"token_use": "id"}), [true, false]),
            (json!({"cnf": {"jkt": "x"}}), [true, false]),
            (json!({"cnf": 5}), [true, false]),
            (json!({"exp": from_now(3600) * 1000}), [false, false]),
            (json!({"exp": 1e30}), [false, false]),
            (json!({"iat": from_now(-7200)}), [true, false]),
            (json!({"iat": null, "exp": from_now(9000)}), [true, false]),
            (json!({"email_verified": "False"}), [true, false]),
            (json!({"email_verified": {}}), [true, false]),
            (json!({"email": "a@b.example"}), [true, false]),
            (json!({"azp": null, "cid": "cli"}), [true, true]),
            (json!({"azp": null, "cid": "other"}), [true, false]),
            (json!({"scope": 5}), [true, true]),
        ] {
            let mut given = json!({"azp": "cli"});
            given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let token = RSA.token("RS256", &claims(&issuer, given));
            let taken = taken[usize::from(!lenient)];
            let outcome = doorward.ask(get("/").bearer(&token)).await;
            assert_eq!(outcome.status == 200, taken, "{more}: {outcome:?}");
            let said = examine(&config, Some(&token)).await;
            assert_eq!(said.code == 0, taken, "{more}: {:?}", said.faults());
        }
    }
}

/// On a screen: one line a check, the remedy below it, and nothing that steers a terminal.
#[tokio::test]
async fn what_people_see() {
    let idp = Idp::start([&*RSA]).await;
    let issuer = idp.issuer();
    let evil = json!({"email": "a\u{1b}[2J@b.c", "groups": null, "roles": ["x\u{9b}y"]});
    let token = RSA.token("RS256", &claims(&issuer, evil));
    let (code, stdout, stderr) = doctor(&["--issuer", &issuer, "--token", "-"], &token).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(!stdout.contains(['\u{1b}', '\u{9b}']), "{stdout:?}");
    assert!(!stdout.contains(&token[..40]) && !stdout.contains(&token[token.len() - 40..]));
    let line = |start: &str| {
        let found =
            stdout.lines().find(|line| line.split_whitespace().take(2).eq(start.split(' ')));
        found.unwrap_or_else(|| panic!("no {start}: {stdout}"))
    };
    assert!(stdout.starts_with(&format!("issuer {issuer} (generic provider)\n")), "{stdout}");
    assert_eq!(line("pass algorithm"), "  pass  algorithm         alg \"RS256\"");
    assert!(line("warn email").contains(r"a\u001b[2J@b.c"), "{stdout}");
    let flat = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(r"roles has x\u{9b}y ↳ fix: set groups_claim: roles"), "{stdout}");
    assert!(line("↳ fix:").starts_with("        ↳ fix:"));
    assert!(stdout.lines().all(|line| line.chars().count() <= 98), "{stdout}");
    assert!(stdout.ends_with("0 failed, 2 warnings, 26 passed\n"), "{stdout}");

    // Wrong usage and configuration.
    let (code, stdout, stderr) = doctor(&[], "").await;
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("no issuer") && stderr.contains("--issuer URL"), "{stderr}");
    let (code, _, stderr) = doctor(&["--set", "auth.enabled=false"], "").await;
    assert!(code == 2 && stderr.contains("nothing to examine"), "{stderr}");
    let (code, _, stderr) = doctor(&["--client-id", "x"], "").await;
    assert!(code == 2 && stderr.contains("--issuer"), "{stderr}");
}

/// Entra's documents, as its multi-tenant endpoint has them: a template for an issuer, keys
/// without `alg` that name whom they sign for, the same one twice.
#[tokio::test]
async fn a_template_of_many_tenants() {
    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let idp = Idp::start([&*RSA]).await;
    let issuer = idp.url("/{tenantid}/v2.0");
    let document = "/organizations/v2.0/.well-known/openid-configuration";
    let metadata = json!({
        "issuer": issuer, "jwks_uri": idp.url("/keys"), "token_endpoint": idp.url("/token"),
        "device_authorization_endpoint": idp.url("/device"), "tenant_region_scope": null,
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    idp.answer(document, Answer::Json(200, metadata));
    let mut keys = jwks([&*RSA, &*RSA]);
    keys["keys"][0]["issuer"] = json!(issuer);
    keys["keys"][1]["issuer"] = json!(idp.url("/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"));
    idp.answer_keys(Answer::Json(200, keys));
    let config = |tenants: &str| {
        oidc(json!({
            "issuer": issuer, "audience": "nmp", "discovery_url": idp.url(document),
            "allowed_tenants": [tenants],
        }))
    };
    let own = issuer.replace("{tenantid}", TENANT);
    let token = |more: Value| RSA.token("RS256", &claims(&own, more));
    let good = token(json!({"tid": TENANT, "scp": "models.read", "scope": null}));
    let said = examine(&config(TENANT), Some(&good)).await;
    said.assert_well();
    assert!(text(&said.report["sections"][0]["title"]).ends_with("(Microsoft Entra ID)"));
    let said = examine(&config("9188040d-6c67-4c5b-b112-36a304b66dad"), Some(&good)).await;
    said.assert_only("fail tenant", "allowed_tenants");
    let overage = json!({"tid": TENANT, "groups": null, "_claim_names": {"groups": "src1"}});
    let said = examine(&config(TENANT), Some(&token(overage))).await;
    said.assert_only("warn groups", "Groups assigned to the application");
    // Another issuer altogether, in the place of the template.
    let metadata = json!({"issuer": "https://sts.windows.net/x/", "jwks_uri": idp.url("/keys")});
    idp.answer(document, Answer::Json(200, metadata));
    let said = examine(&config(TENANT), None).await;
    assert!(said.faults().contains(&"fail issuer_match".to_owned()), "{:#}", said.report);
}

/// An issuer behind TLS, its certificate of an authority of its own.
struct TlsIdp(TlsServer);

impl TlsIdp {
    /// With a certificate for this name; `ca.pem` goes into the directory. `alter` makes of
    /// the issuer's name what stands above its good metadata.
    async fn start(
        dir: &Path,
        name: &str,
        alter: impl Fn(&str) -> Value + Send + Sync + 'static,
    ) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let chain = vec![params.signed_by(&key, &ca).unwrap().der().clone()];
        let answer = move |asked: &Asked| {
            let issuer = format!("https://{}", asked.at);
            let mut metadata = json!({
                "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
                "token_endpoint": format!("{issuer}/token"),
                "device_authorization_endpoint": format!("{issuer}/nowhere"),
            });
            metadata.as_object_mut().unwrap().extend(alter(&issuer).as_object().unwrap().clone());
            let document = if asked.path == "/keys" { jwks([&*RSA]) } else { metadata };
            (200, document.to_string())
        };
        Self(TlsServer::start(chain, &key, answer).await)
    }

    fn config(&self, ca_file: Option<&Path>) -> Value {
        oidc(json!({"issuer": self.0.url(""), "audience": "nmp", "ca_file": ca_file}))
    }
}

#[tokio::test]
async fn certificates_and_what_a_document_over_tls_may_name() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let good = TlsIdp::start(dir.path(), "127.0.0.1", |_| json!({})).await;
    let said = examine(&good.config(Some(&ca)), None).await;
    said.assert_well();
    assert!(text(&said.finding("tls")["found"]).starts_with("https"));
    let said = examine(&good.config(None), None).await;
    said.assert_only("fail tls", "ca_file");

    let named = TlsIdp::start(dir.path(), "idp.example", |_| json!({})).await;
    let said = examine(&named.config(Some(&ca)), None).await;
    said.assert_only("fail tls", "for another host");

    let plain = |issuer: &str| json!({"token_endpoint": issuer.replace("https", "http")});
    let downgraded = TlsIdp::start(dir.path(), "127.0.0.1", plain).await;
    let said = examine(&downgraded.config(Some(&ca)), None).await;
    assert_eq!(said.faults(), ["fail endpoints", "fail token_endpoint"], "{:#}", said.report);
    assert!(text(&said.finding("endpoints")["remedy"]).contains("X-Forwarded-Proto"));

    let keys = |issuer: &str| json!({"jwks_uri": issuer.replace("https", "http")});
    let downgraded = TlsIdp::start(dir.path(), "127.0.0.1", keys).await;
    let said = examine(&downgraded.config(Some(&ca)), None).await;
    said.assert_only("fail discovery", "https URL for its key set");
}
