//! Clients at the gateway who reset, disconnect and send large headers: through a real Envoy,
//! which has one connection to Doorward for all of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::frames::{
    END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, block, field, frame, reset,
};
use crate::support::gateway::Gateway;
use crate::support::http;
use crate::support::raw::{RawRequest, get};
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";
const STRICT: (&str, &str) = ("failure_mode_allow: false", "failure_mode_allow: true");
const RETRIES: (&str, &str) = (
    "                        retry_policy:
                          num_retries: 1
                          retry_on: connect-failure,refused-stream,reset,unavailable
",
    "",
);
/// On a busy machine, a second is not enough for hundreds at once.
const TIME: (&str, &str) =
    ("                        timeout: 1s\n", "                        timeout: 20s\n");
/// How many requests are under way when they are given up: h2's own limit is 20.
const AT_ONCE: usize = 40;

fn config() -> String {
    json!({"auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}}})
        .to_string()
}

fn token() -> String {
    RSA.token("RS256", &claims(ISSUER, json!({})))
}

fn forged(request: RawRequest) -> RawRequest {
    request.header("X-NMP-Principal-Id", "service:forged")
}

/// Requests that are given up as soon as they are sent, each kind on connections of its own.
async fn give_up(gateway: &Gateway, round: usize) {
    let address = gateway.envoy().address();
    let head = [block("GET", "/"), field("x-nmp-principal-id", "service:forged")].concat();
    let get = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
    let streams = (0..u32::try_from(AT_ONCE).unwrap()).map(|number| 2 * number + 1);
    let first = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    match round % 3 {
        // HTTP/2, a reset behind each request, all in one write.
        0 => {
            let requests = streams.flat_map(|stream| [get(stream), reset(stream)].concat());
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(&[first, requests.collect()].concat()).await.unwrap();
            // Envoy is to read it before it sees the end.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // HTTP/2, and gone.
        1 => {
            let mut connection = TcpStream::connect(address).await.unwrap();
            let requests = streams.flat_map(get).collect();
            connection.write_all(&[first, requests].concat()).await.unwrap();
        }
        // HTTP/1, many clients that are gone at once.
        _ => {
            let mut clients = Vec::new();
            for _ in 0..AT_ONCE {
                let mut client = TcpStream::connect(address).await.unwrap();
                let request =
                    b"GET / HTTP/1.1\r\nHost: x\r\nX-NMP-Principal-Id: service:forged\r\n\r\n";
                client.write_all(request).await.unwrap();
                clients.push(client);
            }
        }
    }
}

/// Each of them makes Envoy reset calls on the connection that all share. Nobody else's is lost,
/// and where a lost one would pass, nobody's is.
#[tokio::test]
async fn requests_that_are_given_up_cost_nobody_a_check() {
    for (name, retries, is_lax) in
        [("as shipped", true, false), ("no retries", false, false), ("lax", false, true)]
    {
        let none = ("failure_mode_allow: false", "failure_mode_allow: false");
        let lax = if is_lax { STRICT } else { none };
        let retries = if retries { ("retry_policy:", "retry_policy:") } else { RETRIES };
        let changes = [lax, retries, TIME];
        let Some(gateway) = Gateway::start_changed("envoy.yaml", changes, &config()).await else {
            return;
        };
        let token = token();
        for round in 0..60 {
            let good = forged(get("/v1/models")).bearer(&token);
            let without = forged(get("/v1/models"));
            let ((), first, denied, second) = tokio::join!(
                give_up(&gateway, round),
                gateway.send(&good),
                gateway.send(&without),
                gateway.send(&good)
            );
            let statuses = [first.status, denied.status, second.status];
            assert_eq!(statuses, [200, 401, 200], "{name}: {first:?} {denied:?} {second:?}");
        }
        let passed = gateway.echo().take();
        assert_eq!(passed.len(), 120, "{name}");
        for echoed in passed {
            assert_eq!(echoed.header("x-nmp-principal-id"), Some("alice"), "{name}: {echoed:?}");
        }
        // Envoy has had no other connection to Doorward than its first.
        let stats = gateway.envoy().admin("/stats?filter=cluster.doorward.upstream_cx_total");
        let stats = http().get(stats).send().await.unwrap().text().await.unwrap();
        assert_eq!(stats.trim(), "cluster.doorward.upstream_cx_total: 1", "{name}");
    }
}

/// Each check is then some 60 kB, and Envoy sends a piece of each in turn.
#[tokio::test]
async fn two_hundred_clients_with_large_headers_are_all_answered() {
    let Some(gateway) = Gateway::start_changed("envoy.yaml", [TIME, RETRIES], &config()).await
    else {
        return;
    };
    let (gateway, token) = (Arc::new(gateway), token());
    let mut clients = JoinSet::new();
    for number in 0..400 {
        let mut request = get("/v1/models").bearer(&token);
        if number % 2 == 0 {
            request = request.header("X-NMP-Filler", &"x".repeat(57_000));
        }
        let gateway = Arc::clone(&gateway);
        clients.spawn(async move { gateway.send(&request).await });
    }
    let lost: Vec<_> = clients.join_all().await.into_iter().filter(|r| r.status != 200).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    for reason in ["late", "over_budget"] {
        let name = format!("doorward_calls_cut_off_total{{reason=\"{reason}\"}}");
        assert_eq!(gateway.doorward().metric(&name).await, Some(0.0));
    }
}

/// With OpenTelemetry, Envoy copies what a client says in `tracestate` to the head of the call,
/// as long as it may be: in no way may that be too long here.
#[tokio::test]
async fn a_long_tracestate_costs_nobody_a_check() {
    let tracing = "                normalize_path: true
                tracing:
                  provider:
                    name: envoy.tracers.opentelemetry
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                      service_name: door
                      grpc_service: { envoy_grpc: { cluster_name: upstream } }
";
    let tracing = ("                normalize_path: true\n", tracing);
    let changes = [tracing, STRICT, RETRIES, TIME];
    let Some(gateway) = Gateway::start_changed("envoy.yaml", changes, &config()).await else {
        return;
    };
    let (gateway, token) = (Arc::new(gateway), token());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut clients = JoinSet::new();
    for number in 0..100 {
        let state = format!("a={}", "x".repeat(57_000));
        let request = forged(get("/v1/models").header("tracestate", &state));
        let request = request.header("traceparent", trace);
        let (request, status) =
            if number % 2 == 0 { (request.bearer(&token), 200) } else { (request, 401) };
        let gateway = Arc::clone(&gateway);
        clients.spawn(async move { (gateway.send(&request).await.status, status) });
    }
    for (status, expected) in clients.join_all().await {
        assert_eq!(status, expected);
    }
}
