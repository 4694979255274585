//! `doorward doctor` as a program: what it finds at real identity providers that are well,
//! and that each fault of one that is not has a name and a remedy.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::provider_pages::the_commands_for_keycloak_make_its_configuration_work;
use crate::support::cli::Cli;
use crate::support::doctor::{Said, examine, oidc, text};
use crate::support::http;
use crate::support::keycloak::Keycloak;
use crate::support::oidc_provider::{OidcProvider, RESOURCE};

/// One story, because a Keycloak takes ten seconds to start.
#[tokio::test]
async fn keycloak_realms_good_and_broken() {
    let Some(keycloak) = Keycloak::start().await else { return };
    let config =
        |realm: &str| oidc(json!({"issuer": keycloak.issuer_of(realm), "client_id": "nmp"}));
    let token = async |realm: &str| {
        let answer = keycloak.login_at(realm).await;
        text(&answer["access_token"]).to_owned()
    };

    // A person, and a machine, at a realm as it should be.
    let alice = token("doorward").await;
    let said = examine(&config("doorward"), Some(&alice)).await;
    said.assert_well();
    assert!(text(&said.report["sections"][0]["title"]).ends_with("(Keycloak)"), "{}", said.report);
    assert!(text(&said.finding("groups")["found"]).contains("research, team-b"));
    assert!(text(&said.finding("device_grant")["found"]).contains("/realms/doorward/device"));
    assert!(!said.report.to_string().contains(&alice), "the token itself is shown");
    examine(&config("doorward"), Some(&keycloak.client_credentials().await)).await.assert_well();

    // The token one is logged in with.
    let (cli, issuer) = (Cli::new(), keycloak.issuer());
    let doctor = ["doctor", "--json", "--issuer", &issuer, "--client-id", "nmp", "--logged-in"];
    let nobody = cli.run(&doctor).await;
    assert!(nobody.code == Some(1) && nobody.stderr.contains("auth login"), "{nobody:?}");
    let login = ["auth", "login", "--issuer", &issuer, "--client-id", "nmp"];
    let password = [("NMP_OIDC_USERNAME", "alice"), ("NMP_OIDC_PASSWORD", "wonderland")];
    cli.run_with(&login, &password, "").await.assert(0, &[]);
    let ended = cli.run(&doctor).await;
    let report = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let said = Said { code: ended.code.unwrap(), report, stderr: ended.stderr };
    said.assert_well();
    assert!(text(&said.finding("groups")["found"]).contains("research, team-b"));

    // Tokens that are not for an API.
    let answer = keycloak.login_at("doorward").await;
    let said = examine(&config("doorward"), Some(text(&answer["id_token"]))).await;
    said.assert_only("fail kind", "send access_token, not id_token");
    let said = examine(&config("doorward"), Some(text(&answer["refresh_token"]))).await;
    said.assert_only("fail kind", "never send refresh_token");
    let bob = keycloak.login("nmp", "bob", "builder", "openid email").await;
    let said = examine(&config("doorward"), Some(&bob)).await;
    // Keycloak sends no groups for who is in none, which looks like a missing mapper.
    assert_eq!(said.faults(), ["warn email", "warn groups"], "{:#}", said.report);
    assert!(text(&said.finding("email")["remedy"]).contains("Email verified"));
    assert!(text(&said.finding("groups")["found"]).contains("the user is in no group, or"));

    // Clients and scopes that are not what they should be.
    let mut other = config("doorward");
    other["auth"]["oidc"]["client_id"] = json!("nmp-job");
    examine(&other, None).await.assert_only("fail device_grant", "Client authentication: off");
    let mut other = config("doorward");
    other["auth"]["oidc"]["default_scopes"] = json!("openid emial");
    let said = examine(&other, None).await;
    said.assert_only("warn default_scopes", "auth.oidc.default_scopes");
    assert_eq!(said.finding("default_scopes")["found"], "not among scopes_supported: emial");
    let elsewhere = keycloak.login("elsewhere", "alice", "wonderland", "openid").await;
    let said = examine(&config("doorward"), Some(&elsewhere)).await;
    assert_eq!(said.faults(), ["fail audience", "warn email", "warn groups"]);
    assert!(text(&said.finding("audience")["remedy"]).starts_with("Clients > elsewhere > "));

    // Realms with one fault each.
    let mapper = |realm: &mut Value, name: &str, change: &dyn Fn(&mut Vec<Value>, usize)| {
        let mappers = realm["clientScopes"][0]["protocolMappers"].as_array_mut().unwrap();
        let at = mappers.iter().position(|mapper| mapper["name"] == name).unwrap();
        change(mappers, at);
    };
    keycloak
        .add_realm("no-device-grant", |realm| {
            realm["clients"][0]["attributes"]["oauth2.device.authorization.grant.enabled"] =
                json!("false");
        })
        .await;
    let said = examine(&config("no-device-grant"), Some(&token("no-device-grant").await)).await;
    said.assert_only("fail device_grant", "Clients > nmp > Settings > Capability config");

    let elsewhere = keycloak.issuer_of("x").replace("127.0.0.1", "localhost");
    let front = elsewhere.strip_suffix("/realms/x").unwrap();
    keycloak
        .add_realm("wrong-issuer", |realm| realm["attributes"] = json!({"frontendUrl": front}))
        .await;
    let said = examine(&config("wrong-issuer"), None).await;
    said.assert_only("fail issuer_match", "Frontend URL");
    let said = examine(&config("wrong-issuer"), Some(&token("wrong-issuer").await)).await;
    assert_eq!(said.faults(), ["fail issuer_match", "fail issuer"]);
    let slash = oidc(json!({"issuer": keycloak.issuer() + "/", "client_id": "nmp"}));
    let said = examine(&slash, None).await;
    said.assert_only("fail issuer_match", &format!("{:?}", keycloak.issuer()));
    assert!(text(&said.finding("issuer_match")["found"]).contains("the trailing slash"));

    keycloak
        .add_realm("no-groups", |realm| {
            mapper(realm, "groups", &|mappers, at| drop(mappers.remove(at)));
        })
        .await;
    let groups = token("no-groups").await;
    let said = examine(&config("no-groups"), Some(&groups)).await;
    said.assert_only("warn groups", "Add mapper > By configuration > Group Membership");
    // Roles are there: that is said, and does what it says.
    assert!(text(&said.finding("groups")["remedy"]).contains("groups_claim: /realm_access/roles"));
    let mut mended = config("no-groups");
    mended["auth"]["oidc"]["groups_claim"] = json!("/realm_access/roles");
    examine(&mended, Some(&groups)).await.assert_well();

    keycloak
        .add_realm("wrong-audience", |realm| {
            mapper(realm, "audience", &|mappers, at| {
                mappers[at]["config"] =
                    json!({"included.custom.audience": "elsewhere", "access.token.claim": "true"});
            });
        })
        .await;
    let said = examine(&config("wrong-audience"), Some(&token("wrong-audience").await)).await;
    said.assert_only("fail audience", "Audience: Included Client Audience nmp");
    let found = text(&said.finding("audience")["found"]);
    assert_eq!(found, "aud \"elsewhere\", expected aud to be or contain one of: nmp");

    keycloak
        .add_realm("hs256-client", |realm| {
            realm["clients"][0]["attributes"]["access.token.signed.response.alg"] = json!("HS256");
        })
        .await;
    let said = examine(&config("hs256-client"), Some(&token("hs256-client").await)).await;
    said.assert_only("fail header", "Access token signature algorithm: RS256");
    keycloak
        .add_realm("hs256-only", |realm| {
            realm["defaultSignatureAlgorithm"] = json!("HS256");
            realm["components"] = json!({"org.keycloak.keys.KeyProvider": [{
                "name": "hmac", "providerId": "hmac-generated",
                "config": {"priority": ["100"], "algorithm": ["HS256"]},
            }]});
        })
        .await;
    let said = examine(&config("hs256-only"), None).await;
    said.assert_only("fail key_set", "Add providers > rsa-generated");

    // The page for it says how to make a realm that is well.
    the_commands_for_keycloak_make_its_configuration_work(&keycloak).await;

    // No such realm, and a clock that is off, by a proxy that says so.
    let said = examine(&config("nobody"), None).await;
    said.assert_only("fail discovery", "https://<host>/realms/<realm>");
    let proxy = DateProxy::start(&keycloak.issuer(), -120).await;
    let behind = oidc(json!({"issuer": proxy.issuer, "client_id": "nmp"}));
    let said = examine(&behind, None).await;
    said.assert_only("fail clock_skew", "timedatectl");
    assert!(text(&said.finding("clock_skew")["found"]).contains("behind this machine's"));
}

