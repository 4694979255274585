//! `rules.routes`: a route's settings by host, path and method, over gRPC, over HTTP and through
//! real Envoys that send none of their own; and what `explain` says of them.

use serde_json::{Value, json};

use crate::support::check::{self, Ask};
use crate::support::doorward::Doorward;
use crate::support::explain;
use crate::support::gateway::Gateway;
use crate::support::raw::{self, RawRequest};
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

fn config() -> Value {
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {
            "bypass": ["/health", "/docs/*"],
            "routes": [
                {"path": "/docs/internal/*", "deny": true},
                {"path": "/docs/drafts/*", "mode": "required"},
                {"path": "/status", "mode": "bypass", "methods": "GET"},
                {"path": "/greeting", "mode": "optional"},
                {"host": ["admin.example"], "path": "/*", "audience": "admin"},
                {"path": "/models/{name}", "methods": ["PUT", "DELETE"], "scopes": "models:write"},
                {"path": "/models/{name}", "scopes": ["models:read", "models:write"]},
            ],
        },
    })
}

/// A token with this scope and audience.
fn token(scope: &str, audience: &[&str]) -> String {
    let audience = [&["nmp"], audience].concat();
    RSA.token("RS256", &claims(ISSUER, json!({"scope": scope, "aud": audience})))
}

struct Case {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    token: Option<String>,
    reason: &'static str,
}

impl Case {
    fn ask(&self) -> Ask {
        let ask = check::get(self.path).method(self.method).host(self.host);
        self.token.as_ref().map_or(ask.clone(), |token| ask.bearer(token))
    }

    /// The same over HTTP, below a path.
    fn request(&self, prefix: &str) -> RawRequest {
        let Self { method, host, path, .. } = self;
        let start = format!("{method} {prefix}{path} HTTP/1.1");
        let request = raw::lines(&[&start, &format!("Host: {host}"), "Connection: close"]);
        self.token.as_ref().map_or(request.clone(), |token| request.bearer(token))
    }

    fn status(&self) -> i32 {
        match self.reason {
            "bypassed" | "anonymous" | "authenticated" => 200,
            "malformed_request" => 400,
            "insufficient_scope" | "policy_denied" => 403,
            _ => 401,
        }
    }
}

fn cases() -> Vec<Case> {
    let any = || Some(token("openid", &[]));
    let reads = || Some(token("models:read", &[]));
    let case = |method, host, path, token, reason| Case { method, host, path, token, reason };
    let get = |path, token, reason| case("GET", "a.example", path, token, reason);
    vec![
        get("/health", None, "bypassed"),
        get("/docs/a", None, "bypassed"),
        get("/docs/drafts/a", None, "missing_token"),
        get("/docs/drafts/a", any(), "authenticated"),
        get("/docs/drafts", None, "missing_token"),
        get("/docs/internal/a", None, "policy_denied"),
        get("/docs/internal/a", any(), "policy_denied"),
        get("/docs/internal", any(), "policy_denied"),
        get("/docs/%69nternal/a", None, "policy_denied"),
        get("/docs/internal;v=1/a", None, "policy_denied"),
        get("/status", None, "bypassed"),
        case("HEAD", "a.example", "/status", None, "bypassed"),
        case("POST", "a.example", "/status", None, "missing_token"),
        get("/status/", None, "missing_token"),
        get("/greeting", None, "anonymous"),
        get("/greeting", any(), "authenticated"),
        get("/greeting", Some("nonsense".to_owned()), "malformed_token"),
        case("GET", "admin.example", "/x", any(), "bad_audience"),
        case("GET", "ADMIN.example:8443", "/x", any(), "bad_audience"),
        case("GET", "admin.example", "/x", Some(token("", &["admin"])), "authenticated"),
        case("GET", "a.example.", "/x", any(), "bad_audience"),
        case("GET", "b.example", "/x", any(), "authenticated"),
        get("/models/m", any(), "insufficient_scope"),
        get("/models/m", reads(), "authenticated"),
        get("/models/m/", any(), "insufficient_scope"),
        case("PUT", "a.example", "/models/m", reads(), "insufficient_scope"),
        case("PUT", "a.example", "/models/m;v=1", reads(), "insufficient_scope"),
        case("PUT", "a.example", "/models/m", Some(token("models:write", &[])), "authenticated"),
        get("/models/m/n", any(), "authenticated"),
    ]
}

