//! Doorward gone: a real Envoy then lets nobody pass.

use serde_json::json;

use crate::support::doorward::Doorward;
use crate::support::echo::Echo;
use crate::support::envoy::{Behind, Envoy, fill};
use crate::support::gateway::{Gateway, behind};
use crate::support::raw::get;
use crate::support::signer::{RSA, claims, jwks};
use crate::support::tools;

const ISSUER: &str = "https://idp.example";

#[tokio::test]
async fn without_doorward_nobody_passes() {
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"bypass": ["/public/*"]},
    });
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    for file in ["envoy.yaml", "envoy-http.yaml", "nemo-grpc.yaml", "nemo-http.yaml"] {
        let Some(mut gateway) = Gateway::start(file, &config.to_string()).await else { return };
        assert_eq!(gateway.send(&get("/v1/models").bearer(&token)).await.status, 200);
        assert_eq!(gateway.echo().take().len(), 1);
        gateway.stop_doorward();
        for request in [
            get("/v1/models"),
            get("/v1/models").bearer(&token),
            // A bypass is Doorward's to grant, since it also strips.
            get("/public/x").header("X-NMP-Principal-Id", "service:jobs"),
        ] {
            let reply = gateway.send(&request).await;
            assert_eq!(reply.status, 503, "{file}: {request:?}: {reply:?}");
        }
        assert!(gateway.echo().take().is_empty(), "{file}");
    }
}

/// Inside Envoy there is nothing to lose on the way: without the module, or with a configuration that
/// it refuses, there is no door at all.
#[tokio::test]
async fn without_the_module_there_is_no_door() {
    let Some(binary) = tools::tool("envoy").await else { return };
    let file = tools::file("envoy/module.yaml");
    let dir = tempfile::tempdir().unwrap();
    let faulty = dir.path().join("doorward.yaml");
    std::fs::write(&faulty, r#"{"auth": {"oidc": {"isuer": "https://idp.example"}}}"#).unwrap();
    let path = format!("value: {}", faulty.display());
    for (line, changed, said) in [
        ("name: doorward_envoy\n", "name: doorward_absent\n", "doorward_absent"),
        ("value: ./doorward.yaml", path.as_str(), "did you mean auth.oidc.issuer?"),
    ] {
        let changed = file.replace(line, changed);
        assert_ne!(changed, file);
        let config = fill(&changed, Behind { grpc: 0, http: 0, upstream: 1 });
        let refused = Envoy::try_run(&binary, "module.yaml", &config).await;
        let told = refused.err().expect("Envoy starts without Doorward");
        assert!(told.contains(said), "{told}");
    }
}

/// `failure_mode_allow` opens the door when Doorward fails. That it cannot tell is no
/// failure: it denies, over either protocol in words that Envoy takes for a denial.
#[tokio::test]
async fn what_cannot_be_told_opens_no_door() {
    let Some(binary) = tools::tool("envoy").await else { return };
    let issuer = "http://127.0.0.1:9"; // where nobody listens
    let config = json!({"auth": {"oidc": {"issuer": issuer, "client_id": "nmp"}}});
    let token = RSA.token("RS256", &claims(issuer, json!({})));
    for (file, status) in [("envoy.yaml", 503), ("envoy-http.yaml", 403)] {
        let (doorward, echo) = (Doorward::start(&config.to_string()).await, Echo::start().await);
        let strict = tools::file(&format!("envoy/{file}"));
        let lax = strict.replace("failure_mode_allow: false", "failure_mode_allow: true");
        assert_ne!(lax, strict);
        let envoy = Envoy::run(&binary, file, &fill(&lax, behind(&doorward, &echo))).await;
        let gateway = Gateway::of(envoy, doorward, echo);
        let request = get("/v1/models").bearer(&token).header("X-NMP-Principal-Id", "service:jobs");
        let reply = gateway.send(&request).await;
        assert_eq!((reply.status, reply.reason().as_str()), (status, "keys_unavailable"));
        assert!(gateway.echo().take().is_empty(), "{file}");
    }
    // Inside it there is no such setting.
    let gateway = Gateway::start("module.yaml", &config.to_string()).await.unwrap();
    let request = get("/v1/models").bearer(&token).header("X-NMP-Principal-Id", "service:jobs");
    let reply = gateway.send(&request).await;
    assert_eq!((reply.status, reply.reason().as_str()), (503, "keys_unavailable"));
    assert!(gateway.echo().take().is_empty());
}
