//! Private keys of issuers that do not exist: every token in the tests is really signed.

use std::sync::LazyLock;

pub use doorward_dev::signer::*;
use serde_json::{Value, json};

/// The key that most tests sign with; made once, since RSA keys take their time.
pub static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-1"));
/// A key that no issuer publishes.
pub static STRANGER: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-1"));

/// Seconds since 1970, and so many more.
pub fn from_now(seconds: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

/// The claims of a token that is good for an hour, with `more` put over them; `null`
/// takes a claim out.
pub fn claims(issuer: &str, more: Value) -> Value {
    let mut claims = json!({
        "iss": issuer, "sub": "alice", "aud": "nmp", "iat": from_now(-10), "exp": from_now(3600),
        "email": "alice@example.com", "groups": ["research", "team-b"], "scope": "openid models:read",
    });
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}
