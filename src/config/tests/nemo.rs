//! NeMo Platform's own file: what is used of it, what is only named, and the platform's own tokens.

use crate::secret::ClientSecret;
use std::time::Duration;

use super::*;

/// A NeMo file with everything of `auth` that concerns us, and all that does not.
const NEMO: &str = "\
platform:
  base_url: https://nmp.example/
  seed_on_startup: true
auth:
  enabled: true
  admin_email: admin@example.com
  policy_decision_point_provider: opa
  policy_decision_point_base_url: http://opa:8181
  policy_data_refresh_interval: -1
  bundle_cache_seconds: [5]
  embedded_pdp_auto_build_wasm: maybe
  token_signing:
    key_id: \"'quoted'\"
    private_key_file: |
      -----BEGIN PRIVATE KEY-----
  access_keys:
    enabled: true
    accepted_formats: {jwt: yes}
    default_expires_in_seconds:
    max_expires_in_seconds: forever
    status_url: https://nmp-auth.internal/apis/auth/authenticate
  oidc:
    issuer: https://idp.example
    client_id: app
    workload_token_exchange_enabled: true
    workload_client_id: nmp-workload
    workload_audience: nmp
    workload_allowed_audiences: [other]
    workload_scope: openid  groups
    workload_token_ttl_seconds: 300
    workload_subject_jwks_uri: https://idp.example/workload/jwks
    workload_subject_issuers: [https://idp.example/workload]
database: {url: x}
";

fn ignored(loaded: &Loaded) -> Vec<&str> {
    assert!(loaded.ignored.iter().all(|key| key.is_nemos && key.nearest.is_none()));
    loaded.ignored.iter().map(|key| key.name.as_str()).collect()
}

#[test]
fn nemos_own_file_is_used_and_its_own_keys_are_named() {
    let dir = Dir::new();
    let file = dir.file("platform.yaml", NEMO);
    let sources =
        Sources::none().environment(env(&[("NMP_CONFIG_FILE_PATH", file.to_str().unwrap())]));
    let loaded = load(&sources).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        ignored(&loaded),
        [
            "auth.admin_email",
            "auth.policy_decision_point_provider",
            "auth.policy_decision_point_base_url",
            "auth.policy_data_refresh_interval",
            "auth.bundle_cache_seconds",
            "auth.embedded_pdp_auto_build_wasm",
            "auth.token_signing.key_id",
            "auth.token_signing.private_key_file",
            "auth.access_keys.accepted_formats",
            "auth.access_keys.default_expires_in_seconds",
            "auth.access_keys.max_expires_in_seconds",
            "auth.oidc.workload_token_ttl_seconds",
        ]
    );
    assert_eq!(loaded.ignored[0].source.to_string(), format!("{}:6", file.display()));
    let platform = loaded.settings.platform;
    let url = |text: &str| text.parse().unwrap();
    let jwks_uri: url::Url = url("https://nmp.example/apis/auth/jwks");
    let keys = AccessKeySettings {
        issuer: "https://nmp.example/apis/auth".into(),
        jwks_uri: jwks_uri.clone(),
        audience: "nemo-platform-access-key".into(),
        status_url: url("https://nmp-auth.internal/apis/auth/authenticate"),
        recheck: Duration::from_secs(15),
    };
    assert_eq!(platform.access_keys.as_ref(), Some(&keys));
    let workload = WorkloadTokenSettings {
        issuer: keys.issuer,
        jwks_uri,
        audiences: vec!["nmp".into(), "other".into()],
    };
    assert_eq!(platform.workload_tokens, Some(workload));
    let subject = SubjectTokenSettings {
        jwks_uri: url("https://idp.example/workload/jwks"),
        issuers: vec!["https://idp.example/workload".into()],
        audience: "nmp-workload".into(),
    };
    assert_eq!(platform.subject_tokens, Some(subject));
    let exchange = WorkloadExchange {
        enabled: true,
        client_id: Some("nmp-workload".into()),
        token_endpoint: Some(url("https://nmp.example/apis/auth/token")),
        audience: Some("nmp".into()),
        scope: Some("openid groups".into()),
    };
    assert_eq!(platform.exchange, exchange);
}

