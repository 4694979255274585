//! What `config check` and `serve` say of values, names and places that cannot be meant, and what
//! they never print.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpListener;

use crate::support::cli::{Cli, Ended};
use crate::support::served::{FREE_PORTS, listening, serve};
use crate::support::signer::{RSA, jwks};
use crate::support::{PATIENCE, eventually, http};

fn write(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("doorward.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

fn sound() -> String {
    let keys = jwks([&*RSA]);
    format!(
        "auth:\n  oidc: {{ issuer: https://idp.example, client_id: nmp, jwks: {keys} }}\n{FREE_PORTS}"
    )
}

/// `config check` (or `show`) of a file with this text, and these variables.
async fn config(verb: &str, text: &str, environment: &[(&str, &str)]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), text);
    let arguments = ["config", verb, "--config", file.to_str().unwrap()];
    Cli::new().run_with(&arguments, environment, "").await
}

/// Charts and images set such names; a cluster sets one for each of its services.
#[tokio::test]
async fn variables_of_charts_and_clusters_do_not_stop_the_start() {
    let environment = [
        ("DOORWARD_VERSION", "1.2.3"),
        ("DOORWARD_IMAGE_TAG", "1.2.3"),
        ("DOORWARD_REPLICAS", "2"),
        ("DOORWARD_PORT", "tcp://10.0.0.1:9191"),
        ("DOORWARD_SERVICE_HOST", "10.0.0.1"),
        ("DOORWARD_PORT_9191_TCP_ADDR", "10.0.0.1"),
        ("NMP_AUTH_POLICY_DECISION_POINT_PROVIDER", "opa"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), &sound());
    let mut process = serve(&[&file], &environment);
    listening(&mut process).await;
    let said = process.stderr();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("DOORWARD_VERSION")).collect();
    let [line] = lines.as_slice() else { panic!("once:\n{said}") };
    assert!(line.contains("DOORWARD_IMAGE_TAG") && line.contains("DOORWARD_REPLICAS"), "{line}");
    assert!(line.contains("are not settings of Doorward"), "{line}");
    let nemos = "these are settings of NeMo Platform's own: Doorward ignores them";
    let line = said.lines().find(|line| line.contains(nemos)).expect("NeMo's settings are named");
    assert!(line.contains("NMP_AUTH_POLICY_DECISION_POINT_PROVIDER"), "{line}");
    assert!(!line.contains("DOORWARD_VERSION"), "{line}");
    // What Kubernetes sets by itself is no news.
    assert!(!said.contains("DOORWARD_PORT") && !said.contains("DOORWARD_SERVICE_HOST"), "{said}");

    let checked = config("check", &sound(), &environment).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        checked.stderr.contains("note: DOORWARD_VERSION: is not a setting of Doorward"),
        "{checked:?}"
    );
    let nemos = "PROVIDER: is NeMo Platform's own setting, ignored";
    assert!(checked.stderr.contains(nemos), "{checked:?}");
}

#[tokio::test]
async fn a_variable_that_was_meant_stops_the_start_and_names_the_right_one() {
    for (name, meant) in [
        ("NMP_AUTH_OIDC_ISSUER", "NMP_AUTH_OIDC__ISSUER"),
        ("DOORWARD_AUTH_OIDC_ISSUER", "DOORWARD_AUTH__OIDC__ISSUER"),
        ("DOORWARD_ATUH_OIDC_ISSUER", "DOORWARD_AUTH__OIDC__ISSUER"),
        ("DOORWARD_ATUH__OIDC__ISSUER", "DOORWARD_AUTH__OIDC__ISSUER"),
    ] {
        let checked = config("check", &sound(), &[(name, "https://idp.example")]).await;
        assert_eq!(checked.code, Some(2), "{name}: {checked:?}");
        let line = format!("error: {name}: is not the name of a key; did you mean {meant}?");
        assert!(checked.stderr.contains(&line), "{line}\n{checked:?}");
    }
}

