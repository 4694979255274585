//! What a policy decides, and what it has to say besides.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Whether a policy lets a request pass.
#[derive(Clone, Debug)]
pub struct Verdict {
    allowed: bool,
    said: Option<Arc<Said>>,
}

/// What a policy has to say besides yes or no.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Of a request that may pass, headers to set for the upstream; of a denial, headers of the
    /// answer. Names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Headers that the upstream does not get. Names in lower case.
    pub remove: Vec<Box<str>>,
    /// The HTTP status of a denial.
    pub status: Option<u16>,
    /// What the client of a denied request is told.
    pub body: Option<Box<str>>,
    /// Members of dynamic metadata.
    pub metadata: Map<String, Value>,
}

/// Headers that frame a message or name its destination: nobody's but the gateway's.
const OF_GATEWAYS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// More than this, in bytes, is not a thing to say on every request.
const MAX_SAID_BYTES: usize = 16 * 1024;

impl Verdict {
    /// It may pass.
    #[must_use]
    pub fn allow() -> Self {
        Self { allowed: true, said: None }
    }

    /// It may not.
    #[must_use]
    pub fn deny() -> Self {
        Self { allowed: false, said: None }
    }

    /// The same with more to say.
    ///
    /// # Errors
    /// Something of it cannot be said.
    pub fn saying(self, said: Said) -> Result<Self, UnfitVerdict> {
        said.check(self.allowed)?;
        let said = (said != Said::default()).then(|| Arc::new(said));
        Ok(Self { said, ..self })
    }

    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// What else it says.
    #[must_use]
    pub fn said(&self) -> Option<&Arc<Said>> {
        self.said.as_ref()
    }
}

impl Said {
    fn check(&self, allowed: bool) -> Result<(), UnfitVerdict> {
        for (name, value) in &self.headers {
            check_name(name)?;
            let is_visible = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
            if !value.bytes().all(is_visible) || value.trim_ascii() != &**value {
                return Err(UnfitVerdict::HeaderValue(name.clone()));
            }
        }
        self.remove.iter().try_for_each(|name| check_name(name))?;
        match self.status {
            Some(status) if allowed => Err(UnfitVerdict::StatusOfAllowed(status)),
            // To Envoy 200 is leave to pass.
            Some(status) if !(300..=599).contains(&status) => Err(UnfitVerdict::Status(status)),
            Some(_) | None => Ok(()),
        }?;
        if self.bytes() > MAX_SAID_BYTES { Err(UnfitVerdict::TooMuch) } else { Ok(()) }
    }

    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        let remove = self.remove.iter().map(|name| name.len());
        let body = self.body.as_ref().map_or(0, |body| body.len());
        let metadata = self.metadata.iter().map(|(name, value)| name.len() + bytes(value));
        headers.chain(remove).chain(metadata).sum::<usize>() + body
    }
}

fn bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| name.len() + bytes(value)).sum()
        }
    }
}

/// A `token` (RFC 9110 §5.6.2) in lower case.
fn check_name(name: &str) -> Result<(), UnfitVerdict> {
    let of_token = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    if name.is_empty() || !name.bytes().all(of_token) || OF_GATEWAYS.contains(&name) {
        return Err(UnfitVerdict::HeaderName(name.into()));
    }
    Ok(())
}

/// Why what a policy says cannot be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitVerdict {
    /// It is no name of a header, or one that is not a policy's to set.
    #[error("`{0}` is not a header that a policy can set or remove")]
    HeaderName(Box<str>),
    /// It holds characters that no header has.
    #[error("the value of the header `{0}` is not visible ASCII")]
    HeaderValue(Box<str>),
    /// It is none of a denial.
    #[error("the status {0} is not one of a denial: 300 to 599")]
    Status(u16),
    /// What is allowed has the upstream's status.
    #[error("the request is allowed, and the status {0} is set")]
    StatusOfAllowed(u16),
    /// It is too long.
    #[error("headers, body and metadata together are over {MAX_SAID_BYTES} bytes")]
    TooMuch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_said() {
        let header = |name: &str, value: &str| Said {
            headers: vec![(name.into(), value.into())],
            ..Said::default()
        };
        for said in [
            header(":path", "/"),
            header("host", "a"),
            header("X-Upper", "a"),
            header("", "a"),
            header("a b", "a"),
            header("a", "a\r\nb: c"),
            header("a", "\u{e9}"),
            header("a", " a"),
            header("a", &"x".repeat(MAX_SAID_BYTES)),
            Said { remove: vec!["content-length".into()], ..Said::default() },
            Said { status: Some(200), ..Said::default() },
            Said { status: Some(99), ..Said::default() },
            Said { status: Some(600), ..Said::default() },
        ] {
            assert!(Verdict::deny().saying(said.clone()).is_err(), "{said:?}");
        }
        let redirect = Said { status: Some(302), ..header("location", "https://idp.example/") };
        assert!(Verdict::deny().saying(redirect.clone()).is_ok());
        assert_eq!(
            Verdict::allow().saying(redirect).unwrap_err(),
            UnfitVerdict::StatusOfAllowed(302)
        );
    }
}
