//! NeMo Platform's rules as its documentation states them, decided by the policy of roles for tokens
//! that were really signed.

mod figures;
mod plain;

use std::sync::Arc;

use doorward_core::authorizer::Authorizer;
use doorward_core::decision::{Decision, Reason};
use doorward_core::identity::Delegation;
use doorward_core::policy::{GroupPattern, Roles};
use serde_json::{Value, json};

use crate::support::{Ask, Setup, get};

fn by_roles(data: &Value, patterns: &[&str]) -> Authorizer {
    let mut setup = Setup::new();
    setup.identity.delegation = Delegation::Nemo;
    setup.authorizer().with_policy(Arc::new(roles(data, patterns)))
}

fn roles(data: &Value, patterns: &[&str]) -> Roles {
    let patterns: Vec<GroupPattern> = patterns.iter().map(|text| text.parse().unwrap()).collect();
    Roles::new(data, patterns).unwrap()
}

fn is_allowed(authorizer: &Authorizer, ask: &Ask) -> bool {
    match ask.decision(authorizer) {
        Decision::Allow(approval) => approval.is_authorized(),
        Decision::Deny(denial) if denial.reason() == Reason::PolicyDenied => false,
        Decision::Deny(denial) => panic!("{ask:?}: {}", denial.fault),
    }
}

/// A platform of two teams, in the form of NeMo's own data.
fn platform() -> Value {
    let workspaces = "/apis/models/v2/workspaces/{workspace}";
    let read = ["models:read", "platform:read"];
    let write = ["models:write", "platform:write"];
    json!({"authz": {
        "endpoints": {
            (format!("{workspaces}/models")): {
                "get": {"permissions": ["models.list"], "scopes": read},
                "post": {"permissions": ["models.create"], "scopes": write},
            },
            (format!("{workspaces}/models/{{name}}")): {
                "get": {"permissions": ["models.read"], "scopes": read},
                "delete": {"permissions": ["models.delete"], "scopes": write},
            },
            (format!("{workspaces}/openai/-/{{trailing_uri}}")): {
                "post": {"permissions": ["inference.exec"], "scopes": write},
            },
            "/apis/entities/v2/workspaces": {
                "get": {"permissions": ["workspaces.list"], "scopes": ["platform:read"]},
                "post": {"permissions": ["workspaces.create"], "scopes": ["platform:write"]},
            },
            "/apis/entities/v2/workspaces/{name}": {
                "get": {"permissions": ["workspaces.read"], "scopes": ["platform:read"]},
            },
            "/apis/entities/v2/workspaces/{workspace}/members": {
                "post": {"permissions": ["workspaces.members.create"], "scopes": ["platform:write"]},
            },
            "/apis/auth/v2/iam/role-bindings": {"get": {"permissions": ["iam.list"]}},
            "/apis/auth/v2/access-keys": {"get": {"permissions": [], "x-not-in-openapi": true}},
            "/apis/jobs/v2/workspaces/{workspace}/steps": {
                "get": {"permissions": ["jobs.read"], "callers": ["service_principal"]},
            },
            "/apis/jobs/v2/workspaces/{workspace}/mine": {
                "get": {"permissions": ["jobs.read"], "callers": ["principal"]},
            },
            "/apis/plugin/v2/unruled": {"get": {"permissions": [], "deny": true}},
            "/apis/plugin/v2/ruled": {"get": {"permissions": []}},
        },
        "roles": {
            "Viewer": {
                "description": "Reads what is in a workspace",
                "permissions": [
                    "models.list", "models.read", "inference.exec", "workspaces.list",
                    "workspaces.read", "jobs.read",
                ],
            },
            "Editor": {"includes": ["Viewer"], "permissions": ["models.create", "models.delete"]},
            "Admin": {"includes": ["Editor"], "permissions": ["workspaces.members.create", "iam.list"]},
            "WorkspaceCreator": {"permissions": ["workspaces.create"]},
            "PlatformAdmin": {"permissions": ["iam.bundle.read"]},
            "ServiceSystem": {"permissions": ["*"]},
        },
        "principals": {
            "vera": {"workspaces": {"red": ["Viewer"]}},
            "ed@example.com": {"workspaces": {"red": ["Editor"]}},
            "red-leads": {"workspaces": {"red": ["Admin"]}},
            "everywhere": {"workspaces": {"*": ["Viewer"]}},
            "root@example.com": {"workspaces": {"system": ["PlatformAdmin"]}},
            "founders": {"workspaces": {"system": ["WorkspaceCreator"]}},
            "*": {"workspaces": {"public": ["Viewer"], "shared": ["Editor"], "system": ["Viewer"]}},
        },
        "config": {
            "denied_plugin_prefixes": ["/apis/broken"],
            "platform_admin_exempt_from_service_only": false,
        },
        "permissions": {"models": {"list": {"description": "List models"}}},
        "workspaces": {},
    }})
}

