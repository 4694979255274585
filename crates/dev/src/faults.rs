//! What a test has the issuer answer in place of the truth, and what the issuer was asked.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, http};
use bytes::Bytes;
use futures_util::stream;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::server::{MAX_BODY_BYTES, lock};

/// One answer, to whatever is asked.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status and a document.
    Json(u16, Value),
    /// 200 with this text.
    Text(String),
    /// This status and nothing else.
    Status(u16),
    /// A status, a header and a body.
    Raw(u16, (&'static str, String), String),
    /// 200 with this document, after so long.
    Late(Duration, Value),
    /// 200 with a body that does not end.
    Endless,
    /// No answer, ever.
    Hang,
}

/// A request that the issuer got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path of the request.
    pub path: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The body, where it is a form.
    pub form: HashMap<String, String>,
    /// When it came.
    pub at: Instant,
}

/// The faults of one issuer.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
    asked: Mutex<Vec<Asked>>,
}

impl Faults {
    /// Answers requests for `path` with one of these after the other, and with the last for good.
    pub(crate) fn answer(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.answers).insert(path.to_owned(), answers.into_iter().collect());
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.asked).clone()
    }

    fn next(&self, path: &str) -> Option<Answer> {
        let mut answers = lock(&self.answers);
        let answers = answers.get_mut(path)?;
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
    }
}

/// The layer that notes each request, and answers it where a test said how.
pub(crate) async fn inject(
    State(faults): State<Arc<Faults>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let path = head.uri.path().to_owned();
    let authorization = head.headers.get(AUTHORIZATION);
    lock(&faults.asked).push(Asked {
        path: path.clone(),
        authorization: authorization.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()),
        form: url::form_urlencoded::parse(&body).into_owned().collect(),
        at: Instant::now(),
    });
    match faults.next(&path) {
        Some(answer) => answer.give().await,
        None => next.run(Request::from_parts(head, Body::from(body))).await,
    }
}

impl Answer {
    async fn give(self) -> Response {
        match self {
            Self::Json(status, document) => (status_of(status), Json(document)).into_response(),
            Self::Text(text) => Body::from(text).into_response(),
            Self::Status(status) => status_of(status).into_response(),
            Self::Raw(status, (name, value), body) => {
                let mut response = (status_of(status), Body::from(body)).into_response();
                if let Ok(value) = HeaderValue::try_from(value) {
                    response.headers_mut().insert(HeaderName::from_static(name), value);
                }
                response
            }
            Self::Late(delay, document) => {
                tokio::time::sleep(delay).await;
                Json(document).into_response()
            }
            Self::Endless => {
                let blanks = || Ok::<_, Infallible>(Bytes::from_static(&[b' '; 16384]));
                Body::from_stream(stream::repeat_with(blanks)).into_response()
            }
            Self::Hang => std::future::pending().await,
        }
    }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use reqwest::Client;
    use serde_json::json;

    use super::*;
    use crate::signer::{Signer, jwks};
    use crate::{DevIssuer, DevIssuerOptions};

    fn client() -> Client {
        Client::builder().no_proxy().build().unwrap()
    }

    #[tokio::test]
    async fn faults_are_injected_where_they_were_asked_for_and_nowhere_else() {
        let faulty = DevIssuer::start_with_faults().await.unwrap();
        let options = DevIssuerOptions::default();
        let honest = DevIssuer::start(([127, 0, 0, 1], 0).into(), options).await.unwrap();
        let said = [Answer::Status(503), Answer::Json(400, json!({"error": "slow_down"}))];
        for issuer in [&faulty, &honest] {
            issuer.answers("/token", said.clone());
            issuer.answer("/keys", Answer::Hang);
        }
        let ask = async |issuer: &DevIssuer| {
            let form = [("grant_type", "none"), ("client_id", "doorward"), ("scope", "a b")];
            let answer = client().post(issuer.url("/token")).form(&form).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        assert_eq!(ask(&faulty).await, (503, String::new()));
        for _ in 0..2 {
            assert_eq!(ask(&faulty).await, (400, r#"{"error":"slow_down"}"#.to_owned()));
        }
        let keys = client().get(faulty.url("/keys")).timeout(Duration::from_millis(50)).send();
        assert!(keys.await.unwrap_err().is_timeout());
        // What was not replaced is answered as ever, and everything is remembered.
        let document = client().get(faulty.url("/.well-known/openid-configuration")).send();
        assert_eq!(document.await.unwrap().json::<Value>().await.unwrap(), faulty.metadata());
        assert_eq!(["/token", "/keys", "/"].map(|path| faulty.requests(path)), [3, 1, 0]);
        assert_eq!(faulty.asked()[0].form["scope"], "a b");

        assert!(ask(&honest).await.1.contains("unsupported_grant_type"));
        let keys = client().get(honest.url("/keys")).send().await.unwrap();
        assert!(keys.json::<Value>().await.unwrap()["keys"][0]["kid"].is_string());
        assert!(honest.asked().is_empty());
    }

    #[tokio::test]
    async fn what_is_published_ends_what_was_answered_in_its_place() {
        let issuer = DevIssuer::start_with_faults().await.unwrap();
        let signer = Signer::ed("k");
        for _ in 0..2 {
            issuer.answer("/keys", Answer::Status(500));
            issuer.publish([&signer]);
            let keys = client().get(issuer.url("/keys")).send().await.unwrap();
            assert_eq!(keys.json::<Value>().await.unwrap(), jwks([&signer]));
        }
    }
}
