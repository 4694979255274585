//! What the HTTP client refuses, and how it says so.

use std::time::Duration;

use url::Url;

use super::fake_idp::{Answer, FakeIdp, redirect};
use super::{Access, PATIENCE};
use crate::discovery::{FetchError, FetchErrorKind, HttpFetcher, SetupError};

async fn get(url: &Url) -> Result<String, FetchError> {
    let http = HttpFetcher::new(&Access::default(), PATIENCE).await.unwrap();
    let document = http.get(url).await?;
    Ok(String::from_utf8(document.body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_document_comes_as_it_is_redirects_followed() {
    let idp = FakeIdp::start(&[]).await;
    idp.keys(Answer::Text("{}".into()));
    assert_eq!(get(&idp.url("/keys")).await.unwrap(), "{}");
    assert_eq!(get(&idp.url("/moved")).await.unwrap(), "{}");
}

#[tokio::test]
async fn faults_are_told_apart_and_name_the_url() {
    let idp = FakeIdp::start(&[]).await;
    let big = " ".repeat(1024 * 1024 + 1);
    let to = |location: &str| redirect(302, location);
    for (answer, text) in [
        (Answer::Raw(503, ("retry-after", "7".into()), String::new()), "status 503"),
        (Answer::Status(204), "status 204"),
        (Answer::Text(big), "larger than 1 MiB"),
        (Answer::Endless, "larger than 1 MiB"),
        (Answer::Raw(200, ("content-encoding", "gzip".into()), "{}".into()), "compressed"),
        (to("http://10.0.0.1/keys"), "http://10.0.0.1/keys, which is not followed"),
        (to("file:///etc/passwd"), "not an http or https URL"),
        (to("http://["), "not a URL"),
    ] {
        idp.keys(answer);
        let url = idp.url("/keys");
        let error = get(&url).await.unwrap_err();
        assert!(error.to_string().starts_with(url.as_str()), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = get(&idp.url("/loop")).await.unwrap_err();
    assert!(matches!(error.kind, FetchErrorKind::TooManyRedirects), "{error}");
}

#[tokio::test]
async fn retry_after_is_read() {
    let idp = FakeIdp::start(&[]).await;
    idp.keys(Answer::Raw(429, ("retry-after", "7".into()), String::new()));
    let error = get(&idp.url("/keys")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn time_is_bounded_over_all() {
    let idp = FakeIdp::start(&[]).await;
    idp.keys(Answer::Hang);
    let limit = Duration::from_millis(30);
    let http = HttpFetcher::new(&Access::default(), limit).await.unwrap();
    let error = http.get(&idp.url("/keys")).await.unwrap_err();
    assert!(error.to_string().ends_with("no complete answer within 30ms"), "{error}");
}

#[tokio::test]
async fn the_innermost_cause_is_told_and_no_password() {
    let mut idp = FakeIdp::start(&[]).await;
    let mut url = idp.url("/keys");
    url.set_username("bob").unwrap();
    url.set_password(Some("hunter2")).unwrap();
    idp.stop().await;
    let text = get(&url).await.unwrap_err().to_string();
    assert!(text.contains("refused") && !text.contains("hunter2"), "{text}");
    assert_eq!(text.matches("/keys").count(), 1, "{text}");
}

#[tokio::test]
async fn a_proxy_is_used_but_never_for_loopback() {
    let idp = FakeIdp::start(&[]).await;
    let proxy = FakeIdp::start(&[]).await;
    proxy.keys(Answer::Status(200));
    let access = Access { proxy: Some(proxy.url("/")), ..Access::default() };
    let http = HttpFetcher::new(&access, PATIENCE).await.unwrap();
    http.get(&idp.url("/keys")).await.unwrap();
    assert_eq!((idp.key_requests(), proxy.key_requests()), (1, 0));
    // The proxy sees the absolute form and answers itself.
    http.get(&Url::parse("http://idp.example/keys").unwrap()).await.unwrap();
    assert_eq!((idp.key_requests(), proxy.key_requests()), (1, 1));
}

#[tokio::test]
async fn a_ca_file_has_to_hold_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let access = Access { ca_file: Some(ca_file.clone()), ..Access::default() };
    let missing = HttpFetcher::new(&access, PATIENCE).await.unwrap_err();
    assert!(matches!(missing, SetupError::Unreadable { .. }), "{missing}");
    std::fs::write(&ca_file, "no certificate").unwrap();
    let empty = HttpFetcher::new(&access, PATIENCE).await.unwrap_err();
    assert!(matches!(empty, SetupError::NoCertificate(_)), "{empty}");
}

#[tokio::test]
async fn https_works_up_to_the_handshake_with_the_one_crypto_provider() {
    // A plain-text server: no panic over providers, and an error that speaks of TLS.
    let idp = FakeIdp::start(&[]).await;
    let mut url = idp.url("/keys");
    url.set_scheme("https").unwrap();
    let error = get(&url).await.unwrap_err();
    assert!(matches!(error.kind, FetchErrorKind::Exchange(_)), "{error}");
}
