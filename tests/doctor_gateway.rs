//! The doctor's probe of a live gateway: a real Envoy with our files passes, and one that
//! has been broken fails where it is broken.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use doorward::config::Settings;
use doorward::doctor::gateway::{GatewayError, GatewayProbe, examine};
use doorward::doctor::{Finding, Outcome, envoy};
use doorward_core::identity::ProtectedHeaders;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::doctor_envoy::ALL_SPELLINGS;
use crate::support::doorward::Doorward;
use crate::support::echo::Echo;
use crate::support::envoy::{Envoy, fill};
use crate::support::gateway::{Gateway, behind};
use crate::support::process::free_port;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::{http, tools};

const ISSUER: &str = "https://idp.example";

/// A gateway of `file`, changed by `change`. `None`: no Envoy.
async fn gateway(file: &str, change: impl Fn(String) -> String) -> Option<Gateway> {
    let envoy = tools::tool("envoy").await?;
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"bypass": ["/open/*"]},
    });
    let (doorward, echo) = (Doorward::start(&config.to_string()).await, Echo::start().await);
    doorward.ready().await;
    let sound = tools::file(&format!("envoy/{file}"));
    let config = fill(&change(sound), behind(&doorward, &echo));
    Some(Gateway::of(Envoy::run(&envoy, "envoy.yaml", &config).await, doorward, echo))
}

/// The names of the defaults.
fn protected() -> ProtectedHeaders {
    let settings = Settings::from_yaml("defaults", "auth: {enabled: false}").unwrap();
    ProtectedHeaders::new(&settings.headers)
}

fn probe(gateway: &Gateway, echo: &str) -> GatewayProbe {
    GatewayProbe {
        gateway: format!("http://{}", gateway.envoy().address()).parse().unwrap(),
        echo: echo.to_owned(),
        token: Some(RSA.token("RS256", &claims(ISSUER, json!({})))),
        open: vec!["/open/*".to_owned()],
        protected: protected(),
        principal: "x-nmp-principal-id".to_owned(),
        ca_file: None,
    }
}

async fn findings(probe: &GatewayProbe) -> Vec<Finding> {
    let examined = tokio::time::timeout(Duration::from_secs(100), examine(probe));
    examined.await.unwrap().unwrap().findings
}

fn failed(findings: &[Finding]) -> Vec<&'static str> {
    let failed = findings.iter().filter(|finding| finding.outcome == Outcome::Fail);
    failed
        .map(|finding| {
            assert!(finding.remedy.is_some(), "{finding:?}");
            finding.check
        })
        .collect()
}

const ALL: [&str; 9] = [
    "reachable",
    "token_required",
    "token",
    "spoofed_headers",
    "underscores",
    "repeated",
    "connection",
    "two_tokens",
    "service_bearer",
];

#[tokio::test]
async fn our_files_pass_every_probe() {
    for file in ["envoy.yaml", "envoy-http.yaml"] {
        let Some(gateway) = gateway(file, |sound| sound).await else { return };
        let found = findings(&probe(&gateway, "/v1/models")).await;
        let well: Vec<_> = found
            .iter()
            .map(|finding| {
                assert_eq!(finding.outcome, Outcome::Pass, "{file}: {finding:?}");
                finding.check
            })
            .collect();
        assert_eq!(well, [&ALL[..], &["paths"]].concat(), "{file}");
        let token = found.iter().find(|finding| finding.check == "token").unwrap();
        assert!(token.found.contains("alice"), "{token:?}");
        assert!(gateway.echo().take().len() < 60, "gentle");

        // A path that is let through: nothing forged arrives there either.
        let found = findings(&probe(&gateway, "/open/page")).await;
        assert_eq!(failed(&found), ["token"; 0], "{found:?}");
        let open = found.iter().find(|finding| finding.check == "token_required").unwrap();
        assert_eq!(open.outcome, Outcome::Warn, "{open:?}");
    }
}

