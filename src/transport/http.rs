//! The HTTP front: the same decision for Envoy's HTTP ext_authz, and the documents.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use arc_swap::ArcSwap;
use bytes::Bytes;
use doorward_core::VerifiedIdentity;
use doorward_core::decision::{Approval, Decision, Denial, Fault, Reason};
use doorward_core::identity::{Identity, IdentityHeaders};
use doorward_core::request::{HeaderView, RequestView, RouteView};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};

use super::check_message::Headers;
use super::check_service::{CheckService, delegates, passes_behalf};
use super::denial::{DenialAnswer, Resource};
use super::http_connection;
use super::responder::{Answer, Responder};
use super::server::Front;
use super::session::{ConnectionError, Session};

/// Envoy's `path_prefix`; the client's own path follows.
const EXT_AUTHZ: &str = "/apis/auth/ext-authz";
const AUTHENTICATE: &str = "/apis/auth/authenticate";
const DISCOVERY: &str = "/apis/auth/discovery";
const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// How long Envoy waits for our answer, in milliseconds.
const EXPECTED_TIMEOUT: &str = "x-envoy-expected-rq-timeout-ms";
/// Envoy removes the request headers that an allowing answer lists here.
const TO_REMOVE: &str = "x-envoy-auth-headers-to-remove";

/// Answers HTTP requests.
#[derive(Clone)]
pub struct HttpFront {
    service: Arc<ArcSwap<CheckService>>,
}

impl HttpFront {
    /// A front that decides with whatever `service` holds at the time.
    #[must_use]
    pub fn new(service: Arc<ArcSwap<CheckService>>) -> Self {
        Self { service }
    }
}

impl Front for HttpFront {
    const PROTOCOLS: &'static [&'static [u8]] = http_connection::PROTOCOLS;

    async fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        session: Session,
    ) -> Result<(), ConnectionError> {
        http_connection::serve(io, session, self).await
    }
}

impl Responder for HttpFront {
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Answer> + Send + use<> {
        let service = self.service.load_full();
        async move { answer(&service, request.map(drop)).await }
    }

    /// As over ext_authz: whatever was asked for, no answer here is one that Envoy takes for a
    /// failure of ours.
    fn overloaded(&self) -> Answer {
        let service = self.service.load();
        page_answer(&service.pages().answer_over_http(Reason::Overloaded, None, Resource::FIRST))
    }
}

async fn answer(service: &CheckService, request: Request<()>) -> Answer {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    match target.strip_prefix(EXT_AUTHZ) {
        Some(original) => ext_authz(service, &request, original).await,
        None => document(service, &request).await,
    }
}

/// Whether [`document`] has an answer for requests with this path, their query left out.
pub(super) fn is_document(path: &str) -> bool {
    path == DISCOVERY || is_authenticate(path) || is_below(PROTECTED_RESOURCE, path)
}

/// As NeMo's own, by any method, and with the path of another request behind.
fn is_authenticate(path: &str) -> bool {
    is_below(AUTHENTICATE, path)
}

