//! `POST /token`, where every grant ends, and what else can be done with a token: userinfo and
//! revocation.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::directory::{Client, OAuthFault, Parameters, Posted, profile, user};
use super::ledger::{Held, Scope, Session};
use super::{Issuer, put};
use crate::server::lock;

pub(super) fn routes() -> Router<Arc<Issuer>> {
    Router::new()
        .route("/token", post(token))
        .route("/userinfo", get(userinfo).post(userinfo))
        .route("/revoke", post(revoke))
}

async fn token(
    State(issuer): State<Arc<Issuer>>,
    Posted { client, form }: Posted,
) -> Result<impl IntoResponse, OAuthFault> {
    Ok(([(CACHE_CONTROL, "no-store")], Json(issuer.grant(client, &form)?)))
}

/// OpenID Connect Core §5.3.
async fn userinfo(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
) -> Result<Json<Value>, OAuthFault> {
    let fault = |why| OAuthFault("invalid_token", why);
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|it| it.strip_prefix("Bearer ")).ok_or(fault("no bearer token"))?;
    let user = match lock(&issuer.ledger).look(token, issuer.now()) {
        Some(Held::Access { subject, .. }) => user(subject),
        Some(_) | None => return Err(fault("not a valid token of this issuer")),
    };
    let user = user.ok_or(fault("the token does not belong to a user"))?;
    let mut info = json!({ "sub": user.name });
    put(&mut info, profile(user));
    Ok(Json(info))
}

/// RFC 7009; 200 for a token that is unknown, too (§2.2). Doorward verifies access tokens offline
/// and never asks: that one is revoked only shows at userinfo.
async fn revoke(
    State(issuer): State<Arc<Issuer>>,
    Posted { client, form }: Posted,
) -> Result<StatusCode, OAuthFault> {
    let token = required(form.token.as_ref(), "token is missing")?;
    lock(&issuer.ledger).revoke(token, client.id, issuer.now());
    Ok(StatusCode::OK)
}

impl Issuer {
    fn grant(&self, client: &Client, form: &Parameters) -> Result<Value, OAuthFault> {
        let now = self.now();
        let verifier = form.code_verifier.as_deref();
        let session = match required(form.grant_type.as_ref(), "grant_type is missing")? {
            "authorization_code" => {
                let code = required(form.code.as_ref(), "code is missing")?;
                let redirect = form.redirect_uri.as_deref();
                lock(&self.ledger).redeem_code(code, client.id, redirect, verifier, now)?
            }
            "urn:ietf:params:oauth:grant-type:device_code" => {
                let code = required(form.device_code.as_ref(), "device_code is missing")?;
                lock(&self.ledger).poll(code, client.id, verifier, now)?
            }
            "password" => self.by_password(client, form)?,
            "refresh_token" => {
                let token = required(form.refresh_token.as_ref(), "refresh_token is missing")?;
                let session = lock(&self.ledger).redeem_refresh(token, client.id, now)?;
                let scope = session.scope.narrowed(form.scope.as_deref())?;
                return Ok(self.tokens_for(session, &scope));
            }
            // RFC 6749 §4.4.3: no refresh token, the client can come again.
            "client_credentials" if client.secret.is_some() => {
                let scope = Scope::parse(form.scope.as_deref())?;
                return Ok(self.answer(client.id, client.id, &scope));
            }
            "client_credentials" => {
                let why = "a public client cannot use client_credentials";
                return Err(OAuthFault("unauthorized_client", why));
            }
            _ => {
                let why = "this issuer does not offer that grant_type";
                return Err(OAuthFault("unsupported_grant_type", why));
            }
        };
        let scope = session.scope.clone();
        Ok(self.tokens_for(session, &scope))
    }

    fn by_password(&self, client: &Client, form: &Parameters) -> Result<Session, OAuthFault> {
        let name = required(form.username.as_ref(), "username is missing")?;
        let password = required(form.password.as_ref(), "password is missing")?;
        let user = user(name)
            .filter(|user| user.password == password)
            .ok_or(OAuthFault("invalid_grant", "wrong user name or password"))?;
        let scope = Scope::parse(form.scope.as_deref())?;
        Ok(Session::new(user, client.id, scope, None, self.now()))
    }

    fn tokens_for(&self, session: Session, scope: &Scope) -> Value {
        let mut answer = self.answer(session.user.name, &session.client_id, scope);
        let id_token = scope.contains("openid").then(|| self.id_token(&session));
        // The next refresh token keeps the whole scope, whatever this one narrowed to.
        let refresh_token = lock(&self.ledger).give_refresh(session, self.now());
        let more = [("refresh_token", json!(refresh_token)), ("id_token", json!(id_token))];
        put(&mut answer, more.map(|(name, value)| (name.to_owned(), value)));
        answer
    }

    /// RFC 6749 §5.1, with an access token.
    fn answer(&self, subject: &str, client_id: &str, scope: &Scope) -> Value {
        let granted = Map::from_iter([("scope".to_owned(), json!(scope.0))]);
        json!({
            "access_token": self.access_token(subject, client_id, granted),
            "token_type": "Bearer",
            "expires_in": self.options.access_token_lifetime.as_secs(),
            "scope": scope.0,
        })
    }
}

fn required<'a>(value: Option<&'a String>, missing: &'static str) -> Result<&'a str, OAuthFault> {
    value.map(String::as_str).ok_or(OAuthFault("invalid_request", missing))
}
