//! One HTTP/1.1 connection, on hyper. Its requests come one after the other, so a client can
//! keep nobody waiting but itself; here is what bounds the time that it may take for that.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use ::http::request::Parts;
use ::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::head_fault::HeadFault;
use super::intake::{Intake, Valve};
use super::responder::{Answer, Responder};
use super::session::{ConnectionError, Lasting, Limits, Session, Why};
use crate::telemetry::Closed;

/// How much of a request is kept until its head is whole, in bytes: more than the headers that
/// Envoy takes from its clients, which are 60 KiB unless that is raised.
const MAX_HEAD_BYTES: usize = 104 * 1024;
/// How long a client may take for a body, where one is read.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// Serves a connection, as [`Front::serve`] has it.
///
/// [`Front::serve`]: super::server::Front::serve
pub(super) async fn serve<R: Responder>(
    io: Intake<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
    session: Session,
    responder: R,
) -> Result<(), ConnectionError> {
    let Session { slot, metrics, limits, mut summons, .. } = session;
    let valve = io.valve();
    let requests = Arc::new(Requests::default());
    let service = service_fn({
        let (requests, valve) = (Arc::clone(&requests), valve.clone());
        move |request: Request<Incoming>| {
            requests.begin();
            let (head, body) = request.into_parts();
            // RFC 9112 §6.1: with a Content-Length beside it, which hyper may have dropped, whoever
            // stands between can see another end of the request. So nothing that follows is read.
            let is_last = head.headers.contains_key(header::TRANSFER_ENCODING);
            let fault = HeadFault::of(head.version, &head.headers);
            let (requests, valve) = (Arc::clone(&requests), valve.clone());
            let responder = responder.clone();
            async move {
                // Dropped before the answer is there, it would end the connection.
                let mut body = body;
                let mut answer = match fault {
                    Some(fault) => bad_request(fault),
                    None => match read(&responder, &head, &mut body).await {
                        Ok(body) => responder.answer(Request::from_parts(head, body)).await,
                        Err(refusal) => refusal,
                    },
                };
                if is_last {
                    answer.headers_mut().insert(header::CONNECTION, CLOSE);
                }
                drop(body);
                requests.end(valve.bytes_received());
                Ok::<_, Infallible>(answer.map(Full::new))
            }
        }
    });
    // hyper's own limit for a head would also be the one for the time between two requests.
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));

    let mut summons = pin!(summons.heard());
    let mut is_summoned = false;
    let mut clock = Session::clock();
    let mut waits = Waits::new(Instant::now());
    poll_fn(|context| {
        if !is_summoned && let Poll::Ready(why) = summons.as_mut().poll(context) {
            is_summoned = true;
            if why == Why::PlaceNeeded {
                metrics.closed(Closed::MadeRoom);
                if !requests.is_under_way() {
                    return Poll::Ready(Err(Closed::MadeRoom.into()));
                }
            }
            connection.as_mut().graceful_shutdown();
        }
        while clock.poll_tick(context).is_ready() {
            let now = Instant::now();
            if let Some(reason) = waits.too_long(&requests, &valve, now, limits) {
                metrics.closed(reason);
                return Poll::Ready(Err(reason.into()));
            }
        }
        let end = connection.as_mut().poll(context);
        if requests.has_ended() {
            slot.answered();
        }
        end.map_err(Into::into)
    })
    .await
}

/// The body of a request, where somebody wants it. The client has as long as it has for a head.
async fn read<R: Responder>(
    responder: &R,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Bytes, Answer> {
    let limit = responder.body_limit(head).map_err(|answer| *answer)?;
    if limit == 0 {
        return Ok(Bytes::new());
    }
    let too_long = || refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long or broken");
    if body.size_hint().lower() > limit as u64 {
        return Err(too_long());
    }
    let whole = Limited::new(body, limit).collect();
    match tokio::time::timeout(BODY_PATIENCE, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(too_long()),
        Err(_) => Err(refusal(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");

fn bad_request(fault: HeadFault) -> Answer {
    refusal(StatusCode::BAD_REQUEST, &fault.to_string())
}

/// The answer to a request that is not read any further; what follows it is not either.
fn refusal(status: StatusCode, why: &str) -> Answer {
    let mut answer = Response::new(Bytes::from(format!("{why}\n")));
    *answer.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, text);
    answer.headers_mut().insert(header::CONNECTION, CLOSE);
    answer
}

/// The requests of a connection. All that touch this are one task.
#[derive(Default)]
struct Requests {
    begun: AtomicUsize,
    is_under_way: AtomicBool,
    has_ended: AtomicBool,
    /// What had been received when the last one was answered, in bytes.
    received: AtomicUsize,
}

impl Requests {
    fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.is_under_way.store(true, Ordering::Relaxed);
    }

    fn end(&self, received: usize) {
        self.is_under_way.store(false, Ordering::Relaxed);
        self.has_ended.store(true, Ordering::Relaxed);
        self.received.store(received, Ordering::Relaxed);
    }

    fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Relaxed)
    }

    /// Whether one was answered since this was asked last.
    fn has_ended(&self) -> bool {
        self.has_ended.swap(false, Ordering::Relaxed)
    }
}

/// What a client keeps the connection waiting for, by the clock's ticks.
struct Waits {
    /// For the rest of a request; the first one from the beginning.
    head: Lasting,
    /// For the client to take an answer.
    writing: Lasting,
    /// For another request.
    idle: Lasting,
    begun: usize,
}

impl Waits {
    fn new(now: Instant) -> Self {
        let mut head = Lasting::default();
        head.note(true, now);
        Self { head, writing: Lasting::default(), idle: Lasting::default(), begun: 0 }
    }

    /// Whether one of them is too long.
    fn too_long(
        &mut self,
        requests: &Requests,
        valve: &Valve,
        now: Instant,
        limits: Limits,
    ) -> Option<Closed> {
        let begun = requests.begun.load(Ordering::Relaxed);
        let is_new = mem::replace(&mut self.begun, begun) != begun;
        let is_under_way = is_new || requests.is_under_way();
        let received = valve.bytes_received() != requests.received.load(Ordering::Relaxed);
        let head = self.head.note(!is_under_way && (begun == 0 || received), now);
        let writing = self.writing.note(valve.is_stuck(), now);
        let idle = self.idle.note(!is_under_way, now);
        match () {
            () if head >= limits.patience => Some(Closed::Silent),
            () if writing >= limits.patience => Some(Closed::Stalled),
            () if idle >= limits.idle => Some(Closed::Idle),
            () => None,
        }
    }
}
