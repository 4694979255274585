//! The console's listener: a page for the people who run Doorward, and what it asks for.
//!
//! A browser can be made to ask anything of this machine by any page that it shows. So nothing is
//! told under a name that is not this machine's (DNS rebinding), to a page from elsewhere, or for a
//! form; there are no cookies, and the page may load and ask nothing but what is here.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use ::http::request::Parts;
use ::http::uri::Authority;
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::future::Either;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};

use super::h1_connection;
use super::intake::{Intake, Protocol};
use super::responder::{Answer, Responder};
use super::server::Front;
use super::session::{ConnectionError, Session};
use crate::config::TlsSettings;

/// The page, its script and its style: all that it loads.
const PAGE: &str = include_str!("../console/page.html");
const SCRIPT: &str = include_str!("../console/page.js");
const STYLE: &str = include_str!("../console/page.css");

/// Where all this is, and what it asks for.
const SCRIPT_PATH: &str = "/page.js";
const STYLE_PATH: &str = "/page.css";
const STATE_PATH: &str = "/api/state";
const EXPLAIN_PATH: &str = "/api/explain";

/// Only what comes from here is loaded, run and asked (CSP level 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

/// The longest question: a token, and the few words around it.
const MAX_QUESTION_BYTES: usize = 128 * 1024;

/// What a browser on this machine, or at the other end of a forwarded port, calls it.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What the console tells.
pub trait ConsoleView: Send + Sync + 'static {
    /// All that the page shows, as JSON.
    fn state(&self) -> Bytes;

    /// The answer to a question, as JSON, or why there is none now.
    fn explain(&self, question: Question) -> Told;
}

/// What [`ConsoleView::explain`] comes to.
pub type Told = Pin<Box<dyn Future<Output = Result<String, Busy>> + Send>>;

/// Others have asked too much in this second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// A request whose decision is to be explained. It is not logged and not kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// A token, or a line with one, as people copy it; empty for a request without.
    pub token: String,
    /// The method of the request.
    pub method: String,
    /// Its path.
    pub path: String,
    /// The host that its client names; an empty text for none.
    #[serde(default)]
    pub host: String,
    /// What the route's `context_extensions` say; an empty text says nothing.
    #[serde(default)]
    pub mode: String,
    /// The same, of scopes.
    #[serde(default)]
    pub scopes: String,
    /// The same, of the audience.
    #[serde(default)]
    pub audience: String,
}

/// Why a request gets no answer.
type Refusal = (StatusCode, &'static str);

/// Answers the console's page.
#[derive(Clone)]
pub struct ConsoleFront {
    view: Arc<dyn ConsoleView>,
    scheme: &'static str,
    /// Whether clients show certificates, and this machine may be called by any name.
    is_known_by_certificate: bool,
}

impl ConsoleFront {
    /// A front that shows what `view` sees. Where clients show certificates it may be called by any
    /// name: a page from elsewhere cannot be served under a certificate of ours.
    #[must_use]
    pub fn new(view: Arc<dyn ConsoleView>, tls: Option<&TlsSettings>) -> Self {
        let is_known_by_certificate = tls.is_some_and(|tls| tls.client_ca.is_some());
        Self { view, scheme: if tls.is_some() { "https" } else { "http" }, is_known_by_certificate }
    }
}

impl Front for ConsoleFront {
    /// Bodies are read over HTTP/1 alone.
    const PROTOCOLS: &'static [&'static [u8]] = &[b"http/1.1"];

    async fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut session: Session,
    ) -> Result<(), ConnectionError> {
        let io = session.first_words(Intake::detect(io)).await?;
        match io.protocol() {
            Protocol::Http1 => h1_connection::serve(io, session, self).await,
            // No browser speaks it where TLS does not offer it.
            Protocol::Http2 => Ok(()),
        }
    }
}

impl Responder for ConsoleFront {
    /// Whoever is refused has not been listened to.
    fn body_limit(&self, head: &Parts) -> Result<usize, Box<Answer>> {
        let limit = self.check_source(head).and_then(|()| check_request(head));
        limit.map_err(|(status, why)| Box::new(refused(status, why)))
    }

    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Answer> + Send + use<> {
        let answer = match request.uri().path() {
            SCRIPT_PATH => content("text/javascript; charset=utf-8", SCRIPT),
            STYLE_PATH => content("text/css; charset=utf-8", STYLE),
            STATE_PATH => content("application/json", self.view.state()),
            EXPLAIN_PATH => match question(request.body()) {
                Ok(question) => return Either::Right(explained(self.view.explain(question))),
                Err((status, why)) => refused(status, why),
            },
            _ => content("text/html; charset=utf-8", PAGE),
        };
        Either::Left(ready(answer))
    }

