//! The whole way: sources in, settings or faults out.

use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::discovery::KeyLocation;
use crate::token::{AudienceRule, TenantRule};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const MINIMAL: &str = "auth: {oidc: {issuer: 'https://idp.example', client_id: app}}\n";

fn yaml(text: &str) -> Sources {
    Sources::none().inline_yaml("test.yaml", text)
}

/// The minimal configuration and `text` on top.
fn on_minimal(text: &str) -> Result<Loaded, ConfigFaults> {
    load(&Sources::none().inline_yaml("minimal.yaml", MINIMAL).inline_yaml("test.yaml", text))
}

fn lines(result: Result<Loaded, ConfigFaults>) -> Vec<String> {
    result
        .err()
        .map_or_else(Vec::new, |faults| faults.faults().iter().map(ToString::to_string).collect())
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

#[test]
fn the_minimal_configuration_has_the_defaults_of_the_contract() {
    let loaded = load(&yaml(MINIMAL)).unwrap();
    let settings = loaded.settings;
    assert!(settings.auth_enabled && !settings.allow_unsigned_jwt);
    assert_eq!(settings.max_token_bytes, 16 * 1024);
    assert_eq!(settings.server.grpc.listen.to_string(), "127.0.0.1:9191");
    assert_eq!(settings.headers.trusted_prefix, "x-nmp-");
    let [issuer] = settings.issuers.as_slice() else { panic!("{:?}", settings.issuers) };
    assert_eq!(issuer.token.audience, AudienceRule::AnyOf(["app".to_owned()].into()));
    assert_eq!(issuer.token.tenants, TenantRule::NotChecked);
    assert_eq!(issuer.token.leeway.as_secs(), 60);
    let url = "https://idp.example/.well-known/openid-configuration";
    assert_eq!(issuer.keys, KeyLocation::Discovery(url.parse().unwrap()));
    assert_eq!(settings.platform.discovery_url.unwrap().as_str(), url);
    assert!(loaded.warnings.is_empty());
}

#[test]
fn three_typos_in_one_file_are_all_named_with_line_and_nearest_key() {
    let dir = Dir::new();
    let path = dir.file(
        "doorward.yaml",
        "auth:\n  oidc:\n    isuer: https://idp.example\n    client_id: app\nserver:\n  grcp: \
         { listen: 127.0.0.1:1 }\nheader:\n  profile: plain\n",
    );
    let name = path.display().to_string();
    assert_eq!(
        lines(load(&Sources::none().files([path]))),
        [
            format!("{name}:3: auth.oidc.isuer: unknown key; did you mean auth.oidc.issuer?"),
            format!("{name}:6: server.grcp: unknown key; did you mean server.grpc?"),
            format!("{name}:7: header: unknown key; did you mean headers?"),
        ]
    );
}

#[test]
fn the_three_formats_mean_the_same() {
    let dir = Dir::new();
    for path in [
        dir.file("a.yaml", MINIMAL),
        dir.file("a.toml", "[auth.oidc]\nissuer = 'https://idp.example'\nclient_id = 'app'\n"),
        dir.file(
            "a.json",
            r#"{"auth": {"oidc": {"issuer": "https://idp.example", "client_id": "app"}}}"#,
        ),
    ] {
        let loaded = load(&Sources::none().files([path.clone()])).unwrap();
        assert_eq!(loaded.settings.issuers[0].token.issuer, "https://idp.example");
        assert_eq!(loaded.files, [path]);
    }
}

#[test]
fn files_that_cannot_be_read_are_faults_all_together() {
    let dir = Dir::new();
    let missing = PathBuf::from("no/such.yaml");
    let odd = dir.file("a.ini", "");
    let broken = dir.file("b.json", "{\"auth\":\n {,}}");
    let name = broken.display().to_string();
    let faults = lines(load(&Sources::none().files([missing, odd, broken])));
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with("no/such.yaml: cannot be read: No such file"), "{faults:?}");
    assert!(faults[1].contains("a.ini: unknown format"), "{faults:?}");
    assert!(faults[2].starts_with(&format!("{name}:2: not JSON")), "{faults:?}");
}