#[tokio::test]
async fn the_command_probes_too() {
    let Some(gateway) = gateway("envoy.yaml", |sound| sound).await else { return };
    let url = format!("http://{}", gateway.envoy().address());
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    let output = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_doorward"))
            .env_clear()
            .args([
                "doctor",
                "--json",
                "--gateway",
                &url,
                "--echo",
                "/v1/models",
                "--token",
                &token,
            ])
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["outcome"], "pass", "{said}");
    assert_eq!(report["pass"], 10, "{said}");
}

/// What a running Envoy says of itself is as good as its file.
#[tokio::test]
async fn a_dump_of_a_running_envoy_can_be_examined() {
    let headers = Settings::from_yaml("test", "auth: { enabled: false }").unwrap().headers;
    for (change, expected) in [("", vec![]), ("failure_mode_allow: true", vec!["failure_mode"])] {
        let changed = |sound: String| match change {
            "" => sound,
            change => sound.replace("failure_mode_allow: false", change),
        };
        let Some(gateway) = gateway("envoy.yaml", changed).await else { return };
        let dump = http().get(gateway.envoy().admin("/config_dump")).send().await.unwrap();
        let sections =
            envoy::examine("dump", &dump.text().await.unwrap(), &headers, false).unwrap();
        let [entrance] = sections.as_slice() else { panic!("one entrance: {sections:?}") };
        assert_eq!(failed(&entrance.findings), expected);
        let warned = entrance.findings.iter().find(|finding| finding.outcome == Outcome::Warn);
        assert_eq!(warned, None);
    }
}

#[tokio::test]
async fn without_a_token_it_says_what_was_not_tried() {
    let Some(gateway) = gateway("envoy.yaml", |sound| sound).await else { return };
    let found = findings(&GatewayProbe { token: None, ..probe(&gateway, "/v1/models") }).await;
    assert_eq!(failed(&found), ["token"; 0], "{found:?}");
    let token = found.iter().find(|finding| finding.check == "token").unwrap();
    assert_eq!(token.outcome, Outcome::NotSeen);
    let seen = found.iter().filter(|finding| finding.outcome == Outcome::Pass);
    let seen: Vec<_> = seen.map(|finding| finding.check).collect();
    assert_eq!(seen, ["reachable", "token_required", "service_bearer", "paths"], "{found:#?}");
}

#[tokio::test]
async fn a_gateway_without_the_filter_fails() {
    let without = |sound: String| {
        let (front, rest) = sound.split_once("- name: envoy.filters.http.ext_authz").unwrap();
        let (_, rest) = rest.split_once("- name: envoy.filters.http.router").unwrap();
        let rest = rest.replace("check_settings:", "disabled: true #");
        let rest = rest.replace("context_extensions: {", "# {");
        format!("{front}- name: envoy.filters.http.router{rest}")
    };
    let Some(gateway) = gateway("envoy.yaml", without).await else { return };
    let found = findings(&probe(&gateway, "/v1/models")).await;
    let failed = failed(&found);
    for check in ["spoofed_headers", "underscores", "repeated", "paths"] {
        assert!(failed.contains(&check), "{check}: {found:#?}");
    }
}

#[tokio::test]
async fn an_open_failure_mode_is_found_when_doorward_is_down() {
    let open = |sound: String| {
        let open = sound.replace("failure_mode_allow: false", "failure_mode_allow: true");
        // Every request waits for it here.
        open.replace("timeout: 1s\n", "timeout: 0.05s\n")
    };
    let Some(mut gateway) = gateway("envoy.yaml", open).await else { return };
    gateway.stop_doorward();
    let found = findings(&probe(&gateway, "/v1/models")).await;
    assert!(failed(&found).contains(&"spoofed_headers"), "{found:#?}");
}

#[tokio::test]
async fn a_route_with_the_filter_off_is_found() {
    let off = |sound: String| {
        sound.replacen(
            "check_settings:\n                                context_extensions: { doorward.mode: bypass }",
            "disabled: true",
            1,
        )
    };
    let Some(gateway) = gateway("envoy.yaml", off).await else { return };
    let found = findings(&probe(&gateway, "/public/page")).await;
    assert!(failed(&found).contains(&"spoofed_headers"), "{found:#?}");
    let guarded = findings(&probe(&gateway, "/v1/models")).await;
    assert_eq!(failed(&guarded), ["token"; 0], "{guarded:#?}");

    // And with paths that are read in two ways, it is a way into everything.
    let off_and_raw = |sound: String| {
        off(sound)
            .replace("normalize_path: true", "normalize_path: false")
            .replace("REJECT_REQUEST", "KEEP_UNCHANGED")
    };
    let Some(gateway) = self::gateway("envoy.yaml", off_and_raw).await else { return };
    let found = findings(&probe(&gateway, "/v1/models")).await;
    assert_eq!(failed(&found), ["paths"], "{found:#?}");
}

