//! `GET /authorize` asks the person, `POST /authorize` takes the answer and redirects
//! with a code (RFC 6749 §4.1, RFC 7636).

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use http::StatusCode;
use serde::Deserialize;
use url::Url;

use super::codes::challenge;
use super::device::Answer;
use super::fault::OAuthFault;
use super::session::{Scope, Session, secret};
use super::{Issuer, lock, pages};
use crate::loopback::is_loopback;

pub(super) fn routes() -> Router<Arc<Issuer>> {
    Router::new().route("/authorize", get(ask).post(answer))
}

#[derive(Deserialize)]
struct AuthorizeQuery {
    response_type: Option<String>,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    login_hint: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// A request that may be answered by a redirect.
struct Authorization {
    client_id: String,
    redirect_uri: String,
    target: Url,
    scope: Scope,
    state: Option<String>,
    nonce: Option<String>,
    likely_user: Option<String>,
    challenge: Option<String>,
}

/// Why it may not, or why the answer is no.
enum Refused {
    /// Nobody to send it to: the person is told.
    Page(&'static str),
    /// The client is told (§4.1.2.1).
    Client(Box<ToClient>),
}

struct ToClient {
    target: Url,
    state: Option<String>,
    fault: OAuthFault,
}

#[derive(Deserialize)]
struct AnswerForm {
    user: String,
    answer: Answer,
}

type Asked = Result<Query<AuthorizeQuery>, QueryRejection>;

async fn ask(State(issuer): State<Arc<Issuer>>, query: Asked) -> Response {
    match issuer.authorization(query) {
        // The form posts to this very address: the query comes again with the answer.
        Ok(asked) => pages::consent(
            &issuer.users,
            asked.likely_user.as_deref(),
            &asked.client_id,
            asked.scope.as_str(),
            &[],
        ),
        Err(refused) => issuer.refuse(refused),
    }
}

async fn answer(
    State(issuer): State<Arc<Issuer>>,
    query: Asked,
    Form(form): Form<AnswerForm>,
) -> Response {
    let redirect = issuer.authorization(query).and_then(|asked| issuer.redirect(asked, &form));
    match redirect {
        Ok(target) => Redirect::to(target.as_str()).into_response(),
        Err(refused) => issuer.refuse(refused),
    }
}

impl Refused {
    fn client(target: Url, state: Option<String>, fault: OAuthFault) -> Self {
        Self::Client(Box::new(ToClient { target, state, fault }))
    }
}

impl Issuer {
    fn authorization(&self, query: Asked) -> Result<Authorization, Refused> {
        let Query(query) = query.map_err(|_| Refused::Page("A parameter is given twice."))?;
        let client_id = query
            .client_id
            .filter(|id| self.options.clients.iter().any(|client| client.id == *id))
            .ok_or(Refused::Page("This client_id is unknown."))?;
        let redirect_uri = query.redirect_uri.ok_or(Refused::Page("redirect_uri is missing."))?;
        let target = Url::parse(&redirect_uri)
            .ok()
            .filter(is_safe_target)
            .ok_or(Refused::Page("redirect_uri must be http or https on this machine."))?;

        let challenge = challenge(query.code_challenge, query.code_challenge_method.as_deref());
        let response_type = match query.response_type.as_deref() {
            Some("code") => Ok(()),
            _ => Err(OAuthFault::InvalidRequest("response_type must be code")),
        };
        let checked = response_type
            .and(challenge)
            .and_then(|challenge| Ok((challenge, Scope::parse(query.scope.as_deref())?)));
        match checked {
            Ok((challenge, scope)) => Ok(Authorization {
                client_id,
                redirect_uri,
                target,
                scope,
                state: query.state,
                nonce: query.nonce,
                likely_user: query.login_hint,
                challenge,
            }),
            Err(fault) => Err(Refused::client(target, query.state, fault)),
        }
    }

    fn redirect(&self, asked: Authorization, form: &AnswerForm) -> Result<Url, Refused> {
        let Authorization { mut target, state, .. } = asked;
        let now = self.clock.now();
        let code = match (form.answer, self.user(&form.user)) {
            (Answer::Deny, _) => Err(OAuthFault::AccessDenied),
            (Answer::Approve, None) => Err(OAuthFault::InvalidRequest("no such user")),
            (Answer::Approve, Some(user)) => secret()
                .and_then(|family| {
                    let session = Session {
                        user,
                        client_id: asked.client_id,
                        scope: asked.scope,
                        nonce: asked.nonce,
                        authenticated_at: now,
                        family,
                    };
                    lock(&self.codes).give(session, asked.redirect_uri, asked.challenge, now)
                })
                .map_err(OAuthFault::from),
        };
        match code {
            Ok(code) => {
                self.append(&mut target, state.as_deref(), &[("code", &code)]);
                Ok(target)
            }
            Err(fault) => Err(Refused::client(target, state, fault)),
        }
    }

    fn refuse(&self, refused: Refused) -> Response {
        match refused {
            Refused::Page(text) => pages::message(StatusCode::BAD_REQUEST, "Cannot log in", text),
            Refused::Client(answer) => {
                let ToClient { mut target, state, fault } = *answer;
                let text = fault.to_string();
                let pairs = [("error", fault.code()), ("error_description", text.as_str())];
                self.append(&mut target, state.as_deref(), &pairs);
                Redirect::to(target.as_str()).into_response()
            }
        }
    }

    fn append(&self, target: &mut Url, state: Option<&str>, pairs: &[(&str, &str)]) {
        let mut query = target.query_pairs_mut();
        query.extend_pairs(pairs);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        // RFC 9207: which issuer this answer is from.
        query.append_pair("iss", &self.url);
    }
}

/// Codes go to this machine only: any client may register nothing and come from any
/// port (RFC 8252 §7.3).
fn is_safe_target(target: &Url) -> bool {
    matches!(target.scheme(), "http" | "https")
        && is_loopback(target)
        && target.fragment().is_none()
}
