//! One stream: the decision about its request, and what is done by it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Once;

use bytes::Bytes;
use doorward::app::{Embedded, Later};
use doorward::transport::{CheckService, DenialAnswer, KeptRequest, Members};
use doorward_core::decision::{Approval, Decision};
use doorward_core::request::RouteView;
use http::Response;
use smallvec::SmallVec;

use crate::abi::{EnvoyStream, ForeignRoute};
use crate::configuration::Configuration;
use crate::request::Request;
use crate::route::Route;
use crate::waiting::Waiting;

/// Where dynamic metadata goes: access logs and rules that read what ext_authz leaves there go on as
/// they are.
const METADATA_NAMESPACE: &str = "envoy.filters.http.ext_authz";
/// What access logs have for a denial, as for one of ext_authz.
const DENIED: &str = "ext_authz_denied";
/// What they have for a document.
const DOCUMENT: &str = "doorward_document";

/// What Envoy is to do after the headers of a request, by its own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadersStatus {
    /// Goes on.
    Continue = 0,
    /// Has been answered.
    StopIteration = 1,
    /// Holds the request up, and its client too when it sends much.
    StopAllIterationAndWatermark = 4,
}

/// What is known of one stream from one hook to the next.
#[derive(Default)]
pub struct Stream {
    waiting: RefCell<Option<Waiting>>,
}

/// Names to remove, out of Envoy's own bytes: the first change takes those away. Nearly always there
/// are none.
type Names = Vec<Box<[u8]>>;

/// What a decision comes to, with nothing borrowed from the request any more.
enum Verdict<'s> {
    Allow { approval: &'s Approval, remove: Names },
    Deny { answer: Cow<'s, DenialAnswer>, is_grpc: bool },
}

impl Stream {
    /// Decides a request by its headers.
    pub fn request_headers(
        &self,
        configuration: &Configuration,
        envoy: &mut EnvoyStream<'_>,
    ) -> HeadersStatus {
        let Some(embedded) = configuration.embedded() else {
            deny_broken(envoy);
            return HeadersStatus::StopIteration;
        };
        let service = embedded.service();
        let request = Request::new(envoy.request_headers());
        let view = request.view(route(envoy));
        let decision = if embedded.serves(view.path) { None } else { service.decide_now(&view) };
        let Some(decision) = decision else {
            let kept = KeptRequest::new(&view);
            self.wait(embedded, kept, envoy);
            return HeadersStatus::StopAllIterationAndWatermark;
        };
        let verdict = verdict(service, &decision, &request);
        drop(request);
        carry_out(embedded, &decision, verdict, envoy)
    }

    fn wait(&self, embedded: &Embedded, request: KeptRequest, envoy: &EnvoyStream<'_>) {
        let waiting = Waiting::new(embedded, request, envoy.scheduler());
        *self.waiting.borrow_mut() = Some(waiting);
    }

    /// Goes on with a request that was held up.
    pub fn scheduled(&self, configuration: &Configuration, envoy: &mut EnvoyStream<'_>) {
        let waiting = self.waiting.borrow_mut().take();
        let Some(later) = waiting.and_then(|waiting| waiting.take()) else { return };
        let Some(embedded) = configuration.embedded() else { return };
        match later {
            Later::Document(document) => respond_with(&document, envoy),
            Later::Decided(decision) => {
                // The headers as they are now: filters in front may have come to them meanwhile.
                let request = Request::new(envoy.request_headers());
                let verdict = verdict(embedded.service(), &decision, &request);
                drop(request);
                if carry_out(embedded, &decision, verdict, envoy) == HeadersStatus::Continue {
                    envoy.resume();
                }
            }
        }
    }

    /// The stream has ended: what it waits for, nobody wants any more.
    pub fn ended(&self) {
        drop(self.waiting.borrow_mut().take());
    }
}

/// What the route says. One that says it to another module is denied: it may have asked for more.
fn route<'e>(envoy: &'e EnvoyStream<'_>) -> RouteView<'e> {
    static TOLD: Once = Once::new();
    match envoy.route() {
        Ok(route) => route.map_or_else(RouteView::default, Route::view),
        Err(ForeignRoute) => {
            TOLD.call_once(|| {
                tracing::error!(
                    "a route has a per-route configuration for another module under the name of this \
                     filter: its requests are denied"
                );
            });
            RouteView { unknown: Some(b"per-route configuration"), ..RouteView::default() }
        }
    }
}

fn verdict<'s>(
    service: &'s CheckService,
    decision: &'s Decision,
    request: &Request<'_>,
) -> Verdict<'s> {
    match decision {
        Decision::Allow(approval) => {
            let changes = service.authorizer().header_changes(approval, request.headers());
            Verdict::Allow { approval, remove: changes.present().map(Box::from).collect() }
        }
        Decision::Deny(denial) => {
            let answer = service.denial_answer(denial, request.authority(), request.path());
            Verdict::Deny { answer, is_grpc: request.is_grpc() }
        }
    }
}