#[test]
fn later_layers_win_and_each_value_knows_its_own() {
    let dir = Dir::new();
    let nemo = dir.file(
        "platform.yaml",
        "platform: {x: 1}\nauth:\n  enabled: true\n  oidc:\n    issuer: https://nemo.example\n    \
         client_id: nemo\n    email_claim: upn\n    groups_claim: roles\n    scope_prefix: a/\n",
    );
    let first =
        dir.file("first.yaml", "auth:\n  oidc:\n    client_id: first\n    email_claim: mail\n");
    let second = dir.file("second.toml", "[auth.oidc]\nclient_id = 'second'\n");
    let sources = Sources::none()
        .files([first.clone(), second.clone()])
        .environment(env(&[
            ("NMP_CONFIG_FILE_PATH", nemo.to_str().unwrap()),
            ("NMP_AUTH_OIDC__GROUPS_CLAIM", "nmp"),
            ("NMP_AUTH_OIDC__SCOPE_PREFIX", "b/"),
            ("DOORWARD_AUTH__OIDC__SCOPE_PREFIX", "c/"),
            ("DOORWARD_AUTH__OIDC__ROLES_CLAIM", "r"),
        ]))
        .overrides(["auth.oidc.roles_claim=set".to_owned()]);
    let loaded = load(&sources).unwrap();
    let effective = |key: &str| {
        let value = loaded.effective.value(key).unwrap().clone();
        (value, loaded.effective.source(key).unwrap().to_string())
    };
    let at = |path: &PathBuf, line: u64| format!("{}:{line}", path.display());
    assert_eq!(effective("auth.oidc.issuer"), (json!("https://nemo.example"), at(&nemo, 5)));
    assert_eq!(effective("auth.oidc.email_claim"), (json!("mail"), at(&first, 4)));
    assert_eq!(effective("auth.oidc.client_id"), (json!("second"), at(&second, 2)));
    let from = |value: &str, source: &str| (json!(value), source.to_owned());
    assert_eq!(effective("auth.oidc.groups_claim"), from("nmp", "NMP_AUTH_OIDC__GROUPS_CLAIM"));
    let variable = "DOORWARD_AUTH__OIDC__SCOPE_PREFIX";
    assert_eq!(effective("auth.oidc.scope_prefix"), from("c/", variable));
    assert_eq!(effective("auth.oidc.roles_claim"), from("set", "--set"));
    assert_eq!(effective("auth.oidc.subject_claim"), from("sub", "default"));
    assert_eq!(loaded.files, [nemo, first, second]);
    assert_eq!(loaded.settings.issuers[0].identity.email.to_string(), "mail");
}

