//! The bearer token of a request (RFC 6750 §2.1).

use std::fmt;

use crate::request::RequestView;

const BEARER: &[u8] = b"bearer";

/// A bearer token as it came, unread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BearerToken<'a>(&'a [u8]);

impl<'a> BearerToken<'a> {
    /// A token that did not come in a header (`explain`).
    #[must_use]
    pub fn new(token: &'a [u8]) -> Self {
        Self(token)
    }

    /// Finds the request's token, or `None` when it carries no credentials at all.
    ///
    /// # Errors
    /// There are credentials, but not exactly one `Bearer <token>`. Two `Authorization`
    /// headers are never a choice: Doorward and the upstream might choose differently.
    pub fn from_request(request: &RequestView<'a>) -> Result<Option<Self>, BearerFault> {
        let mut values = request.header_values("authorization");
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(BearerFault::SeveralHeaders);
        }
        let (scheme, token) = match value.iter().position(|byte| *byte == b' ') {
            Some(space) => value.split_at(space),
            None => (value, &[][..]),
        };
        // RFC 9110 §11.1: the scheme is case-insensitive.
        if !scheme.eq_ignore_ascii_case(BEARER) {
            return Err(BearerFault::NotBearer);
        }
        let token = token.trim_ascii();
        if token.is_empty() {
            return Err(BearerFault::NoToken);
        }
        // Envoy joins repeated headers with a comma, which no token contains.
        if memchr::memchr3(b',', b' ', b'\t', token).is_some() {
            return Err(BearerFault::SeveralTokens);
        }
        Ok(Some(Self(token)))
    }

    /// The token's bytes.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Whether an `Authorization` value holds bearer credentials that are no compact JWS (three parts
/// of base64url, RFC 7515 §7.1). Envoy joins repeated headers by `,`: any part counts. So does
/// `Bearer` without a space behind it, which some upstreams take off like the real one.
#[must_use]
pub fn holds_opaque_bearer(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|credentials| {
        let credentials = credentials.trim_ascii();
        let (scheme, token) = credentials.split_at_checked(BEARER.len()).unwrap_or_default();
        scheme.eq_ignore_ascii_case(BEARER) && !is_compact_jws(token.trim_ascii())
    })
}

fn is_compact_jws(token: &[u8]) -> bool {
    let base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    token.split(|byte| *byte == b'.').count() == 3 && token.iter().all(base64url)
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BearerToken({} bytes)", self.0.len())
    }
}

/// Why the credentials of a request are not one bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerFault {
    /// More than one `Authorization` header.
    #[error("there is more than one `Authorization` header")]
    SeveralHeaders,
    /// A scheme other than `Bearer`.
    #[error("the `Authorization` header is not of the form `Bearer <token>`")]
    NotBearer,
    /// `Bearer` and nothing behind it.
    #[error("the `Authorization` header has no token after `Bearer`")]
    NoToken,
    /// Something besides one token: a comma, or white space inside.
    #[error("the `Authorization` header contains more than one token")]
    SeveralTokens,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{HeaderView, RouteView};

    fn extract(values: &[&str]) -> Result<Option<String>, BearerFault> {
        let headers: Vec<_> = values
            .iter()
            .map(|value| HeaderView { name: b"Authorization", value: value.as_bytes() })
            .collect();
        let request = RequestView {
            method: b"GET",
            path: b"/",
            authority: b"",
            headers: &headers,
            route: RouteView::default(),
        };
        let token = BearerToken::from_request(&request)?;
        Ok(token.map(|token| String::from_utf8(token.as_bytes().to_vec()).unwrap()))
    }

    #[test]
    fn exactly_one_bearer_token() {
        assert_eq!(extract(&[]), Ok(None));
        assert_eq!(extract(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(extract(&["bEaReR   abc"]), Ok(Some("abc".into())));
        assert_eq!(extract(&["Bearer a", "Bearer b"]), Err(BearerFault::SeveralHeaders));
        assert_eq!(extract(&["Bearer a,Bearer b"]), Err(BearerFault::SeveralTokens));
        assert_eq!(extract(&["Bearer a b"]), Err(BearerFault::SeveralTokens));
        assert_eq!(extract(&["Bearer a,"]), Err(BearerFault::SeveralTokens));
        assert_eq!(extract(&["Basic abc"]), Err(BearerFault::NotBearer));
        assert_eq!(extract(&["Bearer"]), Err(BearerFault::NoToken));
        assert_eq!(extract(&["Bearer "]), Err(BearerFault::NoToken));
        assert_eq!(extract(&[""]), Err(BearerFault::NotBearer));
        assert_eq!(extract(&["Bearerabc"]), Err(BearerFault::NotBearer));
    }

    #[test]
    fn bearer_credentials_that_are_no_jws() {
        for value in [
            "Bearer service:jobs",
            "bEARER service:jobs",
            "Bearer\tservice:jobs",
            "  Bearer   service:jobs  ",
            "Bearer:service:jobs",
            "Bearerservice:jobs",
            "Bearer",
            "Bearer ",
            "Bearer a.b",
            "Bearer a.b.c.d",
            "Bearer a.b.c.d.e",
            "Bearer a.b.c service:jobs",
            "Bearer a.b.c=",
            "Basic YTpi,Bearer service:jobs",
            "Bearer service:jobs, Basic YTpi",
            "Bearer a.b.c,Bearer service:jobs",
            ",Bearer service:jobs",
        ] {
            assert!(holds_opaque_bearer(value.as_bytes()), "{value:?}");
        }
        for value in [
            "",
            "Basic YTpi",
            "Bear",
            "Bearer eyJh.eyJi.c2ln",
            "bearer eyJh.eyJi.",
            "Bearer a.b.c,bearer d.e.f",
            "Digest username=\"a\", realm=\"bearer x\"",
            "ApiKey service:jobs",
        ] {
            assert!(!holds_opaque_bearer(value.as_bytes()), "{value:?}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        assert_eq!(format!("{:?}", BearerToken::new(b"secret")), "BearerToken(6 bytes)");
    }
}
