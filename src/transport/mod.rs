//! The fronts: gRPC `Check`, HTTP, admin. The only room that names tonic, envoy-types,
//! h2 and hyper; all fronts ask one and the same [`Authorizer`](doorward_core::authorizer::Authorizer).

mod admin;
mod budget;
mod call;
mod check_call;
mod check_message;
mod check_service;
mod connection_slots;
mod console;
mod denial;
mod envoy;
mod fields;
mod frames;
mod grpc;
mod h1_connection;
mod h2_connection;
mod handshake;
mod head_fault;
mod http;
mod http_connection;
mod inside;
mod intake;
mod listener;
mod log_limit;
mod members;
mod other_call;
mod request_call;
mod responder;
mod server;
mod session;
mod tls;
mod unary;

pub use self::admin::{AdminFront, AdminView, Readiness};
pub use self::check_message::{CheckMessage, Headers, Malformed};
pub use self::check_service::{CheckService, CheckServiceParts, Documents, Watcher};
pub use self::console::{Busy, ConsoleFront, ConsoleView, Question, Told};
pub use self::denial::{DenialAnswer, DenialPages, Resource};
pub use self::grpc::GrpcFront;
pub use self::http::HttpFront;
pub use self::inside::KeptRequest;
pub use self::listener::{BindError, Listener};
pub use self::members::Members;
pub use self::other_call::MAX_OTHER_MESSAGE_BYTES;
pub use self::server::{Front, Job, Port, Workers};
pub use self::session::{ConnectionError, Resources, Session};
pub use self::tls::{ListenerTls, PreparedTls};
