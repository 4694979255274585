//! The no-op floor: what a `Check` costs before anything is decided. Stock tonic with
//! Envoy's own messages, decoded in full; an answer built for each call, with 4 headers
//! set and 6 removed; a current-thread runtime; TCP.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse, OkHttpResponse};
use envoy_types::pb::google::rpc;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpIncoming};
use tonic::{Request, Response, Status};

use crate::flags::Flags;
use crate::stream::Stream;

const SET: [(&str, &str); 4] = [
    ("x-nmp-principal-id", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    ("x-nmp-principal-email", "user42@research.example.com"),
    ("x-nmp-principal-groups", "team-0042-research-europe,team-0043-research-europe"),
    ("x-nmp-scopes", "openid profile email models:read models:write"),
];

const REMOVED: [&str; 6] = [
    "x-nmp-authorized",
    "x-nmp-internal",
    "x-nmp-actor-id",
    "x-nmp-subject-id",
    "x-nmp-principal-on-behalf-of",
    "x-nmp-principal-type",
];

struct Floor;

#[tonic::async_trait]
impl Authorization for Floor {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        std::hint::black_box(request.into_inner());
        let set = SET.map(|(name, value)| HeaderValueOption {
            header: Some(HeaderValue {
                key: name.to_owned(),
                value: value.to_owned(),
                ..HeaderValue::default()
            }),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
            ..HeaderValueOption::default()
        });
        let ok = OkHttpResponse {
            headers: set.into(),
            headers_to_remove: REMOVED.map(str::to_owned).into(),
            ..OkHttpResponse::default()
        };
        Ok(Response::new(CheckResponse {
            status: Some(rpc::Status::default()),
            http_response: Some(HttpResponse::OkResponse(ok)),
            ..CheckResponse::default()
        }))
    }
}

/// Serves until killed, on a free port that it prints. What is usual of a tonic server, or
/// with one thing changed:
///
/// - `--flush one`: connections do not say that they can write vectored, so that replies
///   leave together;
/// - `--windows large`: what Doorward lets a client send ahead, 64 KiB a stream and 4 MiB a
///   connection, which is more than tonic does.
pub async fn serve(flags: &Flags) {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut server = Server::builder();
    if flags.given("windows") == Some("large") {
        server = server
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024);
    }
    let router = server.add_service(AuthorizationServer::new(Floor));
    if flags.given("flush") == Some("one") {
        let listener = TcpListener::bind(loopback).await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        router.serve_with_incoming(Streams(listener)).await.unwrap();
    } else {
        let incoming = TcpIncoming::bind(loopback).unwrap().with_nodelay(Some(true));
        println!("{}", incoming.local_addr().unwrap());
        router.serve_with_incoming(incoming).await.unwrap();
    }
}

/// Accepts connections that do not say that they can write vectored.
struct Streams(TcpListener);

impl futures_util::Stream for Streams {
    type Item = io::Result<Stream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_accept(context).map(|accepted| {
            Some(accepted.and_then(|(stream, _)| {
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }))
        })
    }
}

impl Connected for Stream {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
