//! Keys from an API server that wants to know who asks, from another name's issuer, and from
//! a disk on which anything may lie.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::cli::Cli;
use crate::support::doctor::examine;
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::pages::Page;
use crate::support::signer::{RSA, Signer, claims, jwks};
use crate::support::tls::{Asked, TlsServer};
use crate::support::{PATIENCE, eventually, http};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster's API servers: they show their keys to whoever has the pod's token.
struct Cluster {
    authority: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
    /// What they were shown, together.
    shown: Arc<Mutex<Vec<Option<String>>>>,
}

impl Cluster {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { authority, key: KeyPair::generate().unwrap(), shown: Arc::default() }
    }

    /// One whose discovery document names the key set at `keys_at`, or at itself.
    async fn server(&self, keys_at: Option<String>) -> TlsServer {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let certificate = params.signed_by(&self.key, &self.authority).unwrap();
        let shown = Arc::clone(&self.shown);
        let answer = move |asked: &Asked| {
            shown.lock().unwrap().push(asked.authorization.clone());
            if asked.authorization.as_deref() != Some("Bearer of-the-pod") {
                return (403, r#"{"kind":"Status","code":403}"#.to_owned());
            }
            let keys_at = keys_at.clone().unwrap_or_else(|| format!("https://{}", asked.at));
            let document = match asked.path.as_str() {
                "/openid/v1/jwks" => jwks([&*RSA]),
                _ => json!({"issuer": ISSUER, "jwks_uri": format!("{keys_at}/openid/v1/jwks")}),
            };
            (200, document.to_string())
        };
        TlsServer::start(vec![certificate.der().clone()], &self.key, answer).await
    }

    /// The recipe's configuration, where this server is the API server, its files in `pod`.
    fn recipe(&self, pod: &Path, server: &TlsServer) -> Value {
        std::fs::write(pod.join("ca.crt"), self.authority.pem()).unwrap();
        std::fs::write(pod.join("token"), "of-the-pod").unwrap();
        let recipe = Page::named("kubernetes").configurations()[0]
            .replace("https://kubernetes.default.svc/", &server.url("/"))
            .replace(POD, pod.to_str().unwrap());
        serde_saphyr::from_str(&recipe).unwrap()
    }
}

#[tokio::test]
async fn the_recipe_for_kubernetes_works_as_it_is_written() {
    let (cluster, pod) = (Cluster::new(), tempfile::tempdir().unwrap());
    let server = cluster.server(None).await;
    let mut config = cluster.recipe(pod.path(), &server);
    let account = json!({
        "aud": ["doorward"], "sub": "system:serviceaccount:jobs:trainer",
        "email": null, "groups": null,
        "kubernetes.io": {
            "namespace": "jobs", "pod": {"name": "trainer-0"},
            "serviceaccount": {"name": "trainer"},
        },
    });
    let token = RSA.token("RS256", &claims(ISSUER, account));
    let discovery_url = server.url("/.well-known/openid-configuration");
    for discovery_url in [None, Some(discovery_url)] {
        if let Some(url) = discovery_url {
            let issuer = config["auth"]["issuers"][0].as_object_mut().unwrap();
            issuer.remove("jwks_uri");
            issuer.insert("discovery_url".to_owned(), json!(url));
        }
        let doorward = Doorward::start_explained(&config.to_string()).await;
        doorward.ready().await;
        let outcome = doorward.ask(get("/v1/models").bearer(&token)).await;
        assert_eq!(outcome.reason, "authenticated");
        let header = |name: &str| outcome.header(name).unwrap().to_owned();
        assert_eq!(header("x-nmp-principal-id"), "k8s:system:serviceaccount:jobs:trainer");
        assert_eq!(header("x-nmp-principal-groups"), "k8s-namespace:jobs");
    }
    assert!(cluster.shown.lock().unwrap().iter().all(Option::is_some));
    std::fs::write(pod.path().join("token"), "of-another").unwrap();
    let said = examine(&config, None).await;
    said.assert_only("fail discovery", "system:service-account-issuer-discovery");
}

