//! The console as tests ask it: by hand-written requests, as anybody may.

use serde_json::{Value, json};

use super::doorward::Doorward;
use super::idp::Idp;
use super::raw::{RawRequest, Reply, lines};

/// Keys are asked for often, and an unknown one is asked for at once.
pub fn config(idp: &Idp) -> String {
    json!({
        "auth": {"oidc": {"issuer": idp.issuer(), "client_id": "nmp"}},
        "keys": {"refresh_min": "200ms", "refresh_default": "200ms", "refresh_max": "200ms",
                 "cool_down": "100ms"},
    })
    .to_string()
}

/// A request with these two lines and no more.
pub fn request(method: &str, path: &str, host: &str) -> RawRequest {
    lines(&[&format!("{method} {path} HTTP/1.1"), &format!("Host: {host}"), "Connection: close"])
}

pub async fn explain(doorward: &Doorward, question: &Value) -> Reply {
    let address = doorward.console_address();
    let request = request("POST", "/api/explain", &address.to_string());
    let request = request.header("Content-Type", "application/json");
    request.body(&question.to_string()).send(address).await
}

pub async fn state(doorward: &Doorward) -> Value {
    let address = doorward.console_address();
    request("GET", "/api/state", &address.to_string()).send(address).await.json()
}
