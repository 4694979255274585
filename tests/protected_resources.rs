//! RFC 9728: every configured resource has its own document, which names it to the letter, and a
//! challenge names the document of the resource that was asked for.

use doorward::config::Settings;
use serde_json::{Value, json};

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::gateway::{Gateway, NEMO};
use crate::support::http;
use crate::support::raw;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";
const AT: &str = "/.well-known/oauth-protected-resource";

fn config(resource: Value) -> Value {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "protected_resource": {"resource": resource, "scopes_supported": ["models:read", "x"]},
    })
}

/// Status, and the document when there is one.
async fn document(doorward: &Doorward, path: &str, host: &str) -> (u16, Value) {
    let request = http().get(doorward.http(path)).header("host", host);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_resource_is_told_to_the_letter_and_answers_at_its_own_path_alone() {
    let mut none = config(json!([]));
    none["protected_resource"] = json!({});
    let doorward = Doorward::start(&none.to_string()).await;
    assert_eq!(document(&doorward, AT, "nemo.example").await.0, 404);
    assert!(!doorward.ask(get("/")).await.header("www-authenticate").unwrap().contains("metadata"));
    for (resource, path, elsewhere) in [
        ("https://nemo.example", "", "/"),
        ("https://nemo.example/", "", "/x"),
        ("https://NeMo.example:443", "", "/api"),
        ("https://nemo.example/api", "/api", ""),
        ("https://nemo.example/api/", "/api/", "/api"),
        ("https://nemo.example/a/./B", "/a/./B", "/a/B"),
    ] {
        doorward.reload(&config(json!(resource)).to_string()).await;
        let url = format!("{AT}{path}");
        // A client library would mend the path.
        let reply = raw::get(&url).send(doorward.http_address()).await;
        assert_eq!(reply.status, 200, "{resource}: {reply:?}");
        let document = reply.json();
        assert_eq!(document["resource"], resource);
        assert_eq!(document["authorization_servers"], json!([ISSUER]));
        assert_eq!(document["scopes_supported"], json!(["models:read", "x"]));
        let other = raw::get(format!("{AT}{elsewhere}")).send(doorward.http_address()).await;
        assert_eq!(other.status, 404, "{resource}: {elsewhere}");
        let other = raw::get(format!("{AT}x")).send(doorward.http_address()).await;
        assert_eq!(other.status, 404, "{resource}");

        let challenge = doorward.ask(get("/")).await.header("www-authenticate").unwrap().to_owned();
        let origin = resource.split('/').take(3).collect::<Vec<_>>().join("/");
        let named = format!(", scope=\"models:read x\", resource_metadata=\"{origin}{url}\"");
        assert!(challenge.ends_with(&named), "{challenge}");
    }
}

#[tokio::test]
async fn several_resources_are_told_apart_by_host_and_path() {
    let resources = [
        "https://a.example",
        "https://a.example/mcp/one",
        "https://b.example/mcp/one",
        "https://b.example:8443",
    ];
    let mut config = config(json!(resources));
    config["rules"] = json!({"endpoints": {"/mcp/one/secrets": {"get": {"scopes": ["s:read"]}}}});
    let doorward = Doorward::start(&config.to_string()).await;
    for (path, host, resource) in [
        ("", "a.example", Some(resources[0])),
        ("", "b.example:8443", Some(resources[3])),
        ("/mcp/one", "A.example:443", Some(resources[1])),
        ("/mcp/one", "b.example", Some(resources[2])),
        // Two have it, and neither host is this one.
        ("/mcp/one", "10.0.0.1", None),
        ("/mcp", "a.example", None),
        ("/mcp/one/x", "a.example", None),
    ] {
        let (status, document) = document(&doorward, &format!("{AT}{path}"), host).await;
        assert_eq!(status == 200, resource.is_some(), "{path} {host}");
        assert_eq!(document["resource"].as_str(), resource, "{path} {host}");
    }
    let metadata = |challenge: &str| {
        let (_, url) = challenge.split_once("resource_metadata=\"").unwrap();
        url.trim_end_matches('"').to_owned()
    };
    for (host, path, url) in [
        ("a.example", "/", format!("https://a.example{AT}")),
        ("a.example", "/mcp/one/tools?x=1", format!("https://a.example{AT}/mcp/one")),
        ("a.example", "/mcp/oneself", format!("https://a.example{AT}")),
        ("B.example:443", "/mcp/one", format!("https://b.example{AT}/mcp/one")),
        ("b.example:8443", "/mcp/one", format!("https://b.example:8443{AT}")),
        // Known by another name: by the path.
        ("doorward.internal", "/mcp/one", format!("https://a.example{AT}/mcp/one")),
    ] {
        let expired = RSA.token("RS256", &claims(ISSUER, json!({"exp": 1})));
        for ask in [get(path), get(path).bearer(&expired)] {
            let outcome = doorward.ask(ask.host(host)).await;
            assert_eq!(outcome.status, 401);
            let challenge = outcome.header("www-authenticate").unwrap();
            assert_eq!(metadata(challenge), url, "{host}{path}");
            assert!(challenge.contains("scope=\"models:read x\""), "{challenge}");
        }
        // Over HTTP it is the same.
        let target = format!("/apis/auth/ext-authz{path}");
        let request = http().get(doorward.http(&target)).header("host", host);
        let answer = request.send().await.unwrap();
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert_eq!(metadata(challenge), url, "{host}{path}");
    }
    // What the path itself asks for goes first, whatever is wrong with the token.
    let token = |more| RSA.token("RS256", &claims(ISSUER, more));
    let at = || get("/mcp/one/secrets").host("a.example");
    for ask in [
        at(),
        at().bearer(&token(json!({"exp": 1}))),
        at().bearer(&token(json!({"aud": "other"}))),
        at().bearer(&token(json!({"iss": "https://other.example"}))),
        at().bearer("no.token"),
        at().header("authorization", "Bearer a b"),
    ] {
        let outcome = doorward.ask(ask).await;
        let challenge = outcome.header("www-authenticate").unwrap();
        assert!(challenge.contains("scope=\"s:read\""), "{}: {challenge}", outcome.reason);
    }
}

#[test]
fn what_is_no_resource_is_refused() {
    for (resource, said) in [
        ("https://nemo.example?x", "must not have a query or a fragment"),
        ("https://nemo.example/?", "must not have a query or a fragment"),
        ("https://nemo.example/#", "must not have a query or a fragment"),
        ("https:nemo.example", "must be an https URL"),
        ("http://nemo.example", "must be an https URL"),
        ("nemo.example", "is not a URL"),
    ] {
        for resource in [json!(resource), json!(["https://a.example", resource])] {
            let config = config(resource.clone()).to_string();
            let faults = Settings::from_yaml("test", &config).unwrap_err().to_string();
            assert!(faults.contains(said) && faults.contains("protected_resource"), "{faults}");
        }
    }
}

/// Through the files for NeMo, with the path behind the well-known one.
#[tokio::test]
async fn nemos_gateways_lead_to_the_documents() {
    for file in NEMO {
        let resources = ["https://platform.example", "https://platform.example/mcp/one"];
        let Some(gateway) = Gateway::start(file, &config(json!(resources)).to_string()).await
        else {
            return;
        };
        for (path, resource) in [("", resources[0]), ("/mcp/one", resources[1])] {
            let reply = gateway.send(&raw::get(format!("{AT}{path}"))).await;
            assert_eq!(
                (reply.status, &reply.json()["resource"]),
                (200, &json!(resource)),
                "{file}"
            );
            let denied = gateway.send(&raw::get(format!("{path}/x"))).await;
            let challenge = denied.header("www-authenticate").unwrap();
            let url = format!("resource_metadata=\"https://platform.example{AT}{path}\"");
            assert!(challenge.contains(&url), "{file}: {challenge}");
        }
        assert_eq!(gateway.send(&raw::get(format!("{AT}/other"))).await.status, 404, "{file}");
        // Nobody else's path begins like that one.
        assert_eq!(gateway.send(&raw::get(format!("{AT}x"))).await.status, 401, "{file}");
        assert!(gateway.echo().take().is_empty());
    }
}
