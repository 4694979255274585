//! An issuer whose certificate is not trusted: the log says so in our words, and in no others.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::served::Served;
use crate::support::tls::TlsServer;

#[tokio::test]
async fn its_trouble_is_told_once_and_by_us_alone() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let chain = vec![certificate.der().clone()];
    let idp = TlsServer::start(chain, &key, |_| (404, String::new())).await;
    let issuer = idp.url("");
    // `log.level` is as it comes.
    let config = json!({"auth": {"oidc": {"issuer": issuer, "client_id": "nmp"}}});
    let mut served = Served::start(&config).await;
    let failures =
        format!("doorward_key_set_fetches_total{{issuer=\"{issuer}\",outcome=\"error\"}}");
    eventually("two retries", Duration::from_secs(30), async || {
        (served.metric(&failures).await >= 3.0).then_some(())
    })
    .await;

    let said = served.process().stderr();
    let (mut loud, mut about_keys) = (0, 0);
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        if !["ERROR", "WARN"].contains(&line["level"].as_str().unwrap()) {
            continue;
        }
        loud += 1;
        let target = line["target"].as_str().unwrap();
        assert!(target == "doorward" || target.starts_with("doorward::"), "{line}");
        let keys = line["message"].as_str().unwrap().starts_with("keys ");
        about_keys += usize::from(keys);
        assert!(!keys || line["error"].as_str().unwrap().contains("certificate"), "{line}");
    }
    assert_eq!(about_keys, 1, "{said}");
    // Beside it: nobody of the issuer's can be let in, and where people log in is not known.
    assert!((1..=3).contains(&loud), "{said}");
    for path in [".cargo", "/registry/src", "rustls-platform-verifier"] {
        assert!(!said.contains(path), "{said}");
    }
}
