//! What a document or a redirect cannot make the client do.

use doorward_core::keys::KeySource as _;
use serde_json::json;
use url::Url;

use super::fake_idp::{Answer, FakeIdp};
use super::{Access, PATIENCE, Running, on_demand, spec};
use crate::discovery::HttpFetcher;

#[tokio::test]
async fn a_document_over_plain_http_leads_to_https_or_stays_at_home() {
    let (idp, internal) = (FakeIdp::start(&[]).await, FakeIdp::start(&["a"]).await);
    let port = internal.url("/").port().unwrap();
    let names = |jwks_uri: &str| {
        Answer::Text(json!({"issuer": idp.issuer, "jwks_uri": jwks_uri}).to_string())
    };
    for refused in [
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://10.0.0.1/keys".to_owned(),
        // Resolves to this machine, perhaps; it is not this machine's name.
        format!("http://127.0.0.1.nip.example:{port}/keys"),
        format!("http://0.0.0.0:{port}/keys"),
    ] {
        idp.metadata(names(&refused));
        let issuer = Running::tried(spec(&idp.issuer, idp.discovery(), on_demand())).await;
        let error = issuer.keys.status().last_error.unwrap().to_string();
        assert!(error.contains(&refused) && error.contains("over plain http"), "{error}");
        assert!(issuer.keys.snapshot().is_none());
    }
    assert_eq!(internal.key_requests(), 0);
    idp.metadata(names(internal.url("/keys").as_str()));
    let issuer = Running::tried(spec(&idp.issuer, idp.discovery(), on_demand())).await;
    assert_eq!(issuer.kids(), ["a"]);
}

#[tokio::test]
async fn names_below_localhost_are_this_machine_whatever_a_resolver_says() {
    let idp = FakeIdp::start(&[]).await;
    let port = idp.url("/").port().unwrap();
    // Its proxy would fail: it is not asked for them either.
    let proxy = Some(Url::parse("http://127.0.0.1:1").unwrap());
    let access = Access { proxy, ..Access::default() };
    let http = HttpFetcher::new(&access, PATIENCE).await.unwrap();
    for host in ["localhost", "no-such-name.localhost"] {
        let url = Url::parse(&format!("http://{host}:{port}/keys")).unwrap();
        http.get(&url).await.unwrap();
    }
    assert_eq!(idp.key_requests(), 2);
}
