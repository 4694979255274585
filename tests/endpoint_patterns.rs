//! Which pattern of `rules.endpoints` counts, however a path is spelled, and what `deny: true`
//! closes.

use serde_json::json;

use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::raw;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

fn token(scopes: &str) -> String {
    RSA.token("RS256", &claims(ISSUER, json!({"scope": scopes})))
}

/// A table with an open pattern and exceptions below it, and methods that one pattern has and
/// another has not.
fn exceptions() -> String {
    let get = |scope: &str| json!({"get": {"scopes": [scope]}});
    json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"endpoints": {
            "/ig/{w}/openai/-/{rest}": get("inference:run"),
            "/ig/{w}/openai/-/admin": get("admin:all"),
            "/ig/{w}/openai/-/keys/": get("admin:all"),
            "/ig/{w}/openai/-/secret": {"get": {"deny": true}},
            "/m/{name}": {"get": {"scopes": ["m:read"]}, "delete": {"scopes": ["m:admin"]}},
            "/m/default": get("m:read"),
        }},
    })
    .to_string()
}

#[tokio::test]
async fn the_most_specific_pattern_counts_in_every_spelling() {
    let doorward = Doorward::start_explained(&exceptions()).await;
    let (run, admin) = (token("inference:run"), token("admin:all"));
    let below = |end: &str| get(&format!("/ig/team/openai/-/{end}"));
    for end in ["v1/models", "", "other/", "administrator"] {
        assert_eq!(doorward.ask(below(end).bearer(&run)).await.reason, "authenticated", "{end}");
    }
    let spellings = ["", "/", ";", ";/", ";v=1", ";v=1/", "/;", "/;a", ";a/;b"];
    for spelling in spellings {
        for name in ["admin", "%61dmin", "keys"] {
            let ask = below(&format!("{name}{spelling}"));
            for (token, status, reason) in
                [(&run, 403, "insufficient_scope"), (&admin, 200, "authenticated")]
            {
                let outcome = doorward.ask(ask.clone().bearer(token)).await;
                let case = format!("{name}{spelling}");
                assert_eq!((outcome.status, outcome.reason.as_str()), (status, reason), "{case}");
            }
        }
        for token in [&run, &admin] {
            let outcome = doorward.ask(below(&format!("secret{spelling}")).bearer(token)).await;
            assert_eq!((outcome.status, outcome.reason.as_str()), (403, "policy_denied"));
        }
    }
}

#[tokio::test]
async fn a_pattern_without_the_method_does_not_hide_one_that_has_it() {
    let doorward = Doorward::start_explained(&exceptions()).await;
    for (method, path, scopes, reason) in [
        ("DELETE", "/m/default", "m:read", "insufficient_scope"),
        ("DELETE", "/m/default/", "m:read", "insufficient_scope"),
        ("DELETE", "/m/default", "m:admin", "authenticated"),
        ("DELETE", "/m/other", "m:read", "insufficient_scope"),
        ("GET", "/m/default", "m:read", "authenticated"),
        ("HEAD", "/m/default", "m:admin", "insufficient_scope"),
        // Neither has it.
        ("PUT", "/m/default", "x:y", "authenticated"),
    ] {
        let outcome = doorward.ask(get(path).method(method).bearer(&token(scopes))).await;
        assert_eq!(outcome.reason, reason, "{method} {path} {scopes}");
    }
}