#[tokio::test]
async fn oidc_provider_good_and_broken() {
    let Some(provider) = OidcProvider::start().await else { return };
    let config = |provider: &OidcProvider| {
        let issuer = provider.issuer();
        oidc(json!({"issuer": issuer, "client_id": "nmp", "audience": RESOURCE}))
    };
    let good = config(&provider);
    let alice = provider.login("alice").await;
    examine(&good, Some(&alice)).await.assert_well();
    examine(&good, Some(&provider.token("nmp-job-es256").await)).await.assert_well();
    let mut narrow = good.clone();
    narrow["auth"]["oidc"]["algorithms"] = json!(["PS384"]);
    let said = examine(&narrow, None).await;
    said.assert_only(
        "fail algorithms",
        "add one of these to this issuer's algorithms: RS256, ES256",
    );

    for (fault, found, remedy) in [
        ("no-device-grant", "fail device_endpoint", "RFC 8628"),
        ("wrong-issuer", "fail issuer_match", "configure that"),
        ("no-groups", "warn groups", "set groups_claim"),
        ("wrong-audience", "fail audience", "urn:doorward:test"),
        ("clock-off", "fail clock_skew", "time server"),
        ("hs256-only", "fail key_set", "never accepts HS256"),
    ] {
        let broken = OidcProvider::start_broken(fault).await.unwrap();
        let token = match fault {
            "no-groups" | "wrong-audience" => Some(broken.login("alice").await),
            _ => None,
        };
        examine(&config(&broken), token.as_deref()).await.assert_only(found, remedy);
    }
}

/// Hands on what a provider says, with another `Date`.
struct DateProxy {
    /// The provider's issuer, by the proxy's address.
    issuer: String,
    _server: JoinSet<()>,
}

impl DateProxy {
    async fn start(issuer: &str, seconds: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = url::Url::parse(issuer).unwrap();
        let mut own = upstream.clone();
        own.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let state = Arc::new((upstream, seconds));
        let router = Router::new().fallback(hand_on).with_state(state);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { issuer: own.to_string(), _server: server }
    }
}

async fn hand_on(
    State(state): State<Arc<(url::Url, i64)>>,
    request: Request,
) -> axum::http::Response<Body> {
    let (upstream, seconds) = state.as_ref();
    let (parts, body) = request.into_parts();
    let mut url = upstream.clone();
    url.set_path(parts.uri.path());
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap();
    let answer = http()
        .request(parts.method, url)
        // Keycloak names itself as it is addressed.
        .header("host", parts.headers["host"].clone())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    let now = std::time::SystemTime::now();
    let shifted = now.checked_sub(std::time::Duration::from_secs(seconds.unsigned_abs())).unwrap();
    axum::http::Response::builder()
        .status(answer.status())
        .header("date", httpdate::fmt_http_date(shifted))
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}
