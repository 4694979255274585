//! What Envoy shows of a request, as the core takes it; and requests of our own, as Envoy takes them.

use doorward::discovery::{Answer, Call};
use doorward_core::request::{HeaderView, RequestView, RouteView};

use crate::abi::Headers;

/// A request, borrowed from Envoy.
pub struct Request<'h> {
    headers: Headers<'h>,
    method: &'h [u8],
    path: &'h [u8],
    authority: &'h [u8],
    is_grpc: bool,
}

impl<'h> Request<'h> {
    /// Finds what has a place of its own among the headers.
    #[must_use]
    pub fn new(headers: Headers<'h>) -> Self {
        let (mut method, mut path, mut authority, mut is_grpc) =
            (&b""[..], &b""[..], &b""[..], false);
        for HeaderView { name, value } in &headers {
            match *name {
                b":method" => method = value,
                b":path" => path = value,
                b":authority" => authority = value,
                b"content-type" => is_grpc = is_grpc_type(value),
                _ => {}
            }
        }
        Self { headers, method, path, authority, is_grpc }
    }

    /// The request as the core takes it, on a route that says this.
    #[must_use]
    pub fn view<'r>(&'r self, route: RouteView<'r>) -> RequestView<'r> {
        let Self { headers, method, path, authority, .. } = self;
        RequestView { method, path, authority, headers, route }
    }

    /// All headers, `:path` and its like among them.
    #[must_use]
    pub fn headers(&self) -> &[HeaderView<'h>] {
        &self.headers
    }

    /// Its path, query included.
    #[must_use]
    pub fn path(&self) -> &'h [u8] {
        self.path
    }

    /// The host that it names.
    #[must_use]
    pub fn authority(&self) -> &'h [u8] {
        self.authority
    }

    /// Whether its client speaks gRPC, as Envoy takes it: such a client is told the status of a
    /// denial by gRPC's own header.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.is_grpc
    }
}

/// `application/grpc`, alone or with what it carries behind a `+`.
fn is_grpc_type(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// The headers of a request to be sent through a cluster.
#[must_use]
pub fn headers_of(call: &Call) -> Vec<(&str, &str)> {
    let (path, origin) = (url::Position::BeforePath, url::Position::BeforeHost);
    let front = [
        (":method", "GET"),
        (":scheme", call.url.scheme()),
        (":path", &call.url[path..url::Position::AfterQuery]),
        ("host", &call.url[origin..url::Position::AfterPort]),
    ];
    let more = call.headers.iter();
    let more = more.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    front.into_iter().chain(more).collect()
}

/// An answer out of its headers, `:status` among them, and its body; `None`: it has no status.
#[must_use]
pub fn answer_of(headers: &[HeaderView<'_>], body: Vec<u8>) -> Option<Answer> {
    let mut answer = Answer::new(body.into());
    let mut status = None;
    for HeaderView { name, value } in headers {
        if *name == b":status" {
            status = http::StatusCode::from_bytes(value).ok();
        } else if let (Ok(name), Ok(value)) =
            (http::HeaderName::from_bytes(name), http::HeaderValue::from_bytes(value))
        {
            answer.headers_mut().append(name, value);
        }
    }
    *answer.status_mut() = status?;
    Some(answer)
}
