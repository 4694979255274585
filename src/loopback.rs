//! What can only be this machine: the one answer for everybody who makes an exception for
//! it.

use std::borrow::Cow;
use std::net::IpAddr;

use url::Url;

/// Whether the URL's host is this machine's, whatever a resolver says.
///
/// `localhost` and the names below it count (RFC 6761 §6.3), because the HTTP client never
/// asks a resolver for them. A name that merely resolves to loopback does not: the answer
/// of a resolver is not a promise.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

/// The same for a host as it stands in a URL: a name or an address, IPv6 with its brackets
/// or without.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse() {
        Ok(address) => is_loopback_address(address),
        Err(_) => {
            let name = host.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// The same for an address. An IPv4 address may be written as an IPv6 one.
#[must_use]
pub fn is_loopback_address(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The URL that a person means who writes a host without a scheme: plain http on this machine,
/// https elsewhere. What has a scheme stays as it is.
#[must_use]
pub fn with_scheme(text: &str) -> Cow<'_, str> {
    let has_scheme = ["http:", "https:"].iter().any(|scheme| text.starts_with(scheme));
    if text.is_empty() || has_scheme || text.contains("://") {
        return Cow::Borrowed(text);
    }
    let here = Url::parse(&format!("http://{text}")).is_ok_and(|url| is_loopback(&url));
    Cow::Owned(format!("{}://{text}", if here { "http" } else { "https" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://localhost:8080/x",
            "http://LOCALHOST",
            "http://keycloak.localhost",
            "http://127.0.0.1",
            "http://127.9.9.9:1",
            "http://0x7f.1",
            "http://[::1]:1",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(&Url::parse(url).unwrap()), "{url}");
        }
        for url in [
            "http://idp",
            "http://localhost.evil.example",
            "http://notlocalhost",
            "http://127.0.0.1.evil.example",
            "http://0.0.0.0",
            "http://169.254.169.254",
            "http://[::2]",
            "unix:/run/localhost",
        ] {
            assert!(!is_loopback(&Url::parse(url).unwrap()), "{url}");
        }
        assert!(is_loopback_host("::1") && is_loopback_host("[::1]"));
    }

    #[test]
    fn without_a_scheme_it_is_https_but_for_this_machine() {
        for (text, url) in [
            ("127.0.0.1:8181", "http://127.0.0.1:8181"),
            ("localhost:8181/a", "http://localhost:8181/a"),
            ("Keycloak.localhost", "http://Keycloak.localhost"),
            ("[::1]:1", "http://[::1]:1"),
            ("nmp.example", "https://nmp.example"),
            ("nmp.example:8080/a?b", "https://nmp.example:8080/a?b"),
            ("localhost.evil.example:80", "https://localhost.evil.example:80"),
            ("http://nmp.example", "http://nmp.example"),
            ("file:///etc/passwd", "file:///etc/passwd"),
            ("http:/nmp", "http:/nmp"),
            ("", ""),
        ] {
            assert_eq!(with_scheme(text), url);
        }
    }
}