/// Whether this is the path itself, or one with more segments. What only begins alike is somebody
/// else's.
fn is_below(path: &str, other: &str) -> bool {
    other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The documents: who issues tokens, and whom one speaks of.
pub(super) async fn document(service: &CheckService, request: &Request<()>) -> Answer {
    match request.uri().path() {
        path if is_authenticate(path) => authenticate(service, request).await,
        DISCOVERY => match *request.method() {
            Method::GET | Method::HEAD => json_answer((service.documents().discovery)()),
            _ => not_allowed("GET, HEAD"),
        },
        // RFC 9728 §3.1: the path of the resource may follow.
        path if is_below(PROTECTED_RESOURCE, path) => {
            match service.documents().protected_resource(path, &authority(request)) {
                Some(document) => json_answer(document.to_owned()),
                None => not_found(),
            }
        }
        _ => not_found(),
    }
}

/// The same decision as `Check`, for the request whose path follows our prefix.
async fn ext_authz(service: &CheckService, request: &Request<()>, original: &str) -> Answer {
    let (headers, authority) = (views(request), authority(request));
    let view = RequestView {
        method: request.method().as_str().as_bytes(),
        path: original.as_bytes(),
        authority: authority.as_bytes(),
        headers: &headers,
        route: RouteView::default(),
    };
    let denial = match service.decide_over_http(&view, patience(request.headers())).await {
        Decision::Allow(approval) => match allow(service, &approval, &headers) {
            Some(answer) => return answer,
            None => Denial::from(Fault::Internal),
        },
        Decision::Deny(denial) => denial,
    };
    let resource = service.pages().resource(authority.as_bytes(), original.as_bytes());
    page_answer(&service.pages().told_over_http(&denial, resource))
}

/// 200 with the identity's headers, and the names of those to strip. `None` when a value
/// cannot be a header, which `identity` has seen to.
fn allow(
    service: &CheckService,
    approval: &Approval,
    headers: &[HeaderView<'_>],
) -> Option<Answer> {
    let changes = service.authorizer().header_changes(approval, headers);
    let remove = changes.remove().collect::<Vec<_>>().join(&b","[..]);
    let mut answer = Response::new(Bytes::new());
    let map = answer.headers_mut();
    for (name, value) in changes.set() {
        map.insert(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value).ok()?,
        );
    }
    map.insert(TO_REMOVE, HeaderValue::from_bytes(&remove).ok()?);
    map.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(answer)
}

/// 200 with no identity, and all names to strip.
fn nobody(service: &CheckService) -> Option<Answer> {
    let authorizer = service.authorizer();
    let nobody = IdentityHeaders::new(None, authorizer.header_rules());
    let remove = authorizer.protected().always(nobody).collect::<Vec<_>>().join(",");
    let mut answer = Response::new(Bytes::new());
    answer.headers_mut().insert(TO_REMOVE, HeaderValue::from_str(&remove).ok()?);
    Some(answer)
}

/// Who the bearer of this request's own token is.
async fn authenticate(service: &CheckService, request: &Request<()>) -> Answer {
    let headers = views(request);
    // Of the target the query alone, by which a question of our own is known.
    let path = match request.uri().query() {
        Some(query) => Cow::Owned(format!("{AUTHENTICATE}?{query}")),
        None => Cow::Borrowed(AUTHENTICATE),
    };
    let view = RequestView {
        method: request.method().as_str().as_bytes(),
        path: path.as_bytes(),
        authority: b"",
        headers: &headers,
        // Whatever `rules.bypass` says of this path: here a token is the question.
        route: RouteView { mode: Some(b"required"), ..RouteView::default() },
    };
    match service.identify(&view, patience(request.headers())).await {
        Decision::Allow(approval) => {
            let whoami = whoami(&approval).to_string();
            // A gateway that asks here, and would lose for whom the principal acts, gets nobody.
            let answer = if delegates(&approval) && !passes_behalf(&view) {
                nobody(service)
            } else {
                allow(service, &approval, &headers)
            };
            answer.map_or_else(
                || denied(service, request, &Denial::from(Fault::Internal)),
                |answer| as_json(answer.map(|_| Bytes::from(whoami))),
            )
        }
        Decision::Deny(denial) => denied(service, request, &denial),
    }
}

/// Whom a token speaks of, as NeMo Platform's own answer has it: its subject, also where another
/// acts for it, which the headers tell.
fn whoami(approval: &Approval) -> serde_json::Value {
    let verified = approval.identity();
    let identity = verified.map(VerifiedIdentity::identity);
    let behalf = identity.and_then(Identity::on_behalf_of);
    let groups: Vec<_> = match (behalf, identity) {
        (Some(of), _) => of.groups().collect(),
        (None, of) => of.into_iter().flat_map(Identity::groups).collect(),
    };
    json!({
        "principal": behalf.map(|of| of.subject).or(identity.map(Identity::principal)),
        "email": behalf.map_or(identity.and_then(Identity::email), |of| of.email),
        "groups": groups,
        "scopes": identity.into_iter().flat_map(Identity::scopes).collect::<Vec<_>>(),
        "jti": identity.and_then(Identity::token_id),
        "token_kind": verified.map(|verified| verified.token_use().code()),
    })
}

/// The host that a request names, of Envoy's client for what Envoy sends on.
fn authority(request: &Request<()>) -> Cow<'_, str> {
    let of_target = request.uri().authority().map(|authority| authority.as_str().into());
    let of_header = || request.headers().get(header::HOST).map(HeaderValue::as_bytes);
    of_target.or_else(|| of_header().map(String::from_utf8_lossy)).unwrap_or_default()
}

/// The time that the caller has. Whatever a client sends under that name, Envoy sends its own.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = headers.get(EXPECTED_TIMEOUT)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_millis(milliseconds))
}

fn views(request: &Request<()>) -> Headers<'_> {
    let view = |(name, value)| {
        let (name, value): (&HeaderName, &HeaderValue) = (name, value);
        HeaderView { name: name.as_str().as_bytes(), value: value.as_bytes() }
    };
    request.headers().iter().map(view).collect()
}

fn denied(service: &CheckService, request: &Request<()>, denial: &Denial) -> Answer {
    let pages = service.pages();
    let resource = pages.resource(authority(request).as_bytes(), AUTHENTICATE.as_bytes());
    page_answer(&pages.told(denial, resource))
}

fn page_answer(page: &DenialAnswer) -> Answer {
    let mut answer = Response::new(Bytes::from(page.body.clone()));
    *answer.status_mut() = page.status;
    for (name, value) in &page.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

fn json_answer(body: String) -> Answer {
    as_json(Response::new(Bytes::from(body)))
}

fn as_json(mut answer: Answer) -> Answer {
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

pub(super) fn not_found() -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}
