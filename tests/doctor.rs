//! `doorward doctor` as a program: what it finds at real identity providers that are well,
//! and that each fault of one that is not has a name and a remedy.

use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::support::http;
use crate::support::idp::{Answer, Idp};
use crate::support::keycloak::Keycloak;
use crate::support::oidc_provider::{OidcProvider, RESOURCE};
use crate::support::signer::{RSA, claims};

/// What `doorward doctor --json` said.
struct Said {
    code: i32,
    report: Value,
    stderr: String,
}

impl Said {
    /// `fail device_grant`, `warn groups`: everything but what passed.
    fn faults(&self) -> Vec<String> {
        let findings = self.findings().filter(|finding| finding["outcome"] != "pass");
        let name = |it: &Value| format!("{} {}", text(&it["outcome"]), text(&it["check"]));
        findings.map(name).collect()
    }

    fn findings(&self) -> impl Iterator<Item = &Value> {
        let sections = self.report["sections"].as_array().into_iter().flatten();
        sections.flat_map(|section| section["findings"].as_array().unwrap())
    }

    /// The finding of this check.
    fn finding(&self, check: &str) -> &Value {
        let found = self.findings().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no {check}: {:#} {}", self.report, self.stderr))
    }

    fn assert_well(&self) {
        assert_eq!(self.faults(), [""; 0], "{:#}", self.report);
        assert!(self.findings().count() > 10, "{:#} {}", self.report, self.stderr);
        assert_eq!((self.code, &self.report["outcome"]), (0, &json!("pass")));
    }

    /// This fault and no other, with these words in its remedy.
    fn assert_only(&self, fault: &str, remedy: &str) {
        assert_eq!(self.faults(), [fault], "{:#}", self.report);
        let (outcome, check) = fault.split_once(' ').unwrap();
        let said = text(&self.finding(check)["remedy"]);
        assert!(said.contains(remedy), "{fault}: {said}");
        assert_eq!(self.code, i32::from(outcome == "fail"));
        assert_eq!(self.report["outcome"], outcome);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn doctor(arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .env_clear()
        .arg("doctor")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // It may not read it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Examines what this configuration names, and this token.
async fn examine(config: &Value, token: Option<&str>) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doorward.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut arguments = vec!["--json", "--config", file.to_str().unwrap()];
    if token.is_some() {
        arguments.extend(["--token", "-"]);
    }
    let (code, stdout, stderr) = doctor(&arguments, token.unwrap_or_default()).await;
    let report = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{error}: {stdout:?} {stderr:?}"));
    Said { code, report, stderr }
}

fn oidc(settings: Value) -> Value {
    json!({"auth": {"oidc": settings}})
}

/// One story, because a Keycloak takes ten seconds to start.
#[tokio::test]
async fn keycloak_realms_good_and_broken() {
    let Some(keycloak) = Keycloak::start().await else { return };
    let config =
        |realm: &str| oidc(json!({"issuer": keycloak.issuer_of(realm), "client_id": "nmp"}));
    let token = async |realm: &str| {
        let answer = keycloak.login_at(realm).await;
        text(&answer["access_token"]).to_owned()
    };

    // A person, and a machine, at a realm as it should be.
    let alice = token("doorward").await;
    let said = examine(&config("doorward"), Some(&alice)).await;
    said.assert_well();
    assert!(text(&said.report["sections"][0]["title"]).ends_with("(Keycloak)"), "{}", said.report);
    assert!(text(&said.finding("groups")["found"]).contains("research, team-b"));
    assert!(text(&said.finding("device_grant")["found"]).contains("/realms/doorward/device"));
    assert!(!said.report.to_string().contains(&alice), "the token itself is shown");
    examine(&config("doorward"), Some(&keycloak.client_credentials().await)).await.assert_well();

    // Tokens that are not for an API.
    let answer = keycloak.login_at("doorward").await;
    let said = examine(&config("doorward"), Some(text(&answer["id_token"]))).await;
    said.assert_only("fail token_kind", "send access_token, not id_token");
    let said = examine(&config("doorward"), Some(text(&answer["refresh_token"]))).await;
    said.assert_only("fail token_kind", "keep refresh_token to yourself");
    let bob = keycloak.login("nmp", "bob", "builder", "openid email").await;
    let said = examine(&config("doorward"), Some(&bob)).await;
    // Keycloak sends no groups for who is in none, which looks like a missing mapper.
    assert_eq!(said.faults(), ["warn email", "warn groups"], "{:#}", said.report);
    assert!(text(&said.finding("email")["remedy"]).contains("Email verified"));
    assert!(text(&said.finding("groups")["found"]).contains("the user is in none, or"));

    // Realms with one fault each.
    let mapper = |realm: &mut Value, name: &str, change: &dyn Fn(&mut Vec<Value>, usize)| {
        let mappers = realm["clientScopes"][0]["protocolMappers"].as_array_mut().unwrap();
        let at = mappers.iter().position(|mapper| mapper["name"] == name).unwrap();
        change(mappers, at);
    };
    keycloak
        .add_realm("no-device-grant", |realm| {
            realm["clients"][0]["attributes"]["oauth2.device.authorization.grant.enabled"] =
                json!("false");
        })
        .await;
    let said = examine(&config("no-device-grant"), Some(&token("no-device-grant").await)).await;
    said.assert_only("fail device_grant", "Clients > nmp > Settings > Capability config");

    let elsewhere = keycloak.issuer_of("x").replace("127.0.0.1", "localhost");
    let front = elsewhere.strip_suffix("/realms/x").unwrap();
    keycloak
        .add_realm("wrong-issuer", |realm| realm["attributes"] = json!({"frontendUrl": front}))
        .await;
    let said = examine(&config("wrong-issuer"), None).await;
    said.assert_only("fail issuer_match", "Frontend URL");
    let said = examine(&config("wrong-issuer"), Some(&token("wrong-issuer").await)).await;
    assert_eq!(said.faults(), ["fail issuer_match", "fail token_issuer"]);
    let slash = oidc(json!({"issuer": keycloak.issuer() + "/", "client_id": "nmp"}));
    let said = examine(&slash, None).await;
    said.assert_only("fail issuer_match", &format!("{:?}", keycloak.issuer()));
    assert!(text(&said.finding("issuer_match")["found"]).contains("the slash at the end"));

    keycloak
        .add_realm("no-groups", |realm| {
            mapper(realm, "groups", &|mappers, at| drop(mappers.remove(at)));
        })
        .await;
    let groups = token("no-groups").await;
    let said = examine(&config("no-groups"), Some(&groups)).await;
    said.assert_only("warn groups", "Add mapper > By configuration > Group Membership");
    // Roles are there: that is said, and does what it says.
    assert!(text(&said.finding("groups")["remedy"]).contains("groups_claim: /realm_access/roles"));
    let mut mended = config("no-groups");
    mended["auth"]["oidc"]["groups_claim"] = json!("/realm_access/roles");
    examine(&mended, Some(&groups)).await.assert_well();

    keycloak
        .add_realm("wrong-audience", |realm| {
            mapper(realm, "audience", &|mappers, at| {
                mappers[at]["config"] =
                    json!({"included.custom.audience": "elsewhere", "access.token.claim": "true"});
            });
        })
        .await;
    let said = examine(&config("wrong-audience"), Some(&token("wrong-audience").await)).await;
    said.assert_only("fail audience", "Audience: Included Client Audience nmp");
    assert_eq!(said.finding("audience")["found"], "aud elsewhere, expected nmp");

    keycloak
        .add_realm("hs256-client", |realm| {
            realm["clients"][0]["attributes"]["access.token.signed.response.alg"] = json!("HS256");
        })
        .await;
    let said = examine(&config("hs256-client"), Some(&token("hs256-client").await)).await;
    said.assert_only("fail algorithm", "Access token signature algorithm: RS256");
    keycloak
        .add_realm("hs256-only", |realm| {
            realm["defaultSignatureAlgorithm"] = json!("HS256");
            realm["components"] = json!({"org.keycloak.keys.KeyProvider": [{
                "name": "hmac", "providerId": "hmac-generated",
                "config": {"priority": ["100"], "algorithm": ["HS256"]},
            }]});
        })
        .await;
    let said = examine(&config("hs256-only"), None).await;
    said.assert_only("fail key_set", "Add providers > rsa-generated");

    // No such realm, and a clock that is off, by a proxy that says so.
    let said = examine(&config("nobody"), None).await;
    said.assert_only("fail discovery", "https://<host>/realms/<realm>");
    let proxy = DateProxy::start(&keycloak.issuer(), -120).await;
    let behind = oidc(json!({"issuer": proxy.issuer, "client_id": "nmp"}));
    let said = examine(&behind, None).await;
    said.assert_only("fail clock_skew", "timedatectl");
    assert!(text(&said.finding("clock_skew")["found"]).contains("behind this machine's"));
}

#[tokio::test]
async fn oidc_provider_good_and_broken() {
    let Some(provider) = OidcProvider::start().await else { return };
    let config = |provider: &OidcProvider| {
        let issuer = provider.issuer();
        oidc(json!({"issuer": issuer, "client_id": "nmp", "audience": RESOURCE}))
    };
    let good = config(&provider);
    let alice = provider.login("alice").await;
    examine(&good, Some(&alice)).await.assert_well();
    examine(&good, Some(&provider.token("nmp-job-es256").await)).await.assert_well();
    let mut narrow = good.clone();
    narrow["auth"]["oidc"]["algorithms"] = json!(["PS384"]);
    let said = examine(&narrow, None).await;
    said.assert_only(
        "fail algorithms",
        "add one of these to this issuer's algorithms: RS256, ES256",
    );

    for (fault, found, remedy) in [
        ("no-device-grant", "fail device_endpoint", "RFC 8628"),
        ("wrong-issuer", "fail issuer_match", "configure that"),
        ("no-groups", "warn groups", "set groups_claim"),
        ("wrong-audience", "fail audience", "urn:doorward:test"),
        ("clock-off", "fail clock_skew", "time server"),
        ("hs256-only", "fail key_set", "never accepts HS256"),
    ] {
        let broken = OidcProvider::start_broken(fault).await.unwrap();
        let token = match fault {
            "no-groups" | "wrong-audience" => Some(broken.login("alice").await),
            _ => None,
        };
        examine(&config(&broken), token.as_deref()).await.assert_only(found, remedy);
    }
}

/// Hands on what a provider says, with another `Date`.
struct DateProxy {
    /// The provider's issuer, by the proxy's address.
    issuer: String,
    _server: JoinSet<()>,
}

impl DateProxy {
    async fn start(issuer: &str, seconds: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = url::Url::parse(issuer).unwrap();
        let mut own = upstream.clone();
        own.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let state = Arc::new((upstream, seconds));
        let router = Router::new().fallback(hand_on).with_state(state);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer: own.to_string(), _server: server }
    }
}

async fn hand_on(
    State(state): State<Arc<(url::Url, i64)>>,
    request: Request,
) -> axum::http::Response<Body> {
    let (upstream, seconds) = state.as_ref();
    let (parts, body) = request.into_parts();
    let mut url = upstream.clone();
    url.set_path(parts.uri.path());
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap();
    let answer = http()
        .request(parts.method, url)
        // Keycloak names itself as it is addressed.
        .header("host", parts.headers["host"].clone())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    let now = std::time::SystemTime::now();
    let shifted = now.checked_sub(std::time::Duration::from_secs(seconds.unsigned_abs())).unwrap();
    axum::http::Response::builder()
        .status(answer.status())
        .header("date", imf_fixdate(shifted))
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`; nobody reads the day of the week.
fn imf_fixdate(at: std::time::SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = humantime::format_rfc3339_seconds(at).to_string();
    let month: usize = text[5..7].parse().unwrap();
    format!("Mon, {} {} {} {} GMT", &text[8..10], MONTHS[month - 1], &text[..4], &text[11..19])
}

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
            "device_authorization_endpoint": format!("{issuer}/device"),
        });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Answer::Document(metadata)
    };
    for (answer, fault, part) in [
        (Answer::Hang, "fail discovery", "no complete answer within 300ms"),
        (Answer::Status(404), "fail discovery", "status 404"),
        (Answer::Status(302), "fail discovery", "status 302"),
        (Answer::Status(503), "fail discovery", "status 503"),
        (Answer::Text("<html>Sign in</html>".into()), "fail discovery", "an HTML page"),
        (Answer::Text("oops".into()), "fail discovery", "not JSON"),
        (Answer::Text("x".repeat(1024 * 1024 + 1)), "fail discovery", "larger than 1 MiB"),
        (Answer::Document(json!([])), "fail discovery", "not a JSON object"),
        (Answer::Document(json!({"issuer": idp.issuer()})), "fail discovery", "no `jwks_uri`"),
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

    // Keys: none, broken ones, one that is a published secret.
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
        (json!({"keys": [RSA.jwk(), {"kty": "RSA", "use": "enc", "kid": "e"}]}), vec![]),
    ] {
        idp.answer_keys(Answer::Document(keys.clone()));
        assert_eq!(examine(&without, None).await.faults(), faults, "{keys}");
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
    assert_eq!(line("pass algorithm"), "  pass  algorithm         RS256");
    assert!(line("warn email").contains(r"a\u{1b}[2J@b.c"), "{stdout}");
    let flat = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(r"roles has x\u{9b}y ↳ mend: set groups_claim: roles"), "{stdout}");
    assert!(line("↳ mend:").starts_with("        ↳ mend:"));
    assert!(stdout.lines().all(|line| line.chars().count() <= 98), "{stdout}");
    assert!(stdout.ends_with("0 failed, 2 warnings, 23 passed\n"), "{stdout}");

    // Wrong usage and configuration.
    let (code, stdout, stderr) = doctor(&[], "").await;
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("no issuer") && stderr.contains("--issuer URL"), "{stderr}");
    let (code, _, stderr) = doctor(&["--client-id", "x"], "").await;
    assert!(code == 2 && stderr.contains("--issuer"), "{stderr}");
}
