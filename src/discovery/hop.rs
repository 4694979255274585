//! Which URL may lead to which: the rules against being led astray (SSRF, downgrade).
//!
//! A URL that the operator wrote is followed as it is. Every URL that came over the
//! network, in a redirect or in a discovery document, is judged here first.

use url::{Host, Url};

/// Why a URL that somebody else named is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Astray {
    /// `file:`, `ftp:`, `javascript:`…
    #[error("it is not an http or https URL")]
    Scheme,
    /// Plain http out of https: whoever is on the wire could then choose the keys.
    #[error("it leads from https to plain http")]
    Downgrade,
    /// Plain http to another machine.
    #[error("it leads to another host over plain http")]
    OtherHost,
}

/// Whether a redirect from `from` to `to` is followed: to https always, to plain http
/// only out of plain http and only to the same host or within loopback.
///
/// # Errors
/// Why not.
pub(super) fn redirect(from: &Url, to: &Url) -> Result<(), Astray> {
    mention(from, to)?;
    if to.scheme() == "https" || from.host() == to.host() || (is_loopback(from) && is_loopback(to))
    {
        Ok(())
    } else {
        Err(Astray::OtherHost)
    }
}

/// Whether the document at `document` may name `url`. Plain http is taken only from a
/// document that itself came over plain http: then the operator configured that, and
/// inside a cluster the host is often another one.
///
/// # Errors
/// Why not.
pub(super) fn mention(document: &Url, url: &Url) -> Result<(), Astray> {
    match (document.scheme(), url.scheme()) {
        (_, "https") | ("http", "http") => Ok(()),
        (_, "http") => Err(Astray::Downgrade),
        (_, _) => Err(Astray::Scheme),
    }
}

/// Whether the URL names this machine. A name that merely resolves to it does not count:
/// the answer of a resolver is not a promise.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(rule: fn(&Url, &Url) -> Result<(), Astray>, from: &str, to: &str) -> Option<Astray> {
        rule(&Url::parse(from).unwrap(), &Url::parse(to).unwrap()).err()
    }

    #[test]
    fn redirects_never_leave_tls_and_stay_at_home_without_it() {
        for (from, to, verdict) in [
            ("https://idp/a", "https://other/b", None),
            ("https://idp/a", "http://idp/a", Some(Astray::Downgrade)),
            ("https://127.0.0.1/a", "http://127.0.0.1/a", Some(Astray::Downgrade)),
            ("https://idp/a", "file:///etc/passwd", Some(Astray::Scheme)),
            ("http://idp/a", "https://idp/a", None),
            ("http://idp/a", "http://idp:8080/b", None),
            ("http://idp/a", "http://127.0.0.1:9192/metrics", Some(Astray::OtherHost)),
            ("http://idp/a", "http://169.254.169.254/latest", Some(Astray::OtherHost)),
            ("http://localhost/a", "http://[::1]:81/b", None),
            ("http://[::ffff:127.0.0.1]/a", "http://127.9.9.9/b", None),
            ("http://127.0.0.1/a", "http://idp/a", Some(Astray::OtherHost)),
        ] {
            assert_eq!(judge(redirect, from, to), verdict, "{from} -> {to}");
        }
    }

    #[test]
    fn documents_name_plain_http_only_over_plain_http() {
        for (from, to, verdict) in [
            ("https://idp/d", "https://keys.idp/k", None),
            ("https://idp/d", "http://127.0.0.1/k", Some(Astray::Downgrade)),
            ("http://idp/d", "http://idp.internal:8080/k", None),
            ("http://idp/d", "javascript:alert(1)", Some(Astray::Scheme)),
        ] {
            assert_eq!(judge(mention, from, to), verdict, "{from} names {to}");
        }
    }
}