    fn overloaded(&self) -> Answer {
        refused(StatusCode::SERVICE_UNAVAILABLE, "too much is asked at this moment")
    }
}

impl ConsoleFront {
    /// Whether a browser asks on behalf of this very page, or whoever it is does without one.
    fn check_source(&self, head: &Parts) -> Result<(), Refusal> {
        let headers = &head.headers;
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().filter(|_| hosts.next().is_none());
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let authority: Option<Authority> = host.parse().ok();
        let is_ours = authority.as_ref().is_some_and(|authority| {
            self.is_known_by_certificate
                || OWN_NAMES.iter().any(|name| authority.host().eq_ignore_ascii_case(name))
        });
        // Of a target in absolute form the authority counts, not `Host` (RFC 9112 §3.2.2).
        let is_ours = is_ours && head.uri.authority().is_none();
        if !is_ours {
            let why = "this console answers to the names of this machine alone: localhost, \
                       127.0.0.1, [::1]";
            return Err((StatusCode::MISDIRECTED_REQUEST, why));
        }
        let own = format!("{}://{host}", self.scheme);
        let from_elsewhere = headers
            .get_all(header::ORIGIN)
            .iter()
            .any(|origin| !origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()));
        // A link to the page may be anywhere; only that is followed.
        let is_followed = head.method == Method::GET
            && head.uri.path() == "/"
            && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
        let sites = headers.get_all("sec-fetch-site");
        let of_another_site = sites.iter().any(|site| site != "same-origin" && site != "none");
        if from_elsewhere || (of_another_site && !is_followed) {
            return Err((StatusCode::FORBIDDEN, "another page must not ask this console"));
        }
        Ok(())
    }
}

/// How much of a body there may be to what is asked for, if it is here.
fn check_request(head: &Parts) -> Result<usize, Refusal> {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    match head.uri.path() {
        "/" | SCRIPT_PATH | STYLE_PATH | STATE_PATH if is_read => Ok(0),
        EXPLAIN_PATH if head.method == Method::POST && is_json(&head.headers) => {
            Ok(MAX_QUESTION_BYTES)
        }
        EXPLAIN_PATH if head.method == Method::POST => {
            let why = "send the question as application/json";
            Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
        }
        EXPLAIN_PATH => Err((StatusCode::METHOD_NOT_ALLOWED, "POST is what is answered here")),
        "/" | SCRIPT_PATH | STYLE_PATH | STATE_PATH => {
            Err((StatusCode::METHOD_NOT_ALLOWED, "GET is what is answered here"))
        }
        _ => Err((StatusCode::NOT_FOUND, "the console is at /")),
    }
}

/// Whether a body says that it is JSON, in the one encoding that JSON has (RFC 8259 §8.1). A form
/// of another page cannot say so without asking first (Fetch, CORS), and nobody is given leave.
fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = kinds.next().filter(|_| kinds.next().is_none());
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (kind, parameter) = kind.split_once(';').unwrap_or((kind, "charset=utf-8"));
    let is = |text: &str, wanted: &str| text.trim().eq_ignore_ascii_case(wanted);
    is(kind, "application/json") && is(parameter, "charset=utf-8")
}

/// Reads a question.
fn question(body: &[u8]) -> Result<Question, Refusal> {
    // The text of serde's error could repeat the token.
    serde_json::from_slice(body).map_err(|_| {
        let why = "the question is a JSON object with token, method and path, and maybe host, \
                   mode, scopes and audience";
        (StatusCode::BAD_REQUEST, why)
    })
}

async fn explained(told: Told) -> Answer {
    match told.await {
        Ok(json) => content("application/json", json),
        Err(Busy) => {
            let why = "too many questions in this second: ask again";
            let mut answer = refused(StatusCode::TOO_MANY_REQUESTS, why);
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            answer
        }
    }
}

fn content(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        answer.headers_mut().insert(name, HeaderValue::from_static("same-origin"));
    }
    answer
}

fn refused(status: StatusCode, why: &'static str) -> Answer {
    let mut answer = content("text/plain; charset=utf-8", format!("{why}\n"));
    *answer.status_mut() = status;
    // Whoever is refused keeps no place of those that are not.
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}
