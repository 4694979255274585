//! The doctor's probe of a gateway where it cannot see what it would judge: it says so, and is
//! not well. Nothing that stands in for a gateway, or behind one, passes for what it is not.

use std::process::Command;

use doorward::config::Settings;
use doorward::doctor::gateway::{GatewayProbe, examine};
use doorward::doctor::{Finding, Outcome};
use doorward_core::identity::ProtectedHeaders;
use serde_json::json;

use crate::support::doorward::Doorward;
use crate::support::envoy::{Behind, Envoy, fill};
use crate::support::gateway::Gateway;
use crate::support::scripted::{Scripted, answer};
use crate::support::signer::{RSA, claims, jwks};
use crate::support::tools;

const ISSUER: &str = "https://idp.example";
const EVERY_LINE: [&str; 10] = [
    "reachable",
    "token_required",
    "token",
    "spoofed_headers",
    "underscores",
    "repeated",
    "connection",
    "two_tokens",
    "service_bearer",
    "paths",
];

fn config() -> String {
    json!({"auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}}})
        .to_string()
}

fn token() -> String {
    RSA.token("RS256", &claims(ISSUER, json!({})))
}

/// What is found at a port of this machine, where Doorward has this configuration.
async fn found_with(config: &str, port: u16, echo: &str) -> Vec<Finding> {
    let headers = Settings::from_yaml("test", config).unwrap().headers;
    let probe = GatewayProbe {
        gateway: format!("http://127.0.0.1:{port}").parse().unwrap(),
        echo: echo.to_owned(),
        token: Some(token()),
        open: Vec::new(),
        protected: ProtectedHeaders::new(&headers),
        principal: headers.names.principal_id.to_ascii_lowercase(),
        ca_file: None,
    };
    let found = examine(&probe).await.unwrap().findings;
    let lines: Vec<_> = found.iter().map(|finding| finding.check).collect();
    assert_eq!(lines, EVERY_LINE, "every line is said, seen or not");
    found
}

async fn found(port: u16, echo: &str) -> Vec<Finding> {
    found_with("auth: {enabled: false}", port, echo).await
}

fn line<'f>(found: &'f [Finding], check: &str) -> &'f Finding {
    found.iter().find(|finding| finding.check == check).unwrap()
}

/// The lines that came out so.
fn are(found: &[Finding], outcome: Outcome) -> Vec<&'static str> {
    found.iter().filter(|it| it.outcome == outcome).map(|it| it.check).collect()
}

/// What the command prints about a port of this machine, and its exit code.
async fn printed(port: u16, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    // Without a scheme: this machine is asked over http.
    let gateway = format!("localhost:{port}");
    command.env_clear().args(["doctor", "--gateway", &gateway]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), said)
}

