//! How issuers are reached: plain http, the token they want to see, and names that nobody
//! asks.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::discovery::{Access, KeyBearer};

fn loaded(text: &str) -> (Vec<(String, KeyLocation)>, Vec<String>) {
    let loaded = on_minimal(text).unwrap_or_else(|faults| panic!("{faults}"));
    let issuers = loaded.settings.issuers.into_iter();
    let issuers = issuers.map(|issuer| (issuer.token.issuer, issuer.keys)).collect();
    (issuers, loaded.warnings.iter().map(ToString::to_string).collect())
}

#[test]
fn plain_http_beyond_this_machine_is_asked_for_and_warned_about() {
    for (text, url) in [
        ("{issuer: 'http://kc/realms/a'}", "http://kc/realms/a/.well-known/openid-configuration"),
        ("{discovery_url: 'http://kc/d'}", "http://kc/d"),
        ("{jwks_uri: 'http://kc/k'}", "http://kc/k"),
        ("{jwks_uri: 'https://kc/k', discovery_url: 'http://kc/d'}", "http://kc/d"),
    ] {
        let with = |allow: bool| {
            let text = text.replacen('{', &format!("{{allow_http: {allow}, "), 1);
            format!("auth: {{oidc: {text}}}")
        };
        let faults = lines(on_minimal(&with(false)));
        assert!(faults[0].contains("for an issuer with allow_http: true"), "{faults:?}");
        let (_, warnings) = loaded(&with(true));
        let start = format!("auth.oidc.allow_http is true: {url} is fetched over plain http");
        assert!(warnings.len() == 1 && warnings[0].starts_with(&start), "{warnings:?}");
    }
    // Where it changes nothing, it is nothing to warn of.
    for text in ["{}", "{issuer: 'http://127.0.0.1:1'}", "{issuer: 'http://kc.localhost'}"] {
        let text = format!("auth: {{oidc: {}}}", text.replacen('{', "{allow_http: true, ", 1));
        assert_eq!(loaded(&text).1, [""; 0], "{text}");
    }
}

#[test]
fn the_token_is_for_those_that_the_configuration_names() {
    let dir = Dir::new();
    let file = dir.file("token", "a.b.c\n");
    let access = |issuer: &str| -> Result<Vec<Access>, ConfigFaults> {
        let file = file.display();
        let text = format!("auth: {{oidc: {{{issuer}, key_bearer_file: '{file}'}}}}");
        Ok(on_minimal(&text)?.settings.issuers.into_iter().map(|issuer| issuer.access).collect())
    };
    let shown_to = |urls: &[&str]| {
        let urls: Vec<url::Url> = urls.iter().map(|url| url.parse().unwrap()).collect();
        Some(KeyBearer::new(file.clone(), &urls))
    };
    for (issuer, urls) in [
        ("discovery_url: 'https://k8s:6443/d'", vec!["https://k8s:6443"]),
        ("jwks_uri: 'https://k8s/k'", vec!["https://k8s", "https://idp.example"]),
        (
            "jwks: {keys: [{kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}]}",
            vec!["https://idp.example"],
        ),
    ] {
        assert_eq!(access(issuer).unwrap()[0].key_bearer, shown_to(&urls), "{issuer}");
    }
    // Another name of the issuer is asked for its keys, but not shown the token.
    let both = access("additional_issuers: ['https://elsewhere']").unwrap();
    assert_eq!(both[0].key_bearer, both[1].key_bearer);
    assert_eq!(both[1].key_bearer.as_ref().unwrap().to_string(), "https://idp.example");
    let faults = access("allow_http: true, jwks_uri: 'http://k8s/k'").unwrap_err().to_string();
    assert!(faults.contains("would send its token to http://k8s in cleartext"), "{faults}");
    assert!(!faults.contains("a.b.c"), "{faults}");
}

#[test]
fn an_additional_issuer_is_a_name_first() {
    let text = |name: &str, allow_http: bool| {
        format!("auth: {{oidc: {{allow_http: {allow_http}, additional_issuers: ['{name}']}}}}")
    };
    for (name, warning) in [
        ("accounts.google.com", None),
        ("accounts.google.com:443", None),
        ("urn:example:idp", None),
        ("https://idp.example/?tenant=a", Some("is not discovered")),
        ("http://kc.corp/realms/a", Some("is not discovered")),
    ] {
        let (issuers, warnings) = loaded(&text(name, false));
        assert_eq!(issuers[1], (name.to_owned(), KeyLocation::Borrowed));
        assert_eq!(warnings.len(), usize::from(warning.is_some()), "{warnings:?}");
        assert!(warnings.iter().all(|said| said.contains(warning.unwrap())), "{warnings:?}");
    }
    let (issuers, warnings) = loaded(&text("http://kc.corp", true));
    let url = "http://kc.corp/.well-known/openid-configuration".parse().unwrap();
    assert_eq!(issuers[1].1, KeyLocation::Discovery(url));
    assert!(warnings[0].contains("is fetched over plain http"), "{warnings:?}");
    for name in ["https://a/{tenant}", "<issuer>", "a b"] {
        assert_eq!(lines(on_minimal(&text(name, false))).len(), 1, "{name}");
    }
}

#[test]
fn a_directory_of_keys_that_others_may_write_to_is_warned_about() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("keys: {{key_cache_dir: '{}'}}", dir.path().display());
    for (mode, warned) in [(0o700, 0), (0o755, 0), (0o770, 1), (0o777, 1)] {
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let (_, warnings) = loaded(&text);
        assert_eq!(warnings.len(), warned, "{mode:o} {warnings:?}");
        assert!(warnings.iter().all(|said| said.contains("keys in it are not trusted")));
    }
}
