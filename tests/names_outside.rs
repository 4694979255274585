//! Names outside of the trusted prefix, through a real Envoy: what `config check` says the gateway
//! must show keeps forged ones out, and without it both doctors say so.

use doorward::config::Settings;
use doorward::doctor::gateway::{GatewayProbe, examine};
use doorward::doctor::{Finding, Outcome, envoy};
use doorward_core::identity::ProtectedHeaders;
use serde_json::json;

use crate::support::cli::Cli;
use crate::support::doctor_envoy::ALL_SPELLINGS;
use crate::support::echo::Echoed;
use crate::support::gateway::Gateway;
use crate::support::raw::get;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::tools;

const ISSUER: &str = "https://idp.example";

fn config() -> String {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "headers": {"trusted_prefix": "X-Acme-", "principal_id": "X-Forwarded-User",
            "principal_email": "X-Acme-Email", "principal_groups": "X-Acme-Groups",
            "scopes": "X-Acme-Scopes", "authorized": "X-Auth-Ok"},
    })
    .to_string()
}

/// The lines that `config check` says belong into `allowed_headers` and, over HTTP, into
/// `allowed_upstream_headers`, as they are to be copied.
async fn lines_to_copy() -> (Vec<String>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doorward.json");
    std::fs::write(&file, config()).unwrap();
    let arguments = ["config", "check", "--config", file.to_str().unwrap()];
    let checked = Cli::new().run(&arguments).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stderr.contains("clients can forge these headers unless"), "{checked:?}");
    let lines = checked.stderr.lines().map(|line| line.trim().to_owned());
    let (patterns, others): (Vec<_>, Vec<_>) =
        lines.filter(|line| line.starts_with("- ")).partition(|line| line.contains("safe_regex"));
    (patterns, others)
}

/// What the doctor makes of a live gateway, and of the file that it runs.
async fn doctors(gateway: &Gateway, file: &str) -> (Vec<Finding>, Vec<Finding>) {
    let headers = Settings::from_yaml("test.json", &config()).unwrap().headers;
    let probe = GatewayProbe {
        gateway: format!("http://{}", gateway.envoy().address()).parse().unwrap(),
        echo: "/v1/models".to_owned(),
        token: Some(token()),
        open: Vec::new(),
        protected: ProtectedHeaders::new(&headers),
        principal: headers.names.principal_id.clone(),
        ca_file: None,
    };
    let failed = |findings: Vec<Finding>| {
        findings.into_iter().filter(|finding| finding.outcome == Outcome::Fail).collect()
    };
    let live = examine(&probe).await.unwrap().findings;
    let sections = envoy::examine("file", file, &headers, false).unwrap();
    let written = sections.into_iter().flat_map(|section| section.findings).collect();
    (failed(live), failed(written))
}

fn token() -> String {
    RSA.token("RS256", &claims(ISSUER, json!({})))
}

