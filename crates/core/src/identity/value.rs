//! What a header may carry: character sets and limits.

use serde_json::Value;

/// What values headers may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// The limits of NeMo Platform, beyond which it refuses the whole request.
    #[default]
    Nemo,
    /// Any visible ASCII.
    Plain,
}

impl Profile {
    /// How many groups a header may hold.
    #[must_use]
    pub fn max_groups(self) -> usize {
        match self {
            Self::Nemo => NEMO_MAX_GROUPS,
            Self::Plain => PLAIN_MAX_GROUPS,
        }
    }
}

/// NeMo answers 400 to the whole request beyond these.
const NEMO_MAX_NAME_BYTES: usize = 256;
const NEMO_MAX_GROUPS: usize = 100;
const MAX_EMAIL_BYTES: usize = 320;
/// Envoy takes header values up to 16 KiB; these keep a token well below.
const PLAIN_MAX_NAME_BYTES: usize = 1024;
const PLAIN_MAX_GROUPS: usize = 1000;
const MAX_SCOPE_BYTES: usize = 256;
const MAX_TEXT_BYTES: usize = 1024;
/// More scopes than these are dropped.
pub(super) const MAX_SCOPES: usize = 200;

/// The joined groups never take more than this in a header, in bytes.
pub(super) const MAX_LIST_BYTES: usize = 12 * 1024;

/// Whether a principal or group may be sent.
pub(super) fn is_name(name: &str, profile: Profile) -> bool {
    let fits = |max_bytes| !name.is_empty() && name.len() <= max_bytes;
    match profile {
        Profile::Nemo => fits(NEMO_MAX_NAME_BYTES) && name.bytes().all(is_nemo_byte),
        Profile::Plain => {
            fits(PLAIN_MAX_NAME_BYTES) && name.bytes().all(|byte| byte.is_ascii_graphic())
        }
    }
}

#[inline]
fn is_nemo_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'.' | b'_' | b'-' | b':' | b'+' | b'/')
}

/// Whether NeMo would take the name for one of its own services, or for everybody. It
/// compares case-sensitively; a look-alike serves nobody but an attacker.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    const SERVICE: &[u8] = b"service:";
    name == "*"
        || name
            .as_bytes()
            .get(..SERVICE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(SERVICE))
}

/// Whether an email address is one: a local part, one `@`, a domain, and nothing that
/// could be read as a list, a display name or a comment.
pub(super) fn is_email(email: &str) -> bool {
    let plain = email.len() <= MAX_EMAIL_BYTES
        && email.bytes().all(|byte| {
            byte.is_ascii_graphic()
                && !matches!(byte, b',' | b';' | b'<' | b'>' | b'(' | b')')
                && !matches!(byte, b'"' | b'\\' | b'[' | b']')
        });
    match email.split_once('@') {
        Some((local, domain)) => {
            plain && !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        }
        None => false,
    }
}

/// Whether a scope is a `scope-token` (RFC 6749 §3.3).
pub(super) fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope.len() <= MAX_SCOPE_BYTES
        && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

/// A claim as the text of a header: a string, number or boolean as it is, an array of
/// them joined by `,`. `None` when that cannot be sent.
pub(super) fn plain_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Array(items) => {
            let items = items.iter().map(|item| match item {
                // A comma inside an item would make two of it.
                Value::String(text) if !text.contains(',') => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::String(_) | Value::Bool(_) | Value::Null => None,
                Value::Array(_) | Value::Object(_) => None,
            });
            items.collect::<Option<Vec<_>>>()?.join(",")
        }
        Value::Null | Value::Object(_) => return None,
    };
    let fit = !text.is_empty()
        && text.len() <= MAX_TEXT_BYTES
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim_ascii() == text;
    fit.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nemo_names_are_what_nemo_takes() {
        for name in ["alice", "a@b.c", "team/x:y+z_-", &"a".repeat(256)] {
            assert!(is_name(name, Profile::Nemo), "{name}");
        }
        for name in ["", "auth0|1", "a b", "a,b", "a\r\nb", "\u{e9}", "a\0", &"a".repeat(257)] {
            assert!(!is_name(name, Profile::Nemo), "{name:?}");
        }
        for byte in 0..=0x7f_u8 {
            let taken = byte.is_ascii_alphanumeric() || b"@._-:+/".contains(&byte);
            assert_eq!(is_name(char::from(byte).encode_utf8(&mut [0]), Profile::Nemo), taken);
        }
        assert!(is_name("auth0|123", Profile::Plain));
        assert!(!is_name("a b", Profile::Plain));
        assert!(!is_name("a\nb", Profile::Plain));
    }

    #[test]
    fn reserved_names() {
        for name in ["*", "service:", "service:jobs", "Service:Jobs", "SERVICE:x"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["services", "service", "my-service:x", "**", "a*"] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn emails_have_one_at() {
        assert!(is_email("alice@example.com") && is_email("o'neil+x@sub.example"));
        for email in
            ["", "alice", "@x", "a@", "a@b@c", "a@b,c@d", "A <a@b>", "a b@c", "\"a\"@b", "a@[::1]"]
        {
            assert!(!is_email(email), "{email}");
        }
        assert!(!is_email(&format!("{}@x", "a".repeat(320))));
    }

    #[test]
    fn further_claims_are_plain_text_or_left_out() {
        use serde_json::json;
        assert_eq!(plain_text(&json!("a b")).as_deref(), Some("a b"));
        assert_eq!(plain_text(&json!(7)).as_deref(), Some("7"));
        assert_eq!(plain_text(&json!(["a", 1])).as_deref(), Some("a,1"));
        for odd in
            [json!(null), json!({}), json!(""), json!("a\nb"), json!("\u{e9}"), json!(["a,b"])]
        {
            assert_eq!(plain_text(&odd), None, "{odd}");
        }
    }
}
