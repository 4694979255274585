//! What a client is told when it is denied: status, challenge (RFC 6750 §3) and a problem
//! document (RFC 9457). Nothing in it comes from the configuration of issuers or from a
//! token.

use std::borrow::Cow;

use ::http::StatusCode;
use doorward_core::decision::{Denial, Reason};
use doorward_core::policy::Said;

use crate::config::{ProtectedResource, ResourceId};

/// The answers to every reason, made once.
#[derive(Clone, Debug)]
pub struct DenialPages {
    realm: String,
    resources: Vec<ProtectedResource>,
    /// By resource, one at least, and by reason.
    pages: Vec<Vec<DenialAnswer>>,
}

/// Which protected resource a request is for (RFC 9728), by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource(usize);

impl Resource {
    /// The first one, or none when there is none.
    pub const FIRST: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct DenialAnswer {
    /// 400, 401, 403 or 503, or what a policy says.
    pub status: StatusCode,
    /// Header names (lower case) and values.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// A problem document, JSON.
    pub body: String,
}

impl DenialPages {
    /// Makes the answers. Challenges name the metadata of `resources` (RFC 9728 §5.1).
    #[must_use]
    pub fn new(realm: &str, resources: Vec<ProtectedResource>) -> Self {
        let mut pages = Self { realm: quotable(realm), resources, pages: Vec::new() };
        pages.pages = pages
            .all_resources()
            .map(|resource| {
                let page = |reason| pages.answer(reason, None, resource);
                Reason::ALL.iter().copied().map(page).collect()
            })
            .collect();
        pages
    }

    /// Each resource; the first also when there is none.
    pub(super) fn all_resources(&self) -> impl Iterator<Item = Resource> + use<> {
        (0..self.resources.len().max(1)).map(Resource)
    }

    /// The resource that a request is for: of those at its host, the one whose path goes furthest;
    /// else, since Envoy may be known under another name than the one it was asked by, that of all.
    #[must_use]
    pub fn resource(&self, authority: &[u8], path: &[u8]) -> Resource {
        if self.resources.len() < 2 {
            return Resource::FIRST;
        }
        let authority = str::from_utf8(authority).unwrap_or_default();
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = str::from_utf8(path).unwrap_or_default();
        let fit = |id: &ResourceId| (id.is_at(authority), id.covers(path));
        // The first of several equal ones.
        let best = self.resources.iter().enumerate().rev().max_by_key(|(_, it)| fit(&it.id));
        best.map_or(Resource::FIRST, |(index, _)| Resource(index))
    }

    /// The answer to a reason, ready-made; `None` for none of [`Reason::ALL`].
    #[must_use]
    pub fn ready(&self, reason: Reason, resource: Resource) -> Option<&DenialAnswer> {
        self.pages.get(resource.0)?.get(reason as usize)
    }

    /// What a client is told of a denial.
    #[must_use]
    pub fn told(&self, denial: &Denial, resource: Resource) -> Cow<'_, DenialAnswer> {
        let (reason, scopes) = (denial.reason(), denial.scopes.as_deref());
        match (self.ready(reason, resource), &denial.said) {
            (Some(ready), None) if scopes.is_none() => Cow::Borrowed(ready),
            (_, said) => {
                let answer = self.answer(reason, scopes, resource);
                Cow::Owned(match said {
                    Some(said) => answer.saying(said),
                    None => answer,
                })
            }
        }
    }

    /// The same for Envoy's HTTP ext_authz, which takes any 5xx for "could not ask": with
    /// `failure_mode_allow` the request would pass, forged headers and all. What is 503
    /// elsewhere is 403 here, as Envoy's own `status_on_error` is by default.
    #[must_use]
    pub fn told_over_http(&self, denial: &Denial, resource: Resource) -> DenialAnswer {
        let answer = self.answer_over_http(denial.reason(), denial.scopes.as_deref(), resource);
        let answer = match &denial.said {
            Some(said) => answer.saying(said),
            None => answer,
        };
        DenialAnswer { status: below_500(answer.status), ..answer }
    }

    /// The answer to a reason, with the scopes of which one is needed.
    #[must_use]
    pub fn answer(&self, reason: Reason, scopes: Option<&str>, resource: Resource) -> DenialAnswer {
        self.answer_with(status(reason), reason, scopes, resource)
    }

    /// The same below 500.
    pub fn answer_over_http(
        &self,
        reason: Reason,
        scopes: Option<&str>,
        resource: Resource,
    ) -> DenialAnswer {
        self.answer_with(below_500(status(reason)), reason, scopes, resource)
    }

