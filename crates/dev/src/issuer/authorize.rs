//! `GET /authorize` asks the person, `POST /authorize` takes the answer and redirects
//! with a code (RFC 6749 §4.1, RFC 7636).

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::Deserialize;
use url::Url;

use super::Issuer;
use super::directory::{CLIENTS, OAuthFault};
use super::ledger::{Challenge, Scope, Session};
use super::pages::{self, Answer};
use crate::server::{is_this_machine, lock};

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
    challenge: Challenge,
}

/// Why it may not: the person is told, since there is no client that could be. Where there is one,
/// it is told by a redirect (§4.1.2.1).
enum Refused {
    Page(&'static str),
    Client(Box<Url>),
}

type Asked = Result<Query<AuthorizeQuery>, QueryRejection>;

async fn ask(State(issuer): State<Arc<Issuer>>, query: Asked) -> Response {
    match issuer.authorization(query) {
        // The form posts to this very address: the query comes again with the answer.
        Ok(asked) => {
            let likely = asked.likely_user.as_deref();
            pages::consent(likely, &asked.client_id, &asked.scope.0, None)
        }
        Err(refused) => refused.into_response(),
    }
}

async fn answer(
    State(issuer): State<Arc<Issuer>>,
    query: Asked,
    Form(form): Form<Answer>,
) -> Response {
    match issuer.authorization(query) {
        Ok(asked) => Redirect::to(issuer.redirect(asked, &form).as_str()).into_response(),
        Err(refused) => refused.into_response(),
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Page(text) => pages::message(StatusCode::BAD_REQUEST, "Cannot log in", text),
            Self::Client(target) => Redirect::to(target.as_str()).into_response(),
        }
    }
}

impl Issuer {
    fn authorization(&self, query: Asked) -> Result<Authorization, Refused> {
        let Query(query) = query.map_err(|_| Refused::Page("A parameter is given twice."))?;
        let client_id = query
            .client_id
            .filter(|id| CLIENTS.iter().any(|client| client.id == *id))
            .ok_or(Refused::Page("This client_id is unknown."))?;
        let redirect_uri = query.redirect_uri.ok_or(Refused::Page("redirect_uri is missing."))?;
        let target = Url::parse(&redirect_uri)
            .ok()
            .filter(is_safe_target)
            .ok_or(Refused::Page("redirect_uri must be http or https on this machine."))?;

        let challenge =
            Challenge::parse(query.code_challenge, query.code_challenge_method.as_deref());
        let checked = match query.response_type.as_deref() {
            Some("code") => challenge
                .and_then(|challenge| Ok((challenge, Scope::parse(query.scope.as_deref())?))),
            _ => Err(OAuthFault("invalid_request", "response_type must be code")),
        };
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
            Err(fault) => {
                let target = self.back_to(target, query.state.as_deref(), Err(fault));
                Err(Refused::Client(Box::new(target)))
            }
        }
    }

    fn redirect(&self, asked: Authorization, form: &Answer) -> Url {
        let now = self.now();
        let code = form.user().map(|user| {
            let session = Session::new(user, &asked.client_id, asked.scope, asked.nonce, now);
            lock(&self.ledger).give_code(session, asked.redirect_uri, asked.challenge, now)
        });
        self.back_to(asked.target, asked.state.as_deref(), code)
    }

    /// Where the person is sent, with the code or the fault.
    fn back_to(
        &self,
        mut target: Url,
        state: Option<&str>,
        code: Result<String, OAuthFault>,
    ) -> Url {
        let mut query = target.query_pairs_mut();
        match code {
            Ok(code) => query.append_pair("code", &code),
            Err(OAuthFault(error, why)) => {
                query.append_pair("error", error).append_pair("error_description", why)
            }
        };
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        // RFC 9207: which issuer this answer is from.
        query.append_pair("iss", &self.url);
        drop(query);
        target
    }
}

/// Codes go to this machine only: any client may register nothing and come from any
/// port (RFC 8252 §7.3).
fn is_safe_target(target: &Url) -> bool {
    matches!(target.scheme(), "http" | "https")
        && target.host_str().is_some_and(is_this_machine)
        && target.fragment().is_none()
}