#[tokio::test]
async fn what_config_check_says_keeps_forged_names_out_and_without_it_both_doctors_say_so() {
    let (lines, _) = lines_to_copy().await;
    assert_eq!(
        lines,
        [
            r#"- safe_regex: { regex: "(?i)x[^a-z0-9]+acme.*" }"#,
            r#"- safe_regex: { regex: "(?i)x[^a-z0-9]+auth[^a-z0-9]+ok" }"#,
            r#"- safe_regex: { regex: "(?i)x[^a-z0-9]+forwarded[^a-z0-9]+user" }"#,
        ]
    );
    let copied = lines.join("\n                          ");
    let sound = tools::file("envoy/envoy.yaml");
    let forge = || get("/v1/models").bearer(&token()).header("x-forwarded_user", "forged");

    let shipped = Gateway::start_changed("envoy.yaml", [], &config()).await;
    let Some(shipped) = shipped else { return };
    let seen = Echoed::of(&shipped.send(&forge()).await);
    assert_eq!(seen.header("x-forwarded-user"), Some("alice"));
    assert_eq!(seen.header("x-forwarded_user"), Some("forged"), "what the copied lines are for");
    let (live, written) = doctors(&shipped, &sound).await;
    let live: Vec<_> = live.iter().filter(|finding| finding.check == "underscores").collect();
    let [live] = live.as_slice() else { panic!("{live:?}") };
    assert!(live.found.contains("x-forwarded_user with the token"), "{live:?}");
    let [written] = written.as_slice() else { panic!("{written:?}") };
    assert_eq!(written.check, "allowed_headers");
    for finding in [live, written] {
        let remedy = finding.remedy.as_deref().unwrap();
        assert!(remedy.contains("(?i)x[^a-z0-9]+forwarded[^a-z0-9]+user"), "{remedy}");
        assert!(remedy.contains("(?i)x[^a-z0-9]+acme.*") && !remedy.contains("nmp"), "{remedy}");
    }

    let mended = [(ALL_SPELLINGS, copied.as_str())];
    let gateway = Gateway::start_changed("envoy.yaml", mended, &config()).await.unwrap();
    let seen = Echoed::of(&gateway.send(&forge()).await);
    assert_eq!(seen.header("x-forwarded-user"), Some("alice"));
    assert_eq!(seen.header("x-forwarded_user"), None);
    let (live, written) = doctors(&gateway, &sound.replace(ALL_SPELLINGS, &copied)).await;
    assert!(live.is_empty() && written.is_empty(), "{live:?} {written:?}");
}

/// Over HTTP what Doorward sets has to be let through, too: else the client's own goes on.
#[tokio::test]
async fn over_http_it_takes_both_kinds_of_lines() {
    let (shown, upstream) = lines_to_copy().await;
    assert_eq!(
        upstream,
        [
            "- { prefix: x-acme-, ignore_case: true }",
            "- { exact: x-auth-ok, ignore_case: true }",
            "- { exact: x-forwarded-user, ignore_case: true }",
        ]
    );
    let shown = shown.join("\n                          ");
    let shipped = "allowed_upstream_headers:\n                            patterns:\n\
                   \x20                             - { prefix: x-nmp-, ignore_case: true }";
    let patterns = upstream.join("\n                              ");
    let mended = shipped.replace("- { prefix: x-nmp-, ignore_case: true }", &patterns);
    for (upstream, seen) in [(shipped, "forged"), (&*mended, "alice")] {
        let mended = [(ALL_SPELLINGS, &*shown), (shipped, upstream)];
        let gateway = Gateway::start_changed("envoy-http.yaml", mended, &config()).await;
        let Some(gateway) = gateway else { return };
        let forged = get("/v1/models").bearer(&token()).header("x-forwarded-user", "forged");
        let told = Echoed::of(&gateway.send(&forged).await);
        assert_eq!(told.header("x-forwarded-user"), Some(seen), "{told:?}");
    }
}

/// Whatever `doctor` advises has the configured names in it.
#[test]
fn remedies_name_the_configured_prefix() {
    let headers = Settings::from_yaml("test.json", &config()).unwrap().headers;
    for (file, field, advised) in [
        (
            "envoy-http.yaml",
            "allowed_upstream_headers:",
            "{patterns: [{prefix: x-acme-, ignore_case: true}, {exact: x-forwarded-user, ignore_case: true}]}",
        ),
        ("istio/mesh-http", "", "[\"x-acme-*\", \"x-forwarded-user\"]"),
    ] {
        let text = if field.is_empty() {
            "extensionProviders:\n- name: doorward\n  envoyExtAuthzHttp:\n    service: d\n    port: 8181\n    \
             pathPrefix: /apis/auth/ext-authz\n    headersToUpstreamOnAllow: [x-other]\n"
                .to_owned()
        } else {
            tools::file(&format!("envoy/{file}")).replace(field, "allowed_nothing:")
        };
        let sections = envoy::examine(file, &text, &headers, false).unwrap();
        let remedies: Vec<_> = sections
            .into_iter()
            .flat_map(|section| section.findings)
            .filter_map(|finding| finding.remedy)
            .collect();
        assert!(remedies.iter().any(|remedy| remedy.contains(advised)), "{file}: {remedies:#?}");
        assert!(!remedies.iter().any(|remedy| remedy.contains("x-nmp")), "{file}: {remedies:#?}");
    }
}
