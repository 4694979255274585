//! Doorward gone: a real Envoy then lets nobody pass.

use serde_json::json;

use crate::support::gateway::Gateway;
use crate::support::raw::get;
use crate::support::signer::{RSA, claims, jwks};

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
