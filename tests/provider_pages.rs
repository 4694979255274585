//! The pages for providers (`docs/providers`) do as they say: their configurations are sound, their
//! good tokens are let in as whom they say, what goes wrong shows as their tables have it, and what
//! they say to do at a provider is done at those that can be run here.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use doorward::explain::Check;
use doorward::init::{Choices, Runs};
use doorward::product::Product;
use doorward_core::decision::Reason;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;

use crate::support::check::get;
use crate::support::doctor::{examine, text};
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::keycloak::Keycloak;
use crate::support::oidc_provider::{OidcProvider, RESOURCE};
use crate::support::pages::{PARTS, Page};
use crate::support::signer::{RSA, from_now};
use crate::support::tools;

const HEADERS: [&str; 4] =
    ["x-nmp-principal-id", "x-nmp-principal-email", "x-nmp-principal-groups", "x-nmp-scopes"];

#[test]
fn every_page_has_the_same_parts_and_is_in_the_table() {
    let table = tools::file("docs/providers/README.md");
    let pages = Page::all();
    for page in &pages {
        assert_eq!(page.parts(), PARTS, "{}", page.name);
        let link = format!("[{0}.md]({0}.md)", page.name);
        assert!(table.contains(&link), "{link} is not in the table");
    }
    assert_eq!(table.matches(".md](").count(), pages.len());
}

#[test]
fn every_configuration_passes_without_a_remark() {
    let dir = tempfile::tempdir().unwrap();
    let authority = CertificateParams::default().self_signed(&KeyPair::generate().unwrap());
    std::fs::write(dir.path().join("ca.crt"), authority.unwrap().pem()).unwrap();
    std::fs::write(dir.path().join("token"), "of-the-pod").unwrap();
    for page in Page::all() {
        for config in page.configurations() {
            let pod = "/var/run/secrets/kubernetes.io/serviceaccount";
            let file = dir.path().join("doorward.yaml");
            std::fs::write(&file, config.replace(pod, dir.path().to_str().unwrap())).unwrap();
            let mut check = Command::new(env!("CARGO_BIN_EXE_doorward"));
            let check = check.env_clear().args(["config", "check", "--config"]).arg(&file);
            let output = check.output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let is_fine = said.starts_with("ok: ") && said.lines().count() == 1;
            assert!(output.status.success() && is_fine, "{}: {said}\n{config}", page.name);
        }
    }
}

#[test]
fn checks_and_reasons_in_the_tables_exist() {
    let mut checks = BTreeSet::new();
    checks_in(&tools::root().join("src/doctor"), &mut checks);
    assert!(checks.len() > 20, "{checks:?}");
    checks.extend(Check::iter().map(|check| check.name().to_owned()));
    let reasons = Reason::ALL.iter().map(|reason| reason.code()).collect::<Vec<_>>();
    for page in Page::all() {
        let troubles = page.troubles();
        assert!(troubles.len() > 5, "{}", page.name);
        for trouble in troubles {
            for finding in &trouble.doctor {
                let (outcome, check) = finding.split_once(' ').unwrap();
                let exists = ["fail", "warn"].contains(&outcome) && checks.contains(check);
                assert!(exists, "{}: {finding}", page.name);
            }
            // `rules.scopes: required` is a setting.
            for code in trouble.reasons.iter().filter(|code| !code.contains([':', '.'])) {
                assert!(reasons.contains(&code.as_str()), "{}: {code}", page.name);
            }
        }
    }
}

/// The names that findings are made with.
fn checks_in(directory: &Path, checks: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            checks_in(&path, checks);
            continue;
        }
        let source: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
        for maker in ["pass(\"", "warn(\"", "fail(\"", "in_need(issuer,\""] {
            let names = source.split(maker).skip(1).map(|rest| rest.split('"').next().unwrap());
            checks.extend(names.map(str::to_owned));
        }
    }
}

/// A page's provider, by a fake: the page's issuer and configuration, another place for the keys.
struct Fake {
    page: Page,
    config: Value,
    doorward: Doorward,
    _idp: Idp,
}

impl Fake {
    /// With `changes` over the page's configuration (RFC 7396).
    async fn start(page: &str, changes: &Value) -> Self {
        let page = Page::named(page);
        let config = page.configuration();
        Self::configured(page, config, changes).await
    }