#[tokio::test]
async fn routes_of_the_configuration_decide_the_same_everywhere() {
    let doorward = Doorward::start_explained(&config().to_string()).await;
    let ambiguous = |path| Case {
        method: "GET",
        host: "a.example",
        path,
        token: Some(token("models:write", &[])),
        reason: "malformed_request",
    };
    // A gateway that passes on what Envoy would have tidied up.
    let odd = ["/a/../models/m", "/a//models/m", "/a%2fmodels/m", "/a/%2e%2e/docs/internal"];
    for case in cases().into_iter().chain(odd.map(ambiguous)) {
        let Case { method, host, path, reason, .. } = &case;
        let outcome = doorward.ask(case.ask()).await;
        let named = format!("{method} {host} {path} {:?}", case.token.is_some());
        assert_eq!((outcome.reason.as_str(), outcome.status), (*reason, case.status()), "{named}");
        let reply = case.request("/apis/auth/ext-authz").send(doorward.http_address()).await;
        assert_eq!(i32::from(reply.status), case.status(), "{named}: {reply:?}");
        if reply.status != 200 && *method != "HEAD" {
            assert_eq!(reply.reason(), *reason, "{named}");
        }
    }
}

#[tokio::test]
async fn routes_of_the_configuration_hold_behind_gateways_that_send_none() {
    let istio_like = [
        ("context_extensions: { doorward.mode: bypass }", "context_extensions: {}"),
        ("context_extensions: { doorward.mode: optional }", "context_extensions: {}"),
    ];
    let config = config().to_string();
    let Some(grpc) = Gateway::start_changed("envoy.yaml", istio_like, &config).await else {
        return;
    };
    let http = Gateway::start("envoy-http.yaml", &config).await.unwrap();
    // A route of the module's says something, or has no such section: nothing comes by these.
    let unsaid = [
        ("match: { prefix: /public/ }", "match: { prefix: /nowhere/ }"),
        ("match: { prefix: /optional/ }", "match: { prefix: /nowhere-else/ }"),
    ];
    let inside = Gateway::start_changed("module.yaml", unsaid, &config).await.unwrap();
    for (name, gateway) in [("gRPC", &grpc), ("HTTP", &http), ("module", &inside)] {
        for case in cases() {
            let Case { method, host, path, reason, .. } = &case;
            let reply = gateway.send(&case.request("")).await;
            let named = format!("{name}: {method} {host} {path} {:?}", case.token.is_some());
            assert_eq!(i32::from(reply.status), case.status(), "{named}: {reply:?}");
            if reply.status == 200 && *method != "HEAD" {
                let has_principal = reply.body.contains("x-nmp-principal-id");
                assert_eq!(has_principal, *reason == "authenticated", "{named}: {reply:?}");
            }
        }
    }
}

#[test]
fn explain_says_which_route_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = explain::config(dir.path(), &json!({}));
    std::fs::write(&file, config().to_string()).unwrap();
    let told = |arguments: &[&str], token: &str| -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let output = explain::explain(&file, &arguments, token.as_bytes());
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let any = token("models:read", &[]);
    let route = |told: &Value| explain::step(told, "route")["found"].as_str().unwrap().to_owned();
    let put = told(&["--path", "/models/m", "--method", "PUT"], &any);
    assert_eq!(
        route(&put),
        "a valid token is required (rules.routes.5: /models/{name}: scopes \"models:write\") (for \
         another reading: rules.routes.4: /*: audience \"admin\")"
    );
    let failed = explain::failed(&put);
    // Without `--host`, what restricts a host holds.
    assert_eq!(
        (&failed["check"], &put["reason"]),
        (&json!("route_audience"), &json!("bad_audience"))
    );
    assert_eq!(failed["expected"], "aud to contain one of the route's: admin");
    let put = told(&["--path", "/models/m", "--method", "PUT", "--host", "a.example"], &any);
    let failed = explain::failed(&put);
    assert_eq!(failed["check"], "route_scopes");
    assert_eq!(failed["expected"], "one of the route's scopes: models:write");
    let open = told(&["--path", "/status", "--anonymous"], "");
    assert!(
        route(&open).starts_with(
            "no token is checked: the route says so (rules.routes.2: /status: mode bypass)"
        ),
        "{open:#}"
    );
    let closed = told(&["--path", "/docs/internal/a", "--anonymous"], "");
    let failed = explain::failed(&closed);
    assert_eq!(failed["found"], "`rules.routes` closes this route (`deny: true`)");
    let remedy = failed["remedy"].as_str().unwrap();
    assert!(remedy.contains("remove `deny` from its entry in `rules.routes`"), "{remedy}");
    let ambiguous = told(&["--path", "/a//docs"], &any);
    assert_eq!(ambiguous["status"], 400, "{ambiguous:#}");
    let found = explain::failed(&ambiguous)["found"].as_str().unwrap().to_owned();
    assert!(found.contains("can be read in two ways, and `rules.routes` depends on"), "{found}");
}