/// `config check` is content with these no longer; each names its place and what to write.
#[tokio::test]
async fn values_that_nothing_can_match_are_named_with_their_layer() {
    let environment = [
        ("NMP_AUTH_OIDC__AUDIENCE", "[\"nmp\",\"x\",]"),
        ("DOORWARD_AUTH__OIDC__CLIENT_ID", "'nmp'"),
        ("DOORWARD_AUTH__OIDC__ROLES_CLAIM", "roles\n"),
    ];
    let text =
        sound().replace("client_id: nmp", "client_id: nmp, groups_claim: $.realm_access.roles");
    let checked = config("check", &text, &environment).await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    for line in [
        "NMP_AUTH_OIDC__AUDIENCE: auth.oidc.audience: `[\"nmp\",\"x\",]` is a list written as one string",
        "DOORWARD_AUTH__OIDC__CLIENT_ID: auth.oidc.client_id: `'nmp'` includes quotes, which \
         are compared too: write nmp",
        "DOORWARD_AUTH__OIDC__ROLES_CLAIM: auth.oidc.roles_claim: `roles\\u{a}` contains a line break",
        "doorward.yaml:2: auth.oidc.groups_claim: `$.realm_access.roles` is JSONPath; write the path to a claim as a JSON pointer: /realm_access/roles",
    ] {
        assert!(checked.stderr.contains(line), "{line}\nis not in\n{}", checked.stderr);
    }
}

#[tokio::test]
async fn secrets_are_never_printed() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIs3cret\n-----END PRIVATE KEY-----\n";
    let misplaced = [
        ("DOORWARD_AUTH__OIDC__PROXY", "user:s3cret@proxy:3128"),
        ("DOORWARD_SERVER__GRPC__TLS__KEY", pem),
    ];
    let checked = config("check", &sound(), &misplaced).await;
    let token = [("DOORWARD_AUTH__OIDC__PROXY", "s3cret@proxy:3128")];
    let of_token = config("check", &sound(), &token).await;
    assert!(of_token.stderr.contains("`***@proxy:3128`"), "{of_token:?}");
    assert!(!format!("{of_token:?}").contains("s3cret"), "{of_token:?}");
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.stderr.contains("`***@proxy:3128` is not an http or https URL"), "{checked:?}");
    assert!(
        checked.stderr.contains("server.grpc.tls.key: contains a key, a certificate"),
        "{checked:?}"
    );
    let in_place = [
        ("DOORWARD_AUTH__OIDC__PROXY", "http://user:s3cret@proxy:3128"),
        ("DOORWARD_AUTH__OIDC__TOKEN_ENDPOINT", "https://idp.example/token?api_key=s3cret"),
    ];
    let shown = config("show", &sound(), &in_place).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("https://idp.example/token?api_key=***"), "{shown:?}");
    for ended in [checked, shown] {
        assert!(!format!("{ended:?}").contains("s3cret"), "{ended:?}");
    }
}

/// Forms of `NO_PROXY` that other programs take: the proxy is not asked there.
#[tokio::test]
async fn no_proxy_is_read_as_people_write_it() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Whoever connects is counted, and sent away.
    let serving = tokio::spawn(async move {
        while proxy.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let text =
        "auth: {oidc: {issuer: 'http://idp.corp.invalid:81', client_id: nmp, allow_http: true}}\n";
    for (no_proxy, by_proxy) in [
        ("", true),
        ("*.other.invalid", true),
        ("idp.corp.invalid:82", true),
        ("*.corp.invalid", false),
        (" x , *.corp.invalid ", false),
        ("idp.corp.invalid:81", false),
        (" idp.corp.invalid ", false),
    ] {
        asked.store(0, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        let file = write(dir.path(), text);
        let environment = [("HTTP_PROXY", proxy_url.as_str()), ("NO_PROXY", no_proxy)];
        let arguments = ["doctor", "--config", file.to_str().unwrap()];
        let ended = Cli::new().run_with(&arguments, &environment, "").await;
        assert_eq!(asked.load(Ordering::Relaxed) > 0, by_proxy, "{no_proxy:?}: {ended:?}");
    }
    serving.abort();
}

/// A certificate for as many days, and its key, as PEM files.
fn certificate(dir: &Path, days: i64) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = OffsetDateTime::now_utc() - Duration::days(40);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days) + Duration::hours(1);
    let files = (dir.join(format!("{days}.pem")), dir.join(format!("{days}.key")));
    std::fs::write(&files.0, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    files
}

fn with_tls(cert: &Path, key: &Path) -> String {
    let tls = format!("tls: {{ cert: {}, key: {} }}", cert.display(), key.display());
    sound().replace(
        "grpc: { listen: 127.0.0.1:0 }",
        &format!("grpc: {{ listen: 127.0.0.1:0, {tls} }}"),
    )
}

/// What `serve` would end or be blind with is a fault of `config check`, in the same words.
#[tokio::test]
async fn what_stops_or_blinds_the_server_is_found_before_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let ((cert, _), (_, other_key)) = (certificate(dir.path(), 400), certificate(dir.path(), 401));
    let gone = dir.path().join("gone");
    let no_directory = sound().replace(
        "grpc: { listen: 127.0.0.1:0 }",
        &format!("grpc: {{ listen: 'unix:{}/d.sock' }}", gone.display()),
    );
    for (text, said) in [
        (
            format!("{}log: {{ level: verbos }}\n", sound()),
            "log.level: `verbos` is not a level".to_owned(),
        ),
        (
            with_tls(&cert, &other_key),
            format!(
                "server.grpc.tls.key: the key in {} does not match the first certificate in {}",
                other_key.display(),
                cert.display()
            ),
        ),
        (
            with_tls(&cert, &gone),
            format!("server.grpc.tls.key: `{}` cannot be read", gone.display()),
        ),
        (no_directory, format!("server.grpc.listen: `{}` does not exist", gone.display())),
    ] {
        let checked = config("check", &text, &[]).await;
        assert_eq!(checked.code, Some(2), "{checked:?}");
        assert!(checked.stderr.contains(&said), "{said}\n{checked:?}");
        let file = write(dir.path(), &text);
        let mut process = serve(&[&file], &[]);
        assert_eq!(process.ended().await.code(), Some(2), "{}", process.stderr());
        assert!(process.stderr().contains(&said), "{}", process.stderr());
    }
}