#[test]
fn nemos_own_keys_are_no_fault_in_any_layer() {
    let sources = yaml(MINIMAL)
        .inline_yaml("own.yaml", "auth: {policy_decision_point_provider: [], admin_email: ' a'}\n")
        .environment(env(&[
            ("NMP_AUTH_POLICY_DECISION_POINT_PROVIDER", "opa"),
            ("NMP_AUTH_OIDC__WORKLOAD_TOKEN_KEY_ID", "k"),
            ("NMP_AUTH_ACCESS_KEYS__ISSUE_FORMAT", "jwt"),
            ("DOORWARD_AUTH__TOKEN_SIGNING__KEY_ID", "k"),
            ("DOORWARD_AUTH__ACCESS_KEYS", "{\"accepted_formats\": [\"jwt\"]}"),
        ]))
        .overrides(["auth.bundle_cache_seconds=5".into()]);
    let loaded = load(&sources).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        ignored(&loaded),
        [
            "auth.admin_email",
            "auth.policy_decision_point_provider",
            "NMP_AUTH_ACCESS_KEYS__ISSUE_FORMAT",
            "NMP_AUTH_OIDC__WORKLOAD_TOKEN_KEY_ID",
            "NMP_AUTH_POLICY_DECISION_POINT_PROVIDER",
            "auth.access_keys.accepted_formats",
            "DOORWARD_AUTH__TOKEN_SIGNING__KEY_ID",
            "auth.bundle_cache_seconds",
        ]
    );
    // What is near one of them, and none, is a typo as ever.
    let faults =
        lines(on_minimal("auth: {token_signing: {isuer: x}, access_keys: {enable: true}}"));
    assert_eq!(
        faults,
        [
            "test.yaml:1: auth.access_keys.enable: unknown key; did you mean \
             auth.access_keys.enabled?",
            "test.yaml:1: auth.token_signing.isuer: unknown key; did you mean \
             auth.token_signing.issuer?",
        ]
    );
}

/// What is wrong with access keys that are enabled like this.
fn access_keys(platform: &str, more: &str) -> Vec<String> {
    lines(on_minimal(&format!(
        "platform: {platform}\nauth:\n  access_keys: {{enabled: true, {more}}}\n"
    )))
}

#[test]
fn access_keys_need_somebody_to_ask_who_is_not_the_gateway() {
    let base = "{base_url: 'https://nmp.example'}";
    let faults = access_keys(base, "");
    assert_eq!(
        faults,
        [
            "test.yaml:3: auth.access_keys.status_url: missing: access keys can be revoked, and only \
          the platform knows which are; set the URL of its /apis/auth/authenticate at an internal \
          address. It is not derived from platform.base_url: that is the gateway, which would ask \
          Doorward again"
        ]
    );
    for url in [
        "https://nmp.example/apis/auth/authenticate",
        "https://NMP.example:443/other",
        "https://nmp.example:80/",
    ] {
        let faults = access_keys(base, &format!("status_url: '{url}'"));
        assert!(faults[0].contains("leads back to the gateway at platform.base_url"), "{faults:?}");
        assert_eq!(faults.len(), 1, "{faults:?}");
    }
    let faults = access_keys(base, "status_url: 'http://nmp-auth:8000/apis/auth/authenticate'");
    assert!(faults[0].contains("and with platform.allow_http: true"), "{faults:?}");
    for (platform, url) in [
        (base, "https://nmp.example:8443/apis/auth/authenticate"),
        (base, "http://127.0.0.1:8080/apis/auth/authenticate"),
        ("{base_url: 'https://nmp.example', allow_http: true}", "http://nmp-auth:8000/a"),
        ("{base_url: 'http://localhost:8080'}", "http://localhost:8081/apis/auth/authenticate"),
    ] {
        assert_eq!(access_keys(platform, &format!("status_url: '{url}'")), [""; 0], "{url}");
    }
    let url = "status_url: 'http://127.0.0.1:1/a'";
    let faults = access_keys("{}", url);
    assert!(
        faults[0].starts_with("platform.base_url: missing: the platform's own tokens are issued"),
        "{faults:?}"
    );
    let faults = access_keys("{base_url: 'http://nmp:8080'}", url);
    assert!(
        faults[0].contains("platform.base_url: `http://nmp:8080/apis/auth/jwks` must be an https")
    );
    let faults = access_keys(base, &format!("{url}, recheck: 1h, audience: ''"));
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn the_platform_alone_is_issuer_enough() {
    let text = "auth:
  oidc: {enabled: false}
  token_signing: {issuer: nmp, jwks_uri: 'https://auth.internal/jwks'}
  access_keys: {enabled: true, status_url: 'https://auth.internal/authenticate'}
";
    let loaded = load(&yaml(text)).unwrap_or_else(|faults| panic!("{faults}"));
    let keys = loaded.settings.platform.access_keys.unwrap();
    assert_eq!((keys.issuer.as_str(), keys.jwks_uri.path()), ("nmp", "/jwks"));
    // Nor is a base URL looked at that nobody uses.
    assert!(on_minimal("platform: {base_url: not a url}").is_ok());
}

#[test]
fn workload_tokens_have_nemos_defaults() {
    let text = "platform: {base_url: 'https://nmp.example'}\nauth: {oidc: {audience: [a, b], \
                workload_token_exchange_enabled: true, workload_token_issuer: w, \
                workload_subject_jwks_uri: 'https://idp.example/jwks'}}";
    let loaded = on_minimal(text).unwrap();
    let platform = loaded.settings.platform;
    let workload = platform.workload_tokens.unwrap();
    assert_eq!(workload.issuer, "w");
    assert_eq!(workload.audiences, ["a", "b"]);
    assert_eq!(platform.subject_tokens, None);
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["auth.oidc.workload_subject_jwks_uri has no effect: auth.oidc.workload_subject_issuers \
          names no issuer"]
    );
    let text = "platform: {base_url: 'https://nmp.example'}\nauth: {oidc: \
                {workload_token_exchange_enabled: true}}";
    let workload = on_minimal(text).unwrap().settings.platform.workload_tokens.unwrap();
    assert_eq!(workload.audiences, ["nemo-platform"]);
}

