//! Configured values as they may be printed: in faults, warnings, logs, `config show`. Whoever
//! shows one shows a [`Shown`], so that secrets stay out of all of it.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::printable::printable;

/// What stands for a secret.
pub const REDACTED: &str = "***";

/// The members of a JWK that are private (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_JWK_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Query parameters of identity providers that are no secrets; of all others the value is hidden.
const HARMLESS_PARAMETERS: [&str; 8] =
    ["api-version", "appid", "client_id", "p", "policy", "tenant", "v", "version"];
/// A value that is longer is cut, in characters.
const MOST_SHOWN: usize = 200;
/// Text of this length without a break is key material, not a name. SHA-512 in hexadecimal is 128.
const SHORTEST_KEY: usize = 140;

/// A value as it may be printed: on one line, of bounded length, without secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// Keeps of `text` what may be seen.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let redacted = redact_text(text);
        let mut shown = printable(&redacted.chars().take(MOST_SHOWN).collect::<String>());
        if redacted.chars().nth(MOST_SHOWN).is_some() {
            shown.push('…');
        }
        Self(shown)
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&String> for Shown {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&Path> for Shown {
    fn from(path: &Path) -> Self {
        Self::new(&path.to_string_lossy())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether a text is a key, a certificate or a token itself.
#[must_use]
pub fn is_key_material(text: &str) -> bool {
    let of_base64 = |char: char| char.is_ascii_alphanumeric() || "+/=-_.".contains(char);
    // A path may be as long, and begins otherwise than a key does.
    let is_path = text.starts_with(['/', '.']);
    text.contains("-----BEGIN ")
        || text.contains("PRIVATE KEY")
        || (text.starts_with("eyJ") && text.matches('.').count() >= 2)
        || (!is_path && text.len() >= SHORTEST_KEY && text.chars().all(of_base64))
        || is_der(text)
}

/// Whether a text is a whole DER structure in base64: a short key without its PEM lines.
fn is_der(text: &str) -> bool {
    let compact: String = text.split_ascii_whitespace().collect();
    let Ok(bytes) = STANDARD.decode(compact) else { return false };
    // X.690 §8.1.3: a SEQUENCE whose length is that of the rest.
    match bytes.as_slice() {
        [0x30, length @ 16..=127, rest @ ..] => usize::from(*length) == rest.len(),
        [0x30, 0x81, length, rest @ ..] => usize::from(*length) == rest.len(),
        _ => false,
    }
}

/// `text` without credentials and secret parameters of URLs, and without anything of a key.
#[must_use]
pub fn redact_text(text: &str) -> String {
    if is_key_material(text) {
        return REDACTED.into();
    }
    // Done on the text itself: a URL with a fault in it has credentials all the same.
    let scheme = text.find("://").map_or(0, |end| end + 3);
    let (scheme, rest) = text.split_at(scheme);
    // The password may hold `/` or `?` where it should have been escaped: cut at the last
    // `@` of all, and rather hide a piece of the path than show a piece of the password.
    // Without a scheme, `alice@example.com` is an address and `alice:pw@host` is not.
    let credentials = rest.rsplit_once('@');
    let credentials = credentials.filter(|(user, _)| !scheme.is_empty() || user.contains(':'));
    let (user, rest) = match credentials {
        Some((_, rest)) => (format!("{REDACTED}@"), rest),
        None => (String::new(), rest),
    };
    format!("{scheme}{user}{}", without_secret_parameters(rest, !scheme.is_empty()))
}

fn without_secret_parameters(rest: &str, is_url: bool) -> String {
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, _)) if is_url => (rest, format!("#{REDACTED}")),
        Some(_) | None => (rest, String::new()),
    };
    let query = rest.split_once('?').filter(|(_, query)| is_url || query.contains('='));
    let Some((path, query)) = query else { return format!("{rest}{fragment}") };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if HARMLESS_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) => {
            parameter.to_owned()
        }
        Some((name, _)) => format!("{name}={REDACTED}"),
        None if parameter.is_empty() => String::new(),
        None => REDACTED.to_owned(),
    };
    let parameters: Vec<_> = query.split('&').map(parameter).collect();
    format!("{path}?{}{fragment}", parameters.join("&"))
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
                let public = is_jwk && value.is_string();
                let value = match (private, public) {
                    (true, _) => REDACTED.into(),
                    // The modulus of a public key is as long as a secret, and none.
                    (false, true) => value.clone(),
                    (false, false) => redact(value),
                };
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
            ("user:pw@proxy:3128", "***@proxy:3128"),
            ("//user:pw@proxy", "***@proxy"),
            ("http:user:pw@proxy", "***@proxy"),
            ("https://idp.example/realms/a", "https://idp.example/realms/a"),
            (
                "https://idp.example/x?api_key=s3&appid=7",
                "https://idp.example/x?api_key=***&appid=7",
            ),
            ("https://idp.example/x?s3cret", "https://idp.example/x?***"),
            ("https://idp.example/x#access_token=s3", "https://idp.example/x#***"),
            ("/keys?sig=s3", "/keys?sig=***"),
            ("team-?", "team-?"),
            ("-----BEGIN PRIVATE KEY-----\nabc", "***"),
            ("-----BEGIN EC PRIVATE KEY-----abc", "***"),
            ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "***"),
            ("MC4CAQAwBQYDK2VwBCIEIPGqhZnQ1mI9Lq6U4kqmL4eZx1yV3Uq0b8v2Zc3p7Q2a", "***"),
            ("MC4CAQAwBQYDK2VwBCIEIPGqhZnQ1mI9Lq6U4kqmL4eZ\nx1yV3Uq0b8v2Zc3p7Q2a\n", "***"),
            ("alice@example.com", "alice@example.com"),
            ("/etc/doorward/tls/tls.key", "/etc/doorward/tls/tls.key"),
        ] {
            assert_eq!(redact_text(text), shown);
        }
        assert_eq!(redact_text(&"MIIEvQIBADANBgkqhkiG9w0BAQ".repeat(40)), "***");
        let long = "n".repeat(400);
        let set =
            json!({"keys": [{"kty": "RSA", "n": long, "d": "secret"}, {"kty": "oct", "k": "s"}]});
        let shown =
            json!({"keys": [{"kty": "RSA", "n": long, "d": "***"}, {"kty": "oct", "k": "***"}]});
        assert_eq!(redact(&set), shown);
    }

    #[test]
    fn what_is_shown_is_one_line_of_bounded_length() {
        assert_eq!(Shown::new("roles\n").to_string(), "roles\\u{a}");
        assert_eq!(Shown::new("a\u{200b}b").to_string(), "a\\u{200b}b");
        assert_eq!(Shown::new(&"x y ".repeat(100)).to_string().chars().count(), MOST_SHOWN + 1);
    }
}
