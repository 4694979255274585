//! `POST /token`: every grant ends here.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Json, Router};
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};

use super::codes::Unredeemed;
use super::directory::{DevClient, authenticate};
use super::fault::OAuthFault;
use super::session::{Scope, Session, secret};
use super::{Issuer, lock};

pub(super) fn routes() -> Router<Arc<Issuer>> {
    Router::new().route("/token", post(token))
}

/// A repeated parameter is refused while this is read (RFC 6749 §3.2).
#[derive(Deserialize)]
struct TokenRequest {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    device_code: Option<String>,
    refresh_token: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

async fn token(
    State(issuer): State<Arc<Issuer>>,
    headers: HeaderMap,
    form: Result<Form<TokenRequest>, FormRejection>,
) -> Result<Response, OAuthFault> {
    let Form(request) = form.map_err(|_| {
        OAuthFault::InvalidRequest("the body is not a form, or has a parameter twice")
    })?;
    let credentials = (request.client_id.as_deref(), request.client_secret.as_deref());
    let client = authenticate(&issuer.options.clients, &headers, credentials)?;
    let answer = issuer.grant(client, &request)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

impl Issuer {
    fn grant(&self, client: &DevClient, request: &TokenRequest) -> Result<TokenAnswer, OAuthFault> {
        let now = self.clock.now();
        let session = match required(request.grant_type.as_ref(), "grant_type is missing")? {
            "authorization_code" => self.by_code(client, request)?,
            "urn:ietf:params:oauth:grant-type:device_code" => {
                let code = required(request.device_code.as_ref(), "device_code is missing")?;
                let verifier = request.code_verifier.as_deref();
                lock(&self.devices).poll(code, &client.id, verifier, now)?
            }
            "password" => self.by_password(client, request)?,
            "refresh_token" => {
                let token = required(request.refresh_token.as_ref(), "refresh_token is missing")?;
                let session = lock(&self.refresh).redeem(token, &client.id, now)?;
                let scope = session.scope.narrowed(request.scope.as_deref())?;
                return self.tokens_for(session, scope);
            }
            "client_credentials" => return self.by_credentials(client, request),
            _ => return Err(OAuthFault::UnsupportedGrantType),
        };
        let scope = session.scope.clone();
        self.tokens_for(session, scope)
    }

    fn by_code(&self, client: &DevClient, request: &TokenRequest) -> Result<Session, OAuthFault> {
        let code = required(request.code.as_ref(), "code is missing")?;
        let redirect_uri = request.redirect_uri.as_deref();
        let verifier = request.code_verifier.as_deref();
        let now = self.clock.now();
        let redeemed = lock(&self.codes).redeem(code, &client.id, redirect_uri, verifier, now);
        redeemed.map_err(|why| match why {
            Unredeemed::Refused(fault) => fault,
            Unredeemed::Replayed { family } => {
                lock(&self.refresh).revoke_family(&family);
                OAuthFault::InvalidGrant("the code was used before")
            }
        })
    }

    fn by_password(
        &self,
        client: &DevClient,
        request: &TokenRequest,
    ) -> Result<Session, OAuthFault> {
        let name = required(request.username.as_ref(), "username is missing")?;
        let password = required(request.password.as_ref(), "password is missing")?;
        let user = self
            .user(name)
            .filter(|user| user.password == password)
            .ok_or(OAuthFault::InvalidGrant("wrong user name or password"))?;
        Ok(Session {
            user,
            client_id: client.id.clone(),
            scope: Scope::parse(request.scope.as_deref())?,
            nonce: None,
            authenticated_at: self.clock.now(),
            family: secret()?,
        })
    }

    /// RFC 6749 §4.4.3: no refresh token, the client can come again.
    fn by_credentials(
        &self,
        client: &DevClient,
        request: &TokenRequest,
    ) -> Result<TokenAnswer, OAuthFault> {
        if client.secret.is_none() {
            return Err(OAuthFault::UnauthorizedClient(
                "a public client cannot use \
                                                       client_credentials",
            ));
        }
        let scope = Scope::parse(request.scope.as_deref())?;
        let access_token = self.client_token(&client.id, &scope)?;
        Ok(self.answer(access_token, &scope))
    }

    fn tokens_for(&self, session: Session, scope: Scope) -> Result<TokenAnswer, OAuthFault> {
        let access_token = self.access_token(&session.user, &session.client_id, &scope)?;
        let id_token = scope.contains("openid").then(|| self.id_token(&session)).transpose()?;
        let lifetime = self.options.refresh_token_lifetime;
        // The next refresh token keeps the whole scope, whatever this one narrowed to.
        let refresh_token = lock(&self.refresh).give(session, lifetime, self.clock.now())?;
        let answer = self.answer(access_token, &scope);
        Ok(TokenAnswer { refresh_token: Some(refresh_token), id_token, ..answer })
    }

    fn answer(&self, access_token: String, scope: &Scope) -> TokenAnswer {
        TokenAnswer {
            access_token,
            token_type: "Bearer",
            expires_in: self.options.access_token_lifetime.as_secs(),
            scope: scope.as_str().to_owned(),
            refresh_token: None,
            id_token: None,
        }
    }
}

fn required<'a>(value: Option<&'a String>, missing: &'static str) -> Result<&'a str, OAuthFault> {
    value.map(String::as_str).ok_or(OAuthFault::InvalidRequest(missing))
}