#[tokio::test]
async fn a_certificate_that_runs_out_is_told_of_and_is_a_metric() {
    let dir = tempfile::tempdir().unwrap();
    for (days, said) in
        [(5, "expires in 5 days"), (-3, "expired 2 days ago"), (20, "expires in 20 days")]
    {
        let (cert, key) = certificate(dir.path(), days);
        let checked = config("check", &with_tls(&cert, &key), &[]).await;
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let line =
            format!("warning: server.grpc.tls.cert: the certificate in {} {said}", cert.display());
        assert!(checked.stderr.contains(&line), "{line}\n{checked:?}");
    }
    let (cert, key) = certificate(dir.path(), 5);
    let file = write(dir.path(), &with_tls(&cert, &key));
    let mut process = serve(&[&file], &[]);
    let at = listening(&mut process).await;
    let said = process.stderr();
    assert!(said.contains("expires in 5 days") && said.contains("WARN"), "{said}");
    let expires =
        metric(&at.admin, "doorward_certificate_expires_timestamp_seconds{listener=\"grpc\"}");
    let left = expires.await - OffsetDateTime::now_utc().unix_timestamp();
    assert!((5 * 86_400..6 * 86_400).contains(&left), "{left}");
    let (cert, key) = certificate(dir.path(), 90);
    let checked = config("check", &with_tls(&cert, &key), &[]).await;
    assert!(!checked.stderr.contains("expires in"), "{checked:?}");
}

/// A metric, once it is there.
async fn metric(admin: &str, name: &str) -> i64 {
    let url = format!("http://{admin}/metrics");
    eventually(name, PATIENCE, async || {
        let text = http().get(&url).send().await.ok()?.text().await.ok()?;
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        value.map(|value| value as i64)
    })
    .await
}

#[tokio::test]
async fn reloads_are_counted_with_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), &sound());
    let mut process = serve(&[&file], &[]);
    let at = listening(&mut process).await;
    let value = async |name: &str| metric(&at.admin, &format!("doorward_config_{name}")).await;
    let accepted = "last_reload_timestamp_seconds{outcome=\"accepted\"}";
    let started = value(accepted).await;
    assert!((OffsetDateTime::now_utc().unix_timestamp() - started).abs() < 120);
    assert_eq!(value("last_reload_successful").await, 1);
    assert_eq!(value("reloads_total{outcome=\"accepted\"}").await, 0);
    assert_eq!(value("reloads_total{outcome=\"refused\"}").await, 0);

    write(dir.path(), "auth:\n  oidc: { isuer: x }\n");
    process.signal("HUP");
    eventually("it is refused", PATIENCE, async || {
        (value("last_reload_successful").await == 0).then_some(())
    })
    .await;
    assert!(value("reloads_total{outcome=\"refused\"}").await >= 1);
    assert!(value("last_reload_timestamp_seconds{outcome=\"refused\"}").await >= started);
    assert_eq!(value(accepted).await, started);
    assert!(process.stderr().contains("doorward.yaml:2: auth.oidc.isuer"), "{}", process.stderr());

    write(dir.path(), &sound());
    process.signal("HUP");
    eventually("it is accepted", PATIENCE, async || {
        (value("last_reload_successful").await == 1).then_some(())
    })
    .await;
    assert!(value("reloads_total{outcome=\"accepted\"}").await >= 1);
}