#[test]
fn nemos_rules_as_it_states_them() {
    let authorizer = by_roles(&platform(), &[]);
    let vera = json!({"sub": "vera"});
    let ed = json!({"sub": "1", "email": "ed@example.com"});
    let lead = json!({"sub": "2", "groups": ["people", "red-leads"]});
    let root = json!({"sub": "3", "email": "root@example.com"});
    let founder = json!({"sub": "4", "groups": ["founders"]});
    let everywhere = json!({"sub": "everywhere"});
    let new = json!({"sub": "new"});
    let models = |workspace: &str| format!("/apis/models/v2/workspaces/{workspace}/models");
    let of_jobs = |what: &str| format!("/apis/jobs/v2/workspaces/red/{what}");
    let chat = "/apis/models/v2/workspaces/red/openai/-/v1/chat/completions";
    let workspaces = "/apis/entities/v2/workspaces";
    for (claims, method, path, expected) in [
        // Viewer
        (&vera, "GET", models("red"), true),
        (&vera, "HEAD", models("red"), true),
        (&vera, "GET", models("red") + "/llama", true),
        (&vera, "POST", chat.into(), true),
        (&vera, "POST", models("red"), false),
        (&vera, "DELETE", models("red") + "/llama", false),
        (&vera, "GET", models("blue"), false),
        // Editor, by email address
        (&ed, "GET", models("red"), true),
        (&ed, "POST", models("red"), true),
        (&ed, "DELETE", models("red") + "/llama", true),
        (&ed, "POST", models("blue"), false),
        (&ed, "POST", format!("{workspaces}/red/members"), false),
        // Admin, by group
        (&lead, "POST", models("red"), true),
        (&lead, "POST", format!("{workspaces}/red/members"), true),
        (&lead, "POST", format!("{workspaces}/blue/members"), false),
        (&lead, "GET", "/apis/auth/v2/iam/role-bindings".into(), false),
        // PlatformAdmin
        (&root, "DELETE", models("blue") + "/llama", true),
        (&root, "GET", "/apis/auth/v2/iam/role-bindings".into(), true),
        (&root, "GET", "/apis/unknown".into(), true),
        // WorkspaceCreator
        (&founder, "POST", workspaces.into(), true),
        (&vera, "POST", workspaces.into(), false),
        (&lead, "POST", workspaces.into(), false),
        // What is no workspace's is the system's, where everybody is Viewer.
        (&new, "GET", workspaces.into(), true),
        (&new, "GET", format!("{workspaces}/system"), true),
        (&new, "GET", format!("{workspaces}/red"), false),
        (&vera, "GET", format!("{workspaces}/red"), true),
        // Workspaces of everybody
        (&new, "GET", models("public"), true),
        (&new, "POST", models("public"), false),
        (&new, "POST", models("shared"), true),
        (&new, "POST", format!("{workspaces}/shared/members"), false),
        // Every workspace
        (&everywhere, "GET", models("blue"), true),
        (&everywhere, "GET", models("-"), true),
        (&everywhere, "POST", models("blue"), false),
        // No permission
        (&new, "GET", "/apis/auth/v2/access-keys".into(), true),
        (&new, "POST", "/apis/auth/v2/access-keys".into(), false),
        // Kinds of callers
        (&vera, "GET", of_jobs("steps"), false),
        (&root, "GET", of_jobs("steps"), false),
        (&vera, "GET", of_jobs("mine"), true),
        // Closed plugins
        (&root, "GET", "/apis/plugin/v2/unruled".into(), false),
        (&new, "GET", "/apis/plugin/v2/ruled".into(), true),
        (&root, "GET", "/apis/broken/anything".into(), false),
        (&root, "GET", "/apis/broken".into(), false),
        (&root, "GET", "/apis/brokers".into(), true),
        (&new, "GET", "/apis/unknown".into(), false),
    ] {
        let ask = get(&path).method(method).with_token(claims.clone());
        assert_eq!(is_allowed(&authorizer, &ask), expected, "{claims} {method} {path}");
        let anonymous = get(&path).method(method).route("doorward.mode", "optional");
        let is_open = ["/apis/auth/v2/access-keys", "/apis/plugin/v2/ruled"].contains(&&*path);
        let is_let_in = is_open && method == "GET";
        assert_eq!(is_allowed(&authorizer, &anonymous), is_let_in, "nobody {method} {path}");
    }
}