/// What was in the files of `envoy/` once does not show `x.nmp.principal.id`.
#[tokio::test]
async fn spellings_that_doorward_never_sees_are_found() {
    let hidden = |sound: String| {
        sound.replace(
            ALL_SPELLINGS,
            "- { prefix: x-nmp, ignore_case: true }
                          - { prefix: x_nmp, ignore_case: true }",
        )
    };
    let Some(gateway) = gateway("envoy.yaml", hidden).await else { return };
    let found = findings(&probe(&gateway, "/v1/models")).await;
    assert_eq!(failed(&found), ["underscores"], "{found:#?}");
    let finding = found.iter().find(|finding| finding.check == "underscores").unwrap();
    assert!(
        finding.found.contains("x.nmp.principal.id") && !finding.found.contains("x_nmp"),
        "{finding:?}"
    );
}

#[tokio::test]
async fn headers_that_doorward_never_sees_are_found() {
    let hidden = |sound: String| sound.replace(ALL_SPELLINGS, "");
    let Some(gateway) = gateway("envoy.yaml", hidden).await else { return };
    let found = findings(&probe(&gateway, "/v1/models")).await;
    let failed = failed(&found);
    assert_eq!(failed, ["spoofed_headers", "underscores"], "{found:#?}");
    let spoofed = found.iter().find(|finding| finding.check == "spoofed_headers").unwrap();
    assert!(
        spoofed.found.contains("x-nmp-Anything") && !spoofed.found.contains("Principal-Id"),
        "{spoofed:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_probed_is_said() {
    let unreachable = GatewayProbe {
        gateway: format!("http://127.0.0.1:{}", free_port()).parse().unwrap(),
        echo: "/".to_owned(),
        token: None,
        open: Vec::new(),
        protected: protected(),
        principal: "x-nmp-principal-id".to_owned(),
        ca_file: None,
    };
    assert_eq!(failed(&findings(&unreachable).await), ["reachable"]);
    let ftp = GatewayProbe { gateway: "ftp://h/".parse().unwrap(), ..unreachable };
    assert!(matches!(examine(&ftp).await, Err(GatewayError::NotHttp)));
    let mut no_path = ftp;
    for echo in ["headers", "", "/a b", "/a\r\nX-Evil: 1"] {
        no_path.echo = echo.to_owned();
        assert!(matches!(examine(&no_path).await, Err(GatewayError::NoPath)), "{echo:?}");
    }
}

/// Answers every request on TLS with a denial, as a gateway would without a token.
async fn denies_over_tls(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> (u16, JoinSet<()>) {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let (acceptor, listener) =
        (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust the certificate goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, server)
}

#[tokio::test]
async fn tls_is_verified() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.cert.pem()).unwrap();
    let (port, _server) = denies_over_tls(&certificate).await;
    let probe = GatewayProbe {
        gateway: format!("https://localhost:{port}").parse().unwrap(),
        echo: "/headers".to_owned(),
        token: None,
        open: Vec::new(),
        protected: protected(),
        principal: "x-nmp-principal-id".to_owned(),
        ca_file: Some(ca_file),
    };
    assert_eq!(failed(&findings(&probe).await), [""; 0]);
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other_file = dir.path().join("other.pem");
    std::fs::write(&other_file, other.cert.pem()).unwrap();
    let distrusting = GatewayProbe { ca_file: Some(other_file.clone()), ..probe };
    assert_eq!(failed(&findings(&distrusting).await), ["reachable"]);
    std::fs::write(&other_file, "nothing").unwrap();
    let refused = examine(&distrusting).await;
    assert!(matches!(refused, Err(GatewayError::Authorities { .. })), "{refused:?}");
}
