//! What hyper lets pass in the head of an HTTP/1 request although RFC 9112 has servers refuse it:
//! two programs that read such a head may see two different requests.

use ::http::uri::Authority;
use ::http::{HeaderMap, Version, header};

/// Why a request is answered 400 unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadFault {
    /// RFC 9112 §3.2: HTTP/1.1 has exactly one.
    #[error("an HTTP/1.1 request needs a Host header (RFC 9112 section 3.2)")]
    NoHost,
    /// RFC 9112 §3.2.
    #[error("the request has more than one Host header (RFC 9112 section 3.2)")]
    TwoHosts,
    /// RFC 9112 §3.2, RFC 9110 §7.2.
    #[error("the Host header is not a host with or without a port (RFC 9112 section 3.2)")]
    InvalidHost,
    /// RFC 9112 §6.1: chunked comes once and last, and no other coding is understood here.
    #[error("Transfer-Encoding may only be chunked, and only once (RFC 9112 section 6.1)")]
    TransferEncoding,
}

impl HeadFault {
    /// What is wrong with these headers, if anything is.
    pub(super) fn of(version: Version, headers: &HeaderMap) -> Option<Self> {
        let mut hosts = headers.get_all(header::HOST).iter();
        match (hosts.next(), hosts.next()) {
            (None, _) if version < Version::HTTP_11 => {}
            (None, _) => return Some(Self::NoHost),
            (Some(_), Some(_)) => return Some(Self::TwoHosts),
            (Some(host), None) if !is_host(host.as_bytes()) => return Some(Self::InvalidHost),
            (Some(_), None) => {}
        }
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        match (codings.next(), codings.next()) {
            (None, _) => None,
            (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
            (Some(_), _) => Some(Self::TransferEncoding),
        }
    }
}

/// RFC 9110 §7.2: `uri-host [ ":" port ]`. It may be empty, for a target without an authority. The
/// grammar would allow a comma, of which no host's name has one: it joins what was sent twice.
fn is_host(value: &[u8]) -> bool {
    value.is_empty()
        || Authority::try_from(value).is_ok_and(|authority| {
            if authority.as_str().contains(',') {
                return false;
            }
            let after_host = authority.as_str().strip_prefix(authority.host());
            let port = after_host.map(|rest| rest.strip_prefix(':').unwrap_or(rest));
            // `user@host` does not begin with the host.
            port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in [
            "",
            "a",
            "a.example",
            "a.example:80",
            "a.example:",
            "a_b",
            "127.0.0.1:1",
            "[::1]:8181",
            "[::1]",
            "doorward-http",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b", "a,b", "u@a", "a:b", "a:80:80", "a/b", "a?b", "a#b", "\u{e9}", "[::1",
            "http://a", "a\\b",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