#[test]
fn a_nemo_file_works_as_it_is_and_its_own_keys_are_only_listed() {
    let dir = Dir::new();
    let nemo = dir.file(
        "platform.yaml",
        "platform:\n  base_url: http://localhost:8080\nauth:\n  enabled: true\n  \
         allow_unsigned_jwt: false\n  policy_decision_point_provider: embedded\n  \
         policy_decision_point_base_url: http://localhost:8181\n  admin_email: \
         admin@example.com\n  bundle_cache_seconds: 5\n  oidc:\n    enabled: true\n    issuer: \
         https://login.microsoftonline.com/t/v2.0\n    additional_issuers:\n      - \
         https://sts.windows.net/t/\n    client_id: app\n    audience: api://app\n    \
         jwks_uri:\n    email_claim: email\n    subject_claim: sub\n    groups_claim: groups\n    \
         scope_prefix: api://app/\n    default_scopes: openid profile\n    \
         discovery_cache_ttl: 300\n    workload_client_id: x\ndatabase: {url: x}\n",
    );
    let sources = Sources::none().environment(env(&[
        ("NMP_CONFIG_FILE_PATH", nemo.to_str().unwrap()),
        ("NMP_AUTH_ADMIN_EMAIL", "a@b"),
        ("NMP_PLATFORM_BASE_URL", "x"),
        ("NMP_AUTH_OIDC__VERIFY_AUDIENCE", "True"),
    ]));
    let loaded = load(&sources).unwrap();
    let ignored: Vec<_> = loaded.ignored.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(
        ignored,
        [
            "auth.policy_decision_point_provider",
            "auth.policy_decision_point_base_url",
            "auth.admin_email",
            "auth.bundle_cache_seconds",
            "auth.oidc.workload_client_id",
            "NMP_AUTH_ADMIN_EMAIL",
        ]
    );
    assert_eq!(loaded.ignored[0].source.line, Some(6));
    let [primary, additional] = loaded.settings.issuers.as_slice() else { panic!() };
    assert!(!primary.borrows_from_primary && additional.borrows_from_primary);
    assert_eq!(additional.token.issuer, "https://sts.windows.net/t/");
    let url = "https://sts.windows.net/t/.well-known/openid-configuration";
    assert_eq!(additional.keys, KeyLocation::Discovery(url.parse().unwrap()));
    assert_eq!(additional.token.audience, primary.token.audience);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn a_known_key_of_a_wrong_type_is_a_fault_in_nemos_layers_too() {
    let sources = yaml(MINIMAL).environment(env(&[
        ("NMP_AUTH_ENABLED", "perhaps"),
        ("NMP_CONFIG_FILE_PATH", "no/platform.yaml"),
    ]));
    let faults = lines(load(&sources));
    assert!(faults[0].starts_with("no/platform.yaml: cannot be read"), "{faults:?}");
    assert_eq!(
        faults[1],
        "NMP_AUTH_ENABLED: auth.enabled: expected true or false, found the text \"perhaps\""
    );
}

#[test]
fn faults_of_every_layer_and_kind_come_together() {
    let sources = yaml(
        "auth:\n  oidc:\n    issuer: http://idp.example\n    client_id: app\n    typo_claim: x\n",
    )
    .environment(env(&[("DOORWARD_SERVER__WORKERS", "many"), ("DOORWARD_NONSENSE", "1")]))
    .overrides(["token.leeway=1h".to_owned(), "nokey".to_owned()]);
    assert_eq!(
        lines(load(&sources)),
        [
            "test.yaml:5: auth.oidc.typo_claim: unknown key",
            "DOORWARD_NONSENSE: names no key",
            "DOORWARD_SERVER__WORKERS: server.workers: expected a whole number, found the text \"many\"",
            "--set: `nokey` is not KEY=VALUE, as in `--set auth.enabled=false`",
            "--set: token.leeway: 1h is out of range: from 0s to 10m",
            "test.yaml:3: auth.oidc.issuer: `http://idp.example` must be an https URL (plain http \
             is for loopback addresses alone)",
        ]
    );
}

#[test]
fn what_is_missing_because_it_was_misspelled_is_not_reported_twice() {
    let faults = lines(load(&yaml("auth: {oidc: {issuer: 'https://a', audiences: x}}")));
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn each_bad_value_is_named() {
    let cases = [
        ("auth: {oidc: {algorithms: [HS256]}}", "auth.oidc.algorithms.0: `HS256` is symmetric"),
        ("auth: {oidc: {algorithms: [none]}}", "`none` is no signature"),
        ("auth: {oidc: {algorithms: [RS256, rs384]}}", "auth.oidc.algorithms.1: `rs384` is not"),
        ("auth: {oidc: {algorithms: []}}", "an empty list accepts nothing"),
        ("auth: {oidc: {email_claim: ''}}", "a claim needs a name"),
        ("auth: {oidc: {roles_claim: '/'}}", "auth.oidc.roles_claim: a claim needs a name"),
        ("auth: {oidc: {audience: []}}", "auth.oidc.audience: an empty list"),
        ("auth: {oidc: {audience: ['']}}", "auth.oidc.audience.0: must not be empty"),
        ("auth: {oidc: {audience: 'api://<client-id>'}}", "still a placeholder"),
        ("auth: {oidc: {client_id: }}", "auth.oidc.audience: missing"),
        ("auth: {oidc: {issuer: }}", "auth.oidc.issuer: no issuer"),
        ("auth: {oidc: {enabled: false}}", "auth.oidc.issuer: no issuer"),
        ("auth: {oidc: {issuer: 'https://a/{tenant}'}}", "the only placeholder is {tenantid}"),
        ("auth: {oidc: {issuer: 'https://a/x{tenantid}'}}", "as a whole segment"),
        (
            "auth: {oidc: {issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0'}}",
            "auth.oidc.allowed_tenants: missing",
        ),
        (
            "auth: {oidc: {issuer: 'https://a/{tenantid}', allowed_tenants: ['*']}}",
            "has no discovery document of its own",
        ),
        ("auth: {oidc: {allowed_tenants: [contoso]}}", "`contoso` is not a tenant id"),
        ("auth: {oidc: {allowed_tenants: ['*', x]}}", "`*` stands for every tenant"),
        (
            "auth: {oidc: {additional_issuers: ['https://idp.example']}}",
            "already the issuer of auth.oidc.issuer",
        ),
        (
            "auth: {oidc: {additional_issuers: ['https://sts.windows.net/{tenantid}/']}}",
            "list the tenants",
        ),
        (
            "auth: {oidc: {additional_issuers: [nmp]}}",
            "auth.oidc.additional_issuers.0: `nmp` is not a URL",
        ),
        (
            "auth: {issuers: [{issuer: 'https://idp.example', audience: a}]}",
            "auth.issuers.0.issuer: `https://idp.example` is already",
        ),
        ("auth: {issuers: [{audience: a}]}", "auth.issuers.0.issuer: missing"),
        ("auth: {issuers: [{issuer: 'https://b'}]}", "auth.issuers.0.audience: missing"),
        (
            "auth: {issuers: [{issuer: 'https://b', audience: a, jwks_uri: 'https://b/k', jwks_file: x}]}",
            "auth.issuers.0.jwks_file: says where the keys are, and so does auth.issuers.0.jwks_uri",
        ),
        (
            "auth: {issuers: [{issuer: 'https://b', audience: a, jwks_uri: 'https://b/k', discovery_url: 'https://b/d'}]}",
            "auth.issuers.0.discovery_url: says where the keys are",
        ),
        ("auth: {oidc: {jwks: {}}}", "auth.oidc.jwks: not a key set: it has no member `keys`"),
        (
            "auth: {oidc: {jwks: {keys: [{kty: oct, k: s3cret}]}}}",
            "no usable key in it: it is symmetric",
        ),
        ("auth: {oidc: {jwks_file: no/keys.json}}", "`no/keys.json` cannot be read"),
        (
            "auth: {oidc: {jwks_uri: 'http://b/keys'}}",
            "auth.oidc.jwks_uri: `http://b/keys` must be an https URL",
        ),
        (
            "auth: {oidc: {token_endpoint: nowhere}}",
            "auth.oidc.token_endpoint: `nowhere` is not a URL",
        ),
        ("auth: {oidc: {subject_prefix: 'service:a'}}", "which is reserved"),
        ("auth: {oidc: {subject_prefix: '{tenant}:'}}", "the only placeholder here is {tid}"),
        ("auth: {oidc: {groups_prefix: 'a|'}}", "headers.profile does not allow"),
        (
            "auth: {oidc: {proxy: 'socks5://user:s3cret@p'}}",
            "`socks5://***@p` is not an http or https URL",
        ),
        ("auth: {oidc: {ca_file: no/ca.pem}}", "auth.oidc.ca_file: `no/ca.pem` cannot be read"),
        ("auth: {oidc: {discovery_cache_ttl: soon}}", "`soon` is not a time span"),
        (
            "server: {grpc: {listen: 'example.com:1'}}",
            "server.grpc.listen: `example.com:1` is not an address",
        ),
        ("server: {http: {listen: 'unix:x'}}", "must be absolute"),
        (
            "server: {http: {listen: '127.0.0.1:9191'}}",
            "server.http.listen: `127.0.0.1:9191` is already taken by server.grpc",
        ),
        ("server: {grpc: {tls: {cert: no/cert.pem}}}", "`no/cert.pem` cannot be read"),
        (
            "server: {grpc: {tls: {key: Cargo.toml}}}",
            "server.grpc.tls.key: `Cargo.toml` holds no PEM PRIVATE KEY",
        ),
        (
            "server: {grpc: {tls: {key: Cargo.toml}}}",
            "server.grpc.tls.cert: missing: tls.key is set",
        ),
        ("server: {workers: 0}", "server.workers: 0 is out of range: from 1 to 1024"),
        (
            "auth: {allow_unsigned_jwt: true}\nserver: {grpc: {listen: '0.0.0.0:9191'}}",
            "auth.allow_unsigned_jwt: tokens without a signature would be accepted",
        ),
        ("headers: {principal_id: ':path'}", "`:path` is not a header name"),
        ("headers: {principal_id: Authorization}", "belongs to HTTP or to Envoy"),
        (
            "headers: {claims: {X-NMP-Scopes: tid}}",
            "headers.claims.X-NMP-Scopes: `x-nmp-scopes` is already the header of headers.scopes",
        ),
        ("headers: {claims: {X_Tenant: tid}}", "write `-` for `_`"),
        ("headers: {trusted_prefix: 'X-'}", "is too short"),
        ("headers: {trusted_prefix: 'X-Forwarded-'}", "would remove `x-forwarded-for`"),
        ("headers: {groups_only: ['']}", "headers.groups_only.0: must not be empty"),
        ("rules: {bypass: [health]}", "rules.bypass.0: `health`: a path starts with `/`"),
        ("rules: {bypass: ['/a', '/b/../c']}", "rules.bypass.1"),
        ("token: {max_token_bytes: 10}", "10 is out of range: from 1024 to 1048576"),
        (
            "keys: {refresh_min: 2h}",
            "keys.refresh_min: 2h is longer than keys.refresh_default (5m)",
        ),
        ("keys: {max_stale: 10m}", "keys.refresh_max: 1h is longer than keys.max_stale (10m)"),
        ("keys: {cool_down: 0}", "keys.cool_down: 0s is out of range"),
        ("keys: {key_cache_dir: Cargo.toml}", "is not a directory"),
        ("denial: {realm: 'a\"b'}", "denial.realm"),
        ("protected_resource: {resource: 'http://x'}", "must be an https URL"),
        ("protected_resource: {scopes_supported: [a]}", "has no effect without"),
        ("log: {level: 'a=b=c=d'}", "is not a log filter"),
        (
            "auth: {preset: {entra: {tenant: contoso, client_id: c}}}",
            "auth.preset.entra.tenant: `contoso` is not a tenant id",
        ),
        ("auth: {preset: {entra: {client_id: c}}}", "auth.preset.entra.tenant: missing"),
    ];
    for (text, expected) in cases {
        let faults = lines(on_minimal(text));
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{text}\n{faults:#?}");
        assert!(!faults.iter().any(|fault| fault.contains("s3cret")), "{faults:#?}");
    }
}

#[test]
fn a_preset_spells_out_one_tenant() {
    let text = format!("auth: {{preset: {{entra: {{tenant: {TENANT}, client_id: app}}}}}}");
    let loaded = load(&yaml(&text)).unwrap();
    let [v2, v1] = loaded.settings.issuers.as_slice() else { panic!() };
    assert_eq!(v2.token.issuer, format!("https://login.microsoftonline.com/{TENANT}/v2.0"));
    assert_eq!(v1.token.issuer, format!("https://sts.windows.net/{TENANT}/"));
    assert_eq!(v1.token.tenants, TenantRule::OneOf([TENANT.to_owned()].into()));
    let audiences = ["app".to_owned(), "api://app".to_owned()].into();
    assert_eq!(v1.token.audience, AudienceRule::AnyOf(audiences));
    assert_eq!(v2.identity.subject.to_string(), "oid");
    assert_eq!(v2.identity.scope_prefix.as_deref(), Some("api://app/"));
    assert_eq!(v2.identity.roles.as_ref().unwrap().to_string(), "roles");
    assert_eq!(loaded.effective.source("auth.oidc.issuer").unwrap().to_string(), "preset entra");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn a_preset_for_several_tenants_is_a_template_and_gives_way_to_what_is_written() {
    let text = "auth: {oidc: {subject_claim: sub2, audience: }, preset: {entra: {tenants: ['*'], client_id: app}}}";
    let loaded = load(&yaml(text)).unwrap();
    let [v2, v1] = loaded.settings.issuers.as_slice() else { panic!() };
    assert_eq!(v2.token.issuer, "https://login.microsoftonline.com/{tenantid}/v2.0");
    assert_eq!(v2.token.tenants, TenantRule::Any);
    let discovery = |path: &str| {
        let url = format!(
            "https://login.microsoftonline.com/organizations{path}/.well-known/openid-configuration"
        );
        KeyLocation::Discovery(url.parse().unwrap())
    };
    assert_eq!(v2.keys, discovery("/v2.0"));
    assert_eq!(v1.keys, discovery(""));
    assert_eq!(v2.identity.subject.to_string(), "sub2");
    assert_eq!(loaded.effective.source("auth.oidc.audience").unwrap().to_string(), "preset entra");
    assert_eq!(
        loaded.effective.source("auth.oidc.subject_claim").unwrap().to_string(),
        "test.yaml:1"
    );
}

#[test]
fn what_should_not_go_unnoticed_is_a_warning() {
    let warnings = |text: &str| -> Vec<String> {
        on_minimal(text).unwrap().warnings.iter().map(ToString::to_string).collect()
    };
    let two = "auth: {issuers: [{issuer: 'https://b', audience: a, groups_prefix: 'b:'}]}";
    let found = warnings(two);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("share one name space of principals"), "{found:?}");
    let apart = "auth: {issuers: [{issuer: 'https://b', audience: a, groups_prefix: 'b:', subject_prefix: 'b:'}]}";
    assert_eq!(warnings(apart), Vec::<String>::new());
    for (text, part) in [
        ("auth: {oidc: {verify_audience: false}}", "auth.oidc.verify_audience is false"),
        ("auth: {allow_unsigned_jwt: true}", "anybody can write a token"),
        ("auth: {enabled: false}", "every request is allowed"),
        ("rules: {bypass: ['/*']}", "no path needs a token"),
        (
            "auth: {oidc: {issuer: 'https://sts.windows.net/{tenantid}/', allowed_tenants: ['*'], subject_claim: upn}}",
            "each can put what it likes into `upn`",
        ),
    ] {
        let found = warnings(text);
        assert!(found.len() == 1 && found[0].contains(part), "{text}: {found:?}");
    }
}

#[test]
fn auth_off_needs_no_issuer() {
    let loaded = load(&yaml("auth: {enabled: false}")).unwrap();
    assert!(!loaded.settings.auth_enabled && loaded.settings.issuers.is_empty());
}

#[test]
fn secrets_do_not_show_in_the_effective_configuration() {
    let text = "auth: {oidc: {proxy: 'http://user:s3cret@proxy:3128'}}";
    let loaded = on_minimal(text).unwrap();
    assert_eq!(loaded.effective.value("auth.oidc.proxy").unwrap(), "http://***@proxy:3128");
    assert!(!format!("{:?}", loaded.effective).contains("s3cret"));
    let sources = Sources::none().environment(env(&[("DOORWARD_X", "s3cret")]));
    assert!(!format!("{sources:?}").contains("s3cret"));
}

#[test]
fn a_primary_issuer_may_have_keys_elsewhere_and_a_discovery_document_all_the_same() {
    let text = "auth: {oidc: {jwks_uri: 'https://b/k', discovery_url: 'https://b/d'}}";
    let settings = on_minimal(text).unwrap().settings;
    assert_eq!(settings.issuers[0].keys, KeyLocation::JwksUri("https://b/k".parse().unwrap()));
    assert_eq!(settings.platform.discovery_url.unwrap().as_str(), "https://b/d");
}

#[test]
fn what_the_check_of_types_lets_pass_serde_takes() {
    // Every key set to a value of its shape: nothing may be left for serde to refuse.
    let mut config = raw::Config::with_every_section();
    config.server = raw::Server::default();
    config.auth.issuers.clear();
    config.auth.preset = raw::Preset::default();
    let text = serde_json::to_string(&config).unwrap();
    let loaded = on_minimal(&format!("{text}\n"));
    let faults = lines(loaded);
    assert!(faults.iter().all(|fault| fault.contains("no issuer")), "{faults:?}");
}
