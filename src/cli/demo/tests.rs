//! The demonstration with a Doorward that is made up here, so that it can be made to
//! fail.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use doorward_dev::{DevIssuer, DevIssuerOptions};
use http::StatusCode;
use serde_json::json;

use super::ports::Ports;
use super::server::{Feed, Server};
use super::setup::{Front, Setup};
use super::*;
use crate::config::raw::Config;

/// A server with `answers` on the HTTP and admin addresses of the YAML.
fn fake(yaml: &str, answers: fn(&Request) -> Response) -> Server {
    let config: Config = serde_saphyr::from_str(yaml).unwrap();
    assert!(config.auth.oidc.common.issuer.unwrap().starts_with("http://127.0.0.1:"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for listener in [config.server.http, config.server.admin] {
        let address: SocketAddr = listener.listen.parse().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let router = Router::new().fallback(async move |request: Request| answers(&request));
        runtime.spawn(async move { axum::serve(listener, router).await });
    }
    let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
    Server::new(move || {
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

fn once(start: StartServer) -> Result<(), DemoError> {
    let args = DemoArgs { once: true, no_envoy: true, ..DemoArgs::default() };
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
fn once_notices_that_anybody_passes() {
    let wrong = once(|yaml, _| Ok(fake(yaml, open))).unwrap_err();
    assert!(matches!(wrong, DemoError::Wrong(Wrong::Status { .. })), "{wrong}");
}

#[test]
fn a_server_that_does_not_start_is_an_error() {
    let wrong = once(|_, _| Err("no".into())).unwrap_err();
    assert!(matches!(wrong, DemoError::Server(_)), "{wrong}");
}

#[test]
fn an_envoy_that_was_named_but_is_not_there_is_an_error() {
    let search = EnvoySearch { named: Some("/nowhere/envoy".into()), ..EnvoySearch::default() };
    let args = DemoArgs { once: true, ..DemoArgs::default() };
    let wrong = run_with(&args, &search, |_, _| Err("not reached".into())).unwrap_err();
    assert!(wrong.to_string().contains("/nowhere/envoy"), "{wrong}");
}

/// A setup with ports of five digits.
async fn setup(front: Option<Front>) -> Setup {
    let any = DemoArgs { port: Some(0), ..DemoArgs::default() };
    let ports = Ports::choose(&any, true).unwrap();
    let issuer = DevIssuer::start(ports.issuer, DevIssuerOptions::default()).await.unwrap();
    let upstream = ports.upstream.into();
    Setup { front, issuer, ports, upstream, echoes: true, written: None, envoy: None, module: None }
}

fn shown(setup: &Setup) -> String {
    let screen = words::screen(setup, "target/release/doorward");
    let screen = anstream::adapter::strip_str(&screen).to_string();
    // One line is for the prompt or the first request.
    assert!(screen.lines().count() < 24, "{screen}");
    for line in screen.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!screen.contains("eyJ"), "a token: {screen}");
    screen
}

#[tokio::test]
async fn the_screen_fits_a_terminal() {
    let mut setup = setup(Some(Front::Envoy)).await;
    let screen = shown(&setup);
    assert_eq!(screen.matches("    curl ").count(), 3, "{screen}");
    let console = format!("  console   http://{}/  ", setup.ports.console);
    for part in ["TOKEN=$(curl", "doorward auth login http://127.0.0.1", "demo --help", &console] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    (setup.echoes, setup.written) = (false, Some("guard".into()));
    assert!(shown(&setup).contains("  yours\n"));
    setup.front = Some(Front::Http);
    assert!(!shown(&setup).contains("Envoy "));
    setup.front = None;
    setup.envoy = Some("/home/somebody/.cache/doorward/envoy-1.40.0/envoy".into());
    let written = shown(&setup);
    assert!(written.contains("serve --config guard/doorward.yaml\n"), "{written}");
    setup.written = None;
    let lines = shown(&setup);
    assert!(lines.contains(&format!("issuer: {}\n", setup.issuer.issuer_url())), "{lines}");
}

#[test]
fn a_port_in_use_is_called_that() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let args = DemoArgs { port: Some(port), no_envoy: true, ..DemoArgs::default() };
    let wrong = run_with(&args, &EnvoySearch::default(), |_, _| Err("not reached".into()));
    let said = format!("port {port} is already in use (--port N chooses another, --port 0 any)");
    assert_eq!(wrong.unwrap_err().to_string(), said);
}

#[test]
fn an_upstream_is_host_and_port() {
    let shown = |text: &str| text.parse::<Upstream>().map(|upstream| upstream.to_string());
    for (text, upstream) in [
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://Models.example/", "http://models.example:80"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ] {
        assert_eq!(shown(text).unwrap(), upstream);
    }
    for (text, part) in [
        ("localhost:3000", "http://HOST:PORT"),
        ("3000", "http://HOST:PORT"),
        ("http://127.0.0.1:3000/v1", "http://HOST:PORT"),
        ("http://a@127.0.0.1:3000", "http://HOST:PORT"),
        ("https://models.example", "transport_socket"),
    ] {
        assert!(shown(text).unwrap_err().contains(part), "{text}");
    }
}
