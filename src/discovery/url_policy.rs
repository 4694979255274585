//! Which URL may lead to which: the rule against forged requests (SSRF) and downgrades.
//!
//! A URL that the operator wrote is followed as it is. Every URL that came over the
//! network, in a redirect or in a document, is judged here first.

use url::Url;

use crate::loopback::is_loopback;

/// How many redirects are followed.
pub(super) const MAX_REDIRECTS: usize = 3;

/// Why a URL that somebody else named is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedUrl {
    /// `file:`, `ftp:`, `javascript:`…
    #[error("it is not an http or https URL")]
    Scheme,
    /// Plain http out of https: whoever is on the wire could then choose the keys.
    #[error("that would go from https to plain http")]
    Downgrade,
    /// Plain http to another machine.
    #[error("that would go to another host over plain http")]
    OtherHost,
}

/// Whether `to`, which the answer from `from` redirects to or names, may be followed: to
/// https always, to plain http only out of plain http, and then within this machine or,
/// where the operator took plain http to another one (`allow_http`), to the same host.
///
/// # Errors
/// Why it may not.
pub fn may_lead(from: &Url, to: &Url) -> Result<(), RefusedUrl> {
    match (from.scheme(), to.scheme()) {
        (_, "https") => Ok(()),
        ("http", "http") if is_loopback(from) && is_loopback(to) => Ok(()),
        ("http", "http") if from.host() == to.host() => Ok(()),
        ("http", "http") => Err(RefusedUrl::OtherHost),
        (_, "http") => Err(RefusedUrl::Downgrade),
        (_, _) => Err(RefusedUrl::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_tls_and_what_is_without_it_stays_at_home() {
        for (from, to, verdict) in [
            ("https://idp/a", "https://other/b", Ok(())),
            ("https://idp/a", "http://idp/a", Err(RefusedUrl::Downgrade)),
            ("https://127.0.0.1/a", "http://127.0.0.1/a", Err(RefusedUrl::Downgrade)),
            ("https://idp/a", "file:///etc/passwd", Err(RefusedUrl::Scheme)),
            ("http://127.0.0.1/a", "https://idp/a", Ok(())),
            ("http://127.0.0.1/a", "http://idp/a", Err(RefusedUrl::OtherHost)),
            ("http://127.0.0.1/a", "http://169.254.169.254/latest", Err(RefusedUrl::OtherHost)),
            ("http://127.0.0.1/a", "javascript:alert(1)", Err(RefusedUrl::Scheme)),
            ("http://localhost/a", "http://[::1]:81/b", Ok(())),
            ("http://[::ffff:127.0.0.1]/a", "http://a.localhost/b", Ok(())),
            ("http://idp/a", "https://other/a", Ok(())),
            ("http://idp/a", "http://IDP:8080/b", Ok(())),
            ("http://idp/a", "http://idp.evil/b", Err(RefusedUrl::OtherHost)),
            ("http://idp/a", "http://127.0.0.1:9192/metrics", Err(RefusedUrl::OtherHost)),
            ("http://idp/a", "http://169.254.169.254/latest", Err(RefusedUrl::OtherHost)),
        ] {
            let (from, to) = (Url::parse(from).unwrap(), Url::parse(to).unwrap());
            assert_eq!(may_lead(&from, &to), verdict, "{from} -> {to}");
        }
    }
}
