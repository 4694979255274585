//! What `doorward init` chooses for a provider and a gateway: sound for each product by its real
//! name, without a network.

use doorward::config::{self, Sources};
use doorward::init::{Choices, Gateway, Runs, published_issuer};
use doorward::product::Product;
use serde_json::{Value, json};

use crate::support::doctor_envoy::faults_with;

const GATEWAYS: [(&str, Gateway); 4] = [
    ("envoy", Gateway::Envoy),
    ("istio", Gateway::Istio),
    ("envoy-gateway", Gateway::EnvoyGateway),
    ("module", Gateway::Module),
];
const DEFAULTS: &str = "auth: {enabled: false}";
const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

/// By their real names, without a network.
#[test]
fn sound_for_every_product_and_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let entra = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let v1 = format!("https://sts.windows.net/{TENANT}/");
    let ciam = format!("https://{TENANT}.ciamlogin.com/{TENANT}/v2.0");
    for (issuer, product, groups, audiences) in [
        (entra.as_str(), Product::EntraId, "groups", &["app", "api://app"][..]),
        (&v1, Product::EntraId, "groups", &["app", "api://app"]),
        (&ciam, Product::EntraId, "groups", &["app", "api://app"]),
        ("https://contoso.b2clogin.com/t/p/v2.0/", Product::EntraId, "groups", &["app"]),
        ("https://org.okta.com/oauth2/default", Product::Okta, "groups", &["api://default"]),
        ("https://org.okta.com/oauth2/aus1", Product::Okta, "groups", &["app"]),
        ("https://idp.example/realms/nmp", Product::Keycloak, "groups", &["app"]),
        ("https://nmp.eu.auth0.com/", Product::Auth0, "https://doorward/groups", &["app"]),
        ("https://accounts.google.com", Product::Google, "groups", &["app"]),
        (
            "https://x.zitadel.cloud",
            Product::Zitadel,
            "urn:zitadel:iam:org:project:roles",
            &["app"],
        ),
        ("https://id.example/application/o/nmp/", Product::Authentik, "groups", &["app"]),
        (
            "https://cognito-idp.eu-west-1.amazonaws.com/eu_Ab",
            Product::Cognito,
            "cognito:groups",
            &[],
        ),
        ("https://idp.example", Product::Other, "groups", &["app"]),
    ] {
        assert_eq!(Product::recognise(issuer, None), product, "{issuer}");
        for (name, gateway) in GATEWAYS {
            let text = Choices {
                issuer: issuer.into(),
                client_id: "app".into(),
                audience: None,
                ca_file: None,
                runs: gateway.runs(),
                product,
            }
            .configuration(&json!({"issuer": issuer}));
            let sources = match gateway.runs() {
                Runs::Here | Runs::InCluster => Sources::none(),
                Runs::InsideEnvoy => Sources::of_module(),
            };
            let loaded = config::load(&sources.inline_yaml("doorward.yaml", &text))
                .unwrap_or_else(|faults| panic!("{faults}\n{text}"));
            assert_eq!(loaded.warnings, [], "{text}");
            let primary = &loaded.settings.issuers[0];
            if issuer != v1 {
                assert_eq!(primary.token.issuer, issuer);
            }
            let chosen = loaded.effective.to_json(false);
            let oidc = &chosen["auth"]["oidc"];
            assert_eq!(oidc["groups_claim"], groups, "{issuer}");
            let found = match &oidc["audience"] {
                Value::Null => vec![],
                Value::String(one) => vec![one.as_str()],
                many => many.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect(),
            };
            assert_eq!(found, audiences, "{issuer}");
            every_line_is_explained(&text);

            let keys = dir.path().join("doorward.yaml");
            std::fs::write(&keys, &text).unwrap();
            let keys = keys.to_str().unwrap();
            let files = gateway.files(&gateway.default_upstream(), &text, keys).unwrap();
            let side = files.iter().zip(gateway.file_names());
            // The module's own configuration is examined with its file.
            let beside = if gateway.runs() == Runs::InsideEnvoy { DEFAULTS } else { &text };
            for (file, _) in side.filter(|(_, name)| **name != "kubernetes.yaml") {
                assert_eq!(faults_with(beside, file), [], "{name} for {issuer}");
            }
        }
    }
}

/// A key with a value stands below a comment.
pub(crate) fn every_line_is_explained(text: &str) {
    let lines: Vec<_> = text.lines().collect();
    for pair in lines.windows(2) {
        let is_section = pair[1].ends_with(':');
        let is_comment = |line: &str| line.trim_start().starts_with('#');
        assert!(is_section || is_comment(pair[1]) || is_comment(pair[0]), "{}\n{text}", pair[1]);
        // What has no blanks, such as a URL, is left whole.
        let words = pair[1].split_whitespace().count();
        let fits = pair[1].chars().count() <= 100 || words <= 2;
        assert!(fits || !is_comment(pair[1]), "{}", pair[1]);
    }
}

#[test]
fn the_name_that_the_provider_has_for_itself() {
    let said = |given: &str, product, published: &str| {
        published_issuer(given, product, &json!({"issuer": published}))
    };
    let entra = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let by_name = "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0";
    assert_eq!(said(by_name, Product::EntraId, &entra), Some(entra.clone()));
    assert_eq!(said(&entra, Product::EntraId, &entra), None);
    let slash = "https://nmp.eu.auth0.com/";
    assert_eq!(said(slash.trim_end_matches('/'), Product::Auth0, slash), Some(slash.into()));
    assert_eq!(said("https://a.example", Product::Other, "https://b.example"), None);
    assert_eq!(said("https://a.example/x", Product::EntraId, &entra), None);
}