fn carry_out(
    embedded: &Embedded,
    decision: &Decision,
    verdict: Verdict<'_>,
    envoy: &mut EnvoyStream<'_>,
) -> HeadersStatus {
    if embedded.leaves_metadata() {
        let mut metadata = Metadata { texts: SmallVec::new(), envoy };
        embedded.service().describe(decision, &mut metadata);
        metadata.set();
    }
    match verdict {
        Verdict::Allow { approval, remove } => {
            remove.iter().for_each(|name| envoy.remove_request_header(name));
            let changes = embedded.service().authorizer().header_changes(approval, &[]);
            for (name, value) in changes.set() {
                envoy.add_request_header(name, value);
            }
            HeadersStatus::Continue
        }
        Verdict::Deny { answer, is_grpc } => {
            let mut headers: SmallVec<[(&str, &str); 8]> =
                answer.headers.iter().map(|(name, value)| (&**name, value.as_str())).collect();
            if is_grpc {
                headers.push(("grpc-status", grpc_status(answer.status.as_u16())));
            }
            envoy.respond(answer.status.as_u16(), &headers, answer.body.as_bytes(), DENIED);
            HeadersStatus::StopIteration
        }
    }
}

/// What Envoy's ext_authz tells a gRPC client of an HTTP status. A module has to say so itself: it
/// is 0, which is success, otherwise.
fn grpc_status(http: u16) -> &'static str {
    match http {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    }
}

/// Denies a request that nothing more is known of.
pub fn deny_broken(envoy: &mut EnvoyStream<'_>) {
    envoy.respond(503, &[("cache-control", "no-store")], b"", DENIED);
}

fn respond_with(document: &Response<Bytes>, envoy: &mut EnvoyStream<'_>) {
    let header = |(name, value): (&'_ http::HeaderName, &'_ http::HeaderValue)| {
        let value = value.to_str().ok()?.to_owned();
        Some((name.as_str().to_owned(), value))
    };
    let headers: Vec<(String, String)> = document.headers().iter().filter_map(header).collect();
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    envoy.respond(document.status().as_u16(), &headers, document.body(), DOCUMENT);
}

/// Dynamic metadata on its way to Envoy: texts together, lists item by item. Envoy
/// has a call for all of it as one message, which costs it half as much again.
struct Metadata<'m, 'e, 'h> {
    texts: SmallVec<[(&'static str, &'m str); 12]>,
    envoy: &'e mut EnvoyStream<'h>,
}

impl Metadata<'_, '_, '_> {
    fn set(self) {
        self.envoy.set_metadata(METADATA_NAMESPACE, &self.texts);
    }
}

impl<'m> Members<'m> for Metadata<'m, '_, '_> {
    fn text(&mut self, name: &'static str, text: &'m str) {
        self.texts.push((name, text));
    }

    fn list(&mut self, name: &'static str, items: impl Iterator<Item = &'m str> + Clone) {
        if items.clone().next().is_none() {
            self.envoy.set_metadata_struct(METADATA_NAMESPACE, &CheckService::empty_list(name));
        }
        items.for_each(|item| self.envoy.add_to_metadata_list(METADATA_NAMESPACE, name, item));
    }

    fn encoded(&mut self, members: &[u8]) {
        if !members.is_empty() {
            self.envoy.set_metadata_struct(METADATA_NAMESPACE, members);
        }
    }
}
