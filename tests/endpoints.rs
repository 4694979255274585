//! Scopes by endpoint (`rules.endpoints`): NeMo's table, through `Check`, through a real
//! Envoy, and in a file that changes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::check::{Ask, get};
use crate::support::doorward::Doorward;
use crate::support::explain::{text, told};
use crate::support::gateway::Gateway;
use crate::support::raw;
use crate::support::signer::{RSA, claims, jwks};

const ISSUER: &str = "https://idp.example";

const MODELS: &str = "/apis/models/v2/workspaces/{workspace}/models";
const SECRETS: &str = "/apis/secrets/v2/workspaces/{workspace}/secrets/{name}";
const OPENAI: &str = "/apis/inference-gateway/v2/workspaces/{workspace}/openai/-/{trailing_uri}";

fn config(scopes: &str) -> String {
    config_with(scopes, json!({}))
}

fn config_with(scopes: &str, oidc: Value) -> String {
    let mut settings = json!({"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])});
    settings.as_object_mut().unwrap().extend(oidc.as_object().unwrap().clone());
    let (read, write) = (["models:read", "platform:read"], ["models:write", "platform:write"]);
    json!({
        "auth": {"oidc": settings},
        "rules": {
            "scopes": scopes,
            "bypass": ["/public/*"],
            "endpoints": {
                MODELS: {
                    "get": {"permissions": ["models.list"], "scopes": read},
                    "post": {"permissions": ["models.create"], "scopes": write},
                },
                SECRETS: {"get": {"scopes": ["secrets:read"], "callers": ["principal"]}},
                OPENAI: {"post": {"scopes": ["inference:run"]}},
                "/apis/auth/discovery": {"get": {"permissions": [], "scopes": []}},
                "/apis/internal": {"get": {"deny": true}},
            },
        },
    })
    .to_string()
}

fn token(scopes: &str) -> String {
    RSA.token("RS256", &claims(ISSUER, json!({"scope": scopes})))
}

#[tokio::test]
async fn a_token_needs_one_of_the_scopes_of_the_endpoint() {
    const LIST: &str = "/apis/models/v2/workspaces/team/models";
    const CHAT: &str = "/apis/inference-gateway/v2/workspaces/team/openai/-/v1/chat/completions";
    const READ: Option<&str> = Some("models:read platform:read");
    const WRITE: Option<&str> = Some("models:write platform:write");
    let optional = Doorward::start_explained(&config("optional")).await;
    let required = Doorward::start_explained(&config("required")).await;
    let (fine, none) = ((200, "authenticated", None), None);
    let wants = |scopes| (403, "insufficient_scope", scopes);
    let unclear = (400, "malformed_request", none);
    for (method, path, scopes, of_some, of_all) in [
        ("GET", LIST, "openid models:read", fine, fine),
        ("GET", LIST, "platform:read", fine, fine),
        ("GET", LIST, "openid audit:read", wants(READ), wants(READ)),
        ("GET", LIST, "openid email", fine, wants(READ)),
        ("POST", LIST, "models:read", wants(WRITE), wants(WRITE)),
        ("HEAD", LIST, "audit:read", wants(READ), wants(READ)),
        ("DELETE", LIST, "audit:read", fine, fine),
        ("POST", CHAT, "models:read", wants(Some("inference:run")), wants(Some("inference:run"))),
        ("POST", CHAT, "inference:run", fine, fine),
        ("GET", "/apis/auth/discovery", "openid", fine, fine),
        ("GET", "/apis/unknown", "audit:read", fine, fine),
        ("GET", "/apis//models", "audit:read", unclear, unclear),
    ] {
        let token = token(scopes);
        for (doorward, (status, reason, challenge)) in [(&optional, of_some), (&required, of_all)] {
            // The second time, the token is in the cache; its scopes are not forgotten
            // (CVE-2021-32701).
            for round in ["fresh", "cached"] {
                let outcome = doorward.ask(get(path).method(method).bearer(&token)).await;
                let case = format!("{method} {path} {scopes}, {round}");
                assert_eq!((outcome.status, outcome.reason.as_str()), (status, reason), "{case}");
                if let Some(challenge) = challenge {
                    let given = outcome.header("www-authenticate").unwrap();
                    let expected = format!("scope=\"{challenge}\"");
                    assert!(given.contains(&expected), "{case}: {given}");
                }
            }
        }
    }
    let closed = optional.ask(get("/apis/internal").bearer(&token("openid"))).await;
    assert_eq!((closed.status, closed.reason.as_str()), (403, "policy_denied"));
    // Without a token there is nobody to ask for scopes.
    let missing = optional.ask(get(LIST)).await;
    assert_eq!(missing.reason, "missing_token");
}

/// A token may have been limited by just the scope that Doorward drops or cannot read: what is lost
/// never gives rights. NeMo's own reading, for which a token without a `:` is not limited, stays for
/// tokens of which nothing is lost.
#[tokio::test]
async fn a_lost_scope_is_taken_for_a_platform_scope() {
    const LIST: &str = "/apis/models/v2/workspaces/team/models";
    const OTHER: &str = "/apis/unknown";
    let doorward = Doorward::start_explained(&config_with(
        "optional",
        json!({"roles_claim": "/realm_access/roles"}),
    ))
    .await;
    let fillers = |last: &str| -> String {
        let fillers = (0..200).map(|number| format!("filler{number} "));
        fillers.chain([last.to_owned()]).collect()
    };
    let long = format!("{}:read", "a".repeat(252));
    let (lost, fine) = ("insufficient_scope", "authenticated");
    for (more, reason) in [
        (json!({"scope": fillers("audit:read")}), lost),
        (json!({"scope": null, "scp": [fillers("audit:read")]}), lost),
        (json!({"scope": long}), lost),
        (json!({"scope": "audit:r\u{e9}ad"}), lost),
        (json!({"scope": "openid audit\"read"}), lost),
        (json!({"scope": ["openid audit:read"]}), lost),
        (json!({"scope": [["audit:read"]]}), lost),
        (json!({"scope": ["openid", ["models:read"]]}), lost),
        (json!({"scope": ["openid", 5]}), lost),
        (json!({"scope": ["openid", null]}), lost),
        (json!({"scope": {"audit:read": true}}), lost),
        (json!({"scope": 5}), lost),
        (json!({"scope": true}), lost),
        (json!({"scope": "", "scp": "audit:read"}), lost),
        (json!({"scope": [], "scp": "audit:read"}), lost),
        (json!({"scope": "openid", "scp": "audit:read"}), lost),
        (json!({"scope": "openid", "scp": 5}), lost),
        (json!({"scope": "openid", "realm_access": {"roles": ["audit:read"]}}), lost),
        (json!({"scope": "openid", "realm_access": {"roles": [5]}}), lost),
        (json!({"scope": "openid", "realm_access": {"roles": {"audit:read": {}}}}), lost),
        // A scope that matches is enough, whatever is lost beside it.
        (json!({"scope": ["models:read", 5]}), fine),
        (json!({"scope": ["openid models:read"]}), fine),
        (json!({"scope": "openid", "scp": ["email models:read"]}), fine),
        (json!({"scope": "openid", "realm_access": {"roles": ["models:read"]}}), fine),
        // Nothing is lost: two hundred are not too many, and those said twice are there.
        (json!({"scope": fillers("")}), fine),
        (json!({"scope": fillers("filler1 filler199")}), fine),
        (json!({"scope": "openid email"}), fine),
        (json!({"scope": ""}), fine),
        (json!({"scope": []}), fine),
        (json!({"scope": ["", " "]}), fine),
        (json!({"scope": null}), fine),
    ] {
        let token = RSA.token("RS256", &claims(ISSUER, more.clone()));
        for round in ["fresh", "cached"] {
            let outcome = doorward.ask(get(LIST).bearer(&token)).await;
            assert_eq!(outcome.reason, reason, "{more}, {round}");
            assert_eq!(doorward.ask(get(OTHER).bearer(&token)).await.reason, fine, "{more}");
        }
        // A route's scope has to be there.
        let route = get(OTHER).bearer(&token).route("doorward.scopes", "beta:models");
        assert_eq!(doorward.ask(route).await.reason, lost, "{more}");
    }
}

/// What Envoy's route asks for and what the table asks for are both needed.
#[tokio::test]
async fn the_route_asks_on_top() {
    let doorward = Doorward::start_explained(&config("optional")).await;
    let ask = |scopes: &str| -> Ask {
        let path = "/apis/models/v2/workspaces/team/models";
        get(path).bearer(&token(scopes)).route("doorward.scopes", "beta:models")
    };
    assert_eq!(doorward.ask(ask("models:read")).await.reason, "insufficient_scope");
    assert_eq!(doorward.ask(ask("beta:models")).await.reason, "insufficient_scope");
    assert_eq!(doorward.ask(ask("beta:models models:read")).await.reason, "authenticated");
}

/// Whatever Envoy makes of a path before it asks, and whatever it passes on.
#[tokio::test]
async fn no_spelling_leads_around_the_table() {
    for file in ["envoy.yaml", "module.yaml"] {
        let Some(gateway) = Gateway::start(file, &config("optional")).await else { return };
        no_spelling_leads_around_the_table_of(&gateway).await;
    }
}

async fn no_spelling_leads_around_the_table_of(gateway: &Gateway) {
    let path = "/apis/secrets/v2/workspaces/team/secrets/key";
    let (good, bad) = (token("secrets:read"), token("models:read"));
    let reply = gateway.send(&raw::get(path).bearer(&good)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    for path in [
        path,
        "/apis/secrets/v2/workspaces/team/secrets/key?x=/apis/unknown",
        "/apis/secrets/v2/workspaces/team/secrets/key/",
        "/apis/secrets/v2/workspaces/team/secr%65ts/key",
        "/%61pis/secrets/v2/workspaces/te%61m/secrets/k%65y",
        "/apis/secrets/v2/workspaces/team/secrets;v=1/key",
        "/apis/secrets/v2/workspaces/team/secrets/key;v=1",
        "/apis//secrets/v2/workspaces/team/secrets/key",
        "//apis/secrets/v2/workspaces/team/secrets/key",
        "/apis/./secrets/v2/workspaces/team/secrets/key",
        "/apis/models/../secrets/v2/workspaces/team/secrets/key",
        "/apis/models/%2e%2e/secrets/v2/workspaces/team/secrets/key",
        "/apis/models/..;/secrets/v2/workspaces/team/secrets/key",
        "/apis/secrets/v2/workspaces/team/secrets%2fkey",
        "/apis/secrets/v2/workspaces/team/secrets%252fkey",
        "/apis/secrets/v2/workspaces/team\\secrets/key",
        "/apis/secrets/v2/workspaces/team/secrets/%C3%A9",
        "http://platform.example/apis/secrets/v2/workspaces/team/secrets/key",
    ] {
        for method in ["GET", "HEAD"] {
            let reply = gateway.send(&raw::request(method, path.as_bytes()).bearer(&bad)).await;
            assert!(matches!(reply.status, 400 | 403), "{method} {path}: {reply:?}");
        }
    }
    // Nothing of that was the token's fault.
    let reply =
        gateway.send(&raw::get("/apis/models/v2/workspaces/team/models").bearer(&bad)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// As NeMo keeps it, with what is of no concern here.
const FILE: &str = "authz:
  roles: {Viewer: {permissions: [models.list]}}
  endpoints:
    /apis/models/v2/workspaces/{workspace}/models:
      get:
        permissions: [models.list]
        scopes: [models:read, platform:read]
        x-not-in-openapi: true
      post:
    /apis/auth/v2/iam/opa-bundle.tar.gz:
      get: {permissions: [iam.bundle.read], scopes: ['auth:read']}
";

#[test]
fn a_table_in_a_file_is_told_by_explain() {
    let dir = tempfile::tempdir().unwrap();
    let table = write(dir.path(), "static-authz.yaml", FILE);
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {
            "endpoints_file": table,
            // Goes before the file's.
            "endpoints": {"/apis/auth/v2/iam/opa-bundle.tar.gz": {"get": {"scopes": ["ops:read"]}}},
        },
    });
    let config = write(dir.path(), "doorward.json", &config.to_string());
    for (scopes, path, code, expected, found) in [
        (
            "models:write",
            "/apis/models/v2/workspaces/team/models",
            1,
            "one of the scopes of `/apis/models/v2/workspaces/{workspace}/models`: models:read, \
             platform:read",
            "scope \"models:write\"",
        ),
        (
            "openid",
            "/apis/models/v2/workspaces/team/models",
            0,
            "one of the scopes of `/apis/models/v2/workspaces/{workspace}/models`: models:read, \
             platform:read",
            "no platform scope (one with a `:`), so none is required (`rules.scopes: optional`)",
        ),
        (
            "auth:read",
            "/apis/auth/v2/iam/opa-bundle.tar.gz",
            1,
            "one of the scopes of `/apis/auth/v2/iam/opa-bundle.tar.gz`: ops:read",
            "scope \"auth:read\"",
        ),
        ("a:b", "/other", 0, "", "`rules.endpoints` has nothing on this method and path"),
        (
            "a:b",
            "/apis//models",
            1,
            "a path that can be read in one way only, since scopes depend on the path",
            "\"/apis//models\"",
        ),
    ] {
        let (told, exit) = told(&config, &["--path", path], &token(scopes));
        let steps = told["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["check"] == "endpoint").unwrap();
        let part = |name: &str| step[name].as_str().unwrap_or_default();
        let said = (exit, part("expected"), part("found"));
        assert_eq!(said, (code, expected, found), "{scopes} {path}");
        let outcome = if code == 0 { "pass" } else { "fail" };
        assert_eq!(step["outcome"], outcome, "{scopes} {path}");
        assert_eq!(step["remedy"].is_null(), code == 0, "{scopes} {path}");
    }
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = FILE
        .replace("scopes: [models:read", "scope: [models:read")
        .replace("      post:", "      psot:")
        .replace("opa-bundle.tar.gz", "{opa}.tar.gz")
        + "    /apis/list: [get]\n    /apis/nothing:\n";
    let table = write(dir.path(), "table.yaml", &file);
    let config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {
            "endpoints_file": table,
            "endpoints": {
                "v2": {"get": {}},
                "/a": {"gte": {}},
                "/b/{x}": {"get": {"scopes": ["a b"]}},
                "/c": {"get": {"scope": ["a"]}},
                "/d": {},
            },
        },
    });
    let config = write(dir.path(), "doorward.json", &config.to_string());
    let mut check = Command::new(env!("CARGO_BIN_EXE_doorward"));
    let out = check.env_clear().args(["config", "check", "--config"]).arg(&config).output();
    let out = out.unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    let table = table.display();
    for part in [
        &format!(
            "{table}:5: /apis/models/v2/workspaces/{{workspace}}/models: get: unknown field `scope`"
        ),
        &format!(
            "{table}:9: /apis/models/v2/workspaces/{{workspace}}/models: psot: `psot` is not an HTTP method"
        ),
        &format!(
            "{table}:10: `/apis/auth/v2/iam/{{opa}}.tar.gz`: a placeholder is a whole segment"
        ),
        &format!("{table}:12: /apis/list: no methods"),
        &format!("{table}:13: /apis/nothing: no methods"),
        "rules.endpoints.v2: `v2`: a path starts with `/`",
        "rules.endpoints./a.gte: `gte` is not an HTTP method",
        "rules.endpoints./b/{x}.get: ",
        "rules.endpoints./c.get.scope: unknown key",
        "rules.endpoints./d: no methods",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}
