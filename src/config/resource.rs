//! Protected resources (RFC 9728): their identifiers are told as they were configured, because a
//! client has to refuse a document whose `resource` is not, to the letter, the one it asked about
//! (§3.3).

use url::Url;

/// What one document is about.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    /// Which resource this describes.
    pub id: ResourceId,
    /// `authorization_servers`; empty: the configured issuers.
    pub authorization_servers: Vec<String>,
    /// `scopes_supported`.
    pub scopes_supported: Vec<String>,
}

/// A resource identifier: an https URL without query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceId {
    text: String,
    /// Where the path begins in the text.
    path_at: usize,
    url: Url,
}

/// Where documents are, in front of the resource's own path (RFC 9728 §3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

impl ResourceId {
    /// The identifier in `text`, which reads as `url`; `None` when it has a query or a fragment, or
    /// is not written `scheme://host`.
    pub(super) fn new(text: &str, url: Url) -> Option<Self> {
        let authority_at = text.find("://")? + "://".len();
        let rest = text.get(authority_at..)?;
        if rest.contains(['?', '#', '"', '\\']) {
            return None;
        }
        let path_at = authority_at + rest.find('/').unwrap_or(rest.len());
        Some(Self { text: text.to_owned(), path_at, url })
    }

    /// The identifier as the configuration has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The `resource_metadata` of a challenge: the well-known path goes between host and path,
    /// and a path that is nothing but `/` goes (RFC 9728 §3.1).
    #[must_use]
    pub fn metadata_url(&self) -> String {
        format!("{}{}", self.origin(), self.metadata_path())
    }

    /// The path of that.
    #[must_use]
    pub fn metadata_path(&self) -> String {
        let path = Some(self.path()).filter(|path| *path != "/").unwrap_or_default();
        format!("{WELL_KNOWN}{path}")
    }

    /// Whether an authority, as a request names it (`Host`, `:authority`), is the resource's.
    #[must_use]
    pub fn is_at(&self, authority: &str) -> bool {
        let scheme = self.url.scheme();
        let other = Url::parse(&format!("{scheme}://{authority}/"));
        other.is_ok_and(|other| {
            other.host() == self.url.host()
                && other.port_or_known_default() == self.url.port_or_known_default()
        })
    }

    /// How much of a path is the resource's own, in bytes; `None` when the path is not below it.
    #[must_use]
    pub fn covers(&self, path: &str) -> Option<usize> {
        let own = self.path().trim_end_matches('/');
        let rest = path.strip_prefix(own)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(own.len())
    }

    fn origin(&self) -> &str {
        self.text.get(..self.path_at).unwrap_or_default()
    }

    fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ResourceId {
        ResourceId::new(text, text.parse().unwrap()).unwrap()
    }

    #[test]
    fn what_is_told_is_what_was_written() {
        let at = "/.well-known/oauth-protected-resource";
        for (text, metadata) in [
            ("https://nemo.example", format!("https://nemo.example{at}")),
            ("https://nemo.example/", format!("https://nemo.example{at}")),
            ("https://Nemo.Example:443/A/", format!("https://Nemo.Example:443{at}/A/")),
            ("https://nemo.example/a/../b", format!("https://nemo.example{at}/a/../b")),
        ] {
            assert_eq!(id(text).as_str(), text);
            assert_eq!(id(text).metadata_url(), metadata);
        }
        for text in ["https://a/?x", "https://a?x", "https://a/#", "https:a", "https:/a"] {
            assert_eq!(ResourceId::new(text, "https://a/".parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn hosts_and_paths() {
        let resource = id("https://Nemo.example/mcp/a/");
        for authority in ["nemo.example", "NEMO.EXAMPLE:443"] {
            assert!(resource.is_at(authority), "{authority}");
        }
        for authority in ["", "nemo.example:8443", "nemo.example.evil", "a/nemo.example", "a@b"] {
            assert!(!resource.is_at(authority), "{authority}");
        }
        for (path, own) in [
            ("/mcp/a", Some(6)),
            ("/mcp/a/", Some(6)),
            ("/mcp/a/b?x", Some(6)),
            ("/mcp/ab", None),
            ("/mcp", None),
        ] {
            assert_eq!(resource.covers(path), own, "{path}");
        }
        assert_eq!(id("https://nemo.example").covers("/x"), Some(0));
    }
}
