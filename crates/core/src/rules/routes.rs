//! A route's settings by host, path and method (`rules.routes`), for gateways that cannot send any
//! with a request.
//!
//! The first route that is about a request counts, as in Envoy's own table. A request may be read in
//! several ways: its path as [`each_split`] has it, its host where it names none. What opens needs
//! a route for the request exactly as it stands; what restricts holds in every reading.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use smallvec::SmallVec;

use super::method::Method;
use super::path::{Readings, ambiguous, each_split, readable};
use super::pattern::{PathPattern, PathPatternError, Segment};
use super::requirement::TokenRequirement;
use crate::request::RequestView;

/// What the configuration says of one route.
#[derive(Clone, Debug)]
pub struct ConfiguredRoute {
    /// What the configuration calls it.
    pub name: Box<str>,
    /// The hosts that it is about; empty for any.
    pub hosts: Vec<Host>,
    /// The paths that it is about.
    pub path: RoutePath,
    /// The methods that it is about; empty for any.
    pub methods: Vec<Method>,
    /// Whether a token is needed, if the route says so.
    pub requirement: Option<TokenRequirement>,
    /// The scopes of which a token needs one, separated by spaces.
    pub scopes: Option<Box<str>>,
    /// The audiences of which a token needs one, separated by spaces.
    pub audience: Option<Box<str>>,
    /// Nobody may come here, whatever Envoy's own route says.
    pub closed: bool,
}

/// The routes of the configuration, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes(pub(super) Vec<ConfiguredRoute>);

/// The routes that are about one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Found<'a> {
    /// The one for the request exactly as it stands: it alone can open anything.
    pub(super) exact: Option<&'a ConfiguredRoute>,
    /// Those for any reading of it, that one included: what they restrict holds.
    pub(super) all: SmallVec<[&'a ConfiguredRoute; 2]>,
    /// Whether the path can be read at all: else all that may be about it are here.
    pub(super) readable: bool,
}

impl<'a> Found<'a> {
    /// Those for other readings alone.
    pub(super) fn others(&self) -> impl Iterator<Item = &'a ConfiguredRoute> {
        let exact = self.exact;
        let is_exact = move |it: &ConfiguredRoute| exact.is_some_and(|own| std::ptr::eq(own, it));
        self.all.iter().copied().filter(move |it| !is_exact(it))
    }
}

impl Routes {
    /// The routes for a request whose path has these readings.
    pub(super) fn find(&self, request: &RequestView<'_>, readings: &Readings<'_>) -> Found<'_> {
        let mut found = Found { readable: true, ..Found::default() };
        if self.0.is_empty() {
            return found;
        }
        let host = HostName::of(request.authority);
        found.exact = self.exact(request, host);
        found.all.extend(found.exact);
        for path in readings.each() {
            let path = str::from_utf8(path).ok().and_then(readable);
            found.readable &= path.is_some();
            match path {
                Some(path) => each_split(&path, |segments| {
                    self.collect(request, host, Some(segments), &mut found.all);
                }),
                None => self.collect(request, host, None, &mut found.all),
            }
        }
        found
    }

    fn exact(
        &self,
        request: &RequestView<'_>,
        host: Option<HostName<'_>>,
    ) -> Option<&ConfiguredRoute> {
        let path = str::from_utf8(request.path_without_query()).ok().filter(|it| !ambiguous(it))?;
        let segments: SmallVec<[_; 16]> = path.split('/').skip(1).collect();
        self.0.iter().find(|route| {
            route.fit_host(host) == Fit::Exact
                && route.fit_method(request) == Fit::Exact
                && route.path.fit(&segments) == Fit::Exact
        })
    }

    /// Adds the routes that may be the first for these segments; without any, for whatever path.
    fn collect<'a>(
        &'a self,
        request: &RequestView<'_>,
        host: Option<HostName<'_>>,
        segments: Option<&[&str]>,
        all: &mut SmallVec<[&'a ConfiguredRoute; 2]>,
    ) {
        let mut is_settled = false;
        // What is closed is closed, wherever it stands: no route in front of it opens it.
        for route in &self.0 {
            if is_settled && !route.closed {
                continue;
            }
            let of_path = segments.map_or(Fit::Perhaps, |segments| route.path.fit(segments));
            let fit = of_path.min(route.fit_host(host)).min(route.fit_method(request));
            if fit != Fit::No && !all.iter().any(|known| std::ptr::eq(*known, route)) {
                all.push(route);
            }
            is_settled |= fit == Fit::Exact;
        }
    }
}

/// Whether a route is about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    /// To some who read it.
    Perhaps,
    Exact,
}

