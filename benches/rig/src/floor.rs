//! The no-op floor: what a `Check` costs before anything is decided. Stock tonic with
//! Envoy's own messages, decoded in full; an answer built for each call, with 4 headers
//! set and 6 removed; a current-thread runtime; TCP.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse, OkHttpResponse};
use envoy_types::pb::google::rpc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

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

/// Serves until killed, on a free port that it prints.
pub async fn serve() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let incoming = TcpIncoming::bind(loopback).unwrap().with_nodelay(Some(true));
    println!("{}", incoming.local_addr().unwrap());
    Server::builder()
        .add_service(AuthorizationServer::new(Floor))
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}
