//! The demonstration with a Doorward that is made up here, so that it can be made to
//! fail.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;

use super::door::{Door, Feed};
use super::*;
use crate::config::raw::Config;

/// A server with `answers` on the HTTP and admin addresses of the YAML.
fn fake(yaml: &str, answers: fn(&Request) -> Response) -> Door {
    let config: Config = serde_saphyr::from_str(yaml).unwrap();
    assert!(config.auth.oidc.issuer.unwrap().starts_with("http://127.0.0.1:"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for listener in [config.server.http, config.server.admin] {
        let address: SocketAddr = listener.listen.parse().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let router = Router::new().fallback(async move |request: Request| answers(&request));
        runtime.spawn(async move { axum::serve(listener, router).await });
    }
    let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
    Door::new(move || {
        drop(stop);
        thread.join().unwrap();
    })
}

fn right(request: &Request) -> Response {
    let path = request.uri().path();
    if path == "/health/ready" {
        return StatusCode::OK.into_response();
    }
    assert_eq!(path, "/apis/auth/ext-authz/hello");
    if request.headers().contains_key("authorization") {
        [("x-nmp-principal-id", "alice")].into_response()
    } else {
        let body = Json(json!({"reason": "missing_token"}));
        (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")], body).into_response()
    }
}

/// Lets through what the client claims.
fn gullible(request: &Request) -> Response {
    let claimed = request.headers().get("x-nmp-principal-id").cloned();
    match claimed {
        Some(claimed) => [("x-nmp-principal-id", claimed)].into_response(),
        None => StatusCode::OK.into_response(),
    }
}

/// Lets everybody in.
fn open(request: &Request) -> Response {
    let _ = request;
    [("x-nmp-principal-id", "alice")].into_response()
}

fn once(start: StartDoor) -> Result<(), DemoError> {
    let args = DemoArgs { once: true, no_envoy: true, port: None };
    run_with(&args, &EnvoySearch::default(), start)
}

#[test]
fn once_passes_when_both_requests_come_out_right() {
    once(|yaml, feed: Option<Feed>| {
        assert!(feed.is_some(), "without Envoy nobody else tells of decisions");
        Ok(fake(yaml, right))
    })
    .unwrap();
}

#[test]
fn once_notices_a_forged_header_that_got_through() {
    let wrong = once(|yaml, _| Ok(fake(yaml, gullible))).unwrap_err();
    assert!(matches!(wrong, DemoError::Wrong(Wrong::Identity(_))), "{wrong}");
}

#[test]
fn once_notices_an_open_door() {
    let wrong = once(|yaml, _| Ok(fake(yaml, open))).unwrap_err();
    assert!(matches!(wrong, DemoError::Wrong(Wrong::Status { .. })), "{wrong}");
}

#[test]
fn a_server_that_does_not_start_is_an_error() {
    let wrong = once(|_, _| Err("no".into())).unwrap_err();
    assert!(matches!(wrong, DemoError::Stage(StageError::Door(_))), "{wrong}");
}

#[test]
fn an_envoy_that_was_named_but_is_not_there_is_an_error() {
    let search = EnvoySearch { named: Some("/nowhere/envoy".into()), ..EnvoySearch::default() };
    let args = DemoArgs { once: true, ..DemoArgs::default() };
    let wrong = run_with(&args, &search, |_, _| Err("not reached".into())).unwrap_err();
    assert!(wrong.to_string().contains("/nowhere/envoy"), "{wrong}");
}
