//! TLS, client certificates and unix sockets: the same decisions behind each.

use doorward::config::Settings;
use hyper_util::rt::TokioIo;
use rcgen::KeyPair;
use serde_json::json;
use tokio::net::UnixStream;
use tonic::transport::Endpoint;

use crate::support::check::{Checker, get};
use crate::support::doorward::Doorward;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::tls::certificates;

const ISSUER: &str = "https://idp.example";

#[tokio::test]
async fn tls_with_client_certificates() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let file = |name: &str| dir.path().join(name);
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "server": {"http": {"listen": "127.0.0.1:0", "tls": {
            "cert": file("server.pem"), "key": file("server.key"), "client_ca": file("ca.pem"),
        }}},
    });
    let doorward = Doorward::start(&config.to_string()).await;
    let url = doorward.http("/apis/auth/ext-authz/v1").replace("http://", "https://");
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    let ca = reqwest::Certificate::from_pem(&read("ca.pem")).unwrap();
    let client = || reqwest::Client::builder().no_proxy().tls_certs_only([ca.clone()]);

    let identity = [read("client.pem"), read("client.key")].concat();
    let known = client().identity(reqwest::Identity::from_pem(&identity).unwrap());
    let answer = known.build().unwrap().get(&url).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.version(), reqwest::Version::HTTP_2, "by ALPN");
    assert_eq!(answer.headers()["x-nmp-principal-id"], "alice");

    let unknown = client().build().unwrap().get(&url).bearer_auth(&token).send().await;
    assert!(unknown.is_err(), "no certificate, no answer: {unknown:?}");
}

/// Certificates are renewed while the server runs: the next connection sees the new ones, the
/// one that is there stays, and broken ones change nothing.
#[tokio::test]
async fn a_reload_brings_new_certificates() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let file = |name: &str| dir.path().join(name);
    let config = json!({
        "auth": {"enabled": false},
        "server": {"http": {"listen": "127.0.0.1:0", "tls": {
            "cert": file("server.pem"), "key": file("server.key"),
        }}},
    });
    let config = config.to_string();
    let doorward = Doorward::start(&config).await;
    let url = doorward.http("/apis/auth/ext-authz/v1").replace("http://", "https://");
    let trusting = || {
        let ca = std::fs::read(file("ca.pem")).unwrap();
        let ca = reqwest::Certificate::from_pem(&ca).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().unwrap()
    };
    let answers = async |client: &reqwest::Client| client.get(&url).send().await.is_ok();
    let (connected, unconnected) = (trusting(), trusting());
    assert!(answers(&connected).await);

    // Another authority, and so another certificate.
    certificates(dir.path());
    let new = trusting();
    assert!(!answers(&new).await, "not before it is told");
    doorward.reload(&config).await;
    assert!(answers(&new).await);
    assert!(answers(&connected).await, "a connection that was there");
    assert!(!answers(&unconnected).await, "the old certificate is gone");

    // Half of a pair, as when a reload comes between the writing of two files.
    std::fs::write(file("server.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let refused = Settings::from_yaml("test.json", &config).unwrap_err().to_string();
    let other = format!("does not match the first certificate in {}", file("server.pem").display());
    assert!(refused.starts_with("test.json: server.http.tls.key: the key in "), "{refused}");
    assert!(refused.ends_with(&other), "{refused}");
    assert!(answers(&trusting()).await, "the last good ones serve on");

    // Without TLS, as the configuration has it then.
    let plain = json!({"auth": {"enabled": false}, "server": {"http": {"listen": "127.0.0.1:0"}}});
    doorward.reload(&plain.to_string()).await;
    let url = doorward.http("/apis/auth/ext-authz/v1");
    assert!(reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.is_ok());
}

#[tokio::test]
async fn check_over_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("doorward.sock");
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "server": {"grpc": {"listen": format!("unix:{}", path.display())}},
    });
    let doorward = Doorward::start(&config.to_string()).await;
    let socket = path.clone();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let channel =
        Endpoint::from_static("http://unix").connect_with_connector(connector).await.unwrap();
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let outcome = Checker::over(channel).ask(get("/").bearer(&token)).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some("alice"));
    drop(doorward);
    assert!(!path.exists(), "the socket goes with the server");
}
