//! What a gateway asks that Doorward runs inside of: the same decisions, answers and documents as
//! those of the other fronts, as values instead of messages.

use std::borrow::Cow;

use ::http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use bytes::Bytes;
use doorward_core::VerifiedIdentity;
use doorward_core::authorizer::Outcome;
use doorward_core::decision::{Decision, Denial};
use doorward_core::issuers::IssuerId;
use doorward_core::request::{HeaderView, RequestView, RouteView};

use super::check_service::CheckService;
use super::denial::DenialAnswer;
use super::fields::put_list_member;
use super::http;
use super::members::{self, Members};

/// A request that outlives the gateway's own bytes of it, while somebody is asked about its token.
#[derive(Debug)]
pub struct KeptRequest {
    method: Bytes,
    path: Bytes,
    authority: Bytes,
    headers: Vec<(Bytes, Bytes)>,
    route: [Option<Bytes>; 4],
}

impl KeptRequest {
    /// A copy.
    #[must_use]
    pub fn new(request: &RequestView<'_>) -> Self {
        let RequestView { method, path, authority, headers, route } = *request;
        let RouteView { mode, scopes, audience, unknown } = route;
        let copy = Bytes::copy_from_slice;
        Self {
            method: copy(method),
            path: copy(path),
            authority: copy(authority),
            headers: headers.iter().map(|one| (copy(one.name), copy(one.value))).collect(),
            route: [mode, scopes, audience, unknown].map(|text| text.map(copy)),
        }
    }

    /// Its path, query included.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Hands it to `look`, as it was.
    async fn with_view<T>(&self, look: impl AsyncFnOnce(&RequestView<'_>) -> T) -> T {
        let headers = self.headers.iter().map(|(name, value)| HeaderView { name, value });
        let headers: Vec<_> = headers.collect();
        let [mode, scopes, audience, unknown] = self.route.each_ref().map(Option::as_deref);
        let route = RouteView { mode, scopes, audience, unknown };
        let (method, path, authority) = (&*self.method, &*self.path, &*self.authority);
        look(&RequestView { method, path, authority, headers: &headers, route }).await
    }

    /// The same as an HTTP library has it, headers left out that it does not take; `None` where
    /// method or path are none to it.
    fn to_http(&self) -> Option<Request<()>> {
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(&self.method).ok()?;
        *request.uri_mut() = Uri::try_from(&*self.path).ok()?;
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        let host = HeaderValue::from_bytes(&self.authority).ok()?;
        headers.insert(::http::header::HOST, host);
        Some(request)
    }
}

impl CheckService {
    /// Decides a request with what is at hand, and takes note of it; `None`: somebody has to be
    /// asked, as [`decide_kept`](Self::decide_kept) does.
    #[must_use]
    pub fn decide_now(&self, request: &RequestView<'_>) -> Option<Decision> {
        match self.authorizer().decide(request, self.now()) {
            Outcome::Decided(decision) => {
                self.take_untimed_note(request, &decision);
                Some(decision)
            }
            Outcome::Needs(_) => None,
        }
    }

    /// Decides a request and takes note of it, waiting where somebody has to be asked: at most for
    /// `keys.wait` each time.
    pub async fn decide_kept(&self, request: &KeptRequest) -> Decision {
        request.with_view(async |view| self.decide(view, None).await).await
    }

    /// What the client is told when it is denied.
    #[must_use]
    pub fn denial_answer(
        &self,
        denial: &Denial,
        authority: &[u8],
        path: &[u8],
    ) -> Cow<'_, DenialAnswer> {
        self.pages().told(denial, self.pages().resource(authority, path))
    }

    /// What the gateway is told of a decision: the members of dynamic metadata.
    pub fn describe<'m>(&'m self, decision: &'m Decision, members: &mut impl Members<'m>) {
        let issuer = |id: IssuerId, members: &mut _| {
            if let Some(issuer) = self.authorizer().issuers().get(id) {
                members::issuer(issuer.name(), members);
            }
        };
        match decision {
            Decision::Allow(approval) => {
                members::outcome("allow", approval.code(), members);
                if let Some(verified) = approval.identity() {
                    // Its name is part of the identity where an issuer stands for many.
                    if verified.tenant_issuer().is_none() {
                        issuer(VerifiedIdentity::issuer(verified), members);
                    }
                    members::identity(verified, members);
                }
                members.encoded(&members::said(approval.said()));
            }
            Decision::Deny(denial) => {
                members::outcome("deny", denial.reason().code(), members);
                if let Some(id) = denial.issuer {
                    issuer(id, members);
                }
                members.encoded(&members::said(denial.said.as_deref()));
            }
        }
    }

    /// A member that is an empty list, encoded as a `google.protobuf.Struct` of its own.
    #[must_use]
    pub fn empty_list(name: &str) -> Vec<u8> {
        let mut encoded = Vec::new();
        put_list_member(name, std::iter::empty(), &mut encoded);
        encoded
    }

    /// Whether [`document`](Self::document) answers requests with this path.
    #[must_use]
    pub fn is_document(path: &[u8]) -> bool {
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        str::from_utf8(path).is_ok_and(http::is_document)
    }

    /// The answer to a request for a document, as the HTTP port gives it.
    pub async fn document(&self, request: &KeptRequest) -> Response<Bytes> {
        match request.to_http() {
            Some(request) => http::document(self, &request).await,
            None => http::not_found(),
        }
    }
}
