//! A gRPC client of `Check`, with Envoy's full messages.

use std::collections::BTreeMap;
use std::time::Duration;

use doorward_core::request::{HeaderView, RequestView, RouteView};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use envoy_types::pb::google::protobuf::value::Kind;
use tonic::transport::Channel;

/// What a reply to `Check` comes down to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// HTTP status of a denial; 200 for an allow.
    pub status: i32,
    /// From dynamic metadata: a reason code, or the basis of a grant.
    pub reason: String,
    /// Headers set upstream, or of the denial.
    pub headers: BTreeMap<String, String>,
    /// Names of headers removed upstream.
    pub removed: Vec<String>,
    /// Body of a denial.
    pub body: String,
    /// Dynamic metadata, texts alone.
    pub metadata: BTreeMap<String, String>,
}

impl Outcome {
    pub fn of(reply: &CheckResponse) -> Self {
        let metadata: BTreeMap<String, String> = reply
            .dynamic_metadata
            .iter()
            .flat_map(|metadata| &metadata.fields)
            .filter_map(|(name, value)| match value.kind.as_ref()? {
                Kind::StringValue(text) => Some((name.clone(), text.clone())),
                _ => None,
            })
            .collect();
        let code = reply.status.as_ref().unwrap().code;
        let (status, set, removed, body) = match reply.http_response.as_ref().unwrap() {
            HttpResponse::OkResponse(ok) => {
                assert_eq!(code, 0, "an ok_response without status OK denies");
                (200, &ok.headers, ok.headers_to_remove.clone(), String::new())
            }
            HttpResponse::DeniedResponse(denied) => {
                assert_ne!(code, 0, "a denied_response with status OK allows");
                let status = denied.status.as_ref().unwrap().code;
                (status, &denied.headers, Vec::new(), denied.body.clone())
            }
            HttpResponse::ErrorResponse(_) => panic!("an error instead of a decision"),
        };
        let headers: BTreeMap<_, _> = set
            .iter()
            .map(|option| {
                #[allow(deprecated)]
                let append = option.append.as_ref().map(|append| append.value);
                assert_eq!((append, option.append_action), (Some(false), 2), "must overwrite");
                let header = option.header.clone().unwrap();
                (header.key, header.value)
            })
            .collect();
        for name in &removed {
            assert!(!headers.contains_key(&name.to_lowercase()), "{name} is set and removed");
        }
        let reason = metadata.get("reason").cloned().unwrap_or_default();
        Self { status, reason, headers, removed, body, metadata }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A request as Envoy describes it; `GET /` with nothing to begin with.
#[derive(Clone, Debug)]
pub struct Ask {
    http: HttpRequest,
    route: std::collections::HashMap<String, String>,
}

pub fn get(path: &str) -> Ask {
    Ask {
        http: HttpRequest { method: "GET".into(), path: path.into(), ..HttpRequest::default() },
        route: std::collections::HashMap::new(),
    }
}

impl Ask {
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.http.headers.insert(name.into(), value.into());
        self
    }

    /// In `header_map`, as with `encode_raw_headers`.
    pub fn raw_header(mut self, name: &str, value: &[u8]) -> Self {
        use envoy_types::pb::envoy::config::core::v3::HeaderValue;
        let header =
            HeaderValue { key: name.into(), raw_value: value.into(), ..HeaderValue::default() };
        self.http.header_map.get_or_insert_default().headers.push(header);
        self
    }

    /// `:authority`.
    pub fn host(mut self, host: &str) -> Self {
        self.http.host = host.into();
        self
    }

    pub fn route(mut self, key: &str, value: &str) -> Self {
        self.route.insert(key.into(), value.into());
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.http.method = method.into();
        self
    }

    /// The same for the library.
    pub fn view<T>(&self, use_it: impl FnOnce(&RequestView<'_>) -> T) -> T {
        let mapped = self.http.header_map.iter().flat_map(|map| &map.headers);
        let headers: Vec<_> =
            self.http
                .headers
                .iter()
                .map(|(name, value)| HeaderView { name: name.as_bytes(), value: value.as_bytes() })
                .chain(mapped.map(|header| HeaderView {
                    name: header.key.as_bytes(),
                    value: &header.raw_value,
                }))
                .collect();
        let mut route = RouteView::default();
        for (key, value) in &self.route {
            route.note(key.as_bytes(), value.as_bytes());
        }
        let HttpRequest { method, path, host, .. } = &self.http;
        let (method, path, authority) = (method.as_bytes(), path.as_bytes(), host.as_bytes());
        use_it(&RequestView { method, path, authority, headers: &headers, route })
    }

    pub fn message(self) -> CheckRequest {
        let request = Request { http: Some(self.http), ..Request::default() };
        let attributes = AttributeContext {
            request: Some(request),
            context_extensions: self.route,
            ..AttributeContext::default()
        };
        CheckRequest { attributes: Some(attributes) }
    }
}

/// Calls `Check` the way Envoy does.
#[derive(Clone)]
pub struct Checker(AuthorizationClient<Channel>);

impl Checker {
    pub async fn connect(address: &str) -> Self {
        Self(AuthorizationClient::connect(format!("http://{address}")).await.unwrap())
    }

    pub fn over(channel: Channel) -> Self {
        Self(AuthorizationClient::new(channel))
    }

    pub async fn ask(&mut self, ask: Ask) -> Outcome {
        self.send(ask.message()).await
    }

    /// The same with a deadline, as Envoy sends it.
    pub async fn ask_within(&mut self, timeout: Duration, ask: Ask) -> Outcome {
        let mut request = tonic::Request::new(ask.message());
        request.set_timeout(timeout);
        let reply = self.0.check(request).await.expect("Check answers in time, never fails");
        Outcome::of(reply.get_ref())
    }

    /// `None`: there is nobody to ask any more.
    pub async fn try_ask(&mut self, ask: Ask) -> Option<Outcome> {
        let reply = self.0.check(ask.message()).await.ok()?;
        Some(Outcome::of(reply.get_ref()))
    }

    pub async fn send(&mut self, message: CheckRequest) -> Outcome {
        let reply = self.0.check(message).await.expect("Check answers, never fails");
        Outcome::of(reply.get_ref())
    }
}