    async fn configured(page: Page, mut config: Value, changes: &Value) -> Self {
        let (header, claims) = page.token();
        let idp = Idp::start([]).await;
        let mut key = RSA.jwk();
        key["kid"] = header["kid"].clone();
        idp.answer_keys(Answer::Json(200, json!({"keys": [key]})));
        let mut document = idp.metadata();
        document["issuer"] = claims["iss"].clone();
        idp.answer("/.well-known/openid-configuration", Answer::Json(200, document));

        let auth = config["auth"].as_object_mut().unwrap();
        let issuer = match auth.get_mut("issuers") {
            Some(issuers) => &mut issuers[0],
            None => &mut auth["oidc"],
        };
        let ours = json!({
            "discovery_url": idp.url("/.well-known/openid-configuration"),
            // Whatever else the page names is on the internet: there is no way to it.
            "proxy": idp.issuer(),
            "jwks_uri": null, "ca_file": null, "key_bearer_file": null,
        });
        merge(issuer, &ours);
        merge(&mut config, changes);
        let doorward = Doorward::start_explained(&config.to_string()).await;
        doorward.ready().await;
        Self { page, config, doorward, _idp: idp }
    }

    /// The page's token with these changes, good from now on.
    fn token(&self, changes: &Value) -> String {
        let (header, mut claims) = self.page.token();
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        for (name, at) in [("iat", -10), ("nbf", -10), ("auth_time", -10), ("exp", life - 10)] {
            if claims.get(name).is_some() {
                claims[name] = json!(from_now(at));
            }
        }
        merge(&mut claims, changes);
        RSA.token_with(header, &claims)
    }

    /// What `doctor` finds amiss with a token.
    async fn faults(&self, token: &str) -> Vec<String> {
        let said = examine(&self.config, Some(token)).await;
        let sections = said.report["sections"].as_array().unwrap();
        let section = sections.iter().find(|section| section["title"] == "token").unwrap();
        let findings = section["findings"].as_array().unwrap().iter();
        let amiss = findings.filter(|finding| finding["outcome"] != "pass");
        amiss.map(|it| format!("{} {}", text(&it["outcome"]), text(&it["check"]))).collect()
    }
}

#[tokio::test]
async fn every_good_token_gives_the_identity_that_its_page_states() {
    for page in Page::all() {
        let fake = Fake::start(&page.name, &json!({})).await;
        let token = fake.token(&json!({}));
        let outcome = fake.doorward.ask(get("/v1/models").bearer(&token)).await;
        assert_eq!(outcome.reason, "authenticated", "{}: {outcome:?}", page.name);
        let stated = page.identity();
        for name in HEADERS {
            let stated = stated.get(name).map(String::as_str);
            assert_eq!(outcome.header(name), stated, "{}: {name}", page.name);
        }
        // What `doctor` remarks on a good token, the page explains.
        let troubles = page.troubles();
        for fault in fake.faults(&token).await {
            let is_told = troubles.iter().any(|trouble| trouble.doctor.contains(&fault));
            assert!(fault.starts_with("warn") && is_told, "{}: {fault}", page.name);
        }
    }
}