#[test]
fn a_client_secret_is_never_shown() {
    const SECRET: &str = "'s3cret";
    let loaded = on_minimal(&format!("auth: {{oidc: {{client_secret: \"{SECRET}\"}}}}")).unwrap();
    let key = "auth.oidc.client_secret";
    assert_eq!(loaded.effective.value(key), Some(&json!("***")));
    assert!(!format!("{loaded:?}").contains("s3cret"), "{loaded:?}");
    let Some(ClientSecret::Text(secret)) = loaded.settings.platform.client_secret else { panic!() };
    assert_eq!(secret.expose(), SECRET);
    // Two secrets are not the same value, although they look it.
    let number = |secret: &str| {
        let sources =
            yaml(MINIMAL).environment(env(&[("DOORWARD_AUTH__OIDC__CLIENT_SECRET", secret)]));
        let entries = load(&sources).unwrap().effective.entries;
        entries.into_iter().find(|entry| entry.value == json!("***")).unwrap().number
    };
    assert_ne!(number("one"), number("two"));
    let dir = Dir::new();
    let file = dir.file("secret", "s3cret\n");
    let (file, empty) = (file.display(), dir.file("empty", "\n"));
    for (text, fault) in [
        (
            "client_secret: 1234567".to_owned(),
            "expected a string, found a number; put it in quotes",
        ),
        ("client_secret: [s3cret]".to_owned(), "expected a string, found a list"),
        ("client_secret: ''".to_owned(), "must not be empty"),
        (format!("client_secret: s3cret, client_secret_file: {file}"), "keep one"),
        (format!("client_secret_file: {}", empty.display()), "does not contain a secret"),
        ("client_secret_file: /no/such".to_owned(), "`/no/such` cannot be read"),
        // The secret itself, in the wrong place.
        ("client_secret_file: q8Q~s3cret".to_owned(), "`***` cannot be read"),
    ] {
        let faults = lines(on_minimal(&format!("auth: {{oidc: {{{text}}}}}")));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(fault), "{faults:?}");
        assert!(!faults[0].contains("s3cret") && !faults[0].contains("1234567"), "{faults:?}");
    }
    let loaded = on_minimal(&format!("auth: {{oidc: {{client_secret_file: {file}}}}}")).unwrap();
    assert!(matches!(loaded.settings.platform.client_secret, Some(ClientSecret::File(_))));
}

