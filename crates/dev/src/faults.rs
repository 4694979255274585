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
    /// The path.
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