#[tokio::test]
async fn what_goes_wrong_shows_as_the_tables_say() {
    let secret = json!({"iss": "kubernetes/serviceaccount", "exp": from_now(600)});
    let stranger = json!({"azp": "1176", "sub": "1176", "email": "x@y.iam.gserviceaccount.com"});
    let of_pool = json!({"token_use": "id", "client_id": null, "aud": "client"});
    let tenant = "https://login.microsoftonline.com/ccccdddd-2222-eeee-3333-ffff4444aaaa/v2.0";
    let overage = json!({"groups": null, "_claim_names": {"groups": "src1"}});
    let api_server = json!({"aud": ["https://kubernetes.default.svc.cluster.local"]});
    for (page, config, claims, doctor, reason) in [
        ("entra", json!({}), json!({"iss": tenant}), "fail issuer", "unknown_issuer"),
        ("entra", json!({}), json!({"aud": "api://other"}), "fail audience", "bad_audience"),
        ("entra", json!({}), overage, "warn groups", "authenticated"),
        ("entra", json!({}), json!({"email": null}), "warn email", "authenticated"),
        (
            "okta",
            json!({}),
            json!({"iss": "https://org.okta.com"}),
            "fail issuer",
            "unknown_issuer",
        ),
        ("okta", json!({}), json!({"groups": ["Midwest Sales"]}), "warn groups", "authenticated"),
        ("auth0", json!({"headers": null}), json!({}), "fail subject", "invalid_claim"),
        ("auth0", json!({}), json!({"aud": "client-id"}), "fail audience", "bad_audience"),
        ("keycloak", json!({}), json!({"aud": "account"}), "fail audience", "bad_audience"),
        ("keycloak", json!({}), json!({"sub": null}), "fail subject", "invalid_claim"),
        ("keycloak", json!({}), json!({"email_verified": false}), "warn email", "authenticated"),
        ("keycloak", json!({}), json!({"typ": "ID"}), "fail kind", "unsupported_token"),
        ("google", json!({}), stranger, "fail client", "bad_audience"),
        ("google", json!({}), json!({}), "warn kind", "authenticated"),
        (
            "google",
            json!({"auth": {"oidc": {"allowed_clients": []}}}),
            json!({}),
            "warn client",
            "authenticated",
        ),
        ("cognito", json!({}), of_pool, "fail kind", "unsupported_token"),
        ("cognito", json!({}), json!({"client_id": "other"}), "fail client", "bad_audience"),
        ("zitadel", json!({}), json!({"at_hash": "x"}), "fail kind", "unsupported_token"),
        ("zitadel", json!({}), json!({"aud": "other"}), "fail audience", "bad_audience"),
        ("authentik", json!({}), json!({"email_verified": false}), "warn email", "authenticated"),
        ("authentik", json!({}), json!({"azp": null, "uid": null}), "fail client", "bad_audience"),
        ("kubernetes", json!({}), api_server, "fail audience", "bad_audience"),
        ("kubernetes", json!({}), secret, "fail issuer", "unknown_issuer"),
        ("kubernetes", json!({}), json!({"exp": from_now(-600)}), "fail expiry", "expired"),
        ("generic", json!({}), json!({"sub": "a|b"}), "fail subject", "invalid_claim"),
    ] {
        let fake = Fake::start(page, &config).await;
        let token = fake.token(&claims);
        let outcome = fake.doorward.ask(get("/v1/models").bearer(&token)).await;
        assert_eq!(outcome.reason, reason, "{page} {claims}: {outcome:?}");
        let faults = fake.faults(&token).await;
        assert!(faults.iter().any(|fault| fault == doctor), "{page} {claims}: {faults:?}");
        let is_told = fake.page.troubles().iter().any(|trouble| {
            let reasons = &trouble.reasons;
            let same = reasons.iter().any(|code| code == reason)
                || (reason == "authenticated" && !reasons.iter().any(|code| code.contains("bad_")));
            same && trouble.doctor.iter().any(|finding| finding == doctor)
        });
        assert!(is_told, "{page}: {doctor} and {reason} stand in no row");
    }
}

/// It chooses by the same facts as the pages.
#[tokio::test]
async fn what_init_writes_takes_the_good_token() {
    for page in Page::all().into_iter().filter(|page| page.name != "kubernetes") {
        let (claims, ours) = (page.token().1, page.configuration());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (issuer, oidc) = (text(&claims["iss"]).unwrap(), &ours["auth"]["oidc"]);
        let client = [&oidc["client_id"], &oidc["allowed_clients"][0], &claims["azp"]];
        let choices = Choices {
            product: Product::recognise(&issuer, None),
            client_id: client.into_iter().find_map(text).unwrap(),
            audience: text(&oidc["audience"]),
            ca_file: None,
            runs: Runs::Here,
            issuer: issuer.clone(),
        };
        let written = choices.configuration(&json!({"issuer": issuer}));
        let config = serde_saphyr::from_str(&written).unwrap();
        let fake = Fake::configured(page, config, &json!({})).await;
        let outcome = fake.doorward.ask_with(&fake.token(&json!({}))).await;
        assert_eq!(outcome.reason, "authenticated", "{issuer}: {outcome:?}\n{written}");
        // And nobody else's, where only that keeps strangers out.
        if fake.page.name == "google" {
            let stranger = fake.token(&json!({"azp": "1176", "sub": "1176"}));
            assert_eq!(fake.doorward.ask_with(&stranger).await.reason, "bad_audience");
        }
    }
}

