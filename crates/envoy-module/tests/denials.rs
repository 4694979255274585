//! Denials, held against those of ext_authz over gRPC in the same Envoy: status, headers, body, and
//! what gRPC clients and access logs are told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use doorward::config::{ListenAddress, Settings};
use serde_json::{Value, json};

use crate::support::{Around, Envoy, eventually, http, listener, module, with};

const TYPES: &str = "type.googleapis.com";

/// The same decisions by the server, over gRPC.
fn ext_authz() -> Value {
    let kind = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
    json!({
        "name": "ext_authz",
        "typed_config": {
            "@type": format!("{TYPES}/{kind}"),
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "doorward"}, "timeout": "5s"},
        },
    })
}

/// An answer without what differs from one moment to the next.
#[derive(Debug, PartialEq)]
struct Told {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    body: String,
}

async fn ask(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Told {
    let request = http().get(format!("http://{address}{path}"));
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in answer.headers() {
        if name != "date" {
            told.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
        }
    }
    Told { status: answer.status().as_u16(), headers: told, body: answer.text().await.unwrap() }
}

#[tokio::test]
async fn denials_are_those_of_ext_authz() {
    let Some(mut around) = Around::start().await else { return };
    let config = with(
        around.config(),
        json!({"protected_resource": {"resource": "https://api.example/mcp", "scopes_supported": ["a:b"]}}),
    );
    let local = json!({"listen": "127.0.0.1:0"});
    let server =
        json!({"grpc": local, "http": local, "admin": local, "console": {"enabled": false}});
    let server = with(config.clone(), json!({"server": server}));
    let settings = Settings::from_yaml("test", &server.to_string()).unwrap();
    let server = doorward::app::start(settings, None).unwrap();
    let ListenAddress::Tcp(grpc) = *server.grpc() else { panic!() };
    around.server = Some(grpc);

    let listeners =
        [listener("module", module(config), &[]), listener("ext_authz", ext_authz(), &[])];
    let envoy = Envoy::start(&around, &listeners).await;
    let inside = envoy.address("module").await;
    let outside = envoy.address("ext_authz").await;
    let token = around.token();
    let good = format!("Bearer {token}");
    // The server has its keys, and ext_authz its connection.
    eventually("both let the token pass", async || {
        let told = ask(outside, "/", &[("authorization", &good)]).await;
        (told.status == 200).then_some(())
    })
    .await;
    assert_eq!(ask(inside, "/", &[("authorization", &good)]).await.status, 200);

    let expired = around.issuer.mint("alice", json!({"exp": 1})).unwrap();
    let expired = format!("Bearer {expired}");
    let foreign = around.issuer.mint("alice", json!({"aud": "other"})).unwrap();
    let foreign = format!("Bearer {foreign}");
    let cases: [(&str, &[(&str, &str)]); 7] = [
        ("/", &[]),
        ("/", &[("authorization", "Bearer")]),
        ("/", &[("authorization", "Basic eDp5")]),
        ("/a?b=c", &[("authorization", "Bearer a.b.c")]),
        ("/", &[("authorization", &expired)]),
        ("/", &[("authorization", &foreign)]),
        ("/", &[("authorization", &good), ("authorization", &good)]),
    ];
    for (path, headers) in cases {
        for grpc in [None, Some("application/grpc"), Some("application/grpc+proto")] {
            let grpc = grpc.map(|kind| [("content-type", kind), ("te", "trailers")]);
            let headers: Vec<_> =
                headers.iter().copied().chain(grpc.into_iter().flatten()).collect();
            let (ours, theirs) =
                (ask(inside, path, &headers).await, ask(outside, path, &headers).await);
            assert_eq!(ours, theirs, "{path} {headers:?}");
        }
    }
    // A line for each request, of both listeners by turns: all but the first two are pairs.
    let log = eventually("the access log", async || {
        let log = envoy.access_log();
        (log.lines().count() >= 2 + 2 * 3 * cases.len()).then_some(log)
    })
    .await;
    let lines: Vec<_> = log.lines().map(in_order).collect();
    let denials: Vec<_> = lines.iter().filter(|line| line.contains("\"deny\"")).collect();
    assert_eq!(denials.len(), 2 * 3 * cases.len());
    for pair in denials.chunks(2) {
        assert_eq!(pair[0], pair[1]);
        assert!(pair[0].contains(" ext_authz_denied "), "{pair:?}");
    }
    let told: BTreeSet<_> = lines.iter().filter(|line| line.contains("\"allow\"")).collect();
    assert_eq!(told.len(), 1, "the same metadata: {told:?}");
}

/// A line with the members of its metadata by name, since Envoy writes them in any order, and without
/// what it adds itself to what ext_authz is told.
fn in_order(line: &str) -> String {
    let Some((front, members)) = line.split_once('{') else { return line.to_owned() };
    let mut members: BTreeMap<String, Value> =
        serde_json::from_str(&format!("{{{members}")).unwrap();
    members.remove("ext_authz_duration");
    format!("{front}{members:?}")
}