#[test]
fn scopes_limit_what_roles_allow() {
    let authorizer = by_roles(&platform(), &[]);
    for (scopes, method, expected) in [
        (json!(null), "POST", true),
        (json!("openid profile email offline_access"), "POST", true),
        (json!("models:read"), "GET", true),
        (json!("models:read"), "POST", false),
        (json!("openid platform:write"), "POST", true),
        (json!("platform:read platform:write"), "POST", true),
        (json!("jobs:write"), "POST", false),
        // One that cannot be told may have been one of the platform.
        (json!("openid \u{e9}"), "POST", false),
        (json!("models:write \u{e9}"), "POST", true),
    ] {
        let claims = json!({"sub": "1", "email": "ed@example.com", "scope": scopes});
        let ask = get("/apis/models/v2/workspaces/red/models").method(method).with_token(claims);
        assert_eq!(is_allowed(&authorizer, &ask), expected, "{scopes} {method}");
    }
    let limited = json!({"sub": "1", "email": "root@example.com", "scope": "jobs:read"});
    let ask = get("/apis/models/v2/workspaces/red/models").with_token(limited);
    assert!(is_allowed(&authorizer, &ask), "administrators of the platform may do all");
}

#[test]
fn people_are_told_what_decided_and_what_would_be_needed() {
    let authorizer = by_roles(&platform(), &["nmp-{workspace}-{role}"]);
    let reasons = |claims: Value, method: &str, path: &str| {
        let ask = get(path).method(method).with_token(claims);
        let decision = ask.decision(&authorizer);
        let identity = match &decision {
            Decision::Allow(approval) => approval.identity(),
            Decision::Deny(denial) => denial.identity.as_deref(),
        };
        ask.view(|request, now| authorizer.policy_reasons(request, identity, now))
    };
    const MODELS: &str = "/apis/models/v2/workspaces/red/models";
    const PATTERN: &str = "/apis/models/v2/workspaces/{workspace}/models";
    for (claims, method, path, expected) in [
        (
            json!({"sub": "1", "groups": ["nmp-red-Editor"]}),
            "POST",
            MODELS,
            format!(
                "{PATTERN} asks for models.create in workspace red: nmp-red-Editor has it there as Editor"
            ),
        ),
        (
            json!({"sub": "vera", "groups": ["people"]}),
            "POST",
            MODELS,
            format!(
                "{PATTERN} asks for models.create in workspace red: neither vera nor the email \
                 address or a group has it there; these roles have it: Admin, Editor"
            ),
        ),
        (
            json!({"sub": "vera", "scope": "jobs:read"}),
            "GET",
            MODELS,
            format!(
                "{PATTERN} asks for one of the scopes models:read, platform:read, and the token is \
                 limited to others"
            ),
        ),
        (
            json!({"sub": "vera"}),
            "GET",
            "/apis/broken/x",
            "/apis/broken is closed to everybody (denied_plugin_prefixes)".to_owned(),
        ),
        (
            json!({"sub": "3", "email": "root@example.com"}),
            "GET",
            "/apis/unknown",
            "3 is an administrator of the platform as root@example.com".to_owned(),
        ),
    ] {
        assert_eq!(reasons(claims, method, path)[0], expected);
    }
    // Of two who need the rights each has a line.
    let delegated = json!({"sub": "vera", "act": {"sub": "job"}});
    assert_eq!(reasons(delegated, "GET", MODELS).len(), 2);
}