    fn answer_with(
        &self,
        status: StatusCode,
        reason: Reason,
        scopes: Option<&str>,
        resource: Resource,
    ) -> DenialAnswer {
        let mut headers = vec![
            ("content-type".into(), "application/problem+json".to_owned()),
            // A denial may turn into an allow at any moment.
            ("cache-control".into(), "no-store".to_owned()),
        ];
        if could_not_tell(reason) {
            headers.push(("retry-after".into(), "1".to_owned()));
        } else if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let challenge = self.challenge(reason, status, scopes, resource);
            headers.push(("www-authenticate".into(), challenge));
        }
        let body = serde_json::json!({
            "type": format!("urn:doorward:denial:{}", reason.code()),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": detail(reason),
            "reason": reason.code(),
        });
        DenialAnswer { status, headers, body: body.to_string() }
    }

    fn challenge(
        &self,
        reason: Reason,
        status: StatusCode,
        scopes: Option<&str>,
        resource: Resource,
    ) -> String {
        let mut challenge = format!("Bearer realm=\"{}\"", self.realm);
        let mut add = |name: &str, value: &str| {
            challenge.push_str(&format!(", {name}=\"{value}\""));
        };
        // RFC 6750 §3.1: no error when the client sent no credentials.
        if reason != Reason::MissingToken {
            let error = match status {
                StatusCode::FORBIDDEN => "insufficient_scope",
                _ if reason == Reason::MalformedHeader => "invalid_request",
                _ => "invalid_token",
            };
            add("error", error);
            add("error_description", detail(reason));
        }
        let resource = self.resources.get(resource.0);
        // Who has to get a token anyway is told what to ask for: by the route, else the resource.
        let of_resource = || {
            let supported = &resource?.scopes_supported;
            let told = status == StatusCode::UNAUTHORIZED && !supported.is_empty();
            told.then(|| supported.join(" "))
        };
        if let Some(scopes) = scopes.map(str::to_owned).or_else(of_resource) {
            add("scope", &quotable(&scopes));
        }
        if let Some(resource) = resource {
            add("resource_metadata", &quotable(&resource.id.metadata_url()));
        }
        challenge
    }
}

impl DenialAnswer {
    /// The same with what a policy has to say.
    fn saying(mut self, said: &Said) -> Self {
        if let Some(status) = said.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            self.status = status;
        }
        if let Some(body) = &said.body {
            self.body = body.to_string();
            self.headers.retain(|(name, _)| name != "content-type");
            self.headers.push(("content-type".into(), "text/plain; charset=utf-8".to_owned()));
        }
        for (name, value) in &said.headers {
            self.headers.retain(|(known, _)| *known != **name);
            self.headers.push((name.to_string().into(), value.to_string()));
        }
        self
    }
}

fn below_500(status: StatusCode) -> StatusCode {
    if status.is_server_error() { StatusCode::FORBIDDEN } else { status }
}

/// 401: your token; 403: your rights; 503: we could not tell.
fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::MalformedRequest => StatusCode::BAD_REQUEST,
        Reason::MissingToken
        | Reason::MalformedHeader
        | Reason::MalformedToken
        | Reason::UnsupportedToken
        | Reason::UnknownIssuer
        | Reason::UnknownKey
        | Reason::BadSignature
        | Reason::Expired
        | Reason::NotYetValid
        | Reason::BadAudience
        | Reason::InvalidClaim
        | Reason::Revoked => StatusCode::UNAUTHORIZED,
        Reason::ReservedIdentity | Reason::InsufficientScope | Reason::PolicyDenied => {
            StatusCode::FORBIDDEN
        }
        Reason::KeysUnavailable
        | Reason::StatusUnavailable
        | Reason::PolicyUnavailable
        | Reason::Overloaded
        | Reason::InternalError => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn could_not_tell(reason: Reason) -> bool {
    status(reason).is_server_error()
}

/// What a client may know. No quotes and no backslashes: it is quoted in the challenge.
fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::MalformedRequest => {
            "The request has no method, its path does not start with / or can be read in two ways, or it \
             has too many headers that clients must not send."
        }
        Reason::MissingToken => "Send an access token: Authorization: Bearer <token>.",
        Reason::MalformedHeader => {
            "Send exactly one Authorization header of the form Bearer <token>."
        }
        Reason::MalformedToken => "The access token is not a well-formed JWT.",
        Reason::UnsupportedToken => {
            "The access token is signed, typed or bound in a way that is not accepted."
        }
        Reason::UnknownIssuer => "The access token comes from an issuer that is not trusted here.",
        Reason::UnknownKey => {
            "The access token is signed with a key that its issuer does not \
                               publish."
        }
        Reason::BadSignature => "The access token's signature is not valid.",
        Reason::Expired => "The access token has expired; get a new one.",
        Reason::NotYetValid => "The access token is not valid yet; check the clocks.",
        Reason::BadAudience => "The access token was issued for another audience or client.",
        Reason::InvalidClaim => "The access token lacks a claim, or one has an unusable value.",
        Reason::Revoked => "The access token does not count any more; get a new one.",
        Reason::ReservedIdentity => "The access token's identity is reserved.",
        Reason::InsufficientScope => "The access token has none of the scopes required here.",
        Reason::PolicyDenied => "The policy does not allow this request.",
        Reason::KeysUnavailable => {
            "The access token cannot be checked now: its issuer's keys are not available."
        }
        Reason::StatusUnavailable => {
            "The access token cannot be checked now: nobody could say whether it still counts."
        }
        Reason::PolicyUnavailable => "The request cannot be checked now.",
        Reason::Overloaded => "The request cannot be checked now: too many are waiting.",
        Reason::InternalError => "The request cannot be checked now.",
    }
}

