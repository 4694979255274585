//! Heads of HTTP/1 requests that two programs could read as different requests: refused before
//! anything is decided (RFC 9112), at both ports that speak HTTP/1.

use serde_json::json;

use crate::support::doorward::Doorward;
use crate::support::raw::lines;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

const TARGET: &str = "GET /apis/auth/ext-authz/v1/models HTTP/1.1";

async fn doorward() -> (Doorward, String) {
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
    });
    let token = RSA.token("RS256", &claims(ISSUER, json!({})));
    (Doorward::start(&config.to_string()).await, format!("Authorization: Bearer {token}"))
}

#[tokio::test]
async fn an_http_1_1_request_has_one_valid_host() {
    let (doorward, token) = doorward().await;
    for (hosts, status, said) in [
        (&["Host: platform.example"][..], 200, ""),
        (&["host:platform.example:8443"], 200, ""),
        (&["Host: [::1]:8181"], 200, ""),
        (&["Host: doorward_http"], 200, ""),
        // RFC 9112 section 3.2: empty where the target has no authority.
        (&["Host:"], 200, ""),
        (&[], 400, "needs a Host header"),
        (&["Host: a.example", "Host: a.example"], 400, "more than one Host header"),
        (&["Host: a.example", "hOST: b.example"], 400, "more than one Host header"),
        (&["Host: a.example, b.example"], 400, "not a host"),
        (&["Host: a.example b.example"], 400, "not a host"),
        (&["Host: user@a.example"], 400, "not a host"),
        (&["Host: a.example/x"], 400, "not a host"),
        (&["Host: http://a.example"], 400, "not a host"),
        (&["Host: a.example:http"], 400, "not a host"),
        (&["Host: \u{e9}.example"], 400, "not a host"),
    ] {
        let head = [&[TARGET, token.as_str(), "Connection: close"], hosts].concat();
        let reply = lines(&head).send(doorward.http_address()).await;
        assert_eq!(reply.status, status, "{hosts:?}: {reply:?}");
        assert!(reply.body.contains(said), "{hosts:?}: {reply:?}");
    }
    // HTTP/1.0 has no such header, and probes still speak it.
    let old = TARGET.replace("1.1", "1.0");
    assert_eq!(lines(&[&old, &token]).send(doorward.http_address()).await.status, 200);
    let twice = [old.as_str(), &token, "Host: a", "Host: a"];
    assert_eq!(lines(&twice).send(doorward.http_address()).await.status, 400);

    let probe = ["GET /health/live HTTP/1.1", "Connection: close"];
    let reply = lines(&probe).send(doorward.admin_address()).await;
    assert_eq!(reply.status, 400, "{reply:?}");
}

#[tokio::test]
async fn nothing_is_smuggled_behind_a_transfer_encoding() {
    let (doorward, token) = doorward().await;
    let inner = format!("{TARGET}\r\nHost: a\r\n{token}\r\n\r\n");
    let chunked = format!("0\r\n\r\n{inner}");
    for (codings, status, said) in [
        (&["Transfer-Encoding: chunked"][..], 200, ""),
        (&["transfer-encoding: Chunked"], 200, ""),
        (&["Transfer-Encoding: chunked, chunked"], 400, "only once"),
        (&["Transfer-Encoding: chunked,chunked"], 400, "only once"),
        (&["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400, "only once"),
        (&["Transfer-Encoding: identity, chunked"], 400, "only once"),
        (&["Transfer-Encoding: gzip, chunked"], 400, "only once"),
        (&["Transfer-Encoding: chunked, gzip"], 400, ""),
        (&["Transfer-Encoding: xchunked"], 400, ""),
        // RFC 9112 section 6.3: read as chunked, in either order, and the last of its connection.
        (&["Content-Length: 5", "Transfer-Encoding: chunked"], 200, ""),
        (&["Transfer-Encoding: chunked", "Content-Length: 5"], 200, ""),
    ] {
        let head = [&[TARGET, "Host: a", token.as_str()], codings].concat();
        let reply = lines(&head).followed_by(&chunked).send(doorward.http_address()).await;
        assert_eq!(reply.status, status, "{codings:?}: {reply:?}");
        assert!(reply.body.contains(said), "{codings:?}: {reply:?}");
        // One answer, whatever came behind: the connection is closed.
        assert!(!reply.body.contains("HTTP/1.1"), "{codings:?}: {reply:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{codings:?}: {reply:?}");
    }
}