/// At no log level, in no message of any crate.
#[tokio::test]
async fn the_token_that_is_shown_is_never_logged() {
    let (cluster, pod) = (Cluster::new(), tempfile::tempdir().unwrap());
    let server = cluster.server(None).await;
    let mut config = cluster.recipe(pod.path(), &server);
    config["log"] = json!({"level": "trace"});
    for listener in ["grpc", "http", "admin", "console"] {
        config["server"][listener]["listen"] = json!("127.0.0.1:0");
    }
    let file = pod.path().join("doorward.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let cli = Cli::new();
    let process = cli.start(&["serve", "--config", file.to_str().unwrap()]);
    eventually("keys are obtained", PATIENCE, async || {
        process.stderr().contains("keys obtained").then_some(())
    })
    .await;
    assert!(!process.stderr().contains("of-the-pod"));
    std::fs::remove_file(pod.path().join("token")).unwrap();
    let ended = cli.run(&["config", "check", "--config", file.to_str().unwrap()]).await;
    ended.assert(2, &["auth.issuers.0.key_bearer_file: `", "token` cannot be read: No such file"]);
}

/// Inside a cluster, by choice. The host is a name for the proxy alone.
#[tokio::test]
async fn plain_http_by_choice_stays_at_the_same_host() {
    let idp = Idp::start([&*RSA]).await;
    let issuer = "http://keycloak.keycloak.svc/realms/a";
    let document = |jwks_uri: &str| {
        Answer::Json(
            200,
            json!({
                "issuer": issuer, "jwks_uri": jwks_uri, "token_endpoint": "https://idp.example/token",
                "device_authorization_endpoint": "https://idp.example/device",
            }),
        )
    };
    let at = "/realms/a/.well-known/openid-configuration";
    idp.answer(at, document("http://keycloak.keycloak.svc:8080/keys"));
    // It does not answer to another host's name by itself.
    idp.answer_keys(Answer::Json(200, jwks([&*RSA])));
    let config = json!({"auth": {"oidc": {
        "issuer": issuer, "audience": "nmp", "allow_http": true, "proxy": idp.url("/"),
    }}});
    let token = RSA.token("RS256", &claims(issuer, json!({})));
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    let outcome = doorward.ask(get("/").bearer(&token)).await;
    assert_eq!(outcome.reason, "authenticated");
    let said = examine(&config, None).await;
    said.assert_only("warn tls", "anyone on the network path can choose the keys");

    let asked = idp.key_requests();
    idp.answer(at, document("http://169.254.169.254/keys"));
    let said = examine(&config, None).await;
    assert!(said.faults().contains(&"fail discovery".to_owned()), "{:#}", said.report);
    let remedy = said.finding("discovery")["remedy"].to_string();
    assert!(remedy.contains("jwks_uri"), "{remedy}");
    let doorward = Doorward::start(&config.to_string()).await;
    eventually("it is said", PATIENCE, async || {
        let answer = http().get(doorward.admin("/health/ready")).send().await.unwrap();
        answer.text().await.unwrap().contains("another host over plain http").then_some(())
    })
    .await;
    assert_eq!(doorward.ask(get("/").bearer(&token)).await.reason, "keys_unavailable");
    assert_eq!(idp.key_requests(), asked);
}

/// As kubeadm's discovery document has it: whoever is named there is not shown the token.
#[tokio::test]
async fn a_key_set_at_another_address_is_not_shown_the_token_and_that_is_said() {
    let (cluster, pod) = (Cluster::new(), tempfile::tempdir().unwrap());
    let elsewhere = cluster.server(None).await;
    let server = cluster.server(Some(elsewhere.url(""))).await;
    let mut config = cluster.recipe(pod.path(), &server);
    let issuer = config["auth"]["issuers"][0].as_object_mut().unwrap();
    issuer.remove("jwks_uri");
    let document = server.url("/.well-known/openid-configuration");
    issuer.insert("discovery_url".to_owned(), json!(document));
    let said = examine(&config, None).await;
    said.assert_only("fail jwks_endpoint", "set jwks_uri to the host");
    let shown = std::mem::take(&mut *cluster.shown.lock().unwrap());
    assert_eq!(shown, [Some("Bearer of-the-pod".to_owned()), None]);

    let doorward = Doorward::start(&config.to_string()).await;
    let alone = format!("key_bearer_file is sent to {} only", server.url(""));
    eventually(&alone, PATIENCE, async || {
        let answer = http().get(doorward.admin("/health/ready")).send().await.unwrap();
        answer.text().await.unwrap().contains(&alone).then_some(())
    })
    .await;
}

/// NeMo's aliases: names under which the primary issuer signs, and nobody publishes anything.
#[tokio::test]
async fn a_name_that_is_no_url_has_the_primary_issuers_keys() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let idp = Idp::start([&old]).await;
    let names = ["accounts.google.example", "http://kc.corp.example/realms/a"];
    let config = json!({"auth": {"oidc": {
        "issuer": idp.issuer(), "client_id": "nmp", "additional_issuers": names,
    }}});
    let doorward = Doorward::start_explained(&config.to_string()).await;
    doorward.ready().await;
    for signer in [&old, &new] {
        idp.publish([&old, signer]);
        for name in names {
            let token = signer.token("EdDSA", &claims(name, json!({})));
            let outcome = doorward.ask(get("/").bearer(&token)).await;
            assert_eq!(outcome.reason, "authenticated", "{name}");
        }
    }
    let other = Signer::ed("old").token("EdDSA", &claims(names[0], json!({})));
    assert_eq!(doorward.ask(get("/").bearer(&other)).await.reason, "bad_signature");
    let ready = http().get(doorward.admin("/health/ready")).send().await.unwrap();
    let ready = ready.text().await.unwrap();
    assert!(ready.contains("accounts.google.example: 2 keys"), "{ready}");
    let token = new.token("EdDSA", &claims(names[0], json!({})));
    let said = examine(&config, Some(&token)).await;
    assert_eq!(said.faults().iter().filter(|it| it.starts_with("fail key")).count(), 0);
    assert_eq!(said.finding("signature")["outcome"], "pass");
}

/// A pipe would hold its reader, and with it the start and the end, for ever.
#[tokio::test]
async fn pipes_in_the_place_of_kept_keys_hold_nothing_up() {
    let signer = Signer::ed("k");
    let idp = Idp::start([&signer]).await;
    let dir = tempfile::tempdir().unwrap();
    let oidc = json!({"issuer": idp.issuer(), "client_id": "nmp"});
    let config = json!({"auth": {"oidc": oidc}, "keys": {"key_cache_dir": dir.path()}}).to_string();
    let kept = || {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension() == Some("json".as_ref())).collect::<Vec<_>>()
    };
    let doorward = Doorward::start(&config).await;
    eventually("all is kept", PATIENCE, async || (kept().len() == 2).then_some(())).await;
    drop(doorward);
    for path in kept() {
        std::fs::remove_file(&path).unwrap();
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    }
    let doorward = Doorward::start(&config).await;
    doorward.ready().await;
    let token = signer.token("EdDSA", &claims(&idp.issuer(), json!({})));
    assert_eq!(doorward.ask(get("/").bearer(&token)).await.reason, "authenticated");
    let ended = tokio::task::spawn_blocking(move || drop(doorward));
    tokio::time::timeout(PATIENCE, ended).await.expect("it ends").unwrap();
}