#[test]
fn the_preset_of_rules_stands_behind_what_is_written() {
    let loaded = on_minimal("rules: {preset: nemo}").unwrap();
    assert_eq!(loaded.warnings, []);
    let (settings, shown) = (loaded.settings, loaded.effective);
    assert_eq!(settings.bypass.len(), 14);
    assert!(settings.bypass.iter().any(|path| path.to_string() == "/studio/*"));
    let names: Vec<_> = settings.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["rules.routes.0: /internal/*", "rules.routes.1: /apis/auth/v2/authz/*"]);
    assert_eq!(shown.value("rules.routes.0.path"), Some(&json!("/internal/*")));
    for key in ["rules.bypass", "rules.encoded_slashes", "rules.routes.1.deny"] {
        assert_eq!(shown.source(key).unwrap().to_string(), "preset nemo", "{key}");
    }
    let own = "rules:
  preset: nemo
  bypass: /open
  encoded_slashes: [/x/, /apis/files/v2/hf/]
  routes:
    - path: /internal/status
      mode: bypass
    - { path: /studio/*, mode: required }
";
    let loaded = on_minimal(own).unwrap();
    let (settings, shown) = (loaded.settings, loaded.effective);
    assert_eq!((settings.bypass.len(), settings.encoded_slashes.len()), (15, 2));
    assert_eq!(settings.bypass[0].to_string(), "/open");
    let sources = [("0.mode", "test.yaml:7"), ("1.path", "test.yaml:8"), ("2.deny", "preset nemo")];
    for (key, source) in sources {
        let found = shown.source(&format!("rules.routes.{key}")).unwrap();
        assert_eq!(found.to_string(), source, "{key}");
    }
    // Faults stand where they are written.
    let faults = lines(on_minimal("rules:\n  preset: nemo\n  routes:\n    - {path: /a}"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("test.yaml:4: rules.routes.0: says nothing"), "{faults:?}");
    let faults = lines(on_minimal("rules: {preset: nemos}"));
    assert!(faults[0].contains("expected nemo, found the string \"nemos\""), "{faults:?}");
}

#[test]
fn unsigned_tokens_are_for_one_machine() {
    // As NeMo's quickstart sets it, with nothing about an issuer.
    let quickstart = [("NMP_AUTH_ENABLED", "true"), ("NMP_AUTH_ALLOW_UNSIGNED_JWT", "true")];
    let with = |more: &[(&str, &str)], text: &str| {
        let pairs = [&quickstart, more].concat();
        load(&yaml(text).environment(env(&pairs)))
    };
    let settings = with(&[], "{}").unwrap().settings;
    assert!(settings.issuers.is_empty());
    let unsigned = settings.unsigned.unwrap();
    assert_eq!(unsigned.token.audience, AudienceRule::NotChecked);
    let claims = "auth: {oidc: {enabled: false, email_claim: mail}}";
    let settings = with(&[], claims).unwrap().settings;
    assert_eq!(settings.unsigned.unwrap().identity.email.to_string(), "mail");
    let local = "auth: {oidc: {issuer: 'http://localhost:1', client_id: a, subject_claim: uid}}";
    let settings = with(&[], local).unwrap().settings;
    assert_eq!(settings.unsigned.unwrap().identity.subject.to_string(), "uid");
    assert!(load(&yaml(MINIMAL)).unwrap().settings.unsigned.is_none());
    for (more, text, said) in [
        (&[][..], MINIMAL, "beside those of https://idp.example, which is not on this machine"),
        (
            &[],
            "auth: {issuers: [{issuer: dev, audience: a, jwks_uri: 'https://idp.example/k'}]}",
            "beside those of dev",
        ),
        (&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")], "{}", "would be accepted in a cluster"),
        (&[], "server: {http: {listen: '0.0.0.0:8181'}}", "server.http is neither loopback nor"),
    ] {
        let faults = lines(with(more, text));
        assert_eq!(faults.len(), 1, "{faults:?}");
        let key = "NMP_AUTH_ALLOW_UNSIGNED_JWT: auth.allow_unsigned_jwt: ";
        assert!(faults[0].starts_with(key) && faults[0].contains(said), "{faults:?}");
    }
}