/// What can stand between quotes in a header (RFC 9110 §5.6.4): visible ASCII and spaces
/// without `"` and `\`.
fn quotable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(resources: &[&str]) -> DenialPages {
        let config = serde_json::json!({
            "auth": {"enabled": false},
            "protected_resource": match resources {
                [] => serde_json::json!({}),
                _ => serde_json::json!({"resource": resources, "scopes_supported": ["a:b", "c"]}),
            },
        });
        let settings = crate::config::Settings::from_yaml("test", &config.to_string()).unwrap();
        DenialPages::new("my \"realm\"", settings.protected_resources)
    }

    fn challenge(page: &DenialAnswer) -> Option<&str> {
        let found = page.headers.iter().find(|(name, _)| *name == "www-authenticate");
        found.map(|(_, challenge)| challenge.as_str())
    }

    #[test]
    fn every_reason_has_its_page_and_they_say_little() {
        let pages = pages(&["https://x.example/y"]);
        for &reason in Reason::ALL {
            let page = pages.ready(reason, Resource::FIRST).unwrap();
            let body: serde_json::Value = serde_json::from_str(&page.body).unwrap();
            assert_eq!(body["reason"], reason.code());
            assert_eq!(body["status"], page.status.as_u16());
            let expected = matches!(page.status.as_u16(), 401 | 403);
            assert_eq!(challenge(page).is_some(), expected, "{reason}");
            if let Some(challenge) = challenge(page) {
                assert!(challenge.starts_with("Bearer realm=\"my realm\""), "{challenge}");
                assert_eq!(challenge.contains("error="), reason != Reason::MissingToken);
                let metadata = "https://x.example/.well-known/oauth-protected-resource/y";
                assert!(challenge.contains(&format!("resource_metadata=\"{metadata}\"")));
                assert_eq!(
                    challenge.contains("scope=\"a:b c\""),
                    page.status == 401,
                    "{challenge}"
                );
            }
        }
    }

    #[test]
    fn the_resource_is_that_of_host_and_path() {
        let pages = pages(&[
            "https://a.example",
            "https://a.example/mcp",
            "https://a.example/mcp/one/",
            "https://b.example:8443/mcp",
        ]);
        for (authority, path, resource) in [
            ("a.example", "/", 0),
            ("A.example:443", "/mcpx", 0),
            ("a.example", "/mcp?x=/mcp/one", 1),
            ("a.example", "/mcp/one/x", 2),
            ("b.example:8443", "/mcp/one", 3),
            ("b.example:8443", "/other", 3),
            // Known by another name: the path decides.
            ("10.0.0.1", "/mcp/one", 2),
            ("", "/", 0),
        ] {
            let found = pages.resource(authority.as_bytes(), path.as_bytes());
            assert_eq!(found, Resource(resource), "{authority} {path}");
        }
    }

    #[test]
    fn over_http_nothing_is_a_failure_to_envoy() {
        let pages = pages(&[]);
        for &reason in Reason::ALL {
            let page = pages.answer_over_http(reason, None, Resource::FIRST);
            assert!(page.status.is_client_error(), "{reason}");
            let retry = page.headers.iter().any(|(name, _)| *name == "retry-after");
            let elsewhere = pages.answer(reason, None, Resource::FIRST);
            assert_eq!(retry, elsewhere.status == 503, "{reason}");
        }
    }

    #[test]
    fn scopes_are_named_and_cannot_break_out_of_their_quotes() {
        let page = pages(&[]).answer(Reason::InsufficientScope, Some("a\"b c"), Resource::FIRST);
        let challenge = challenge(&page).unwrap();
        assert!(challenge.contains("scope=\"ab c\""), "{challenge}");
        assert!(!challenge.contains("resource_metadata"), "{challenge}");
    }
}
