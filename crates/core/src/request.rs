//! A request as the authorizer sees it, borrowed from whatever front received it.

use std::fmt;

/// The request that Envoy asks about.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method, such as `GET`.
    pub method: &'a [u8],
    /// The path as the client sent it: query included, not decoded.
    pub path: &'a [u8],
    /// The host that the client names, port included, as it sent it: `:authority` or `Host`. Empty
    /// when that is not known.
    pub authority: &'a [u8],
    /// The client's headers, in any order; a name may come more than once.
    pub headers: &'a [HeaderView<'a>],
    /// What Envoy's own route configuration says of this route.
    pub route: RouteView<'a>,
}

/// One header of a request, borrowed from the message that brought it.
#[derive(Clone, Copy)]
pub struct HeaderView<'a> {
    /// In any case; Envoy sends lower case.
    pub name: &'a [u8],
    /// The bytes as received: they need not be UTF-8.
    pub value: &'a [u8],
}

/// What the route asks for, from Envoy's `context_extensions`: never from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteView<'a> {
    /// `doorward.mode`.
    pub mode: Option<&'a [u8]>,
    /// `doorward.scopes`.
    pub scopes: Option<&'a [u8]>,
    /// `doorward.audience`.
    pub audience: Option<&'a [u8]>,
    /// A key that starts with `doorward.` and is none of these.
    pub unknown: Option<&'a [u8]>,
}

impl<'a> RequestView<'a> {
    /// Checks that this is a request at all.
    ///
    /// # Errors
    /// No method, or a path that does not start with `/`: empty, `*`, or in absolute
    /// form. Rules and upstreams would read such a path differently.
    pub fn check_form(&self) -> Result<(), RequestFault> {
        if self.method.is_empty() {
            return Err(RequestFault::NoMethod);
        }
        match self.path.first() {
            Some(b'/') => Ok(()),
            Some(_) => Err(RequestFault::NotAPath),
            None => Err(RequestFault::NoPath),
        }
    }

    /// The path without its query.
    #[must_use]
    pub fn path_without_query(&self) -> &'a [u8] {
        self.path.split(|byte| *byte == b'?').next().unwrap_or_default()
    }

    /// The methods that a browser asks leave for, when this is a CORS preflight. It asks for one:
    /// of more, in one header or several, nobody knows which the upstream reads.
    pub fn preflight_of(&self) -> impl Iterator<Item = &'a [u8]> {
        let is_options = self.method.eq_ignore_ascii_case(b"OPTIONS");
        let headers = is_options.then(|| self.header_values("access-control-request-method"));
        let listed = |value: &'a [u8]| value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        headers.into_iter().flatten().flat_map(listed)
    }

    /// Whether a browser asks for leave on behalf of a page from elsewhere (Fetch, §4.8: CORS
    /// preflight). It never sends a token with that. It names one origin (RFC 6454 §7), and one
    /// method, which is a token (RFC 9110 §9.1).
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        let mut origins = self.header_values("origin");
        let origin = origins.next().is_some_and(is_one_origin);
        let mut methods = self.preflight_of();
        let method = methods.next().is_some_and(is_token);
        origin && origins.next().is_none() && method && methods.next().is_none()
    }

    /// The values of the header `name` (lower case), in their order.
    pub fn header_values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|header| header.value)
    }
}

/// Whether this is one value of `Origin`, and no list of them: visible characters, of which none
/// separates values.
fn is_one_origin(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',')
}

/// Whether this is a `token` (RFC 9110 §5.6.2).
fn is_token(value: &[u8]) -> bool {
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !value.is_empty() && value.iter().all(of_token)
}

impl<'a> RouteView<'a> {
    /// Takes note of one entry of `context_extensions`; those of others are ignored.
    pub fn note(&mut self, key: &'a [u8], value: &'a [u8]) {
        let Some(name) = key.strip_prefix(b"doorward.") else { return };
        match name {
            b"mode" => self.mode = Some(value),
            b"scopes" => self.scopes = Some(value),
            b"audience" => self.audience = Some(value),
            _ => self.unknown = Some(key),
        }
    }
}

impl fmt::Debug for HeaderView<'_> {
    /// The name alone: values hold tokens and cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(self.name))
    }
}

/// Why something is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The method is empty.
    #[error("the request has no method")]
    NoMethod,
    /// The path is empty.
    #[error("the request has no path")]
    NoPath,
    /// The path does not start with `/`.
    #[error("the path does not start with `/`")]
    NotAPath,
    /// What is to be set and removed would make an answer that gateways do not take.
    #[error(
        "the headers to set, and the trusted ones that the client sent, are more than an answer can \
         carry (56 KiB)"
    )]
    TooMuchToChange,
    /// It has an on-behalf-of header of its own where ours is to be set, and its gateway may keep it.
    #[error(
        "the request has an on-behalf-of header of its own: over HTTP a gateway keeps it unless \
         `allowed_upstream_headers` lets Doorward's through"
    )]
    BehalfSent,
    /// What describes it did not come whole, or is too long.
    #[error("the message that describes the request is incomplete or too long")]
    Unreadable,
}
