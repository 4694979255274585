//! What can be done with a token besides using it: userinfo and revocation.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use doorward_core::clock::UnixTime;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::directory::authenticate;
use super::fault::OAuthFault;
use super::tokens::profile;
use super::{Issuer, lock};

pub(super) fn routes() -> Router<Arc<Issuer>> {
    Router::new().route("/userinfo", get(userinfo).post(userinfo)).route("/revoke", post(revoke))
}

/// OpenID Connect Core §5.3.
async fn userinfo(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
) -> Result<Json<Map<String, Value>>, OAuthFault> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .ok_or(OAuthFault::InvalidToken("no bearer token"))?;
    let claims = issuer
        .verified_claims(token)
        .ok_or(OAuthFault::InvalidToken("not a valid token of this issuer"))?;
    let user = claims
        .get("sub")
        .and_then(Value::as_str)
        .and_then(|name| issuer.user(name))
        .ok_or(OAuthFault::InvalidToken("the token does not belong to a user"))?;
    let mut info: Map<_, _> = profile(&user).collect();
    info.insert("sub".into(), json!(user.name));
    Ok(Json(info))
}

#[derive(Deserialize)]
struct RevokeRequest {
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// RFC 7009. Doorward verifies access tokens offline and never asks: revoking one only
/// shows at userinfo.
async fn revoke(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    form: Result<Form<RevokeRequest>, FormRejection>,
) -> Result<StatusCode, OAuthFault> {
    let Form(request) = form.map_err(|_| OAuthFault::InvalidRequest("the body is not a form"))?;
    let credentials = (request.client_id.as_deref(), request.client_secret.as_deref());
    let client = authenticate(&issuer.options.clients, &headers, credentials)?;
    let token = request.token.as_deref().ok_or(OAuthFault::InvalidRequest("token is missing"))?;

    if !lock(&issuer.refresh).revoke(token, &client.id, issuer.clock.now()) {
        issuer.revoke_access(token, &client.id);
    }
    // §2.2: 200 for a token that is unknown, too.
    Ok(StatusCode::OK)
}

impl Issuer {
    fn revoke_access(&self, token: &str, client_id: &str) {
        let Some(claims) = self.verified_claims(token) else { return };
        let text = |claim| claims.get(claim).and_then(Value::as_str);
        let until = claims.get("exp").and_then(Value::as_u64).map(UnixTime);
        if let (Some(jti), Some(until), true) = (text("jti"), until, text("azp") == Some(client_id))
        {
            self.revoke(jti, until);
        }
    }
}
