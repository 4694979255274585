//! Certificates that come to their end while the server runs: a warning at each step, once, and
//! a metric.

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::support::eventually;
use crate::support::served::Served;
use crate::support::signer::{RSA, jwks};

/// How long a server has to start before the first step. The clock that moves is the real one.
const SOON: Duration = Duration::seconds(12);
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Writes a certificate that ends then, with its key.
fn certificate(dir: &Path, name: &str, end: OffsetDateTime) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = OffsetDateTime::now_utc() - Duration::days(40);
    params.not_after = end;
    let files = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    // The key first: a change of the certificate is what is noticed.
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    std::fs::write(&files.0, params.self_signed(&key).unwrap().pem()).unwrap();
    files
}

async fn served(ends: [(&str, OffsetDateTime, &Path); 2]) -> Served {
    let mut config = json!({"auth": {"oidc": {
        "issuer": "https://idp.example", "client_id": "nmp", "jwks": jwks([&*RSA]),
    }}});
    for (listener, end, dir) in ends {
        let (cert, key) = certificate(dir, listener, end);
        config["server"][listener]["tls"] = json!({"cert": cert, "key": key});
    }
    Served::start(&config).await
}

/// The warnings of this listener's certificate that came while it ran.
fn warnings(served: &mut Served, listener: &str) -> Vec<String> {
    let said = served.process().stderr();
    let lines = said.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &serde_json::Value| line["level"] == "WARN" && line["listener"] == listener)
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn each_step_to_the_end_of_a_certificate_is_told_once() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    let ends = [now + Duration::days(30) + SOON, now + Duration::days(7) + SOON, now + SOON];
    let (long, week) = (ends[0], ends[1]);
    let one = served([("grpc", long, dir.path()), ("http", ends[2], dir.path())]).await;
    let two = served([("grpc", week, other.path()), ("http", long, other.path())]).await;
    let mut servers = [one, two];
    for (index, listener, said) in [
        (0, "grpc", ["the certificate expires in 30 days: renew it", "in 29 days"]),
        (0, "http", ["the certificate expired less than a day ago: renew it", "expired"]),
        (1, "grpc", ["the certificate expires in 7 days: renew it", "in 6 days"]),
    ] {
        let told = eventually(said[0], PATIENCE, async || {
            let told = warnings(&mut servers[index], listener);
            (!told.is_empty()).then_some(told)
        });
        let told = told.await;
        // The second at which it is looked may be the one after.
        let is = |one: &str| said.iter().any(|said| one.contains(said));
        assert!(matches!(told.as_slice(), [one] if is(one)), "{told:?}");
    }
    let [mut one, _two] = servers;
    assert!(OffsetDateTime::now_utc() >= ends[2], "no step came before its time");
    let metric = |listener: &str| {
        format!("doorward_certificate_expires_timestamp_seconds{{listener=\"{listener}\"}}")
    };
    let (grpc, http) = (metric("grpc"), metric("http"));
    assert_eq!(one.metric(&grpc).await as i64, long.unix_timestamp());
    assert_eq!(one.metric(&http).await as i64, ends[2].unix_timestamp());

    // Renewed, it is in force without a restart, and there is nothing to tell.
    let renewed = now + Duration::days(90);
    certificate(dir.path(), "http", renewed);
    one.process().signal("HUP");
    eventually("the renewed certificate is shown", PATIENCE, async || {
        (one.metric(&http).await as i64 == renewed.unix_timestamp()).then_some(())
    })
    .await;
    assert_eq!(warnings(&mut one, "http").len(), 1, "each step once");
}
