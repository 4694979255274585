//! A `CheckRequest` as Envoy 1.40 sends it: 28 entries in `headers`, pseudo headers among
//! them, and with a token of 1.2 kB 2.5 kB in all.

use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, Metadata, SocketAddress, address};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::Timestamp;
use prost::Message as _;

/// What a browser behind the edge sends besides its token, and what Envoy adds.
const HEADERS: [(&str, &str); 27] = [
    (":authority", "nmp.example.com"),
    (":method", "POST"),
    (":path", "/apis/inference/v1/chat/completions?stream=false&trace=1"),
    (":scheme", "https"),
    ("accept", "application/json, text/event-stream;q=0.9, */*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.7"),
    ("cache-control", "no-cache"),
    ("content-length", "1834"),
    ("content-type", "application/json"),
    ("cookie", "session=c2Vzc2lvbi1pZC1vZi1zb21lLXNvcnQ; consent=necessary; theme=dark"),
    ("dnt", "1"),
    ("origin", "https://studio.nmp.example.com"),
    ("priority", "u=1, i"),
    ("referer", "https://studio.nmp.example.com/projects/42/playground"),
    ("sec-ch-ua", "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-site"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0"),
    ("x-envoy-external-address", "203.0.113.17"),
    ("x-forwarded-for", "203.0.113.17"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "4a2b8c1d-6e5f-4f3a-9b7c-8d1e2f3a4b5c"),
];

/// The identity that an attacker would like to have.
pub const FORGED: [(&str, &str); 3] = [
    ("x-nmp-principal-id", "service:platform"),
    ("x_nmp_principal_email", "root@example.com"),
    ("x-nmp-made-up", "yes"),
];

/// The same request at another path.
#[allow(dead_code, reason = "not every program here needs it")]
pub fn at_path(mut request: CheckRequest, path: &str) -> CheckRequest {
    let http = request.attributes.as_mut().and_then(|it| it.request.as_mut()?.http.as_mut());
    if let Some(http) = http {
        http.path = path.to_owned();
        http.headers.insert(":path".to_owned(), path.to_owned());
    }
    request
}

/// With this `Authorization` header, and `more` headers.
pub fn check_request(authorization: Option<&str>, more: &[(&str, &str)]) -> CheckRequest {
    let headers = HEADERS
        .iter()
        .chain(more)
        .copied()
        .chain(authorization.map(|value| ("authorization", value)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let http = HttpRequest {
        id: "13466389716823437713".into(),
        method: "POST".into(),
        headers,
        path: "/apis/inference/v1/chat/completions?stream=false&trace=1".into(),
        host: "nmp.example.com".into(),
        scheme: "https".into(),
        size: 1834,
        protocol: "HTTP/2".into(),
        ..HttpRequest::default()
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(peer("203.0.113.17", 51842)),
            destination: Some(peer("10.0.3.9", 10000)),
            request: Some(Request {
                time: Some(Timestamp { seconds: 1_780_000_000, nanos: 123_456_000 }),
                http: Some(http),
            }),
            metadata_context: Some(Metadata::default()),
            route_metadata_context: Some(Metadata::default()),
            ..AttributeContext::default()
        }),
    }
}

/// The same, encoded, with this token.
pub fn with_token(token: &str) -> Vec<u8> {
    check_request(Some(&format!("Bearer {token}")), &[]).encode_to_vec()
}

fn peer(address: &str, port: u32) -> Peer {
    let socket = SocketAddress {
        address: address.into(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    };
    Peer {
        address: Some(Address { address: Some(address::Address::SocketAddress(socket)) }),
        ..Peer::default()
    }
}

/// The same as a client sends it to Envoy, over HTTP/1.1; Envoy adds its own headers.
pub fn as_http(token: &str) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text =
        String::from("GET /apis/inference/v1/chat/completions?stream=false&trace=1 HTTP/1.1\r\n");
    text.push_str("host: nmp.example.com\r\n");
    let of_envoy = ["x-envoy-external-address", "x-forwarded-for", "x-forwarded-proto"];
    for (name, value) in HEADERS {
        let is_sent = !name.starts_with(':') && !of_envoy.contains(&name);
        if is_sent && name != "content-length" && name != "x-request-id" {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let _ = write!(text, "authorization: Bearer {token}\r\n\r\n");
    text.into_bytes()
}