#[tokio::test]
async fn a_bare_http_server_is_not_well() {
    // As Python's http.server answers where it has no such file.
    let nothing = b"HTTP/1.0 404 File not found\r\nServer: SimpleHTTP/0.6\r\nConnection: close\r\n\
        Content-Type: text/html;charset=utf-8\r\n\r\n<h1>Error response</h1>";
    let server = Scripted::start(|_| nothing.to_vec()).await;
    let (code, said) = printed(server.port(), &["--echo", "/headers", "--token", &token()]).await;
    assert_eq!(code, 1, "{said}");
    for words in [
        "  pass      reachable ",
        "  not seen  token_required    404 without a token: nothing is at /headers, or no token is required",
        "  not seen  token             404 with the token, too",
        "  not seen  paths             an ordinary request without a token is not denied here",
        "0 failed, 0 warnings, 9 not seen, 1 passed",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("all is well"), "{said}");

    // And where it has one.
    let listing = Scripted::start(|_| answer("200 OK", &[], "<ul><li>file</ul>")).await;
    let found = found(listing.port(), "/").await;
    assert_eq!(are(&found, Outcome::Pass), ["reachable"], "{found:#?}");
    assert_eq!(are(&found, Outcome::Warn), ["token_required"], "{found:#?}");
    let (code, said) = printed(listing.port(), &["--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["outcome"]), (1, &json!("not_seen")), "{said}");
    assert_eq!((&report["not_seen"], &report["pass"]), (&json!(8), &json!(1)), "{said}");
}

#[tokio::test]
async fn doorward_away_is_not_well() {
    let Some(mut gateway) = Gateway::start("envoy.yaml", &config()).await else { return };
    gateway.stop_doorward();
    let found = found(gateway.envoy().address().port(), "/v1/models").await;
    assert_eq!(are(&found, Outcome::Pass), ["reachable"], "{found:#?}");
    assert_eq!(are(&found, Outcome::NotSeen).len(), 9, "{found:#?}");
    let first = line(&found, "token_required");
    assert_eq!(first.found, "503 without a token, and not in Doorward's words");
    let remedy = first.remedy.as_deref().unwrap();
    assert!(remedy.starts_with("is Doorward running, and does the gateway reach it?"), "{remedy}");
}

/// Envoy, Doorward, and this behind it.
async fn in_front_of(upstream: &Scripted) -> Option<(Envoy, Doorward)> {
    let binary = tools::tool("envoy").await?;
    let doorward = Doorward::start(&config()).await;
    doorward.ready().await;
    let (grpc, http) = (doorward.grpc_address().port(), doorward.http_address().port());
    let behind = Behind { grpc, http, upstream: upstream.port() };
    let envoy = fill(&tools::file("envoy/envoy.yaml"), behind);
    Some((Envoy::run(&binary, "envoy.yaml", &envoy).await, doorward))
}

#[tokio::test]
async fn what_the_upstream_answers_is_not_the_tokens_fault() {
    let upstream = Scripted::start(|asked| match asked.split(' ').nth(1) {
        Some("/moved") => answer("301 Moved Permanently", &["Location: /moved/"], ""),
        Some("/mine") => answer("403 Forbidden", &[], "not yours"),
        Some("/down") => answer("503 Service Unavailable", &[], "busy"),
        Some("/hello") => answer("200 OK", &[], "hello"),
        _ => answer("404 Not Found", &[], ""),
    })
    .await;
    let Some((envoy, _doorward)) = in_front_of(&upstream).await else { return };
    let refused = found(envoy.address().port(), "/mine").await;
    let token = line(&refused, "token");
    let said = "403 with the token, and not in Doorward's words: what is behind refuses";
    assert_eq!((token.outcome, token.found.as_str()), (Outcome::NotSeen, said));
    assert_eq!(are(&refused, Outcome::Fail), [""; 0], "{refused:#?}");
    for (path, said) in [
        ("/moved", "the token is accepted, and what is behind sends elsewhere: 301 to /moved/"),
        ("/missing", "the token is accepted, but nothing behind has /missing: 404"),
        ("/down", "the token is accepted, but what is behind does not answer, or fails: 503"),
        (
            "/hello",
            "the token is accepted, but the response at /hello does not contain the headers that \
             arrived",
        ),
    ] {
        let found = found(envoy.address().port(), path).await;
        let token = line(&found, "token");
        assert_eq!((token.outcome, token.found.as_str()), (Outcome::NotSeen, said));
        assert!(token.remedy.is_some());
        assert_eq!(are(&found, Outcome::Fail), [""; 0], "{found:#?}");
        // What is refused can be judged without an echo.
        let seen = ["reachable", "token_required", "two_tokens", "service_bearer", "paths"];
        assert_eq!(are(&found, Outcome::Pass), seen, "{path}: {found:#?}");
    }
}

/// No `--echo`: `/` is asked for, and what needs an echo says so.
#[tokio::test]
async fn without_an_echo_the_rest_says_how_to_see_it() {
    let upstream = Scripted::start(|_| answer("200 OK", &[], "hello")).await;
    let Some((envoy, _doorward)) = in_front_of(&upstream).await else { return };
    let (code, said) = printed(envoy.address().port(), &["--token", &token()]).await;
    assert_eq!(code, 1, "{said}");
    for words in [
        "  pass      token_required    401 without a token (missing_token), with a challenge",
        "  pass      two_tokens ",
        "  not seen  spoofed_headers   no response contains the headers that arrived",
        "fix:            pass with --echo a path whose upstream echoes the request's headers",
        "0 failed, 0 warnings, 5 not seen, 5 passed",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A gateway that lets two tokens pass, whatever the upstream makes of the request.
#[tokio::test]
async fn a_request_that_gets_past_is_found_without_an_echo() {
    let denial = || {
        let headers = ["Content-Type: application/problem+json", "WWW-Authenticate: Bearer"];
        answer("401 Unauthorized", &headers, r#"{"reason": "missing_token"}"#)
    };
    let gateway = Scripted::start(move |asked| match asked.matches("Authorization:").count() {
        0 => denial(),
        _ if asked.contains("Bearer service:jobs") => answer("405 Not Allowed", &[], ""),
        1 if asked.contains("Bearer ey") => answer("404 Not Found", &[], ""),
        1 => denial(),
        _ => answer("404 Not Found", &[], ""),
    })
    .await;
    let found = found(gateway.port(), "/x").await;
    assert_eq!(are(&found, Outcome::Fail), ["two_tokens", "service_bearer"], "{found:#?}");
    assert_eq!(line(&found, "service_bearer").found, "Bearer service:jobs passes");
}

/// An echo of what was asked, in chunks that end within characters, with bytes that are no UTF-8.
fn chunked_echo(asked: &str) -> Vec<u8> {
    let headers: serde_json::Map<_, _> = asked
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .chain([("X-NMP-Principal-Id".to_owned(), json!("alice"))])
        .collect();
    let body = json!({"a": "LATIN", "headers": headers}).to_string();
    let (front, rest) = body.split_once("LATIN").unwrap();
    let body = [front.as_bytes(), b"\xe9\xe8\xfc", rest.as_bytes()].concat();
    let mut answer =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for chunk in body.chunks(40) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(&[chunk, b"\r\n"].concat());
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

#[tokio::test]
async fn an_echo_in_latin_1_and_chunks_is_read() {
    let gateway = Scripted::start(|asked| {
        if asked.contains("Authorization: Bearer ey") && asked.matches("Bearer").count() == 1 {
            return chunked_echo(asked);
        }
        let headers = ["Content-Type: application/problem+json", "WWW-Authenticate: Bearer"];
        answer("401 Unauthorized", &headers, r#"{"reason": "missing_token"}"#)
    })
    .await;
    let found = found(gateway.port(), "/headers").await;
    let token = line(&found, "token");
    assert_eq!(token.found, "the upstream treats its bearer as alice", "{token:?}");
    // This one strips nothing.
    let open = ["spoofed_headers", "underscores", "repeated"];
    assert_eq!(are(&found, Outcome::Fail), open, "{found:#?}");
}

/// Every header that is probed, as it is written, and every word that is said follow the
/// configured names.
#[tokio::test]
async fn what_is_probed_follows_the_trusted_prefix() {
    let config = json!({
        "auth": {"enabled": false},
        "headers": {"trusted_prefix": "X-Acme-", "principal_id": "X-Acme-Who",
            "principal_email": "X-Acme-Email", "principal_groups": "X-Acme-Groups",
            "scopes": "X-Acme-Scopes", "authorized": "X-Auth-Ok"},
    });
    let echo = Scripted::start(|asked| answer("200 OK", &[], asked)).await;
    let found = found_with(&config.to_string(), echo.port(), "/headers").await;
    let open = ["spoofed_headers", "underscores", "repeated", "paths"];
    assert_eq!(are(&found, Outcome::Fail), open, "{found:#?}");
    assert!(!format!("{found:?}").to_ascii_lowercase().contains("nmp"), "{found:#?}");
    let remedy = line(&found, "underscores").remedy.as_deref().unwrap();
    assert!(remedy.contains("(?i)x[^a-z0-9]+acme.*"), "{remedy}");

    let asked = echo.asked();
    assert!(!asked.concat().to_ascii_lowercase().contains("nmp"), "{asked:#?}");
    for name in [
        "x-acme-Principal-Id",
        "x-acme-PRINCIPAL-GROUPS",
        "x-acme-Anything",
        "x_acme_principal_id",
        "x_acme_PRINCIPAL_ID",
        "x_acme_principal-id_",
        "x.acme.principal.id",
        "x~acme~principal~id",
        "x--acme--principal--id",
        "x-auth-ok",
        "x_auth_ok",
        "x.auth.ok",
        "x-auth_ok",
    ] {
        let line = format!("\r\n{name}: doorward-probe\r\n");
        assert!(asked.iter().any(|head| head.contains(&line)), "{name}: {asked:#?}");
    }
    let twice = "\r\nx-acme-who: doorward-probe\r\nX-ACME-WHO: doorward-probe\r\n";
    assert!(asked.iter().any(|head| head.contains(twice)), "{asked:#?}");
    let dropped = "\r\nConnection: close, x-acme-who\r\n";
    assert!(asked.iter().any(|head| head.contains(dropped)), "{asked:#?}");
}

/// An answer larger than anybody needs counts as far as it is read.
#[tokio::test]
async fn a_huge_echo_is_read_in_part() {
    let echo = Scripted::start(|asked| {
        let rest = "x".repeat(8 * 1024 * 1024);
        answer("200 OK", &[], &format!("{asked}x-nmp-principal-id: alice\n{rest}"))
    })
    .await;
    let found = found(echo.port(), "/headers").await;
    let spoofed = line(&found, "spoofed_headers");
    assert_eq!(spoofed.outcome, Outcome::Fail, "{found:#?}");
    assert_eq!(line(&found, "token").found, "the upstream treats its bearer as alice");
}
