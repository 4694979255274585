//! The development issuer as an OAuth provider, and as the platform in front of it, that answers as
//! it is told.

pub use doorward_dev::Answer;
use doorward_dev::DevIssuer;
use doorward_dev::faults::Asked;
use serde_json::{Value, json};

pub struct OAuth(DevIssuer);

impl OAuth {
    /// Publishes `/token`, `/device_authorization` and `/revoke`, as an issuer and as a
    /// platform; the device endpoint gives out codes that are good for ten minutes.
    pub async fn start() -> Self {
        let fake = Self(DevIssuer::start_with_faults().await.unwrap());
        fake.publish(json!({}));
        fake.platform(json!({}));
        fake.device(json!({}));
        fake
    }

    pub fn url(&self) -> &str {
        self.0.issuer_url()
    }

    /// What it says to requests for `path`; the last answer again and again.
    pub fn say(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.0.answers(path, answers);
    }

    /// The issuer's document with these members changed.
    pub fn publish(&self, changes: Value) {
        let at = |path: &str| self.0.url(path);
        let document = json!({
            "issuer": at(""), "jwks_uri": at("/keys"), "token_endpoint": at("/token"),
            "device_authorization_endpoint": at("/device_authorization"),
            "revocation_endpoint": at("/revoke"),
        });
        let document = Answer::Json(200, changed(document, changes));
        self.say("/.well-known/openid-configuration", [document]);
    }

    /// The platform's `oidc` with these members changed.
    pub fn platform(&self, changes: Value) {
        let oidc = json!({
            "issuer": self.url(), "client_id": "nmp", "default_scopes": "openid",
            "token_endpoint": null, "device_authorization_endpoint": null, "scope_prefix": null,
        });
        let document = json!({"auth_enabled": true, "oidc": changed(oidc, changes)});
        self.say("/apis/auth/discovery", [Answer::Json(200, document)]);
    }

    /// The answer to a request for a code, with these members changed.
    pub fn device(&self, changes: Value) {
        let answer = json!({
            "device_code": "d", "user_code": "ABCD-EFGH", "expires_in": 600, "interval": 1,
            "verification_uri": self.0.url("/device"),
        });
        self.say("/device_authorization", [Answer::Json(200, changed(answer, changes))]);
    }

    /// The requests for this path.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.0.asked().into_iter().filter(|asked| asked.path == path).collect()
    }
}

/// An answer of the token endpoint that is as it should be, with these members changed.
pub fn tokens(changes: Value) -> Answer {
    let answer = json!({"access_token": "opaque-token", "token_type": "Bearer", "expires_in": 600});
    Answer::Json(200, changed(answer, changes))
}

/// An error (RFC 6749 §5.2).
pub fn refusal(error: &str, description: &str) -> Answer {
    Answer::Json(400, json!({"error": error, "error_description": description}))
}

fn changed(mut document: Value, changes: Value) -> Value {
    let members = document.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    document
}
