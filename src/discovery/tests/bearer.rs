//! Who is shown the token of `key_bearer_file`, and what is said where it is not there.

use std::path::Path;

use url::Url;

use super::fake_idp::{Answer, FakeIdp, redirect};
use super::{Access, PATIENCE};
use crate::discovery::{FetchErrorKind, HttpFetcher, KeyBearer};

async fn showing(file: &Path, to: &[&Url]) -> HttpFetcher {
    let key_bearer = Some(KeyBearer::new(file.to_owned(), to.iter().copied()));
    HttpFetcher::new(&Access { key_bearer, ..Access::default() }, PATIENCE).await.unwrap()
}

#[tokio::test]
async fn the_token_is_read_at_each_fetch_and_sent_to_whom_the_operator_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let (home, elsewhere) = (FakeIdp::start(&[]).await, FakeIdp::start(&[]).await);
    let http = showing(&file, &[&home.url("/")]).await;
    for token in ["first", "second.a-b_c~d+e/f="] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        // The redirect stays at home.
        http.get(&home.url("/moved")).await.unwrap();
        let shown = Some(format!("Bearer {token}"));
        assert_eq!(home.credentials(), [shown.clone(), shown]);
    }
    // Another port is somebody else, by a redirect or as a document names it.
    home.metadata(redirect(302, elsewhere.url("/keys")));
    http.get(&home.url("/.well-known/openid-configuration")).await.unwrap();
    http.get(&elsewhere.url("/keys")).await.unwrap();
    assert!(home.credentials()[0].is_some());
    assert_eq!(elsewhere.credentials(), [None, None]);
    for status in [401, 403] {
        elsewhere.keys(Answer::Status(status));
        let error = http.get(&elsewhere.url("/keys")).await.unwrap_err();
        assert!(matches!(error.kind, FetchErrorKind::BearerWithheld { .. }), "{error}");
        let home = home.issuer.as_str();
        assert!(error.to_string().ends_with(&format!("sent to {home} only")), "{error}");
    }
    // What is sent to log somebody in never has it.
    http.post(&home.url("/token"), http::HeaderMap::new(), Vec::new()).await.unwrap();
    assert_eq!(home.credentials(), [None]);
}

#[tokio::test]
async fn it_is_not_sent_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "t").unwrap();
    let far = Url::parse("http://idp.example/keys").unwrap();
    let proxy = FakeIdp::start(&[]).await;
    proxy.keys(Answer::Status(200));
    let access = Access {
        proxy: Some(proxy.url("/")),
        key_bearer: Some(KeyBearer::new(file, [&far])),
        ..Access::default()
    };
    let http = HttpFetcher::new(&access, PATIENCE).await.unwrap();
    http.get(&far).await.unwrap();
    assert_eq!(proxy.credentials(), [None]);
}

#[tokio::test]
async fn without_a_token_nothing_is_asked_and_nothing_of_the_file_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let home = FakeIdp::start(&[]).await;
    let http = showing(&file, &[&home.url("/")]).await;
    let error = http.get(&home.url("/keys")).await.unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()) && error.contains("No such file"), "{error}");
    for content in ["", "\n", "s3cret and more", "s3cret\nX-Other: y", "s3cr\u{e9}t"] {
        std::fs::write(&file, content).unwrap();
        let error = http.get(&home.url("/keys")).await.unwrap_err().to_string();
        assert!(
            error.contains("does not contain exactly one bearer token"),
            "{content:?}: {error}"
        );
        assert!(!error.contains("s3cr"), "{error}");
        assert!(KeyBearer::check(&file).is_err());
    }
    assert_eq!(home.key_requests(), 0);
}
