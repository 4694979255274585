//! Keeps secrets out of what is printed: faults, `config show`, `Debug`.

use serde_json::Value;

/// What stands for a secret.
pub const REDACTED: &str = "***";

/// The members of a JWK that are private (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_JWK_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// `text` without credentials in URLs, and without anything of a private key.
#[must_use]
pub fn redact_text(text: &str) -> String {
    if text.contains("PRIVATE KEY") {
        return REDACTED.into();
    }
    // Done on the text itself: a URL with a fault in it has credentials all the same.
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    // The password may hold `/` or `?` where it should have been escaped: cut at the last
    // `@` of all, and rather hide a piece of the path than show a piece of the password.
    match rest.rsplit_once('@') {
        Some((_, rest)) => format!("{scheme}://{REDACTED}@{rest}"),
        None => text.to_owned(),
    }
}

/// `value` with every text in it redacted, and the private members of JWKs.
#[must_use]
pub fn redact(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact_text(text)),
        Value::Array(items) => Value::Array(items.iter().map(redact).collect()),
        Value::Object(members) => {
            let is_jwk = members.contains_key("kty");
            let member = |(name, value): (&String, &Value)| {
                let private = is_jwk && PRIVATE_JWK_MEMBERS.contains(&name.as_str());
                let value = if private { REDACTED.into() } else { redact(value) };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_and_private_keys_do_not_show() {
        for (text, shown) in [
            ("http://user:pw@proxy:3128", "http://***@proxy:3128"),
            ("htp://user:p@ss/wo@proxy", "htp://***@proxy"),
            ("https://idp.example/realms/a", "https://idp.example/realms/a"),
            ("-----BEGIN PRIVATE KEY-----\nabc", "***"),
            ("alice@example.com", "alice@example.com"),
        ] {
            assert_eq!(redact_text(text), shown);
        }
        let set =
            json!({"keys": [{"kty": "RSA", "n": "n", "d": "secret"}, {"kty": "oct", "k": "s"}]});
        let shown =
            json!({"keys": [{"kty": "RSA", "n": "n", "d": "***"}, {"kty": "oct", "k": "***"}]});
        assert_eq!(redact(&set), shown);
    }
}
