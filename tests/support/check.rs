//! A gRPC client of `Check`, with Envoy's full messages.

use std::collections::BTreeMap;
use std::time::Duration;

use doorward_core::request::{HeaderView, RequestView, RouteView};
use doorward_envoy_host::Request;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use envoy_types::pb::google::protobuf::Value;
use envoy_types::pb::google::protobuf::value::Kind;
use tonic::transport::Channel;

use super::module::{self, Module};

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
    /// The lists in dynamic metadata.
    pub lists: BTreeMap<String, Vec<String>>,
}

impl Outcome {
    pub fn of(reply: &CheckResponse) -> Self {
        let (mut metadata, mut lists) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in reply.dynamic_metadata.iter().flat_map(|metadata| &metadata.fields) {
            if let Some(Kind::ListValue(list)) = &value.kind {
                lists.insert(name.clone(), list.values.iter().map(text).collect());
            } else {
                metadata.insert(name.clone(), text(value));
            }
        }
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
        Self { status, reason, headers, removed, body, metadata, lists }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Members of dynamic metadata are texts, and lists of texts.
fn text(value: &Value) -> String {
    match &value.kind {
        Some(Kind::StringValue(text)) => text.clone(),
        other => panic!("{other:?} is no text"),
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

    /// The same for a filter inside Envoy, and what its route is configured with.
    pub fn inside(&self) -> (Request, Option<String>) {
        let request =
            self.inside_headers().into_iter().fold(Request::default(), |request, header| {
                request.header(header.0.as_bytes(), &header.1)
            });
        (request, module::route(&self.route))
    }

    /// The headers that a filter inside Envoy sees, pseudo headers included, in lower case.
    pub fn inside_headers(&self) -> Vec<(String, Vec<u8>)> {
        let HttpRequest { method, path, host, .. } = &self.http;
        let pseudo = [(":method", method), (":authority", host), (":path", path)];
        self.view(|request| {
            let sent = request.headers.iter().map(|header| {
                let name = String::from_utf8(header.name.to_ascii_lowercase()).unwrap();
                (name, header.value.to_vec())
            });
            let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.clone().into_bytes()));
            pseudo.into_iter().chain(sent).collect()
        })
    }

    pub fn message(self) -> CheckRequest {
        let request = attribute_context::Request { http: Some(self.http), ..Default::default() };
        let attributes = AttributeContext {
            request: Some(request),
            context_extensions: self.route,
            ..AttributeContext::default()
        };
        CheckRequest { attributes: Some(attributes) }
    }
}

/// Asks for decisions the way Envoy does.
#[derive(Clone)]
pub enum Checker {
    /// By `Check`.
    Grpc(AuthorizationClient<Channel>),
    /// The module inside it.
    Module(Module),
}

impl Checker {
    pub async fn connect(address: &str) -> Self {
        Self::Grpc(AuthorizationClient::connect(format!("http://{address}")).await.unwrap())
    }

    pub fn over(channel: Channel) -> Self {
        Self::Grpc(AuthorizationClient::new(channel))
    }

    pub async fn ask(&mut self, ask: Ask) -> Outcome {
        match self {
            Self::Grpc(_) => self.send(ask.message()).await,
            Self::Module(module) => module.ask(ask).await,
        }
    }

    /// The same with a deadline, as Envoy sends it; there is none inside Envoy.
    pub async fn ask_within(&mut self, timeout: Duration, ask: Ask) -> Outcome {
        let client = match self {
            Self::Grpc(client) => client,
            Self::Module(module) => return module.ask(ask).await,
        };
        let mut request = tonic::Request::new(ask.message());
        request.set_timeout(timeout);
        let reply = client.check(request).await.expect("Check answers in time, never fails");
        Outcome::of(reply.get_ref())
    }

    /// `None`: there is nobody to ask any more.
    pub async fn try_ask(&mut self, ask: Ask) -> Option<Outcome> {
        let reply = self.client().check(ask.message()).await.ok()?;
        Some(Outcome::of(reply.get_ref()))
    }

    pub async fn send(&mut self, message: CheckRequest) -> Outcome {
        let reply = self.client().check(message).await.expect("Check answers, never fails");
        Outcome::of(reply.get_ref())
    }

    fn client(&mut self) -> &mut AuthorizationClient<Channel> {
        match self {
            Self::Grpc(client) => client,
            Self::Module(_) => panic!("the module takes no messages"),
        }
    }
}
