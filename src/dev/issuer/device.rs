//! The device flow (RFC 8628): the device's request, and the page where a person
//! answers it. Polling is at the token endpoint.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::codes::challenge;
use super::devices::DeviceRequest;
use super::directory::authenticate;
use super::fault::OAuthFault;
use super::session::{Scope, Session, secret};
use super::{Issuer, lock, pages};

pub(super) fn routes() -> Router<Arc<Issuer>> {
    Router::new()
        .route("/device_authorization", post(begin))
        .route("/device", get(ask).post(answer))
}

#[derive(Deserialize)]
struct BeginRequest {
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

async fn begin(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    form: Result<Form<BeginRequest>, FormRejection>,
) -> Result<Response, OAuthFault> {
    let Form(request) = form.map_err(|_| OAuthFault::InvalidRequest("the body is not a form"))?;
    let credentials = (request.client_id.as_deref(), request.client_secret.as_deref());
    let client = authenticate(&issuer.options.clients, &headers, credentials)?;
    let scope = Scope::parse(request.scope.as_deref())?;
    let challenge = challenge(request.code_challenge, request.code_challenge_method.as_deref())?;

    let options = &issuer.options;
    let (interval, lifetime) = (options.device_interval, options.device_code_lifetime);
    let request = DeviceRequest { client_id: client.id.clone(), scope, challenge };
    let codes = lock(&issuer.devices).start(request, interval, lifetime, issuer.clock.now())?;
    let page = format!("{}/device", issuer.url);
    let body = json!({
        "device_code": codes.device_code,
        "user_code": codes.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", codes.user_code),
        "expires_in": lifetime.as_secs(),
        "interval": interval.as_secs(),
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

#[derive(Deserialize)]
struct AskQuery {
    user_code: Option<String>,
}

async fn ask(State(issuer): State<Arc<Issuer>>, Query(query): Query<AskQuery>) -> Response {
    let Some(user_code) = query.user_code else { return pages::ask_for_code(None) };
    let request = lock(&issuer.devices).awaiting(&user_code, issuer.clock.now());
    match request {
        Some(DeviceRequest { client_id, scope, .. }) => {
            let hidden = [("user_code", user_code.as_str())];
            pages::consent(&issuer.users, None, &client_id, scope.as_str(), &hidden)
        }
        None => pages::ask_for_code(Some("No device waits for that code, or it has expired.")),
    }
}

#[derive(Deserialize)]
struct AnswerForm {
    user_code: String,
    user: String,
    answer: Answer,
}

/// What a person said on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    Approve,
    Deny,
}

async fn answer(
    State(issuer): State<Arc<Issuer>>,
    Form(form): Form<AnswerForm>,
) -> Result<Response, OAuthFault> {
    let now = issuer.clock.now();
    let user = issuer.user(&form.user).ok_or(OAuthFault::InvalidRequest("no such user"))?;
    let family = secret()?;
    let mut devices = lock(&issuer.devices);
    let Some(request) = devices.awaiting(&form.user_code, now) else {
        return Ok(pages::ask_for_code(Some("No device waits for that code, or it has expired.")));
    };
    let session = Session {
        user,
        client_id: request.client_id,
        scope: request.scope,
        nonce: None,
        authenticated_at: now,
        family,
    };
    let approved = form.answer == Answer::Approve;
    devices.answer(&form.user_code, approved.then_some(session), now);
    let text = if approved { "You are logged in." } else { "The device was refused." };
    let text = format!("{text} You can close this page and go back to the device.");
    Ok(pages::message(StatusCode::OK, "Done", &text))
}
