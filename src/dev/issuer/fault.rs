//! Why the issuer says no to a request, in OAuth's own words.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::DevIssuerError;

/// An error answer of RFC 6749 §5.2, RFC 8628 §3.5 or RFC 6750 §3.1. The text is the
/// `error_description`.
#[derive(Debug, thiserror::Error)]
pub(super) enum OAuthFault {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("{0}")]
    InvalidClient(&'static str),
    #[error("{0}")]
    InvalidGrant(&'static str),
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    #[error("this issuer does not offer that grant_type")]
    UnsupportedGrantType,
    #[error("scope is malformed or too long")]
    InvalidScope,
    #[error("the user has not answered yet")]
    AuthorizationPending,
    #[error("polled before the interval was over: it is now 5 seconds longer")]
    SlowDown,
    #[error("the user declined")]
    AccessDenied,
    #[error("the device code has expired")]
    ExpiredToken,
    #[error("{0}")]
    InvalidToken(&'static str),
    #[error("the issuer failed: {0}")]
    Server(#[from] DevIssuerError),
}

impl OAuthFault {
    /// The `error` code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::InvalidToken(_) => "invalid_token",
            Self::Server(_) => "server_error",
        }
    }
}

impl IntoResponse for OAuthFault {
    fn into_response(self) -> Response {
        let (status, challenge) = match &self {
            Self::InvalidClient(_) => (StatusCode::UNAUTHORIZED, Some("Basic realm=\"doorward\"")),
            Self::InvalidToken(_) => {
                (StatusCode::UNAUTHORIZED, Some("Bearer error=\"invalid_token\""))
            }
            Self::Server(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
            Self::InvalidRequest(_)
            | Self::InvalidGrant(_)
            | Self::UnauthorizedClient(_)
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::AuthorizationPending
            | Self::SlowDown
            | Self::AccessDenied
            | Self::ExpiredToken => (StatusCode::BAD_REQUEST, None),
        };
        let body = json!({ "error": self.code(), "error_description": self.to_string() });
        let mut answer = (status, Json(body)).into_response();
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = challenge {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        answer
    }
}