/// With a token or without, whatever lets the path through.
#[tokio::test]
async fn a_closed_endpoint_is_closed_to_everybody() {
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {
            "bypass": ["/public/*"],
            "endpoints": {
                "/public/secret": {"get": {"deny": true}, "delete": {"deny": true}},
                "/public/-/{rest}": {"get": {"deny": true}},
                "/public/limited": {"get": {"scopes": ["a:b"]}},
            },
        },
    });
    let doorward = Doorward::start_explained(&config.to_string()).await;
    let any = token("openid");
    let secrets = ["", "/", ";v=1", "/;a", ";/", "?x=1"].map(|end| format!("/public/secret{end}"));
    let below = ["/public/-/", "/public/-/a", "/public/-/a/b/"].map(str::to_owned);
    for path in secrets.iter().chain(&below) {
        for mode in [None, Some("bypass"), Some("optional"), Some("required")] {
            for token in [None, Some(&any)] {
                for method in ["GET", "HEAD"] {
                    let ask = get(path).method(method);
                    let ask = mode.map_or(ask.clone(), |mode| ask.route("doorward.mode", mode));
                    let ask = token.map_or(ask.clone(), |token| ask.bearer(token));
                    let outcome = doorward.ask(ask).await;
                    let case = format!("{method} {path} {mode:?}, token: {}", token.is_some());
                    // Who has to show a token learns nothing before that.
                    let unknown = mode == Some("required") && token.is_none();
                    let expected =
                        if unknown { (401, "missing_token") } else { (403, "policy_denied") };
                    assert_eq!((outcome.status, outcome.reason.as_str()), expected, "{case}");
                }
            }
        }
    }
    // A path that may be the closed one, and what is not closed.
    for (method, path, mode, reason) in [
        ("GET", "/public/x/..;/secret", "bypass", "malformed_request"),
        ("GET", "/public/;a/secret", "bypass", "malformed_request"),
        ("GET", "/public/secret.", "optional", "missing_token"),
        ("GET", "/public/secret%20", "bypass", "missing_token"),
        ("POST", "/public/secret", "bypass", "bypassed"),
        ("POST", "/public/secret", "optional", "anonymous"),
        ("GET", "/public/other", "bypass", "bypassed"),
        ("GET", "/public/limited", "bypass", "bypassed"),
    ] {
        let ask = get(path).method(method).route("doorward.mode", mode);
        assert_eq!(doorward.ask(ask).await.reason, reason, "{method} {path} {mode}");
    }
    let ambiguous = get("/public/;a/secret").bearer(&any);
    assert_eq!(doorward.ask(ambiguous).await.reason, "malformed_request");
    // A browser's preflight asks on behalf of the method that is to follow.
    let preflight = |method| {
        get("/public/secret").method("OPTIONS").header("access-control-request-method", method)
    };
    assert_eq!(doorward.ask(preflight("DELETE")).await.reason, "policy_denied");
    assert_eq!(doorward.ask(preflight("DELETE").bearer(&any)).await.reason, "policy_denied");
    assert_eq!(doorward.ask(preflight("POST")).await.reason, "bypassed");
    // Of several methods the upstream may read any.
    for listed in ["POST, delete", "POST,,DELETE", "DELETE\t,POST"] {
        assert_eq!(doorward.ask(preflight(listed)).await.reason, "policy_denied", "{listed}");
    }
    let header = "access-control-request-method";
    let two = get("/public/secret").method("OPTIONS").raw_header(header, b"POST");
    assert_eq!(doorward.ask(two.clone()).await.reason, "bypassed");
    assert_eq!(doorward.ask(two.raw_header(header, b"DELETE")).await.reason, "policy_denied");
    let over_http = raw::get("/apis/auth/ext-authz/public/secret");
    let reply = over_http.send(doorward.http_address()).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "policy_denied"));
}

/// Scopes limit what a token may do; where none is needed, nobody is somebody without rights,
/// whom the upstream sees as such.
#[tokio::test]
async fn where_a_token_is_optional_scopes_are_asked_of_tokens_alone() {
    for scopes in ["optional", "required"] {
        let config = json!({
            "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
            "rules": {
                "scopes": scopes,
                "endpoints": {"/models": {"get": {"scopes": ["models:read"]}}},
            },
        });
        let doorward = Doorward::start_explained(&config.to_string()).await;
        let optional = || get("/models").route("doorward.mode", "optional");
        let on_top = || optional().route("doorward.scopes", "beta:models");
        assert_eq!(doorward.ask(optional()).await.reason, "anonymous");
        let nobody = doorward.ask(on_top()).await;
        assert_eq!((nobody.reason.as_str(), nobody.headers.len()), ("anonymous", 0));
        for (ask, scopes, reason) in [
            (optional(), "audit:read", "insufficient_scope"),
            (optional(), "models:read", "authenticated"),
            (on_top(), "models:read", "insufficient_scope"),
            (on_top(), "beta:models models:read", "authenticated"),
        ] {
            assert_eq!(doorward.ask(ask.bearer(&token(scopes))).await.reason, reason, "{scopes}");
        }
    }
}
