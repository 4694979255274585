//! The whole way: sources in, settings or faults out.

mod access;
mod faults;
mod meant;
mod module;
mod nemo;

use std::path::PathBuf;

use doorward_core::identity::EmailDomains;
use doorward_core::token::{AudienceRule, TenantRule};
use serde_json::json;

use super::*;
use crate::discovery::{EmptySet, KeyLocation};

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

/// The console is on, and a configuration that says nothing of it loses nothing by it.
#[test]
fn a_console_that_nobody_asked_for_is_in_nobodys_way() {
    let console = |text: &str| on_minimal(text).unwrap().settings.server;
    let server = console("");
    assert_eq!(server.console.unwrap().listen.to_string(), "127.0.0.1:9193");
    assert!(!server.is_console_asked_for);
    assert!(console("server: {console: {enabled: false}}\n").console.is_none());
    for asked in ["enabled: true", "listen: '127.0.0.1:9193'"] {
        assert!(console(&format!("server: {{console: {{{asked}}}}}\n")).is_console_asked_for);
    }
    let flag = Sources::none().inline_yaml("a.yaml", MINIMAL);
    let flag = flag.overrides(["server.console.enabled=true".to_owned()]);
    assert!(load(&flag).unwrap().settings.server.is_console_asked_for);

    // Somebody has had that address for years.
    let taken = "server: {grpc: {listen: '127.0.0.1:9193'}}\n";
    assert_eq!(console(taken).grpc.listen.to_string(), "127.0.0.1:9193");
    let both = "server: {grpc: {listen: '127.0.0.1:9193'}, console: {enabled: true}}\n";
    assert_eq!(
        lines(on_minimal(both)),
        ["server.console.listen: `127.0.0.1:9193` is already taken by server.grpc"]
    );
}

#[test]
fn the_minimal_configuration_has_the_defaults_of_the_contract() {
    let loaded = load(&yaml(MINIMAL)).unwrap();
    let settings = loaded.settings;
    assert!(settings.auth_enabled && !settings.allow_unsigned_jwt);
    assert_eq!(settings.max_token_bytes, 16 * 1024);
    assert_eq!(settings.fetch.wait.as_secs(), 1);
    let a_minute = std::time::Duration::from_secs(60);
    assert_eq!(settings.fetch.empty_set, EmptySet::Withdraw { reads: 3, over: a_minute });
    let keeping = on_minimal("keys: {empty_set: keep}").unwrap().settings;
    assert_eq!(keeping.fetch.empty_set, EmptySet::Keep);
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
    // NeMo's page for Azure has this pair, and no v2 token passes with it.
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "auth.oidc.audience begins with api://, and no token of https://login.microsoftonline.com/t/v2.0 does: its `aud` is just the application's id; add that GUID, the Application (client) ID"
        ]
    );
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
    assert_eq!(v2.identity.email_domains, EmailDomains::Any);
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
    assert_eq!(v2.identity.email_domains, EmailDomains::OwnedByTenant);
    assert_eq!(v1.identity.email_domains, EmailDomains::OwnedByTenant);
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

fn warnings(text: &str) -> Vec<String> {
    on_minimal(text).unwrap().warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn what_should_not_go_unnoticed_is_a_warning() {
    let issuer = |more: &str| {
        format!(
            "auth: {{issuers: [{{issuer: 'https://b', audience: a, groups_prefix: 'b:', {more}}}]}}"
        )
    };
    let found = warnings(&issuer("email_domains: [b.example]"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("share one namespace of principals"), "{found:?}");
    let found = warnings(&issuer("subject_prefix: 'b:'"));
    let any = "https://idp.example, https://b can each assert any email address";
    assert!(found.len() == 1 && found[0].starts_with(any), "{found:?}");
    let apart = issuer("subject_prefix: 'b:', email_domains: [b.example]");
    assert_eq!(warnings(&apart), Vec::<String>::new());
    let mine = "auth: {oidc: {email_domains: [a.example, B.example]}, ";
    let found = warnings(&apart.replacen("auth: {", mine, 1));
    let same = "https://idp.example, https://b can each assert addresses at b.example";
    assert!(found.len() == 1 && found[0].starts_with(same), "{found:?}");
    for (text, part) in [
        ("auth: {oidc: {verify_audience: false}}", "auth.oidc.verify_audience is false"),
        (
            "auth: {oidc: {verify_audience: false, allowed_clients: [cli]}}",
            "issued for other applications are accepted, as long as one of allowed_clients requested",
        ),
        (
            "auth: {allow_unsigned_jwt: true, oidc: {issuer: 'http://localhost:1'}}",
            "anyone can make up a token",
        ),
        ("auth: {enabled: false}", "every request is allowed"),
        ("rules: {bypass: ['/*']}", "no path needs a token"),
        ("rules: {routes: [{mode: bypass}]}", "rules.routes.0 opens every path"),
        (
            "auth: {oidc: {groups_claim: realm_access.roles}}",
            "auth.oidc.groups_claim: `realm_access.roles` is read as the name of one claim, with dots in it; to reach a nested claim write /realm_access/roles",
        ),
        ("headers: {claims: {X-Org: .org.id}}", "write /org/id"),
        (
            "auth: {oidc: {issuer: 'https://login.microsoftonline.com/t/v2.0', audience: \
             'api://72f988bf-86f1-41af-91ab-2d7cd011db47'}}",
            "`aud` is just the application's id; add 72f988bf-86f1-41af-91ab-2d7cd011db47",
        ),
        (
            "rules: {endpoints: {/a: {get: {scopes: 'a:read'}}}}",
            "a token without platform scopes (those with a `:`) passes every endpoint",
        ),
        ("log: {level: 'hyper=debug'}", "Doorward logs nothing, not even errors"),
        (
            "auth: {oidc: {issuer: 'https://sts.windows.net/{tenantid}/', allowed_tenants: ['*'], subject_claim: upn}}",
            "each of them controls `upn`",
        ),
        (
            "auth: {oidc: {issuer: 'https://sts.windows.net/{tenantid}/', allowed_tenants: ['*'], email_domains: [a.example]}}",
            "each of them can assert addresses at its email_domains",
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
    let text = "auth: {oidc: {jwks_uri: 'https://idp.example/keys?api_key=s3cret&appid=7'}}";
    let shown = on_minimal(text).unwrap();
    let shown = shown.effective.value("auth.oidc.jwks_uri").unwrap();
    assert_eq!(shown, "https://idp.example/keys?api_key=***&appid=7");
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
    config.policy = raw::Policy::default();
    config.rules.routes.iter_mut().for_each(|route| route.deny = true);
    let text = serde_json::to_string(&config).unwrap();
    let loaded = on_minimal(&format!("{text}\n"));
    let mut faults = lines(loaded);
    // What is for another reader is refused by name, not by type.
    faults.retain(|fault| !fault.contains("is a setting of the module"));
    assert!(faults.iter().all(|fault| fault.contains("no issuer")), "{faults:?}");
}