impl ConfiguredRoute {
    fn fit_host(&self, host: Option<HostName<'_>>) -> Fit {
        match host {
            _ if self.hosts.is_empty() => Fit::Exact,
            None => Fit::Perhaps,
            Some(host) if self.hosts.iter().any(|own| host.is(own)) => Fit::Exact,
            Some(_) => Fit::No,
        }
    }

    fn fit_method(&self, request: &RequestView<'_>) -> Fit {
        let has = |name: &[u8]| self.methods.iter().any(|method| method.covers(name));
        if self.methods.is_empty() {
            Fit::Exact
        } else if has(request.method) {
            let is_as_sent = request.method.iter().all(u8::is_ascii_uppercase);
            if is_as_sent { Fit::Exact } else { Fit::Perhaps }
        } else if self.closed && request.preflight_of().any(has) {
            // No leave is given for what is closed.
            Fit::Perhaps
        } else {
            Fit::No
        }
    }
}

/// Which paths a route is about: one (`/health`), any in its place (`/models/{name}`), or all below
/// one (`/public/*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePath {
    pattern: PathPattern,
    end: End,
}

/// How a path of a route ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Name,
    Slash,
    /// Anything may follow.
    Below,
}

impl RoutePath {
    fn fit(&self, segments: &[&str]) -> Fit {
        let (names, has_slash) = match segments.split_last() {
            Some((&"", names)) => (names, true),
            Some(_) | None => (segments, false),
        };
        let own = &self.pattern.segments;
        if names.len() < own.len() || !own.iter().zip(names).all(|(own, name)| own.matches(name)) {
            return Fit::No;
        }
        let longer = names.len() > own.len();
        match self.end {
            // Below `/a/*` is not `/a`; some servers have one page for both.
            End::Below if longer || has_slash => Fit::Exact,
            End::Below => Fit::Perhaps,
            End::Name | End::Slash if self.pattern.open => {
                if longer {
                    Fit::Exact
                } else {
                    Fit::No
                }
            }
            End::Name | End::Slash if longer => Fit::No,
            end if (end == End::Slash) == has_slash => Fit::Exact,
            End::Name | End::Slash => Fit::Perhaps,
        }
    }
}

impl Segment {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *name,
            Self::Placeholder => !name.is_empty(),
        }
    }
}

impl FromStr for RoutePath {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, end) = match text.strip_suffix("/*") {
            Some("") => ("/", End::Below),
            Some(above) => (above, End::Below),
            None if text.ends_with('/') => (text, End::Slash),
            None => (text, End::Name),
        };
        Ok(Self { pattern: path.parse()?, end })
    }
}

/// A host, without port: a name, or an IP address (of IPv6 with or without its brackets).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, or an IPv4 address.
    Name(Box<str>),
    /// An IPv6 address, which can be written in several ways.
    Address(Ipv6Addr),
}

impl FromStr for Host {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        match HostName::of(text.as_bytes()) {
            Some(HostName::Name(name)) if name.len() == text.len() => Ok(Self::Name(name.into())),
            Some(HostName::Address(address)) if text.ends_with(']') => Ok(Self::Address(address)),
            Some(_) | None => Err(NotAHost),
        }
    }
}

/// A text that is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a host: write its name or IP address, without port, scheme and wildcards")]
pub struct NotAHost;

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "[{address}]"),
        }
    }
}

/// The host that a request names.
#[derive(Clone, Copy, Debug)]
enum HostName<'a> {
    Name(&'a str),
    Address(Ipv6Addr),
}

impl<'a> HostName<'a> {
    /// `None` where none is named, or not in the usual way: who reads `a.example.` or `u@a.example`
    /// may take it for `a.example`.
    fn of(authority: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(authority).ok()?;
        let (host, port) = match text.find(']') {
            Some(end) if text.starts_with('[') => text.split_at_checked(end + 1)?,
            Some(_) | None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let is_port = port.is_empty()
            || port.strip_prefix(':').is_some_and(|port| {
                !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            });
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse().ok().filter(|_| is_port).map(Self::Address);
        }
        let is_label = |label: &str| {
            let of_label = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !label.is_empty() && label.bytes().all(of_label)
        };
        (is_port && host.split('.').all(is_label)).then_some(Self::Name(host))
    }

    fn is(self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(own), Host::Name(name)) => own.eq_ignore_ascii_case(name),
            (Self::Address(own), Host::Address(address)) => own == *address,
            (Self::Name(_), Host::Address(_)) | (Self::Address(_), Host::Name(_)) => false,
        }
    }
}
