//! What a client is told when it is denied: status, challenge (RFC 6750 §3) and a problem
//! document (RFC 9457). Nothing in it comes from the configuration of issuers or from a
//! token.

use ::http::StatusCode;

use crate::decision::Reason;

/// The answers to every reason, made once.
#[derive(Clone, Debug)]
pub struct DenialPages {
    realm: String,
    resource_metadata: Option<String>,
    pages: Vec<DenialAnswer>,
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct DenialAnswer {
    /// 400, 401, 403 or 503.
    pub status: StatusCode,
    /// Header names (lower case) and values.
    pub headers: Vec<(&'static str, String)>,
    /// A problem document, JSON.
    pub body: String,
}

impl DenialPages {
    /// Makes the answers. `resource_metadata` is the URL of RFC 9728 §5.1.
    #[must_use]
    pub fn new(realm: &str, resource_metadata: Option<String>) -> Self {
        let mut pages = Self { realm: quotable(realm), resource_metadata, pages: Vec::new() };
        pages.pages = Reason::ALL.into_iter().map(|reason| pages.answer(reason, None)).collect();
        pages
    }

    /// The answer to a reason, ready-made; `None` for none of [`Reason::ALL`].
    #[must_use]
    pub fn ready(&self, reason: Reason) -> Option<&DenialAnswer> {
        self.pages.get(reason as usize)
    }

    /// The answer to a reason, with the scopes of which one is needed.
    #[must_use]
    pub fn answer(&self, reason: Reason, scopes: Option<&str>) -> DenialAnswer {
        self.answer_with(status(reason), reason, scopes)
    }

    /// The same for Envoy's HTTP ext_authz, which takes any 5xx for "could not ask": with
    /// `failure_mode_allow` the request would pass, forged headers and all. What is 503
    /// elsewhere is 403 here, as Envoy's own `status_on_error` is by default.
    #[must_use]
    pub fn answer_over_http(&self, reason: Reason, scopes: Option<&str>) -> DenialAnswer {
        let status = status(reason);
        let below_500 = if status.is_server_error() { StatusCode::FORBIDDEN } else { status };
        self.answer_with(below_500, reason, scopes)
    }

    fn answer_with(
        &self,
        status: StatusCode,
        reason: Reason,
        scopes: Option<&str>,
    ) -> DenialAnswer {
        let mut headers = vec![
            ("content-type", "application/problem+json".to_owned()),
            // A denial may turn into an allow at any moment.
            ("cache-control", "no-store".to_owned()),
        ];
        if could_not_tell(reason) {
            headers.push(("retry-after", "1".to_owned()));
        } else if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            headers.push(("www-authenticate", self.challenge(reason, status, scopes)));
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

    fn challenge(&self, reason: Reason, status: StatusCode, scopes: Option<&str>) -> String {
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
        if let Some(scopes) = scopes {
            add("scope", &quotable(scopes));
        }
        if let Some(url) = &self.resource_metadata {
            add("resource_metadata", &quotable(url));
        }
        challenge
    }
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
        | Reason::InvalidClaim => StatusCode::UNAUTHORIZED,
        Reason::ReservedIdentity | Reason::InsufficientScope | Reason::PolicyDenied => {
            StatusCode::FORBIDDEN
        }
        Reason::KeysUnavailable
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
        Reason::UnknownKey => "The access token is signed with a key its issuer does not publish.",
        Reason::BadSignature => "The access token's signature is not valid.",
        Reason::Expired => "The access token has expired; get a new one.",
        Reason::NotYetValid => "The access token is not valid yet; is a clock wrong?",
        Reason::BadAudience => "The access token was made for another audience or client.",
        Reason::InvalidClaim => "The access token lacks a claim, or one has an unusable value.",
        Reason::ReservedIdentity => "The access token's identity is reserved.",
        Reason::InsufficientScope => "The access token has none of the scopes needed here.",
        Reason::PolicyDenied => "The policy does not allow this request.",
        Reason::KeysUnavailable => {
            "The access token cannot be checked now: its issuer's keys are not available."
        }
        Reason::PolicyUnavailable => "The request cannot be judged now.",
        Reason::Overloaded => "The request cannot be judged now: too many are waiting.",
        Reason::InternalError => "The request cannot be judged now.",
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

    #[test]
    fn every_reason_has_its_page_and_they_say_little() {
        let pages =
            DenialPages::new("my \"realm\"", Some("https://x.example/.well-known/y".into()));
        for reason in Reason::ALL {
            let page = pages.ready(reason).unwrap();
            let body: serde_json::Value = serde_json::from_str(&page.body).unwrap();
            assert_eq!(body["reason"], reason.code());
            assert_eq!(body["status"], page.status.as_u16());
            let challenge = page.headers.iter().find(|(name, _)| *name == "www-authenticate");
            let expected = matches!(page.status.as_u16(), 401 | 403);
            assert_eq!(challenge.is_some(), expected, "{reason}");
            if let Some((_, challenge)) = challenge {
                assert!(challenge.starts_with("Bearer realm=\"my realm\""), "{challenge}");
                assert_eq!(challenge.contains("error="), reason != Reason::MissingToken);
                assert!(challenge.contains("resource_metadata=\"https://x.example/"));
            }
        }
    }

    #[test]
    fn over_http_nothing_is_a_failure_to_envoy() {
        let pages = DenialPages::new("r", None);
        for reason in Reason::ALL {
            let page = pages.answer_over_http(reason, None);
            assert!(page.status.is_client_error(), "{reason}");
            let retry = page.headers.iter().any(|(name, _)| *name == "retry-after");
            assert_eq!(retry, pages.answer(reason, None).status == 503, "{reason}");
        }
    }

    #[test]
    fn scopes_are_named_and_cannot_break_out_of_their_quotes() {
        let page = DenialPages::new("r", None).answer(Reason::InsufficientScope, Some("a\"b c"));
        let challenge = &page.headers.iter().find(|(n, _)| *n == "www-authenticate").unwrap().1;
        assert!(challenge.contains("scope=\"ab c\""), "{challenge}");
    }
}
