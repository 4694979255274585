//! Turns away what only seems to come from this machine.
//!
//! A web page can make the browser of a developer send requests to loopback: under a name of its own
//! that resolves to 127.0.0.1 (DNS rebinding), or as a form posted across sites, which could approve
//! a login. Both show in `Host` and `Origin`.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::server::is_this_machine;

pub(super) async fn only(request: Request, next: Next) -> Response {
    if is_local(request.headers()) {
        return next.run(request).await;
    }
    let text = "This development issuer answers to localhost, 127.0.0.1 and [::1] only.\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn is_local(headers: &HeaderMap) -> bool {
    let local = |value: &HeaderValue| {
        let uri: Option<Uri> = value.to_str().ok().and_then(|text| text.parse().ok());
        uri.as_ref().and_then(Uri::host).is_some_and(is_this_machine)
    };
    headers.get(HOST).is_some_and(local) && headers.get(ORIGIN).is_none_or(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_elsewhere_cannot_approve_a_login() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
        };
        assert!(is_local(&headers(&[("host", "127.0.0.1:9180")])));
        assert!(is_local(&headers(&[("host", "[::1]:9180"), ("origin", "http://localhost:3000")])));
        assert!(!is_local(&headers(&[("host", "rebound.example:9180")])));
        assert!(!is_local(&headers(&[
            ("host", "127.0.0.1:1"),
            ("origin", "https://evil.example")
        ])));
        assert!(!is_local(&headers(&[("host", "127.0.0.1:1"), ("origin", "null")])));
        assert!(!is_local(&headers(&[])));
    }
}
