//! `NO_PROXY` as people write it. The HTTP client reads the variable too, and takes `corp.example`,
//! `.corp.example`, addresses, networks and `*`; what it does not know is read here: `*.corp.example`
//! and `host:port`, as other programs have them.

use url::Url;

/// Hosts that are reached without the proxy that the environment names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// In lower case, without brackets and dots in front.
    host: String,
    port: Option<u16>,
    /// `*.corp.example`: hosts below it, and not itself.
    below: bool,
}

impl NoProxy {
    /// What the environment of this process says.
    #[expect(
        clippy::disallowed_methods,
        reason = "read where the HTTP client reads it too, along with HTTPS_PROXY"
    )]
    pub(super) fn from_process() -> Self {
        let said = ["NO_PROXY", "no_proxy"].into_iter().find_map(|name| std::env::var(name).ok());
        Self::parse(&said.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Self(entries.filter_map(Entry::parse).collect())
    }

    /// Whether this host is one of them.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|entry| entry.covers(&host, url.port_or_known_default()))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        // A bare IPv6 address is full of colons, and has no port.
        let with_port = text.rsplit_once(':').filter(|(host, _)| {
            !host.contains(':') || (host.starts_with('[') && host.ends_with(']'))
        });
        let (host, port) = match with_port {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let (host, below) = match host.strip_prefix("*.") {
            Some(host) => (host, true),
            None => (host, false),
        };
        let host = host.trim_matches(['[', ']']).trim_start_matches('.').trim_end_matches('.');
        Some(Self { host: host.to_ascii_lowercase(), port, below })
    }

    fn covers(&self, host: &str, port: Option<u16>) -> bool {
        let is_below = || host.strip_suffix(&self.host).is_some_and(|front| front.ends_with('.'));
        let named = self.host == "*" || (!self.below && host == self.host) || is_below();
        named && !self.host.is_empty() && (self.port.is_none() || self.port == port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_other_programs_read_them() {
        let covers = |list: &str, url: &str| NoProxy::parse(list).covers(&url.parse().unwrap());
        for (list, url) in [
            ("*.corp", "https://idp.corp/"),
            (" *.Corp , x", "https://a.b.corp/"),
            ("idp.corp:8443", "https://idp.corp:8443/"),
            ("idp.corp:443", "https://idp.corp/"),
            ("corp:443", "https://idp.corp/"),
            ("[fd00::1]:443", "https://[fd00::1]/"),
            (".corp", "https://idp.corp./"),
            ("*", "https://idp.corp/"),
        ] {
            assert!(covers(list, url), "{list} {url}");
        }
        for (list, url) in [
            ("*.corp", "https://corp/"),
            ("*.corp", "https://notcorp/"),
            ("idp.corp:8443", "https://idp.corp/"),
            ("idp.corp:http", "https://idp.corp/"),
            ("", "https://idp.corp/"),
            (" , ", "https://idp.corp/"),
        ] {
            assert!(!covers(list, url), "{list} {url}");
        }
    }
}
