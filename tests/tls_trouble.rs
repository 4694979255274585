//! TLS between a real Envoy and Doorward, as `envoy/envoy-tls.yaml` sets it up: it works, and where
//! the two do not agree, Doorward says who and why.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::doorward::Doorward;
use crate::support::echo::Echo;
use crate::support::envoy::{Behind, Envoy, fill};
use crate::support::gateway::{Gateway, behind};
use crate::support::raw::get;
use crate::support::served::Served;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::tls::{certificates, certificates_of};
use crate::support::{PATIENCE, eventually, tools};

const ISSUER: &str = "https://idp.example";

fn config(tls: Option<&Path>) -> Value {
    let mut config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
    });
    if let Some(dir) = tls {
        let file = |name: &str| dir.join(name);
        config["server"] = json!({"grpc": {"listen": "127.0.0.1:0", "tls": {
            "cert": file("server.pem"), "key": file("server.key"), "client_ca": file("ca.pem"),
        }}});
    }
    config
}

/// A file of `envoy/` with the certificates of `dir`.
fn with_certificates(file: &str, dir: &Path) -> String {
    tools::file(&format!("envoy/{file}")).replace("/etc/envoy/tls", dir.to_str().unwrap())
}

#[tokio::test]
async fn envoy_and_doorward_show_each_other_certificates() {
    let Some(binary) = tools::tool("envoy").await else { return };
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let doorward = Doorward::start(&config(Some(dir.path())).to_string()).await;
    let echo = Echo::start().await;
    let file = fill(&with_certificates("envoy-tls.yaml", dir.path()), behind(&doorward, &echo));
    let gateway = Gateway::of(Envoy::run(&binary, "envoy.yaml", &file).await, doorward, echo);
    assert_eq!(gateway.send(&get("/v1/models")).await.reason(), "missing_token");
    assert!(gateway.echo().take().is_empty());
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let request = get("/v1/models").bearer(&token).header("X-NMP-Principal-Id", "root");
    assert_eq!(gateway.send(&request).await.status, 200);
    assert_eq!(gateway.echo().take()[0].header("x-nmp-principal-id"), Some("alice"));
}

const CLIENT_CERTIFICATE: &str = "            tls_certificates:
              - certificate_chain: { filename: /etc/envoy/tls/client.pem }
                private_key: { filename: /etc/envoy/tls/client.key }
";

#[tokio::test]
async fn who_does_not_agree_on_tls_and_why_is_told() {
    let Some(binary) = tools::tool("envoy").await else { return };
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(dir.path());
    certificates_of("another authority", other.path());
    let tls = Served::start(&config(Some(dir.path()))).await;
    let plain = Served::start(&config(None)).await;
    let servers = &mut [tls, plain];
    let sound = tools::file("envoy/envoy-tls.yaml");
    assert!(sound.contains(CLIENT_CERTIFICATE));
    let at = |file: &str, dir: &Path| file.replace("/etc/envoy/tls", dir.to_str().unwrap());
    let ca = |dir: &Path| format!("filename: {}/ca.pem", dir.display());
    for (server, file, reason, told) in [
        (
            0,
            tools::file("envoy/envoy.yaml"),
            "plaintext",
            "127.0.0.1 spoke plaintext to the TLS port of server.grpc: add a transport_socket to Envoy's cluster",
        ),
        (
            0,
            at(&sound, dir.path()).replace(&ca(dir.path()), &ca(other.path())),
            "certificate_refused",
            "127.0.0.1 does not trust our certificate (alert unknown_ca): trusted_ca of Envoy's",
        ),
        (
            0,
            at(&sound.replace(CLIENT_CERTIFICATE, ""), dir.path()),
            "no_client_certificate",
            "127.0.0.1 sent no client certificate, which server.grpc.tls.client_ca requires",
        ),
        (
            0,
            at(&sound, other.path()).replace(&ca(other.path()), &ca(dir.path())),
            "bad_client_certificate",
            "127.0.0.1 sent a client certificate that is not accepted: ",
        ),
        (
            1,
            at(&sound, dir.path()),
            "tls_to_plaintext_port",
            "127.0.0.1 spoke TLS to the plaintext port of server.grpc: set server.grpc.tls",
        ),
    ] {
        let served = &mut servers[server];
        let port = |address: &str| address.rsplit_once(':').unwrap().1.parse().unwrap();
        let (grpc, echo) = (port(&served.at.grpc), Echo::start().await);
        let behind = Behind { grpc, http: grpc, upstream: echo.port() };
        let envoy = Envoy::run(&binary, "envoy.yaml", &fill(&file, behind)).await;
        let token = RSA.token("RS256", &claims(ISSUER, json!({})));
        for _ in 0..2 {
            let reply = get("/v1/models").bearer(&token).send(envoy.address()).await;
            assert_eq!(reply.status, 503, "{reason}: {reply:?}");
        }
        assert!(echo.take().is_empty());
        let metric = format!(
            "doorward_tls_handshake_failures_total{{listener=\"grpc\",reason=\"{reason}\"}}"
        );
        eventually(reason, PATIENCE, async || (served.metric(&metric).await >= 2.0).then_some(()))
            .await;
        let said = served.process().stderr();
        let lines: Vec<_> = said.lines().filter(|line| line.contains(told)).collect();
        assert_eq!(lines.len(), 1, "now and then, not each time: {said}");
        for part in
            ["\"level\":\"WARN\"", "\"peer\":\"127.0.0.1\"", &*format!("\"reason\":\"{reason}\"")]
        {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
    }
}

/// What only knocks, as load balancers do, is counted and fills no log.
#[tokio::test]
async fn a_client_that_goes_away_is_counted_and_no_warning() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let mut served = Served::start(&config(Some(dir.path()))).await;
    drop(tokio::net::TcpStream::connect(&served.at.grpc).await.unwrap());
    let metric = "doorward_tls_handshake_failures_total{listener=\"grpc\",reason=\"went_away\"}";
    eventually("it is counted", PATIENCE, async || {
        (served.metric(metric).await == 1.0).then_some(())
    })
    .await;
    let said = served.process().stderr();
    assert!(!said.contains("TLS"), "{said}");
}
