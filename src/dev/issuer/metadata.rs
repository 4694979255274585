//! What the issuer publishes about itself, and what no real issuer has: tokens
//! for the asking, and the switch that rotates its keys.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::CACHE_CONTROL;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Issuer;
use super::fault::OAuthFault;
use super::keys::{PreviousKey, SigningAlgorithm};

/// What the tokens of `/dev/token/{user}` allow.
const TOKEN_SCOPE: &str = "openid email models:read";

pub(super) fn routes() -> Router<Arc<Issuer>> {
    Router::new()
        .route("/", get(async |State(issuer): State<Arc<Issuer>>| Json(document(&issuer))))
        .route("/.well-known/openid-configuration", get(discovery))
        // RFC 8414: the same under OAuth's name.
        .route("/.well-known/oauth-authorization-server", get(discovery))
        .route("/jwks", get(key_set))
        .route("/dev/token/{user}", get(token))
        .route("/dev/rotate", post(rotate))
}

async fn discovery(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    Json(document(&issuer))
}

/// OpenID Connect Discovery §3.
fn document(issuer: &Issuer) -> Value {
    let url = &issuer.url;
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device_authorization"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "revocation_endpoint": format!("{url}/revoke"),
        "jwks_uri": format!("{url}/jwks"),
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

async fn key_set(State(issuer): State<Arc<Issuer>>) -> impl IntoResponse {
    let max_age = format!("public, max-age={}", issuer.options.jwks_max_age.as_secs());
    ([(CACHE_CONTROL, max_age)], Json(issuer.keys.published()))
}

/// An access token and nothing else, for `TOKEN=$(curl …)`.
async fn token(
    State(issuer): State<Arc<Issuer>>,
    Path(user): Path<String>,
) -> Result<impl IntoResponse, OAuthFault> {
    let token = issuer.minted_token(&user, json!({ "scope": TOKEN_SCOPE }))?;
    Ok(([(CACHE_CONTROL, "no-store")], token + "\n"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateQuery {
    /// Keep the old key published.
    #[serde(default)]
    keep: bool,
    alg: Option<RotateTo>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum RotateTo {
    Rs256,
    Es256,
}

async fn rotate(
    State(issuer): State<Arc<Issuer>>,
    Query(query): Query<RotateQuery>,
) -> Result<Json<Value>, OAuthFault> {
    let algorithm = match query.alg {
        None => issuer.options.algorithm,
        Some(RotateTo::Rs256) => SigningAlgorithm::Rs256,
        Some(RotateTo::Es256) => SigningAlgorithm::Es256,
    };
    let previous = if query.keep { PreviousKey::Keep } else { PreviousKey::Withdraw };
    let kid = issuer.keys.rotate(algorithm, previous).await?;
    Ok(Json(json!({ "kid": kid })))
}