/// Runs the page's commands in a realm of its own, in which there is somebody with groups. Called by
/// a test that has a Keycloak, since starting one takes ten seconds.
pub async fn the_commands_for_keycloak_make_its_configuration_work(keycloak: &Keycloak) {
    let (base, home) = (keycloak.base(), tools::tool("keycloak").await.unwrap());
    let page =
        Page::named("keycloak").with(&[("https://<host>", base), ("<realm>", "by-the-page")]);
    keycloak.add_realm_with_alice("by-the-page").await;
    // People log in by the device flow; with a password it is quicker.
    let by_device = "\"directAccessGrantsEnabled\": false";
    assert!(page.commands().contains(by_device));
    let commands = page.commands().replace(by_device, "\"directAccessGrantsEnabled\": true");
    let dir = tempfile::tempdir().unwrap();
    let mut shell = tokio::process::Command::new("bash");
    let path = format!("{}/bin:{}", home.display(), std::env::var("PATH").unwrap());
    let shell = shell.args(["-euo", "pipefail", "-c", &commands]).stdin(Stdio::null());
    let shell = shell.env("PATH", path).env("KC_CLI_PASSWORD", "admin");
    // It keeps its login in the home directory.
    let shell = shell.env("KC_OPTS", format!("-Duser.home={}", dir.path().display()));
    let output = shell.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");

    let config = page.configuration();
    let answer = keycloak.login_at("by-the-page").await;
    let token = text(&answer["access_token"]);
    examine(&config, Some(token)).await.assert_well();
    let doorward = Doorward::start_explained(&config.to_string()).await;
    doorward.ready().await;
    let outcome = doorward.ask(get("/v1/models").bearer(token)).await;
    assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    assert_eq!(outcome.header("x-nmp-principal-email"), Some("alice@example.com"));
    assert_eq!(outcome.header("x-nmp-principal-groups"), Some("research,team-b"));
    let scopes = outcome.header("x-nmp-scopes").unwrap();
    assert!(scopes.split(' ').any(|scope| scope == "platform:read"), "{scopes}");
    // The page's good token is one of these: it has no claim that a real one has not.
    let real = claims_of(token);
    for name in page.token().1.as_object().unwrap().keys() {
        assert!(real.get(name).is_some(), "{name} is not in {real}");
    }

    // Scopes are asked for as `auth login` does it: with the prefix.
    let mut prefixed = config.clone();
    prefixed["auth"]["oidc"]["scope_prefix"] = json!("api://nmp/");
    let said = examine(&prefixed, None).await;
    let found = text(&said.finding("default_scopes")["found"]).to_owned();
    assert!(found.contains("offline_access api://nmp/platform:read"), "{found}");
}

#[tokio::test]
async fn the_generic_configuration_works_at_a_provider_that_no_page_is_about() {
    let Some(provider) = OidcProvider::start().await else { return };
    let page = Page::named("generic").with(&[
        ("https://<host>", provider.issuer()),
        ("<client-id>", "nmp"),
        ("<audience>", RESOURCE),
    ]);
    let (config, alice) = (page.configuration(), provider.login("alice").await);
    examine(&config, Some(&alice)).await.assert_well();
    let doorward = Doorward::start_explained(&config.to_string()).await;
    doorward.ready().await;
    let outcome = doorward.ask(get("/v1/models").bearer(&alice)).await;
    assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    assert_eq!(outcome.header("x-nmp-principal-email"), Some("alice@example.com"));
    assert_eq!(outcome.header("x-nmp-principal-groups"), Some("research"));
    let (real, good) = (claims_of(&alice), page.token().1);
    for name in good.as_object().unwrap().keys() {
        assert!(real.get(name).is_some(), "{name} is not in {real}");
    }
}

fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

/// Puts `changes` over a value; `null` takes a member out (RFC 7396).
fn merge(value: &mut Value, changes: &Value) {
    let Some(changes) = changes.as_object() else {
        *value = changes.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let members = value.as_object_mut().unwrap();
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}
