//! The device flow (RFC 8628): the device's request, and the page where a person answers it. Polling
//! is at the token endpoint.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::Issuer;
use super::directory::{OAuthFault, Posted};
use super::ledger::{Challenge, DEVICE_LIFETIME, Scope, Session};
use super::pages::{self, Answer};
use crate::server::lock;

pub(super) fn routes() -> Router<Arc<Issuer>> {
    Router::new()
        .route("/device_authorization", post(begin))
        .route("/device", get(ask).post(answer))
}

async fn begin(
    State(issuer): State<Arc<Issuer>>,
    Posted { client, form }: Posted,
) -> Result<impl IntoResponse, OAuthFault> {
    let scope = Scope::parse(form.scope.as_deref())?;
    let challenge = Challenge::parse(form.code_challenge, form.code_challenge_method.as_deref())?;
    let (interval, now) = (issuer.options.device_interval, issuer.now());
    let mut ledger = lock(&issuer.ledger);
    let (device_code, user_code) = ledger.start_device(client.id, scope, challenge, interval, now);
    let page = format!("{}/device", issuer.url);
    let body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": DEVICE_LIFETIME,
        "interval": interval.as_secs(),
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)))
}

#[derive(Deserialize)]
struct AskQuery {
    user_code: Option<String>,
}

async fn ask(State(issuer): State<Arc<Issuer>>, Query(query): Query<AskQuery>) -> Response {
    let Some(user_code) = query.user_code else { return pages::ask_for_code(None) };
    match lock(&issuer.ledger).awaiting(&user_code, issuer.now()) {
        Some(it) => pages::consent(None, &it.client_id, &it.scope.0, Some(&user_code)),
        None => nobody_waits(),
    }
}

async fn answer(
    State(issuer): State<Arc<Issuer>>,
    Form(form): Form<Answer>,
) -> Result<Response, OAuthFault> {
    let answer = form.user();
    if let Err(fault @ OAuthFault("invalid_request", _)) = answer {
        return Err(fault);
    }
    let now = issuer.now();
    let mut ledger = lock(&issuer.ledger);
    let typed = form.user_code.as_deref().unwrap_or_default();
    let Some(device) = ledger.awaiting(typed, now) else { return Ok(nobody_waits()) };
    let said = if answer.is_ok() { "You are logged in." } else { "The device was refused." };
    let session = |user| Session::new(user, &device.client_id, device.scope.clone(), None, now);
    let answer = answer.map(session);
    device.settle(answer);
    let text = format!("{said} You can close this page and go back to the device.");
    Ok(pages::message(StatusCode::OK, "Done", &text))
}

fn nobody_waits() -> Response {
    pages::ask_for_code(Some("No device waits for that code, or it has expired."))
}
