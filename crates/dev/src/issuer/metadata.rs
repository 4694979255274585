//! What the issuer publishes about itself, and what no real issuer has: tokens for the asking, and
//! the switch that rotates its keys.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DevIssuerError, Issuer, PreviousKey, SigningAlgorithm};
use crate::server::lock;

/// What the tokens of `/dev/token/{user}` allow.
const TOKEN_SCOPE: &str = "openid email models:read";

pub(super) fn routes() -> Router<Arc<Issuer>> {
    let discovery = || get(async |State(issuer): State<Arc<Issuer>>| Json(document(&issuer.url)));
    Router::new()
        .route("/", discovery())
        .route("/.well-known/openid-configuration", discovery())
        // RFC 8414: the same under OAuth's name.
        .route("/.well-known/oauth-authorization-server", discovery())
        .route("/keys", get(key_set))
        .route("/dev/token/{user}", get(token))
        .route("/dev/rotate", post(rotate))
}

/// OpenID Connect Discovery §3.
pub(super) fn document(url: &str) -> Value {
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device_authorization"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "revocation_endpoint": format!("{url}/revoke"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code",
            "urn:ietf:params:oauth:grant-type:device_code",
            "password",
            "client_credentials",
            "refresh_token",
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported":
            ["none", "client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "jti", "azp", "client_id", "scope",
            "email", "email_verified", "groups", "preferred_username",
        ],
    })
}

async fn key_set(State(issuer): State<Arc<Issuer>>) -> Response {
    let document = Json(json!({ "keys": lock(&issuer.keys).published }));
    match issuer.options.jwks_max_age {
        Some(age) => ([(CACHE_CONTROL, format!("public, max-age={}", age.as_secs()))], document)
            .into_response(),
        None => document.into_response(),
    }
}

/// An access token and nothing else, for `TOKEN=$(curl …)`.
async fn token(
    State(issuer): State<Arc<Issuer>>,
    Path(user): Path<String>,
) -> Result<impl IntoResponse, DevIssuerError> {
    let token = issuer.minted_token(&user, json!({ "scope": TOKEN_SCOPE }))?;
    Ok(([(CACHE_CONTROL, "no-store")], token + "\n"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateQuery {
    /// Keep the old key published.
    #[serde(default)]
    keep: bool,
    alg: Option<SigningAlgorithm>,
}

async fn rotate(
    State(issuer): State<Arc<Issuer>>,
    Query(query): Query<RotateQuery>,
) -> Result<Json<Value>, DevIssuerError> {
    let algorithm = query.alg.unwrap_or(issuer.options.algorithm);
    let previous = if query.keep { PreviousKey::Keep } else { PreviousKey::Withdraw };
    Ok(Json(json!({ "kid": issuer.rotate(algorithm, previous).await? })))
}

impl IntoResponse for DevIssuerError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{self}\n")).into_response()
    }
}
